#ifndef DMLUA_LOOP_VISIT_H
#define DMLUA_LOOP_VISIT_H

#include "host/loop/part.h"

/* One tenant of a resumable loop, in a transaction of its own. */
/* Begins a tenant's transaction, which raises if the loop is not this run's any more. */
int loop_begin(struct tenant_loop *loop, const char *id, struct error *error);
/* Leaves the tenant and commits, with the tenant's row. */
int loop_commit(struct tenant_loop *loop, const char *id, struct error *error);
/* The tenant's transaction failed, here or in `error` of its callback: takes it back and decides. Returns 1: try the tenant
   again; 0: go on with the next one; -1: the loop ends, and `error` says why. */
int loop_fail(struct tenant_loop *loop, const char *id, int attempt, struct error *error);

#endif
