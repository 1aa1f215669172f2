/* dmlua.md5: for one thing: SQLAlchemy ends a name that it shortens with digits of it. */
#include <lauxlib.h>
#include <md5.h>

#include "bindings/bindings.h"

/* md5(text): its digest, in hexadecimal digits */
static int md5(lua_State *L)
{
    char digits[MD5_DIGEST_STRING_LENGTH];
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_pushstring(L, MD5Data((const uint8_t *)text, size, digits));
    return 1;
}

int luaopen_dmlua_md5(lua_State *L)
{
    lua_pushcfunction(L, md5);
    return 1;
}
