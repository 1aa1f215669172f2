#ifndef DMLUA_STANDING_H
#define DMLUA_STANDING_H

#include "host/ledger.h"
#include "host/parts.h"

/* Where a database stands: the version rows, the unfinished parts, the debts, and what each revision's file hashed to
   when it last ran upwards. */
struct standing {
    char **rows; /* sorted by bytes */
    size_t row_count;
    struct part_list unfinished;
    PGresult *debts;    /* enum debt_field; null: there are none */
    PGresult *recorded; /* rows of revision and SHA-256; null: dmlua has no tables there */
};

/* Reads it in one round trip, two where tenants owe something; a table that is not there counts as empty. Owned:
   standing_free. */
int standing_read(struct ledger *ledger, struct standing *standing, struct error *error);
void standing_free(struct standing *standing);

#endif
