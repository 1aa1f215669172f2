#ifndef DMLUA_WATCH_H
#define DMLUA_WATCH_H

#include <stdbool.h>

#include "host/step.h"

/* The host's own look at what a step did to tables, wherever the DDL came from: a table that is neither tenant-isolated
   nor declared global is refused, in development and with allow_unsafe_migrations named in a warning. */

/* How likely a statement was DDL: not at all (SET, SHOW, a read that calls nothing); by a function that it calls or a
   trigger that it fires (INSERT, a SELECT with a parenthesis); or it may well be. */
enum watch_class { WATCH_NO, WATCH_CALLS, WATCH_DDL };
enum watch_class watch_class_of(const struct db_statement *statement);
/* Remembers what is sent in the open part. In a resumable loop, whose tenants are many and whose role makes no tables,
   only what may well be DDL counts. */
void watch_note(struct step *step, const struct db_statement *statement);
/* Sends the look, at the end of a transaction in which something can have been DDL. */
void watch_send(struct step *step);
/* The same on another connection, without a look at whether something can have been. `answer` outlives it. */
void watch_send_on(const struct step *step, struct ledger *ledger, struct watch_answer *answer);

/* The values of watch_sql.h's parameters. Borrowed from run and configuration. */
enum { WATCH_VALUES = 7 };
void watch_values(const struct ledger *ledger, const struct config *config, const char *values[WATCH_VALUES]);

#endif
