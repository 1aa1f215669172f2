#ifndef DMLUA_LOOP_VISIT_H
#define DMLUA_LOOP_VISIT_H

#include "host/loop/part.h"
#include "host/watch.h"

struct lane;

enum visit_state {
    VISIT_RUNS,    /* its callback runs */
    VISIT_WAITS,   /* for the answers of what was sent on its connection */
    VISIT_CROWDED, /* until its connection has taken more of what was sent */
    VISIT_SENT     /* its callback has ended, and everything up to the end of its transaction is sent */
};

/* One tenant on its way through a resumable loop: a transaction of its own, or, in batches, one after the other. */
struct visit {
    struct visit *next; /* behind it on its connection, or among those that are to be begun again */
    struct lane *lane;  /* its connection */
    char *id;
    long long row;      /* the tenant's place in the list, from 1 */
    char *cursor;       /* where its next batch begins; null: at the beginning */
    char *after;        /* where the one behind it will; null: it is the last */
    int attempt;        /* from 0 */
    double due;         /* clock_now, before which it is not begun again */
    double sent;        /* clock_now, when its transaction's end was sent */
    enum visit_state state;
    bool taken_back;    /* its transaction ends with ROLLBACK */
    bool sets;          /* its statements may have set something for the session */
    bool can_be_ddl;    /* one of them can have been DDL, */
    struct watch_answer watched; /* which is looked at before its transaction ends */
    bool blocked;       /* it would have had to wait where it cannot, while other tenants' callbacks were under way */
    bool met;           /* it has been, in this loop */
    bool unsure;        /* another run has been with the tenant: its row says how far */
    struct lua_State *thread; /* that its callback runs in */
    int generation;       /* of what was prepared when it began */
    struct db_scope scope;
    struct tally_counts counts; /* of what its statements have written */
    struct error failure; /* the first that a call of its callback met, also if that has caught it */
    PGresult *answer;     /* of the read that it waits for */
};

/* What has become of a visit whose transaction is over. */
enum visit_end {
    VISIT_DONE,
    VISIT_FOUND,    /* by another run's transaction: its row says how far */
    VISIT_AGAIN,    /* another try may mend it */
    VISIT_FAILED,   /* the tenant's failure */
    VISIT_LEFT,     /* nothing: it was taken back because the run is over */
    VISIT_ENDS_RUN  /* whoever's failure it is, the run is over */
};

/* Never null. Owned: visit_free. */
struct visit *visit_new(const char *id, long long row, const char *cursor);
void visit_free(struct visit *visit);
/* Forgets what one transaction was, before the next. */
void visit_renew(struct visit *visit);

/* Begins its transaction, which raises if the loop is not this run's any more, or the tenant is done. What is sent on
   the connection from here on is the visit's. */
void visit_begin(struct tenant_loop *loop, struct visit *visit);
/* Checks the context, leaves the tenant with its row, and commits; waits for nothing. */
void visit_commit(struct tenant_loop *loop, struct visit *visit);
/* Takes it back; waits for nothing. */
void visit_abandon(struct visit *visit);
/* Everything is answered: what came of it. `failure`, empty before, says why. */
enum visit_end visit_judge(const struct tenant_loop *loop, struct visit *visit, struct error *failure);
/* Milliseconds to wait before the next attempt: longer each time, and never the same for two. */
int visit_pause(int attempt);

/* An ad-hoc fix's (host/fix.c) tenant has failed, and its transaction is taken back: decides. Returns 1: try the tenant
   again; 0: go on with the next one; -1: the run ends, and `error` says why. */
int loop_fail(struct tenant_loop *loop, const char *id, int attempt, struct error *error);

#endif
