#ifndef DMLUA_TABLES_H
#define DMLUA_TABLES_H

#include "host/run.h"

/* Which tables are isolated, declared for everybody, or a debt that was taken over. */

/* name, fault (why it is not isolated), declared, tenants (it has the tenant column), reason, since. Reads only. Owned:
   PQclear. Null on failure. */
PGresult *tables_list(struct ledger *ledger, const struct config *config, struct error *error);

/* Declares the tables of `names` (an array, as the server writes it; quoted names with their schemas) global; when it
   is null, adopts as a debt what is neither isolated nor declared, once in a database's life: a debt can only shrink.
   Takes the runner's lock and leaves a ledger row. `*added`: the names that are new. Owned: PQclear. */
int tables_declare(struct run *run, const char *names, PGresult **added, struct error *error);

#endif
