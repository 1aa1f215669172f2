#ifndef DMLUA_STATE_H
#define DMLUA_STATE_H

#include <lua.h>

#include "host/error.h"

/* A new Lua state with the standard libraries, and every native and embedded module where `require` finds it; nothing
   becomes a global. Null when there is no memory. Owned: state_free. */
lua_State *state_new(void);
void state_free(lua_State *L);

/* The one protected call of the host: [-(arguments + 1), +results or 0]. On failure returns -1 and fills `error` from
   whatever was raised: an error table of dmlua.errors, or a string. */
int state_call(lua_State *L, int arguments, int results, struct error *error);

/* Raises `error` as an error table of dmlua.errors and empties it. Never returns. */
int state_raise(lua_State *L, struct error *error);

#endif
