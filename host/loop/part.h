#ifndef DMLUA_LOOP_PART_H
#define DMLUA_LOOP_PART_H

#include "host/loop/roll.h"
#include "host/step.h"

/* The resumable loop: a part of its step in which each tenant has a transaction of its own, with its row in
   dmlua_progress. After a kill or a failure the next run visits the tenants that are not done by such a row, and only
   those. */
struct tenant_loop {
    struct step *step;
    int retries;      /* of a transaction that a deadlock, a serialization failure or a lock time-out has ended */
    int max_failures; /* after so many failed tenants the loop goes on no more */
    bool exact;       /* the author has said so */
    int workers;      /* connections */
    int batch;        /* how many rows of a tenant a transaction is to have; 0: a tenant is one transaction */
    int failures, visited;
    struct failures failed; /* told once, when the loop ends */
    struct roll roll;       /* the newest list, */
    char *from;             /* the query that gave it; null: the configuration's, */
    bool fixed;             /* or the script itself, */
    int listed;             /* how many it names, */
    bool *skips;            /* and which of the run's --skip-tenant have been in one */
    struct roll done, skipped; /* by earlier runs, when the loop opened; read for --skip-tenant alone */
    struct flight *flight;  /* the tenants on their way; null: none are */
};

/* The hash of a loop's part: it is as the file is. */
void loop_hash(const struct script *script, char hash[65]);
/* Does the loop have to know the list, when it is about to be opened? */
bool loop_reads(const struct tenant_loop *loop);
/* Opens the loop's part, when the list has been read and seen. Returns 1 when an earlier run has finished it. */
int loop_open(struct tenant_loop *loop, struct error *error);
/* The tenants that are done: one column of ids. Owned: PQclear. */
PGresult *loop_done(struct tenant_loop *loop, struct error *error);
/* Those that are in the midst of their batches: id, and the cursor of the next one. Owned: PQclear. */
PGresult *loop_cursors(struct tenant_loop *loop, struct error *error);
/* The list of tenants as it now is; settles the role, too. Owned: PQclear. */
PGresult *loop_list(struct tenant_loop *loop, const char *from, bool allow_empty, struct error *error);
/* The list that has been read stands in loop->roll, unsorted: of the query `from` (null: the configuration's), or fixed
   by the script. */
void loop_see(struct tenant_loop *loop, const char *from, bool fixed);
/* Does it leave tenants of the list out? Then: is this one to be visited, if it is not done? */
bool loop_chooses(const struct tenant_loop *loop);
bool loop_wants(const struct tenant_loop *loop, const char *id);
/* How far one tenant is: 1: done, 0: not, and `cursor`, owned by the caller, is where its next batch begins; -1 on
   failure. Waits for all that was sent on the ledger's connection. */
int loop_look(struct tenant_loop *loop, struct ledger *ledger, const char *id, char **cursor, struct error *error);
/* Counts a tenant as done. */
void loop_note_done(struct tenant_loop *loop);
/* Sends how many tenants there are, and how many have failed. */
void loop_send_cursor(const struct tenant_loop *loop);
/* failed.c: keeps what ended the tenant for the loop's end, which tells it. */
void loop_note_failure(struct tenant_loop *loop, const char *id, const struct error *error);
/* Moves what it kept into an error. */
void loop_tell_failures(struct tenant_loop *loop, struct error *error);
/* Closes the part, or fails (kind partial) when tenants have failed. */
int loop_close(struct tenant_loop *loop, struct error *error);
void loop_free(struct tenant_loop *loop);

#endif
