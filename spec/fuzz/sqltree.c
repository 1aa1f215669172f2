/* libFuzzer's entry: gives each input to the properties in sqltree.lua, with the bindings as they ship. */
#include <lauxlib.h>
#include <lua-cjson.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bindings/bindings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *open_state(void)
{
    const char *properties = getenv("DMLUA_FUZZ_PROPERTIES");
    lua_State *L = luaL_newstate();
    if (L == NULL || properties == NULL)
        abort();
    luaL_openlibs(L);
    luaL_requiref(L, "dmlua.sqltree", luaopen_dmlua_sqltree, 0);
    luaL_requiref(L, "cjson", luaopen_cjson, 0);
    lua_settop(L, 0);
    if (luaL_dofile(L, properties) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    if (L == NULL)
        L = open_state();
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return 0;
}
