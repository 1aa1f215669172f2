#ifndef DMLUA_API_BIND_H
#define DMLUA_API_BIND_H

#include <lua.h>

struct step;

/* [-0, +1] The table through which a script's vocabulary reaches the running step: fields revision, direction, file,
   settings; methods send, query, autocommit, each, tenants, log, elapsed, mark. doc/vocabulary.md is what an author
   sees. */
void bind_push(lua_State *L, struct step *step);
/* [-1, +0] What -x gave: a list that later binds have as settings.x; or nil. */
void bind_keep_x(lua_State *L);
/* [-0, +0] The step is over: a method that a script has kept raises from now on. */
void bind_close(lua_State *L, struct step *step);

#endif
