#ifndef DMLUA_API_H
#define DMLUA_API_H

#include <lua.h>

/* What the host lends to embedded Lua; scripts never see it. One file a module, one luaopen a file. */
int luaopen_dmlua_engine(lua_State *L);
int luaopen_dmlua_engine_config(lua_State *L);
int luaopen_dmlua_engine_graph(lua_State *L);
int luaopen_dmlua_engine_sandbox(lua_State *L);
int luaopen_dmlua_engine_script(lua_State *L);
int luaopen_dmlua_engine_server(lua_State *L);

/* The userdata at `index`, or an argument error. Borrowed: it lives while the userdata is on the stack. */
struct config *config_check(lua_State *L, int index);
struct graph *graph_check(lua_State *L, int index);
struct tree *tree_check(lua_State *L, int index);
/* The same of one whose scripts may be run. */
struct tree *tree_check_hashed(lua_State *L, int index);
struct script;
struct script *fix_script_check(lua_State *L, int index);

/* [-2, +2] tree, path → the fix that is the file, and its header as lua/dmlua/fix.lua reads it. Raises. */
int fix_script_load(lua_State *L);

/* [-0, +1] A userdata that owns `graph`, from this call on, also when it raises. */
void graph_push(lua_State *L, struct graph *graph);

#endif
