#ifndef DMLUA_PAY_H
#define DMLUA_PAY_H

#include <lua.h>

#include "host/run.h"
#include "host/script.h"

/* Pays the debts that the tenants of the run's options (`only`) have of the revision that `target` names: calls its
   upgrade() (or downgrade()) again as a rerun of a step whose parts are all done, in which the loops visit those
   tenants alone. Nothing else is sent, and no version row moves. With `write_off` the debts are given up instead.
   `direction` is "upgrade" or "downgrade". Returns how many debts are settled, or -1; *revision, null before, is the
   revision's id, owned by the caller. */
int pay_run(lua_State *L, struct run *run, const struct tree *tree, const char *direction, const char *target,
            char **revision, struct error *error);

#endif
