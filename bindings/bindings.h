#ifndef DMLUA_BINDINGS_H
#define DMLUA_BINDINGS_H

#include <lua.h>

/* The C modules for Lua: in the program, and in dmlua.so for the specs. One file a module, one luaopen a file. */
int luaopen_dmlua_distance(lua_State *L);
int luaopen_dmlua_md5(lua_State *L);
int luaopen_dmlua_pq(lua_State *L);
int luaopen_dmlua_guard(lua_State *L);
int luaopen_dmlua_pattern(lua_State *L);
int luaopen_dmlua_sqltree(lua_State *L);

#endif
