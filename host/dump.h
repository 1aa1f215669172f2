#ifndef DMLUA_DUMP_H
#define DMLUA_DUMP_H

#include "host/error.h"
#include "host/ledger.h"

/* What pg_dump writes for the schema of the ledger's database, as the same role, without the version table and
   dmlua's own. Owned; null on failure. pg_dump is that of the server's major version or a newer one: PostgreSQL's
   pg_dump refuses to read a newer server than itself. */
char *dump_schema(struct ledger *ledger, struct error *error);

#endif
