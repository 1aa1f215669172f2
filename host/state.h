#ifndef DMLUA_STATE_H
#define DMLUA_STATE_H

#include <lua.h>
#include <stdbool.h>

#include "host/error.h"

/* A new Lua state with the standard libraries, and every native and embedded module where `require` finds it;
   nothing becomes a global. Null when there is no memory. Owned: state_free. */
lua_State *state_new(void);
void state_free(lua_State *L);

/* The one protected call of the host: [-(arguments + 1), +results or 0]. On failure returns -1 and fills
   `error`, which must be empty, from whatever was raised: an error table of dmlua.errors, text, or any other
   value. Whatever an author wrote is named by file and line, with a traceback. Never raises itself.

   A C function that a script calls and that calls the author's function in turn uses this, too, cleans up
   what it holds, and raises again with state_raise: a script that has been stopped (host/limit.h) stays
   stopped. */
int state_call(lua_State *L, int arguments, int results, struct error *error);

/* Raises `error` as an error table of dmlua.errors and empties it. Never returns. */
int state_raise(lua_State *L, struct error *error);

/* Fills `error` from the error that has ended `thread` with `status`, whose value is at its top. `L` is
   another thread of the same state. Never raises. */
void state_thread_error(lua_State *L, lua_State *thread, int status, struct error *error);

/* [-0, +0] Part of state_new: makes the metatable of dmlua.errors known here. */
void state_open_errors(lua_State *L);

#endif
