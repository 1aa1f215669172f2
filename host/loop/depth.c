#include "host/loop/depth.h"

#include "host/clock.h"

enum {
    FIRST = 8, /* at first, */
    LEAST = 2, /* when they take long, */
    MOST = 256 /* and when they are quick */
};
static const double LATENCY = 0.5; /* seconds between sending a transaction's end and its answer that are aimed at */

struct depth depth_new(void)
{
    struct depth depth = {.most = FIRST};
    return depth;
}

/* What a change has led to shows only in those that were sent since: else it would be far too deep before the first of
   them is answered, and an interrupt would have to wait for all of that. */
void depth_learn(struct depth *depth, double sent)
{
    double now = clock_now(), took = now - sent;
    size_t most = took > LATENCY ? depth->most / 2 : took < LATENCY / 2 ? depth->most * 2 : depth->most;
    if (sent < depth->changed)
        return;
    most = most < LEAST ? LEAST : most < MOST ? most : MOST;
    if (most != depth->most)
        depth->changed = now;
    depth->most = most;
}
