#ifndef DMLUA_TRACE_H
#define DMLUA_TRACE_H

#include <lua.h>

#include "host/error.h"

/* The author's own frames of a Lua stack: those of chunks named "@" FILE, and of text that such a chunk
   loaded. Frames of embedded modules ("=") and of C are not shown to an author. Nothing here raises or takes
   memory from Lua. */

/* Fills, where they are still empty, `file` and `line` from the nearest of the author's frames and
   `traceback` from all of them. If `message` begins with "FILE:LINE: " of one of these files, as Lua writes
   it, that place is taken and cut off. `stack` may be a thread that an error has ended. */
void trace_fill(lua_State *stack, struct error *error);

/* Takes the "FILE:LINE: " off a message of Lua's compiler for a chunk named "@" `path`. */
void trace_syntax(const char *path, struct error *error);

/* Fills `source` with line `line` of `file`, unless it is known or cannot be read. */
void trace_source(struct error *error);

#endif
