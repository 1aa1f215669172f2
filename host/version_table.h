#ifndef DMLUA_VERSION_TABLE_H
#define DMLUA_VERSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "host/run.h"

/* How many characters its column holds; 0: any number. Returns whether there is such a column, or -1. */
int version_table_width(struct ledger *ledger, size_t *width, struct error *error);

struct version_table {
    bool made;    /* it was not there */
    bool widened; /* its column held less than VERSION_TABLE_WIDE characters */
    size_t width; /* as above, afterwards */
};

enum { VERSION_TABLE_WIDE = 255 };

/* Makes the version table alone, as Alembic does, where it is missing; with `widen`, lets its column hold
   VERSION_TABLE_WIDE characters at least, for Alembic's holds 32. Takes the runner's lock. */
int version_table_ensure(struct run *run, bool widen, struct version_table *table, struct error *error);

#endif
