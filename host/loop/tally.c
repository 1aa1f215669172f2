#include "host/loop/tally.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/run.h"

enum { DUE = 1000 /* lines that are written at once */ };

/* A line of the ledger. */
struct tally_count {
    char *what;   /* revision or fix */
    char *tenant;
    char *place;  /* file:line; null: the tenant is done, and has written nothing */
    int part;
    long long rows;
};

/* What a run has kept and not written. */
struct tally {
    struct tally_counts kept;
    struct db_scope scope; /* of the statements that write: their failure is nobody's */
};

static struct tally_count *add(struct tally_counts *counts)
{
    if (counts->count == counts->room) {
        counts->room = counts->room > 0 ? counts->room * 2 : 16;
        counts->counts = realloc(counts->counts, counts->room * sizeof *counts->counts);
        if (counts->counts == NULL)
            abort();
    }
    memset(&counts->counts[counts->count], 0, sizeof *counts->counts);
    return &counts->counts[counts->count++];
}

static void drop_count(struct tally_count *count)
{
    free(count->what);
    free(count->tenant);
    free(count->place);
}

void tally_drop(struct tally_counts *counts)
{
    size_t i;
    for (i = 0; i < counts->count; i++)
        drop_count(&counts->counts[i]);
    free(counts->counts);
    memset(counts, 0, sizeof *counts);
}

/* The tenant's count at the place, or one that names no place yet; null: there is none. Answers come tenant
   by tenant. */
static struct tally_count *find(struct tally_counts *counts, const char *tenant, const char *place)
{
    size_t i;
    for (i = counts->count; i > 0 && strcmp(counts->counts[i - 1].tenant, tenant) == 0; i--) {
        struct tally_count *count = &counts->counts[i - 1];
        if (place == NULL || count->place == NULL || strcmp(count->place, place) == 0)
            return count;
    }
    return NULL;
}

static struct tally_count *add_tenant(struct tally_counts *counts, const char *what, const char *tenant)
{
    struct tally_count *count = add(counts);
    error_text(&count->what, "%s", what);
    error_text(&count->tenant, "%s", tenant);
    return count;
}

void tally_rows(void *data, const struct origin *origin, long long rows)
{
    struct tally_counts *counts = data;
    struct tally_count *count;
    char *place = NULL;
    if (origin->tenant == NULL || origin->revision == NULL)
        return;
    if (rows >= 0 && origin->file != NULL) /* else it is none of the author's that writes */
        error_text(&place, "%s:%d", origin->file, origin->line);
    count = find(counts, origin->tenant, place);
    if (count == NULL)
        count = add_tenant(counts, origin->revision, origin->tenant);
    if (place == NULL)
        return;
    count->rows += rows;
    free(count->place);
    count->place = place;
}

void tally_tenant(struct tally_counts *counts, const char *what, const char *tenant)
{
    add_tenant(counts, what, tenant);
}

void tally_keep(struct run *run, struct tally_counts *counts, int part)
{
    struct tally_counts *kept;
    size_t i;
    if (counts->count == 0)
        return;
    if (run->tally == NULL && (run->tally = calloc(1, sizeof *run->tally)) == NULL)
        abort();
    kept = &run->tally->kept;
    for (i = 0; i < counts->count; i++) {
        struct tally_count *count = add(kept);
        *count = counts->counts[i];
        count->part = part;
    }
    counts->count = 0; /* they are the run's now */
    tally_drop(counts);
}

bool tally_is_due(const struct run *run)
{
    return run->tally != NULL && run->tally->kept.count >= DUE;
}

/* One element of an array's text, as array_in reads it. */
static void put_element(FILE *out, const char *text)
{
    if (text == NULL) {
        fputs("NULL", out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* The columns that LEDGER_TALLY takes as arrays. */
enum column { WHAT, PART, TENANT, ROWS, PLACE, COLUMNS };

static void put_column(FILE *out, const struct tally_count *count, enum column column)
{
    switch (column) {
    case WHAT:
        put_element(out, count->what);
        break;
    case PART:
        fprintf(out, "%d", count->part);
        break;
    case TENANT:
        put_element(out, count->tenant);
        break;
    case ROWS:
        fprintf(out, "%lld", count->rows);
        break;
    default:
        put_element(out, count->place);
        break;
    }
}

/* A column of all counts as an array's text. Owned. */
static char *make_array(const struct tally_counts *counts, enum column column)
{
    char *text = NULL;
    size_t size = 0, i;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        abort();
    fputc('{', out);
    for (i = 0; i < counts->count; i++) {
        if (i > 0)
            fputc(',', out);
        put_column(out, &counts->counts[i], column);
    }
    fputc('}', out);
    fclose(out);
    return text;
}

void tally_write(struct run *run)
{
    struct tally *tally = run->tally;
    struct db *db = run->ledger->db;
    char *arrays[COLUMNS];
    const char *values[5 + COLUMNS] = {run->id, run->kind, config_service(run->config), config_environment(run->config),
                                       run->client};
    int i;
    if (tally == NULL || tally->kept.count == 0 || !db_alive(db))
        return;
    for (i = 0; i < COLUMNS; i++)
        values[5 + i] = arrays[i] = make_array(&tally->kept, (enum column)i);
    db_scope(db, &tally->scope);
    ledger_send(run->ledger, LEDGER_TALLY, 5 + COLUMNS, values, NULL);
    db_sync(db); /* a statement of the host's own, alone: it is its own transaction */
    db_scope(db, NULL);
    for (i = 0; i < COLUMNS; i++)
        free(arrays[i]);
    tally_drop(&tally->kept);
}

/* As sets they are compared whatever the planner thinks of tables that were filled just now. */
static const char unknown_counts[] =
    "INSERT INTO {s}.dmlua_ledger (version_table, run_id, kind, what, part, service, environment, tenant, client,"
    " outcome, duration, who, started) SELECT {t}, CAST($7 AS uuid), $2, $1, CAST($3 AS integer), $4, $5, d.tenant, $6,"
    " 'counted', interval '0', session_user, pg_catalog.now() FROM (SELECT run_id, tenant FROM {s}.dmlua_progress"
    " WHERE version_table = {t} AND what = $1 AND direction = $2 AND part = CAST($3 AS integer) AND tenant <> ''"
    " AND state = 'done' EXCEPT SELECT run_id, tenant FROM {s}.dmlua_ledger WHERE version_table = {t} AND what = $1"
    " AND part = CAST($3 AS integer) AND outcome = 'counted') AS d";

void tally_send_unknown(struct run *run, const char *what, const char *direction, int part)
{
    char number[16];
    const char *values[7] = {what, direction, number, config_service(run->config), config_environment(run->config),
                             run->client, run->id};
    snprintf(number, sizeof number, "%d", part);
    ledger_send_text(run->ledger, unknown_counts, 7, values, NULL);
}

void tally_close(struct run *run)
{
    struct error ignored = {0};
    if (run->tally == NULL)
        return;
    tally_write(run);
    if (run->tally->scope.pending > 0)
        db_await(run->ledger->db, &ignored);
    error_clear(&ignored);
    error_clear(&run->tally->scope.failure);
    tally_drop(&run->tally->kept);
    free(run->tally);
    run->tally = NULL;
}
