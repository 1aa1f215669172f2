#ifndef DMLUA_TENANT_LOOP_H
#define DMLUA_TENANT_LOOP_H

#include "host/step.h"

/* The resumable loop: a part of its step in which each tenant has a transaction of its own, with its row in dmlua_progress.
   After a kill or a failure the next run visits the tenants that have no such row, and only those. */
struct tenant_loop {
    struct step *step;
    int retries;      /* of a transaction that a deadlock, a serialization failure or a lock time-out has ended */
    int max_failures; /* after so many failed tenants the loop goes on no more */
    int failures, visited;
    char *failed; /* a line a failed tenant, for the message */
};

/* Opens the loop's part. Returns 1 when an earlier run has finished it. */
int loop_open(struct tenant_loop *loop, struct error *error);
/* The tenants that are done: one column of ids. Owned: PQclear. */
PGresult *loop_done(struct tenant_loop *loop, struct error *error);
/* The list of tenants as it now is; settles the role, too. Owned: PQclear. */
PGresult *loop_list(struct tenant_loop *loop, const char *from, bool allow_empty, struct error *error);
/* Begins a tenant's transaction, which raises if the loop is not this run's any more. */
int loop_begin(struct tenant_loop *loop, const char *id, struct error *error);
/* Leaves the tenant and commits, with the tenant's row. */
int loop_commit(struct tenant_loop *loop, const char *id, struct error *error);
/* The tenant's transaction failed, here or in `error` of its callback: takes it back and decides. Returns 1: try the tenant
   again; 0: go on with the next one; -1: the loop ends, and `error` says why. */
int loop_fail(struct tenant_loop *loop, const char *id, int attempt, struct error *error);
/* Closes the part, or fails (kind partial) when tenants have failed. */
int loop_close(struct tenant_loop *loop, struct error *error);
void loop_free(struct tenant_loop *loop);

#endif
