#include "host/config.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "host/api/api.h"
#include "host/api/put.h"
#include "host/state.h"

static const char type_name[] = "dmlua.engine.config";

struct config *config_check(lua_State *L, int index)
{
    struct config **box = luaL_checkudata(L, index, type_name);
    luaL_argcheck(L, *box != NULL, index, "the configuration is closed");
    return *box;
}

/* The field, or null. The text is the table's: it lives as long as that does. */
static const char *option(lua_State *L, const char *name)
{
    const char *text;
    lua_getfield(L, 1, name);
    text = luaL_optstring(L, -1, NULL);
    lua_pop(L, 1);
    return text;
}

/* load{file=, service=, environment=, url=} → config */
static int module_load(lua_State *L)
{
    struct config_options options = {0};
    struct error error = {0};
    struct config **box;
    luaL_checktype(L, 1, LUA_TTABLE);
    options.file = option(L, "file");
    options.service = option(L, "service");
    options.environment = option(L, "environment");
    options.url = option(L, "url");
    box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, type_name);
    if (config_load(&options, box, &error) != 0)
        return state_raise(L, &error);
    return 1;
}

static int config_gc(lua_State *L)
{
    struct config **box = luaL_checkudata(L, 1, type_name);
    config_free(*box);
    *box = NULL;
    return 0;
}

/* config:get(key) → text or nil */
static int config_method_get(lua_State *L)
{
    lua_pushstring(L, config_get(config_check(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* config:problem(key) → why the value that the file sets cannot be had, or nil */
static int config_method_problem(lua_State *L)
{
    lua_pushstring(L, config_problem(config_check(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* config:is_alembic() → whether the file is an alembic.ini: it has no [dmlua] */
static int config_method_is_alembic(lua_State *L)
{
    lua_pushboolean(L, config_is_alembic(config_check(L, 1)));
    return 1;
}

static int config_method_flag(lua_State *L)
{
    lua_pushboolean(L, config_flag(config_check(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

static int config_method_number(lua_State *L)
{
    lua_pushinteger(L, config_number(config_check(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

static int config_method_file(lua_State *L)
{
    lua_pushstring(L, config_file(config_check(L, 1)));
    return 1;
}

static int config_method_folder(lua_State *L)
{
    lua_pushstring(L, config_folder(config_check(L, 1)));
    return 1;
}

static int config_method_service(lua_State *L)
{
    lua_pushstring(L, config_service(config_check(L, 1)));
    return 1;
}

static int config_method_environment(lua_State *L)
{
    lua_pushstring(L, config_environment(config_check(L, 1)));
    return 1;
}

static int config_method_services(lua_State *L)
{
    const char *const *names;
    size_t count = config_services(config_check(L, 1), &names);
    push_texts(L, names, count);
    return 1;
}

static int config_method_require_service(lua_State *L)
{
    struct error error = {0};
    if (config_require_service(config_check(L, 1), &error) != 0)
        return state_raise(L, &error);
    return 0;
}

/* config:check_rails("database") raises what config_check_rails says. */
static int config_method_check_rails(lua_State *L)
{
    static const char *const names[] = {"database", NULL};
    static const enum config_area areas[] = {CONFIG_DATABASE};
    struct error error = {0};
    enum config_area area = areas[luaL_checkoption(L, 2, "database", names)];
    if (config_check_rails(config_check(L, 1), area, &error) != 0)
        return state_raise(L, &error);
    return 0;
}

static int config_method_isolation(lua_State *L)
{
    lua_pushstring(L, config_isolation(config_check(L, 1)));
    return 1;
}

static int config_method_rls(lua_State *L)
{
    lua_pushboolean(L, config_rls(config_check(L, 1)));
    return 1;
}

static int config_method_is_local(lua_State *L)
{
    const char *database = NULL;
    bool local = config_is_local(config_check(L, 1), &database);
    lua_pushboolean(L, local);
    lua_pushstring(L, database);
    return 2;
}

static int config_method_mask(lua_State *L)
{
    char *masked = config_mask(config_check(L, 1), luaL_checkstring(L, 2));
    /* a raise for want of memory leaks one text, and ends the program */
    lua_pushstring(L, masked);
    free(masked);
    return 1;
}

/* config:rows() → list of {key=, value=, origin=, note=}, secrets masked */
static int config_method_rows(lua_State *L)
{
    const struct config_row *rows;
    size_t count = config_rows(config_check(L, 1), &rows), i;
    lua_createtable(L, (int)count, 0);
    for (i = 0; i < count; i++) {
        lua_createtable(L, 0, 4);
        put_text(L, "key", rows[i].key);
        put_text(L, "value", rows[i].value);
        put_text(L, "origin", rows[i].origin);
        put_text(L, "note", rows[i].note);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const luaL_Reg methods[] = {
    {"get", config_method_get},
    {"problem", config_method_problem},
    {"is_alembic", config_method_is_alembic},
    {"flag", config_method_flag},
    {"number", config_method_number},
    {"file", config_method_file},
    {"folder", config_method_folder},
    {"service", config_method_service},
    {"environment", config_method_environment},
    {"services", config_method_services},
    {"require_service", config_method_require_service},
    {"check_rails", config_method_check_rails},
    {"isolation", config_method_isolation},
    {"rls", config_method_rls},
    {"is_local", config_method_is_local},
    {"mask", config_method_mask},
    {"rows", config_method_rows},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"load", module_load},
    {NULL, NULL},
};

int luaopen_dmlua_engine_config(lua_State *L)
{
    luaL_newmetatable(L, type_name);
    lua_pushcfunction(L, config_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
