#include <lauxlib.h>

#include "bindings/bindings.h"

int luaopen_dmlua_sqltree(lua_State *L)
{
    lua_newtable(L);
    return 1;
}
