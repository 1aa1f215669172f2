/* dmlua.engine.sandbox: what of Lua's library catches errors, as a script gets it: a script that has been
   stopped, or has used up its memory, is not caught (host/limit.h). And print. */
#include <lauxlib.h>

#include "host/api/api.h"
#include "host/limit.h"
#include "host/report.h"

/* An error has been caught: raises when that is not for the script to decide. */
static void look_again(lua_State *L, int status)
{
    limit_caught(L, status);
    limit_check(L);
}

/* After pcall and xpcall: `true` and the results stand from `first` on, or the error at the top. */
static int finish_call(lua_State *L, int status, lua_KContext first)
{
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)first + 1;
    look_again(L, status);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/* pcall(f, …) */
static int sandbox_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_call(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 1, finish_call), 1);
}

/* The script's handler (upvalue 1) is not for a script that has been stopped: hooks are off while it would
 * run. */
static int handle(lua_State *L)
{
    if (limit_stopped())
        return 1;
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* xpcall(f, handler, …) */
static int sandbox_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle, 1);
    lua_replace(L, 2); /* f, handle, arguments */
    lua_pushvalue(L, 1);
    lua_insert(L, 3); /* f, handle, f, arguments */
    lua_pushboolean(L, 1);
    lua_insert(L, 3); /* f, handle, true, f, arguments */
    return finish_call(L, lua_pcallk(L, lua_gettop(L) - 4, LUA_MULTRET, 2, 3, finish_call), 3);
}

/* resume(thread, …), close(thread): Lua's own is upvalue 1. */
static int sandbox_thread(lua_State *L)
{
    lua_State *thread = lua_tothread(L, 1);
    limit_check(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    if (!lua_toboolean(L, 1))
        look_again(L, thread != NULL ? lua_status(thread) : LUA_OK);
    return lua_gettop(L);
}

/* print(line) */
static int sandbox_print(lua_State *L)
{
    report_print(luaL_checkstring(L, 1));
    return 0;
}

static const luaL_Reg sandbox[] = {
    {"pcall", sandbox_pcall},
    {"xpcall", sandbox_xpcall},
    {"print", sandbox_print},
    {NULL, NULL},
};

/* [-0, +0] The function of Lua's coroutine library, wrapped, in the table at the top. */
static void wrap_thread(lua_State *L, const char *name)
{
    lua_getglobal(L, "coroutine");
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    lua_pushcclosure(L, sandbox_thread, 1);
    lua_setfield(L, -2, name);
}

int luaopen_dmlua_engine_sandbox(lua_State *L)
{
    luaL_newlib(L, sandbox);
    wrap_thread(L, "resume");
    wrap_thread(L, "close");
    return 1;
}
