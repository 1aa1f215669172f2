#include <lauxlib.h>
#include <string.h>

#include "host/api/api.h"
#include "host/api/put.h"
#include "host/server.h"
#include "host/state.h"

/* What a call gets from the host, in a box that frees it whatever Lua raises meanwhile. */
struct answer {
    struct server_address address;
    struct server_status status;
};

static const char answer_type[] = "dmlua.server.answer";

static int answer_gc(lua_State *L)
{
    struct answer *answer = luaL_checkudata(L, 1, answer_type);
    server_address_free(&answer->address);
    server_status_free(&answer->status);
    return 0;
}

/* [-0, +1] */
static struct answer *answer_new(lua_State *L)
{
    struct answer *answer = lua_newuserdatauv(L, sizeof *answer, 0);
    memset(answer, 0, sizeof *answer);
    if (luaL_newmetatable(L, answer_type)) {
        lua_pushcfunction(L, answer_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return answer;
}

/* database(config): the name of the database that the configuration asks the local server for, nil when its URL is not
   local:. */
static int server_database(lua_State *L)
{
    const char *database = NULL;
    lua_pushstring(L, config_is_local(config_check(L, 1), &database) ? database : NULL);
    return 1;
}

/* [-0, +1] */
static void push_address(lua_State *L, const struct server_address *address)
{
    lua_createtable(L, 0, 4);
    put_text(L, "host", address->host);
    put_text(L, "port", address->port);
    put_text(L, "user", address->user);
    put_text(L, "database", address->database);
}

/* start(config): makes, starts and prepares what is missing, asking the server itself. Returns {host, port, user,
   database}. */
static int server_start(lua_State *L)
{
    struct config *config = config_check(L, 1);
    struct answer *answer = answer_new(L);
    struct error error = {0};
    if (server_prepare(config, NULL, &answer->address, &error) != 0)
        return state_raise(L, &error);
    push_address(L, &answer->address);
    return 1;
}

/* [-0, +0] Into the table at the top. */
static void put_databases(lua_State *L, char *const *databases)
{
    lua_Integer i;
    lua_newtable(L);
    for (i = 0; databases != NULL && databases[i] != NULL; i++) {
        lua_pushstring(L, databases[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "databases");
}

/* status(config): {made, running, pid, folder, data, log, host, port, user, version, databases}; starts nothing. */
static int server_state(lua_State *L)
{
    struct config *config = config_check(L, 1);
    struct answer *answer = answer_new(L);
    const struct server_status *status = &answer->status;
    struct error error = {0};
    if (server_status(config, &answer->status, &error) != 0)
        return state_raise(L, &error);
    lua_createtable(L, 0, 11);
    put_flag(L, "made", status->made);
    put_flag(L, "running", status->running);
    if (status->running) {
        put_integer(L, "pid", status->pid);
    }
    put_text(L, "folder", status->folder);
    put_text(L, "data", status->data);
    put_text(L, "log", status->log);
    put_text(L, "host", status->host);
    put_text(L, "port", status->port);
    put_text(L, "user", status->user);
    put_text(L, "version", status->version);
    put_databases(L, status->databases);
    return 1;
}

/* stop(config): true when there was one to stop. */
static int server_end(lua_State *L)
{
    struct error error = {0};
    bool stopped;
    if (server_stop(config_check(L, 1), &stopped, &error) != 0)
        return state_raise(L, &error);
    lua_pushboolean(L, stopped);
    return 1;
}

/* psql(config, role or nil, arguments): the process becomes psql. */
static int server_shell(lua_State *L)
{
    struct config *config = config_check(L, 1);
    const char *role = luaL_optstring(L, 2, NULL);
    size_t count = lua_rawlen(L, 3), i;
    const char **arguments = lua_newuserdatauv(L, (count + 1) * sizeof *arguments, 0);
    struct error error = {0};
    luaL_checktype(L, 3, LUA_TTABLE);
    for (i = 0; i < count; i++) {
        lua_rawgeti(L, 3, (lua_Integer)i + 1);
        arguments[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1); /* the table keeps the text */
    }
    arguments[count] = NULL;
    server_psql(config, role, arguments, &error);
    return state_raise(L, &error);
}

static const luaL_Reg server[] = {
    {"database", server_database},
    {"start", server_start},
    {"status", server_state},
    {"stop", server_end},
    {"psql", server_shell},
    {NULL, NULL},
};

int luaopen_dmlua_engine_server(lua_State *L)
{
    luaL_newlib(L, server);
    return 1;
}
