#ifndef DMLUA_SERVER_POSTMASTER_H
#define DMLUA_SERVER_POSTMASTER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "host/error.h"
#include "host/server/place.h"

#define POSTMASTER_PORT "5432" /* part of the socket's name; no TCP port is opened */

enum postmaster_state { POSTMASTER_NONE, POSTMASTER_STARTING, POSTMASTER_READY, POSTMASTER_STOPPING };

/* What postmaster.pid says, and the process table confirms. */
struct postmaster {
    enum postmaster_state state;
    pid_t pid;   /* as the file says; of somebody else where it is stale */
    bool stale;  /* there is a file, and no postmaster that wrote it */
    bool here;   /* it listens where we look for it; not so when the folder was moved while it ran */
};

void postmaster_look(const struct place *place, struct postmaster *found);

/* Ends a server that still listens on our socket though its data folder is gone. Under the lock, with nothing running,
   before there is a new data folder. */
int postmaster_end_orphan(const struct place *place, struct error *error);
/* Starts the server and waits until it answers. Under the lock, with nothing running. */
int postmaster_start(const struct place *place, const char *programs, struct error *error);
/* Waits for one that somebody started. */
int postmaster_await(const struct place *place, struct postmaster *found, struct error *error);
/* Ends its connections and the server, in order ("fast" shutdown), and waits for the end. */
int postmaster_stop(const struct place *place, const struct postmaster *found, struct error *error);

#endif
