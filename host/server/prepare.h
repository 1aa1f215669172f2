#ifndef DMLUA_SERVER_PREPARE_H
#define DMLUA_SERVER_PREPARE_H

#include <stdbool.h>

#include "host/error.h"
#include "host/server/place.h"

#define PREPARE_MIGRATOR "migrator"

/* What a service needs on the server: borrowed strings; roles may be null. */
struct prepare {
    const char *database;
    const char *app_role;
    const char *tenant_role;
};

/* Was it found complete on this data folder before, and is the database still there? Opens no connection. */
bool prepare_known(const struct place *place, const struct prepare *wanted);
/* Makes roles and database where they are missing, over one connection, and writes down that they are there. */
int prepare_make(const struct place *place, const struct prepare *wanted, struct error *error);
/* Asks the running server for its version and its databases. Both owned, the array null-ended. */
int prepare_list(const struct place *place, char **version, char ***databases, struct error *error);

#endif
