#ifndef DMLUA_ZONE_H
#define DMLUA_ZONE_H

#include <stdbool.h>
#include <time.h>

/* The time in a zone of the tz database, by its name ("Europe/Berlin", "UTC"; in capitals if need be, as Alembic looks
   it up), or in the machine's own (null). False when there is no such zone. */
bool zone_time(const char *name, time_t when, struct tm *fields);

#endif
