#ifndef DMLUA_FIX_H
#define DMLUA_FIX_H

#include "host/loop/part.h"
#include "host/step.h"

enum { FIX_FAILURES = 10 }; /* failed tenants after which a run of one ends */

/* An ad-hoc fix: a script that runs for one tenant after the other, each in a transaction of its own under the tenant's
   context and role, with its rows in dmlua_progress and in the ledger. */
struct fix {
    const char *tables;   /* oids of the tables that it may write, as the text of an array; null: not limited */
    const char *max_rows; /* how many rows it may write for a tenant; null: not limited */
    bool again;           /* also for tenants that are done */
    bool dry_run;         /* rolls everything back, and records nothing */
    int passed_over;      /* tenants for whom it does nothing, because earlier runs have done them */
    int max_failures;     /* after so many failed tenants the run goes on no more */
    const struct undo_log *log; /* keeps what its undo will need; null: keeps nothing */
    const char *undoes;   /* it is the undo of this run; else null */
    PGresult *first, *last; /* of LEDGER_FIX_BEGIN and LEDGER_FIX_CHECK */
    PGresult *loaded;     /* of an undo: whose tag counts the tenant's pre-images */
    long long before;     /* rows written when the tenant's transaction began */
    double began;         /* clock_now, then */
};

/* The rows of tenants_query, in a transaction that only reads. Owned: PQclear. Null on failure. */
PGresult *fix_tenants(struct run *run, const struct script *script, struct error *error);

/* [-2, +0] Runs the script for the tenants, a list of rows with their id, below a table of options at the top: its
   on_tenant is called with {tenant, outcome, rows, seconds, message} once a tenant's transaction is over. A failed
   tenant does not end the run but makes it fail, kind partial; one that did what the script may not do ends it, kind
   refused. For an undo `script` has the fix's name and hash alone: what runs is lua/dmlua/undo.lua. */
int fix_run(lua_State *L, struct run *run, const struct script *script, struct fix *fix, struct error *error);

/* The transaction of one tenant, as in host/loop/visit.h. */
int fix_begin(struct tenant_loop *loop, const char *id, struct error *error);
/* Checks what the fix has done, and commits. `rows` is what it wrote. */
int fix_commit(struct tenant_loop *loop, const char *id, long long *rows, struct error *error);
/* Takes it back. 1: try again, 0: go on with the next one, -1: the run ends, and `error` says why. `message` is what is
   said of the tenant; owned. */
int fix_fail(struct tenant_loop *loop, const char *id, int attempt, char **message, struct error *error);
/* Fails, kind partial, when tenants have failed. */
int fix_close(struct tenant_loop *loop, struct error *error);

/* Refuses what begins with a word of DDL. What hides elsewhere is found on the server. */
int fix_check_statement(const struct db_statement *statement, struct error *error);
/* Always fails: nothing may be sent outside of a tenant's transaction. */
int fix_refuse_outside(const struct step *step, struct error *error);

#endif
