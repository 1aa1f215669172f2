#ifndef DMLUA_API_SESSION_H
#define DMLUA_API_SESSION_H

#include <lua.h>

/* connect(config), a function of dmlua.engine. */
int session_connect(lua_State *L);
/* [-0, +0] Makes the metatables; once a state. */
void session_open_types(lua_State *L);

#endif
