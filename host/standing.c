#include "host/standing.h"

#include <stdlib.h>
#include <string.h>

enum { READ_ROWS, READ_PARTS, READ_RECORDED, READ_COUNT };

static const char *const reads[READ_COUNT] = {
    [READ_ROWS] = "SELECT version_num FROM {v} ORDER BY version_num COLLATE \"C\"",
    [READ_PARTS] = "SELECT what, direction, part, state, hash, statements, answers FROM {s}.dmlua_progress"
                   " WHERE tenant = '' ORDER BY what, direction, part",
    [READ_RECORDED] = "SELECT DISTINCT ON (what) what, sha256 FROM {s}.dmlua_ledger WHERE kind = 'upgrade'"
                      " AND outcome = 'done' AND sha256 IS NOT NULL ORDER BY what, id DESC",
};

static void read_rows(struct standing *standing, const PGresult *result)
{
    size_t i;
    standing->row_count = (size_t)PQntuples(result);
    standing->rows = calloc(standing->row_count + 1, sizeof *standing->rows);
    if (standing->rows == NULL)
        abort();
    for (i = 0; i < standing->row_count; i++) {
        standing->rows[i] = strdup(PQgetvalue(result, (int)i, 0));
        if (standing->rows[i] == NULL)
            abort();
    }
}

int standing_read(struct ledger *ledger, struct standing *standing, struct error *error)
{
    PGresult *results[READ_COUNT] = {0};
    size_t first = ledger->has_version ? READ_ROWS : READ_PARTS;
    size_t end = ledger->has_tables ? READ_COUNT : READ_PARTS;
    memset(standing, 0, sizeof *standing);
    if (first < end && ledger_queries(ledger, reads + first, end - first, results + first, error) != 0)
        return -1;
    if (results[READ_ROWS] != NULL)
        read_rows(standing, results[READ_ROWS]);
    if (results[READ_PARTS] != NULL)
        parts_read(results[READ_PARTS], &standing->unfinished);
    standing->recorded = results[READ_RECORDED];
    PQclear(results[READ_ROWS]);
    PQclear(results[READ_PARTS]);
    return 0;
}

void standing_free(struct standing *standing)
{
    size_t i;
    for (i = 0; i < standing->row_count; i++)
        free(standing->rows[i]);
    free(standing->rows);
    parts_free(&standing->unfinished);
    PQclear(standing->recorded);
    memset(standing, 0, sizeof *standing);
}
