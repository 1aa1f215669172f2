#ifndef DMLUA_LOOP_FLIGHT_H
#define DMLUA_LOOP_FLIGHT_H

#include "host/loop/visit.h"

/* The tenants of a resumable loop on their way, many at once: a poll loop over the connections, no threads. What a
   callback sends is not waited for, so that the next tenant's goes behind it; from a callback's first read to its end
   it has its connection to itself, and others go on on the other ones. */

/* What a callback that was called, or called on, has done. */
enum flight_step {
    FLIGHT_ENDED,   /* it is over */
    FLIGHT_WAITS,   /* it wants to be called on when its visit's state has come about */
    FLIGHT_FAILED,  /* it has raised, `error` says what */
    FLIGHT_STOPPED  /* the script was stopped: the run is over, `error` says why */
};

/* Calls a visit's callback, or calls it on. Raises nothing. */
typedef enum flight_step flight_call(void *data, struct visit *visit, struct error *error);

/* A tenant that is to be visited: its id, borrowed, and where it stands in the list. */
struct flight_tenant {
    const char *id;
    long long row;
    const char *cursor; /* of its batches, by earlier runs; may be null */
};

/* Visits the tenants. Failures of tenants are counted in the loop, which says them; after max_failures no further
   tenant is begun. Returns -1 when the run cannot go on. Whichever way it ends, nothing is on its way any more. */
int flight_run(struct tenant_loop *loop, const struct flight_tenant *tenants, size_t count, flight_call *call,
               void *data, struct error *error);

/* The place of a visit's connection among them, from 0. */
size_t flight_place(const struct tenant_loop *loop, const struct visit *visit);
/* Would a wait in the visit's callback, here and now, keep another callback from going on? Two such could wait for one
   another for ever. */
bool flight_would_block(const struct tenant_loop *loop, const struct visit *visit);

#endif
