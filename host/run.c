#include "host/run.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "host/config.h"
#include "host/runner_lock.h"

/* A random UUID, version 4 (RFC 9562). */
static void make_id(char id[37])
{
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
        abort();
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(id, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
             b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static char *describe_client(void)
{
    char host[256] = "?";
    char *text = NULL;
    const struct passwd *user = getpwuid(getuid());
    gethostname(host, sizeof host - 1);
    error_text(&text, "%s@%s process %ld, dmlua " DMLUA_VERSION, user != NULL ? user->pw_name : "?", host,
               (long)getpid());
    return text;
}

void run_open(struct run *run, struct ledger *ledger, const struct config *config, const char *kind,
              const struct run_options *options)
{
    memset(run, 0, sizeof *run);
    run->ledger = ledger;
    run->config = config;
    run->options = *options;
    run->kind = kind;
    run->client = describe_client();
    run->single = !config_flag(config, "transaction_per_migration");
    make_id(run->id);
}

void run_close(struct run *run)
{
    standing_free(&run->at);
    tally_drop(&run->counts);
    free(run->client);
    free(run->tenant_role);
    free(run->deferrable);
    free(run->deferred);
    memset(run, 0, sizeof *run);
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    return copy;
}

/* Who made them while this run waited for the lock has made them well. */
static int make_tables(struct run *run, struct error *error)
{
    if (run->ledger->has_version && run->ledger->has_tables)
        return 0;
    if (ledger_look(run->ledger, error) != 0)
        return -1;
    return ledger_create(run->ledger, run->config, error);
}

int run_begin(struct run *run, struct error *error)
{
    ledger_guard(run->ledger);
    if (runner_lock(run, error) != 0 || make_tables(run, error) != 0 ||
        standing_read(run->ledger, &run->at, error) != 0)
        return -1;
    run->was_empty = run->at.row_count == 0;
    db_count(run->ledger->db, tally_rows, &run->counts);
    return 0;
}

char *run_rows_text(const struct run *run)
{
    char *text = NULL;
    size_t size = 0, i;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        abort();
    for (i = 0; i < run->at.row_count; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "", run->at.rows[i]);
    fclose(out);
    return text;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void run_move_rows(struct run *run, const char *const *deletes, size_t delete_count, const char *const *inserts,
                   size_t insert_count)
{
    char **rows = calloc(run->at.row_count + insert_count + 1, sizeof *rows);
    size_t kept = 0, i, j;
    if (rows == NULL)
        abort();
    for (i = 0; i < run->at.row_count; i++) {
        for (j = 0; j < delete_count && strcmp(deletes[j], run->at.rows[i]) != 0; j++)
            ;
        if (j < delete_count)
            free(run->at.rows[i]);
        else
            rows[kept++] = run->at.rows[i];
    }
    for (i = 0; i < insert_count; i++)
        rows[kept++] = copy_text(inserts[i]);
    qsort(rows, kept, sizeof *rows, compare_rows);
    free(run->at.rows);
    run->at.rows = rows;
    run->at.row_count = kept;
}

/* Alembic's UPDATE is one row that goes and one that comes; what is left over are rows of branches and merges. */
void run_send_rows(struct run *run, const char *const *deletes, size_t delete_count, const char *const *inserts,
                   size_t insert_count, const struct origin *origin)
{
    size_t pairs = delete_count < insert_count ? delete_count : insert_count;
    size_t i;
    for (i = 0; i < pairs; i++) {
        const char *values[2] = {inserts[i], deletes[i]};
        ledger_send(run->ledger, LEDGER_VERSION_UPDATE, 2, values, origin);
    }
    for (i = pairs; i < delete_count; i++)
        ledger_send(run->ledger, LEDGER_VERSION_DELETE, 1, &deletes[i], origin);
    for (i = pairs; i < insert_count; i++)
        ledger_send(run->ledger, LEDGER_VERSION_INSERT, 1, &inserts[i], origin);
}

void run_send_head(struct run *run, const char *what, const char *direction, int finished)
{
    const char *setting = config_get(run->config, "tenant_setting");
    char count[16];
    char *rows = run_rows_text(run);
    const char *values[4] = {rows, what, direction, count};
    snprintf(count, sizeof count, "%d", finished);
    ledger_send(run->ledger, LEDGER_LOCK, 0, NULL, NULL);
    if (run->stale) {
        ledger_send(run->ledger, LEDGER_RESET, 0, NULL, NULL);
        ledger_guard(run->ledger);
        run->stale = false;
    }
    ledger_send(run->ledger, LEDGER_SETTINGS, 1, &setting, NULL);
    ledger_send(run->ledger, LEDGER_CHECK_ROWS, 4, values, NULL);
    free(rows);
}

/* Sends a ledger row of the values, which has what, part, tenant, rows, sha256, outcome and note already. */
static void record(struct run *run, const char **values, double duration)
{
    char text[32];
    snprintf(text, sizeof text, "%.6f", duration);
    values[FIELD_RUN] = run->id;
    values[FIELD_KIND] = run->kind;
    values[FIELD_SERVICE] = config_service(run->config);
    values[FIELD_ENVIRONMENT] = config_environment(run->config);
    values[FIELD_CLIENT] = run->client;
    values[FIELD_REASON] = run->options.reason;
    values[FIELD_DURATION] = duration < 0 ? NULL : text;
    ledger_send(run->ledger, LEDGER_RECORD, FIELD_COUNT, values, NULL);
}

void run_record(struct run *run, const char *what, int part, const char *tenant, const char *sha256,
                const char *outcome, const char *note, double duration)
{
    const char *values[FIELD_COUNT] = {[FIELD_WHAT] = what,       [FIELD_TENANT] = tenant, [FIELD_SHA256] = sha256,
                                       [FIELD_OUTCOME] = outcome, [FIELD_NOTE] = note};
    char text[16];
    snprintf(text, sizeof text, "%d", part);
    values[FIELD_PART] = part > 0 ? text : NULL;
    record(run, values, duration);
}

void run_record_tenant(struct run *run, const char *what, const char *tenant, const char *sha256, const char *outcome,
                       const char *note, long long rows, double duration)
{
    const char *values[FIELD_COUNT] = {[FIELD_WHAT] = what,       [FIELD_TENANT] = tenant, [FIELD_SHA256] = sha256,
                                       [FIELD_OUTCOME] = outcome, [FIELD_NOTE] = note};
    char text[24];
    snprintf(text, sizeof text, "%lld", rows);
    values[FIELD_ROWS] = rows < 0 ? NULL : text;
    record(run, values, duration);
}
