#ifndef DMLUA_LIMIT_H
#define DMLUA_LIMIT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/error.h"

/* What stops a script: Ctrl-C, too much memory, too much time.

   A count hook on the script's thread, which its coroutines inherit, looks at the flags and raises. So that
   nobody can catch that, every function of a script's library that catches errors (host/api/sandbox.c) raises
   again once a script is stopped, and every thread that raises is hooked at each instruction: not one more is
   carried out, neither in a handler nor in a __close. What no hook reaches (a C function that does not come
   back) is the watchdog's, host/signal. */

/* Lua's allocator. */
void *limit_allocate(void *data, void *block, size_t size, size_t wanted);

struct limits {
    size_t memory; /* bytes above what is in use now; 0: no limit */
    int seconds;   /* of processor time, waiting is free; 0: no limit */
};

/* The limits count from now on, for every thread that limit_hook names. One script or tree at a time. */
void limit_begin(const struct limits *limits);
/* No limit any more. */
void limit_end(void);
/* Puts a thread that is to run an author's code under the limits (the coroutines it makes inherit that), or
   takes it out again. */
void limit_hook(lua_State *thread, bool on);

/* Has the script been stopped? Then what it raised is of no interest, limit_error is. */
bool limit_stopped(void);
/* Copies why it was stopped into an empty error. */
void limit_error(struct error *error);

/* Looks at the flags, as the hook does; raises when the script is to stop, or was stopped before. For long C
   functions that a script calls. */
void limit_check(lua_State *L);
/* For whoever has caught an error of a script: a memory error stops it. Does not raise. */
void limit_caught(lua_State *L, int status);

#endif
