#ifndef DMLUA_LOOP_PART_H
#define DMLUA_LOOP_PART_H

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

/* Has an earlier run finished the part that would be opened next? */
bool loop_is_done(const struct tenant_loop *loop);
/* Opens the loop's part. Returns 1 when an earlier run has finished it. */
int loop_open(struct tenant_loop *loop, struct error *error);
/* The tenants that are done: one column of ids. Owned: PQclear. */
PGresult *loop_done(struct tenant_loop *loop, struct error *error);
/* The list of tenants as it now is; settles the role, too. Owned: PQclear. */
PGresult *loop_list(struct tenant_loop *loop, const char *from, bool allow_empty, struct error *error);
/* Counts a tenant as failed: says so, and keeps the line for the message of the loop's end. */
void loop_note_failure(struct tenant_loop *loop, const char *id, const struct error *error);
/* Closes the part, or fails (kind partial) when tenants have failed. */
int loop_close(struct tenant_loop *loop, struct error *error);
void loop_free(struct tenant_loop *loop);

#endif
