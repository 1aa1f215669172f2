#ifndef DMLUA_SERVER_LOCK_H
#define DMLUA_SERVER_LOCK_H

#include "host/error.h"
#include "host/server/place.h"

/* One dmlua at a time makes, starts, prepares or stops a server; the others wait, with a limit. Returns a descriptor
   for lock_drop (a dead holder's is dropped by the kernel), or -1 with `error` set. */
int lock_take(const struct place *place, struct error *error);
void lock_drop(int lock);

#endif
