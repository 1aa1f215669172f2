#ifndef DMLUA_API_H
#define DMLUA_API_H

#include <lua.h>

/* What the host lends to embedded Lua; scripts never see it. One file a module, one luaopen a file. */
int luaopen_dmlua_engine(lua_State *L);

#endif
