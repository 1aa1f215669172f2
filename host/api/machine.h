#ifndef DMLUA_API_MACHINE_H
#define DMLUA_API_MACHINE_H

#include <lua.h>

/* Functions of dmlua.engine about what dmlua runs on. */
int engine_terminal(lua_State *L);
int engine_run_program(lua_State *L);
int engine_clock(lua_State *L);

#endif
