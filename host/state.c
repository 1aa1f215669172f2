#include "host/state.h"

#include <lauxlib.h>
#include <lfs.h>
#include <lua-cjson.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/bindings.h"
#include "host/api/api.h"
#include "host/embedded.h"

/* Every native module there is. None becomes a global. */
static const luaL_Reg native_modules[] = {
    {"lfs", luaopen_lfs},
    {"cjson", luaopen_cjson},
    {"dmlua.engine", luaopen_dmlua_engine},
    {"dmlua.engine.config", luaopen_dmlua_engine_config},
    {"dmlua.engine.graph", luaopen_dmlua_engine_graph},
    {"dmlua.guard", luaopen_dmlua_guard},
    {"dmlua.pq", luaopen_dmlua_pq},
    {"dmlua.sqltree", luaopen_dmlua_sqltree},
    {NULL, NULL},
};

/* [-0, +2] Loads the embedded module whose row is the first upvalue. */
static int load_embedded(lua_State *L)
{
    const struct embedded *module = lua_touserdata(L, lua_upvalueindex(1));
    if (luaL_loadbufferx(L, (const char *)module->text, module->size, module->chunk, "t") != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, module->name);
    lua_pushstring(L, module->chunk);
    lua_call(L, 2, 1);
    return 1;
}

/* [-0, +0] */
static int open_libraries(lua_State *L)
{
    const luaL_Reg *native;
    const struct embedded *module;
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (native = native_modules; native->name != NULL; native++) {
        lua_pushcfunction(L, native->func);
        lua_setfield(L, -2, native->name);
    }
    for (module = embedded_modules; module->name != NULL; module++) {
        lua_pushlightuserdata(L, (void *)module);
        lua_pushcclosure(L, load_embedded, 1);
        lua_setfield(L, -2, module->name);
    }
    return 0;
}

lua_State *state_new(void)
{
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return NULL;
    lua_pushcfunction(L, open_libraries);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        lua_close(L);
        return NULL;
    }
    return L;
}

void state_free(lua_State *L)
{
    lua_close(L);
}

/* Copies field `name` of the table at the top. [-0, +0] */
static void read_text(lua_State *L, const char *name, char **field)
{
    if (lua_getfield(L, -1, name) == LUA_TSTRING)
        error_text(field, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
}

/* [-1, +1] The message handler: a string gets a traceback as it stands; an error table is left alone. */
static int handle_message(lua_State *L)
{
    const char *message = lua_tostring(L, 1);
    if (message == NULL)
        return 1;
    luaL_traceback(L, L, message, 1);
    return 1;
}

static void read_error(lua_State *L, struct error *error)
{
    if (lua_type(L, -1) != LUA_TTABLE) {
        error_set(error, ERROR_MIGRATION, "%s", luaL_tolstring(L, -1, NULL));
        lua_pop(L, 1);
        return;
    }
    lua_getfield(L, -1, "kind");
    lua_getfield(L, -2, "message");
    error_set(error, error_kind_named(lua_tostring(L, -2)), "%s",
              lua_tostring(L, -1) != NULL ? lua_tostring(L, -1) : "unknown error");
    lua_pop(L, 2);
    if (lua_getfield(L, -1, "sqlstate") == LUA_TSTRING)
        strncpy(error->sqlstate, lua_tostring(L, -1), sizeof error->sqlstate - 1);
    lua_pop(L, 1);
    if (lua_getfield(L, -1, "line") == LUA_TNUMBER)
        error->line = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (lua_getfield(L, -1, "position") == LUA_TNUMBER)
        error->position = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    read_text(L, "detail", &error->detail);
    read_text(L, "hint", &error->hint);
    read_text(L, "context", &error->context);
    read_text(L, "statement", &error->statement);
    read_text(L, "traceback", &error->traceback);
    read_text(L, "revision", &error->revision);
    read_text(L, "file", &error->file);
    read_text(L, "tenant", &error->tenant);
    read_text(L, "state", &error->state);
}

int state_call(lua_State *L, int arguments, int results, struct error *error)
{
    int base = lua_gettop(L) - arguments;
    int status;
    lua_pushcfunction(L, handle_message);
    lua_insert(L, base);
    status = lua_pcall(L, arguments, results, base);
    lua_remove(L, base);
    if (status == LUA_OK)
        return 0;
    read_error(L, error);
    lua_pop(L, 1);
    return -1;
}

/* [-0, +0] The table at the top gets `name` unless `text` is null. */
static void put_text(lua_State *L, const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* [-0, +1] The fields of the struct error at upvalue-free light userdata 1, as a table. Frees nothing. */
static void push_fields(lua_State *L, const struct error *error)
{
    lua_createtable(L, 0, 12);
    put_text(L, "kind", error_kind_name(error->kind));
    put_text(L, "message", error->message);
    put_text(L, "sqlstate", error->sqlstate);
    put_text(L, "detail", error->detail);
    put_text(L, "hint", error->hint);
    put_text(L, "context", error->context);
    put_text(L, "statement", error->statement);
    put_text(L, "traceback", error->traceback);
    put_text(L, "revision", error->revision);
    put_text(L, "file", error->file);
    put_text(L, "tenant", error->tenant);
    put_text(L, "state", error->state);
    if (error->line > 0) {
        lua_pushinteger(L, error->line);
        lua_setfield(L, -2, "line");
    }
    if (error->position > 0) {
        lua_pushinteger(L, error->position);
        lua_setfield(L, -2, "position");
    }
}

int state_raise(lua_State *L, struct error *error)
{
    push_fields(L, error);
    error_clear(error);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.errors");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new");
    lua_pushvalue(L, -3);
    lua_call(L, 1, 1);
    return lua_error(L);
}
