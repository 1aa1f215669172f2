#ifndef DMLUA_LOOP_LANE_H
#define DMLUA_LOOP_LANE_H

#include "host/loop/visit.h"

enum { LANES_MAX = 64 };

/* A connection that carries tenants' transactions. The first is the step's own, which holds the runner lock; the others
   have the same settings. */
struct lane {
    struct ledger *ledger;      /* the run's, or `own` */
    struct ledger own;
    struct visit *first, *last; /* on their way, in the order of their beginning */
    struct visit *open;         /* whose callback has not ended; the last one, if any. None is begun behind it. */
    size_t count;
    size_t begun;               /* since the lane was opened */
    bool stale;                 /* settings that a callback may have left are to be put back */
};

/* The step's own connection. */
void lane_borrow(struct lane *lane, const struct tenant_loop *loop);
/* Opens `count` more, at the same time. On failure none is open. */
int lanes_open(struct lane *lanes, size_t count, const struct tenant_loop *loop, struct error *error);
/* Closes one of those; frees the visits that are on any. */
void lane_close(struct lane *lane, const struct tenant_loop *loop);
bool lane_is_open(const struct lane *lane);
/* Puts settings back that callbacks may have left, and prepares what visits send, where that is to be done. */
void lane_ready(struct lane *lane, const struct tenant_loop *loop);
void lane_add(struct lane *lane, struct visit *visit);
/* Takes the first one off. */
struct visit *lane_take(struct lane *lane);
/* Waits until something is answered on one of them, or may be sent again, or somebody interrupts; milliseconds at most,
   -1: without end. */
void lanes_wait(struct lane *lanes, size_t count, int timeout);

#endif
