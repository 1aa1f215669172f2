#ifndef DMLUA_WATCH_H
#define DMLUA_WATCH_H

#include <stdbool.h>

#include "host/step.h"

/* The host's own look at what a step did to tables, wherever the DDL came from: a table that is neither tenant-isolated
   nor declared global is refused, in development and with allow_unsafe_migrations named in a warning. */

/* Can the statement have been DDL? A SELECT can, that has INTO or calls a function. */
bool watch_wants(const struct db_statement *statement);
/* Sends the look, at the end of a transaction in which something can have been DDL. */
void watch_send(struct step *step);

/* The values of watch_sql.h's parameters. Borrowed from run and configuration. */
enum { WATCH_VALUES = 6 };
void watch_values(const struct ledger *ledger, const struct config *config, const char *values[WATCH_VALUES]);

#endif
