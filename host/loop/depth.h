#ifndef DMLUA_LOOP_DEPTH_H
#define DMLUA_LOOP_DEPTH_H

#include <stddef.h>

/* How many transactions may be on their way on a connection: as many as are answered within half a second, so that an
   interrupt ends in time, and a long line to the server costs nothing. */
struct depth {
    size_t most;
    double changed; /* clock_now */
};

struct depth depth_new(void);
/* A transaction whose end was sent then (clock_now) has been answered now. */
void depth_learn(struct depth *depth, double sent);

#endif
