#ifndef DMLUA_SERVER_DATA_H
#define DMLUA_SERVER_DATA_H

#include "host/error.h"
#include "host/server/place.h"

/* Makes the data folder where there is none, and gives the folder of the programs that fit it, owned by the caller.
   Under the lock. */
int data_make(const struct place *place, char **programs, struct error *error);

/* Its major version, or 0 when there is none. */
int data_major(const struct place *place);

#endif
