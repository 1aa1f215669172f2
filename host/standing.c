#include "host/standing.h"

#include <stdlib.h>
#include <string.h>

#include "host/loop/debt.h"

enum { READ_ROWS, READ_PARTS, READ_RECORDED, READ_FORMAT, READ_COUNT };

enum { FORMAT = 1 }; /* of dmlua's own tables, as this version makes and knows them */

/* How many rows of tenants the part has, in some state. */
#define TENANTS(state) \
    "(SELECT pg_catalog.count(*) FROM {s}.dmlua_progress t WHERE t.version_table = p.version_table" \
    " AND t.what = p.what" \
    " AND t.direction = p.direction AND t.part = p.part AND t.round = p.round AND t.tenant <> '' AND t.state " state ")"

static const char *const texts[READ_COUNT] = {
    [READ_ROWS] = "SELECT version_num FROM {v} ORDER BY version_num COLLATE \"C\"",
    [READ_PARTS] = "SELECT what, direction, part, state, hash, statements, answers, cursor,"
                   " " TENANTS("IN ('done', 'running')") ", " TENANTS("= 'skipped'") " FROM {s}.dmlua_progress p"
                   " WHERE version_table = {t} AND tenant = '' ORDER BY state = 'owed', what, direction, part",
    [READ_RECORDED] = "SELECT what, sha256 FROM (SELECT DISTINCT ON (what) what, kind, sha256 FROM {s}.dmlua_ledger"
                      " WHERE version_table = {t} AND kind IN ('upgrade', 'downgrade') AND outcome = 'done'"
                      " ORDER BY what, id DESC) AS latest"
                      " WHERE kind = 'upgrade' AND sha256 IS NOT NULL",
    [READ_FORMAT] = "SELECT max(format) FROM {s}.dmlua_database",
};

/* Alembic's words for a row that is none. */
static int check_row(const PGresult *result, int row, struct error *error)
{
    if (!PQgetisnull(result, row, 0))
        return 0;
    error_set(error, ERROR_USAGE,
              "revision identifier NULL is not a string; ensure database driver settings are correct");
    error_text(&error->hint,
               "a row of the version table is NULL, and neither Alembic nor dmlua writes such: delete it");
    return -1;
}

static int read_rows(struct standing *standing, const PGresult *result, struct error *error)
{
    size_t i;
    standing->row_count = (size_t)PQntuples(result);
    standing->rows = calloc(standing->row_count + 1, sizeof *standing->rows);
    if (standing->rows == NULL)
        abort();
    for (i = 0; i < standing->row_count; i++) {
        if (check_row(result, (int)i, error) != 0)
            return -1;
        standing->rows[i] = strdup(PQgetvalue(result, (int)i, 0));
        if (standing->rows[i] == NULL)
            abort();
    }
    return 0;
}

static int check_format(const PGresult *result, struct error *error)
{
    int format = PQntuples(result) > 0 ? atoi(PQgetvalue(result, 0, 0)) : FORMAT;
    if (format <= FORMAT)
        return 0;
    error_set(error, ERROR_USAGE, "this database's dmlua tables are of format %d; this dmlua knows formats up to %d",
              format, FORMAT);
    error_text(&error->hint, "a newer dmlua has been here: use that one");
    return -1;
}

static int read_debts(struct ledger *ledger, struct standing *standing, struct error *error)
{
    standing->debts = ledger_query(ledger, DEBTS_TEXT, 0, NULL, error);
    return standing->debts != NULL ? 0 : -1;
}

int standing_read(struct ledger *ledger, struct standing *standing, struct error *error)
{
    struct ledger_read reads[READ_COUNT] = {0};
    size_t first = ledger->has_version ? READ_ROWS : READ_PARTS;
    size_t end = ledger->has_tables ? READ_COUNT : READ_PARTS;
    bool owed = false;
    int rc = 0;
    size_t i;
    memset(standing, 0, sizeof *standing);
    for (i = 0; i < READ_COUNT; i++)
        reads[i].text = texts[i];
    if (first < end && ledger_queries(ledger, reads + first, end - first, error) != 0)
        return -1;
    if (reads[READ_ROWS].result != NULL)
        rc = read_rows(standing, reads[READ_ROWS].result, error);
    if (reads[READ_PARTS].result != NULL)
        owed = !parts_read(reads[READ_PARTS].result, &standing->unfinished);
    if (rc == 0 && reads[READ_FORMAT].result != NULL)
        rc = check_format(reads[READ_FORMAT].result, error);
    standing->recorded = reads[READ_RECORDED].result;
    PQclear(reads[READ_ROWS].result);
    PQclear(reads[READ_PARTS].result);
    PQclear(reads[READ_FORMAT].result);
    return rc == 0 && owed ? read_debts(ledger, standing, error) : rc;
}

void standing_free(struct standing *standing)
{
    size_t i;
    for (i = 0; i < standing->row_count; i++)
        free(standing->rows[i]);
    free(standing->rows);
    parts_free(&standing->unfinished);
    PQclear(standing->recorded);
    PQclear(standing->debts);
    memset(standing, 0, sizeof *standing);
}
