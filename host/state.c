#include "host/state.h"

#include <lauxlib.h>
#include <lfs.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "bindings/bindings.h"
#include "host/api/api.h"
#include "host/embedded.h"
#include "host/limit.h"

/* Every native module there is. None becomes a global. */
static const luaL_Reg native_modules[] = {
    {"lfs", luaopen_lfs},
    {"dmlua.distance", luaopen_dmlua_distance},
    {"dmlua.engine", luaopen_dmlua_engine},
    {"dmlua.engine.config", luaopen_dmlua_engine_config},
    {"dmlua.engine.graph", luaopen_dmlua_engine_graph},
    {"dmlua.guard", luaopen_dmlua_guard},
    {"dmlua.engine.sandbox", luaopen_dmlua_engine_sandbox},
    {"dmlua.engine.script", luaopen_dmlua_engine_script},
    {"dmlua.md5", luaopen_dmlua_md5},
    {"dmlua.pattern", luaopen_dmlua_pattern},
    {"dmlua.engine.server", luaopen_dmlua_engine_server},
    {"dmlua.pq", luaopen_dmlua_pq},
    {"dmlua.sqltree", luaopen_dmlua_sqltree},
    {NULL, NULL},
};

/* [-0, +2] Loads the embedded module whose row is the first upvalue. */
static int load_embedded(lua_State *L)
{
    const struct embedded *module = lua_touserdata(L, lua_upvalueindex(1));
    if (luaL_loadbufferx(L, (const char *)module->code, module->size, module->chunk, "b") != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, module->name);
    lua_pushstring(L, module->chunk);
    lua_call(L, 2, 1);
    return 1;
}

/* A string finds its methods in the library itself, also a script's: so nobody makes bytecode, and every
   pattern is one that can be interrupted. */
static void change_strings(lua_State *L)
{
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    luaopen_dmlua_pattern(L);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_settable(L, -6);
    }
    lua_pop(L, 2);
}

/* [-0, +0] */
static int open_libraries(lua_State *L)
{
    const luaL_Reg *native;
    const struct embedded *module;
    luaL_openlibs(L);
    /* only what is built in: a file that lies about must not become part of the program */
    lua_getglobal(L, "package");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
    change_strings(L);
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
    lua_pop(L, 1);
    state_open_errors(L);
    return 0;
}

/* Something raised outside of every protected call: a fault of ours, or no memory to say anything. */
static int give_up(lua_State *L)
{
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "FAILED: %s\n", message != NULL ? message : "unknown error");
    abort();
}

lua_State *state_new(void)
{
    lua_State *L = lua_newstate(limit_allocate, NULL);
    if (L == NULL)
        return NULL;
    lua_atpanic(L, give_up);
    lua_gc(L, LUA_GCINC, 250, 0, 0); /* a run is short, its limits hold anyway; but 10,000 revisions stay below 64 MB */
    *(void **)lua_getextraspace(L) = NULL; /* threads begin with a copy of it */
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
