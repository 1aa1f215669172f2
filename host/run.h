#ifndef DMLUA_RUN_H
#define DMLUA_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "host/ledger.h"
#include "host/loop/tally.h"
#include "host/standing.h"

struct config;

/* What the command line asked of a run. */
struct run_options {
    bool accept_changed; /* go on although finished parts' statements have changed */
    bool abandon;        /* forget unfinished parts */
    bool no_wait;        /* do not wait for another runner */
    double lock_wait;    /* seconds to wait for it */
    const char *reason;  /* for the ledger; may be null */
    const char *const *skip; /* tenants that resumable loops leave out */
    size_t skip_count;
    const char *const *only; /* tenants that pay what they owe; the run does nothing else */
    size_t only_count;
    bool write_off;          /* what they owe is given up */
    void (*tell_debts)(void *data, const PGresult *debts); /* told what is owed when the run begins; may be null */
    void *tell_data;
};

/* One run of a verb that changes a database. */
struct run {
    struct ledger *ledger;
    const struct config *config;
    struct run_options options;
    const char *kind;   /* "upgrade", "downgrade", "stamp" */
    char id[37];        /* random, of the ledger's rows */
    char *client;       /* user@host and process, for the ledger */
    struct standing at; /* where the database must now be */
    bool was_empty;     /* the database had no revision when the run began */
    bool single;        /* transaction_per_migration = false: one transaction for all */
    bool in_txn;        /* a single run's transaction is open */
    bool dirty;         /* the step's own SQL ran: settings may have been left behind */
    bool stale;         /* an earlier step's settings have to be put back */
    struct step *sent, *sent_last; /* steps that are sent and not settled, in order */
    size_t sent_count;
    char *tenant_role;  /* settled by the first loop; "none" for none */
    char *deferrable;   /* constraint triggers that a SET CONSTRAINTS may name; null: none. Read with the role */
    char *deferred;     /* those of them that wait for the COMMIT unless it is said otherwise */
    bool role_stale;    /* something was sent since that may have changed what the role passes */
    bool skipped;       /* a loop has left out the tenants that the options skip */
    size_t paid;        /* debts */
    bool owing;         /* debts have come or gone since it began */
    bool last;          /* the plan's last step runs */
    bool unconfined;    /* tenant loops run as a role that passes the policies */
    struct tally_counts counts; /* of tenants' statements in the transaction under way */
    struct tally *tally;        /* of those that are committed, until they are written; may be null */
};

/* Fills a new run; run_close frees what it holds. The ledger and the configuration are borrowed. */
void run_open(struct run *run, struct ledger *ledger, const struct config *config, const char *kind,
              const struct run_options *options);
void run_close(struct run *run);
/* Takes the runner lock, makes dmlua's tables, reads version rows and unfinished parts. */
int run_begin(struct run *run, struct error *error);
/* The rows afterwards: `deletes` go, `inserts` come. */
void run_move_rows(struct run *run, const char *const *deletes, size_t delete_count, const char *const *inserts,
                   size_t insert_count);
/* The rows joined by ", ". Owned. */
char *run_rows_text(const struct run *run);
/* Sends a ledger row. `part` 0: none; duration below 0: since the transaction began. */
void run_record(struct run *run, const char *what, int part, const char *tenant, const char *sha256,
                const char *outcome, const char *note, double duration);
/* The same for a tenant for whom an ad-hoc fix has run; `rows` is what it wrote, below 0: unknown. */
void run_record_tenant(struct run *run, const char *what, const char *tenant, const char *sha256, const char *outcome,
                       const char *note, long long rows, double duration);
/* Sends the statements that move the version rows. */
void run_send_rows(struct run *run, const char *const *deletes, size_t delete_count, const char *const *inserts,
                   size_t insert_count, const struct origin *origin);
/* Sends what stands at the head of every part: lock, settings, the check of the rows. `finished` parts of `what`. */
void run_send_head(struct run *run, const char *what, const char *direction, int finished);

#endif
