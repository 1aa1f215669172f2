#ifndef DMLUA_STEP_H
#define DMLUA_STEP_H

#include <lua.h>

#include "host/answers.h"
#include "host/graph.h"
#include "host/run.h"
#include "host/script.h"

struct visit;
struct tenant_loop;
struct step_setting;
struct tenant_setting;

/* A statement that PostgreSQL refuses inside a transaction block, and how to see what came of it. */
struct step_alone {
    const char *index; /* quoted name of the index that it makes or drops concurrently; null: another kind */
    bool drops;
};

/* What the watch (host/watch.h) has found, until it is told. */
struct watch_answer {
    const char *revision;
    PGresult *result; /* owned; null: nothing yet, or told */
};

/* One revision, one direction, while its script runs. Nearly every step is one part, in one transaction; where it
   leaves its transaction it is cut into numbered parts, each of which commits with its row in dmlua_progress. */
struct step {
    struct run *run;
    const struct graph_step *plan;
    const struct script *script;
    const char *direction;    /* "upgrade" or "downgrade"; of a fix "run" */
    int part;                 /* number of the part that is open, or of the last one that was */
    int finished;             /* parts that are committed, by this run or an earlier one */
    bool open;                /* a part is open */
    bool cut;                 /* the step has parts */
    bool alone;               /* inside autocommit_block */
    struct fix *fix;          /* the step is an ad-hoc fix, and this is its run; else null */
    bool looping;             /* inside a resumable loop: each tenant has its own transaction */
    const struct part *kept;  /* the open part was finished by an earlier run: nothing is sent */
    struct recorder recorder; /* of the open part */
    char tag[ANSWER_TAG];     /* of the answer that was read last, if an earlier run's; else "" */
    struct error failure;     /* the first that a call of the script met, also if the script has caught it */
    char *tenant;             /* whose callback runs */
    struct show *show;        /* what its loops show, the newest first; null: nothing */
    struct visit *visit;      /* the same in a resumable loop, whose tenant it is; null: none runs */
    struct tenant_loop *loop; /* that is open; null: none */
    struct tenant_setting *changed; /* by the present callback of an atomic loop */
    struct step_setting *settings; /* that the step has made for its session, in order */
    char *notes;              /* for the ledger row */
    double began;             /* clock_now */
    int visited;              /* tenants, by the loops of the open part's transaction */
    size_t sent_before;       /* statements of the open part, when the present one's callback began */
    struct tenant_seen *tenants_seen; /* the lists that the step's loops have read */
    struct step_roll *rolls;  /* what its resumable loops have seen, host/loop/roll.h */
    bool late;                /* a tenant has appeared since: the step has to run once more */
    bool can_be_ddl;          /* of what was sent in the open part */
    struct watch_answer watched;
    struct step *next;        /* that was sent after it */
    bool committed;           /* its COMMIT has been answered, */
    double ended;             /* then */
};

/* Runs the step: script, checks, version rows, ledger row, COMMIT. Its COMMIT need not have been answered when this
   returns: the next step's script runs while the server works, and steps_settle tells what came of it. What cannot wait
   waits: reads, parts, work on another connection. A failure is that of the first step that failed; nothing of its open
   part is kept, nor of the steps behind it, the ledger has a row of it, and `error` says where the database stands. */
int step_run(lua_State *L, struct run *run, const struct graph_step *plan, const struct script *script,
             struct error *error);

/* A step before its script has begun; never null. Owned: step_free. */
struct step *step_new(struct run *run, const struct graph_step *plan, const struct script *script);
void step_free(struct step *step);

/* Waits until every step that was sent has been committed. */
int steps_await(struct run *run, struct error *error);
/* Takes the steps off the run that are known to be committed, in order, and tells `event` (which may be null) of
   each. */
void steps_settle(struct run *run, void (*event)(void *, const struct graph_step *, double), void *data);
/* The one transaction of all steps has been committed. */
void steps_commit(struct run *run);
/* Frees what a failure left on the run. */
void steps_drop(struct run *run);

/* The connection that the script's statements go to, now. */
struct db *step_db(const struct step *step);

/* What the script's calls become. They return -1 and fill `error` when the step cannot go on. */
int step_send(struct step *step, const struct db_statement *statement, const struct step_alone *alone,
              struct error *error);
PGresult *step_query(struct step *step, const struct db_statement *statement, struct error *error);
/* The same in a visit, not waited for: its visit has the answer once its connection is idle. */
int step_ask(struct step *step, const struct db_statement *statement, struct error *error);
/* What the earlier run that finished the open part read next. Owned: PQclear. Null, refused, when it read no more. */
PGresult *step_kept_answer(struct step *step, struct error *error);
/* COPY … FROM STDIN, with its rows. */
int step_copy(struct step *step, const struct db_statement *statement, const char *data, size_t size,
              struct error *error);
int step_cut(struct step *step, struct error *error);
/* A part of many transactions: carries out the statement again and again, each time with the cursor of the time before
   as its one parameter (first NULL), until it answers none. It answers with one row: cursor, number of rows. The cursor
   is committed with each batch, so that a rerun goes on behind the last one. */
int step_batches(struct step *step, const struct db_statement *statement, struct error *error);
int step_await(struct step *step, struct error *error);
double step_elapsed(const struct step *step);
void step_note(struct step *step, const char *name, const char *text);
/* Notes how many tenants the loops of the open part have visited, if there were any. */
void step_note_visits(struct step *step);
/* The role that the script's statements run as, now. Borrowed from the run. */
const char *step_role(const struct step *step);
/* Opens a part if none is open. */
int step_open_part(struct step *step, struct error *error);

#endif
