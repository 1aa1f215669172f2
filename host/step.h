#ifndef DMLUA_STEP_H
#define DMLUA_STEP_H

#include <lua.h>
#include <time.h>

#include "host/answers.h"
#include "host/graph.h"
#include "host/run.h"
#include "host/script.h"

/* A statement that PostgreSQL refuses inside a transaction block, and how to see what came of it. */
struct step_alone {
    const char *index; /* quoted name of the index that it makes or drops concurrently; null: another kind */
    bool drops;
};

/* One revision, one direction, while its script runs. Nearly every step is one part, in one transaction; where it leaves
   its transaction it is cut into numbered parts, each of which commits with its row in dmlua_progress. */
struct step {
    struct run *run;
    const struct graph_step *plan;
    const struct script *script;
    const char *direction;    /* "upgrade" or "downgrade" */
    int part;                 /* number of the part that is open, or of the last one that was */
    int finished;             /* parts that are committed, by this run or an earlier one */
    bool open;                /* a part is open */
    bool cut;                 /* the step has parts */
    bool alone;               /* inside autocommit_block */
    const struct part *kept;  /* the open part was finished by an earlier run: nothing is sent */
    struct recorder recorder; /* of the open part */
    char tag[ANSWER_TAG];     /* of the answer that was read last, if an earlier run's; else "" */
    struct error failure;     /* the first that a call of the script met, also if the script has caught it */
    char *tenant;             /* whose callback runs */
    char *notes;              /* for the ledger row */
    struct timespec began;
    char *tenants_seen;       /* the tenant list of the step's loops, joined by line feeds */
    char *tenants_from;       /* and the query that gave it */
};

/* Runs the step: script, checks, version rows, ledger row, COMMIT. On failure nothing of the open part is kept, the
   ledger has a row of the failure, and `error` says where the database stands. */
int step_run(lua_State *L, struct run *run, const struct graph_step *plan, const struct script *script,
             struct error *error);

/* What the script's calls become. They return -1 and fill `error` when the step cannot go on. */
int step_send(struct step *step, const struct db_statement *statement, const struct step_alone *alone,
              struct error *error);
PGresult *step_query(struct step *step, const struct db_statement *statement, struct error *error);
int step_cut(struct step *step, struct error *error);
int step_await(struct step *step, struct error *error);
double step_elapsed(const struct step *step);
void step_note(struct step *step, const char *name, const char *text);
/* Opens a part if none is open. */
int step_open_part(struct step *step, struct error *error);

#endif
