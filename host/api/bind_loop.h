#ifndef DMLUA_API_BIND_LOOP_H
#define DMLUA_API_BIND_LOOP_H

#include <libpq-fe.h>
#include <lua.h>

#include "host/step.h"

/* The tenant loops, a method of the bind table: each(fn, options). options: those of host/api/bind_tenants.h, mode
   ("atomic" or "resumable"), retries, max_failures. */
int bind_each(lua_State *L);

/* Shared by the methods of a bind (host/api/bind.c). */
/* The running step; raises when it is over. */
struct step *bind_step(lua_State *L);
/* Inside a tenant's callback of a resumable loop: what has been sent is more than its connection takes, or it waits for
   answers. */
/* May L be left, to be called on when the visit's state has come about? Only the callback's own thread may. Where it
   may not, and waiting could be for ever, raises: the tenant's transaction is tried again by itself. */
bool bind_may_yield(lua_State *L, struct step *step);
/* Raises; the step remembers, so that a script that catches the error cannot go on as if nothing had happened. */
int bind_fail(lua_State *L, struct step *step, struct error *error);
/* [-0, +1] A loop that is freed with its userdata, whatever raises. */
struct tenant_loop;
struct tenant_loop *bind_loop_push(lua_State *L, struct step *step, int retries, int max_failures);
/* [-0, +1] A box that will own a result: made before the result, so that no raise leaks it. */
PGresult **bind_result_box(lua_State *L);

#endif
