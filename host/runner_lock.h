#ifndef DMLUA_RUNNER_LOCK_H
#define DMLUA_RUNNER_LOCK_H

#include "host/run.h"

/* One runner at a time per version table: a session's advisory lock, for order and politeness. What makes two runners
   harmless is the version table's own lock and check. Waits as the run's options say, naming the holder; exit kind
   busy. */
int runner_lock(struct run *run, struct error *error);

#endif
