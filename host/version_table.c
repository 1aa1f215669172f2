#include "host/version_table.h"

#include <stdlib.h>

#include "host/runner_lock.h"

int version_table_width(struct ledger *ledger, size_t *width, struct error *error)
{
    static const char text[] =
        "SELECT greatest(atttypmod - 4, 0) FROM pg_catalog.pg_attribute WHERE attname = 'version_num'"
        " AND attrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', CAST($1 AS text), CAST($2 AS text)))";
    const char *values[2] = {ledger->schema, ledger->table};
    PGresult *result = ledger_query(ledger, text, 2, values, error);
    int found;
    if (result == NULL)
        return -1;
    found = PQntuples(result) > 0;
    *width = found ? strtoul(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    return found;
}

/* PostgreSQL rewrites no table for a longer varchar. */
static const char widen_column[] = "ALTER TABLE {v} ALTER COLUMN version_num TYPE varchar(255)";

static int widen(struct ledger *ledger, struct version_table *table, struct error *error)
{
    if (table->width == 0 || table->width >= VERSION_TABLE_WIDE)
        return 0;
    if (ledger_change(ledger, widen_column, error) != 0) {
        error_text(&error->hint, "the table's owner may change it");
        return -1;
    }
    table->widened = true;
    table->width = VERSION_TABLE_WIDE;
    return 0;
}

int version_table_ensure(struct run *run, bool wide, struct version_table *table, struct error *error)
{
    struct ledger *ledger = run->ledger;
    int found;
    *table = (struct version_table){0};
    ledger_guard(ledger);
    if (runner_lock(run, error) != 0 || ledger_look(ledger, error) != 0)
        return -1;
    table->made = !ledger->has_version;
    if (table->made && ledger_create_version(ledger, error) != 0)
        return -1;
    found = version_table_width(ledger, &table->width, error);
    if (found == 0) {
        error_set(error, ERROR_USAGE, "%s.%s has no column version_num: it is no version table", ledger->schema,
                  ledger->table);
        error_text(&error->hint, "correct version_table or version_table_schema");
    }
    if (found <= 0)
        return -1;
    return wide ? widen(ledger, table, error) : 0;
}
