#ifndef DMLUA_SERVER_PROGRAMS_H
#define DMLUA_SERVER_PROGRAMS_H

#include "host/error.h"
#include "host/server/place.h"

/* The folder of PostgreSQL's programs (initdb, postgres, psql) of this major version, or of the newest when `major` is
   0: /usr/lib/postgresql/N/bin, where Debian has them, then pg_config --bindir, then PATH. Owned; null when there is
   none, with `error` set when `major` is 0. */
char *programs_find(const struct place_user *user, int major, struct error *error);

/* "15.18": what the folder's postgres says of itself. Owned; null with `error` set. */
char *programs_version(const struct place_user *user, const char *folder, struct error *error);

#endif
