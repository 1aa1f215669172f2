#ifndef DMLUA_SERVER_SESSION_H
#define DMLUA_SERVER_SESSION_H

#include <libpq-fe.h>

#include "host/error.h"
#include "host/server/place.h"

/* A connection to the local server as its superuser; every wait on it has a limit. Owned: PQfinish. Null with `error`
   set. */
PGconn *session_open(const struct place *place, const char *database, struct error *error);

/* One statement and its rows. Owned: PQclear. Null with `error` set. */
PGresult *session_query(PGconn *session, const char *sql, int count, const char *const *values, struct error *error);

#endif
