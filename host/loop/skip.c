#include "host/loop/skip.h"

#include <stdlib.h>
#include <string.h>

#include "host/loop/roll.h"

static const struct run_options *options_of(const struct tenant_loop *loop)
{
    return &loop->step->run->options;
}

/* Nothing is wrong with the script. */
static int blame_command(const struct step *step, struct error *error)
{
    char *rows = run_rows_text(step->run);
    error_text(&error->state, "database is at %s; correct the command and run it again", *rows != '\0' ? rows : "base");
    free(rows);
    return -1;
}

static int refuse_unknown(const struct tenant_loop *loop, const char *id, struct error *error)
{
    const char *nearest = roll_nearest(&loop->roll, id);
    error_set(error, ERROR_USAGE, "--skip-tenant: there is no tenant '%s' in the loop's list", id);
    if (nearest != NULL)
        error_text(&error->hint, "did you mean '%s'?", nearest);
    return blame_command(loop->step, error);
}

static int refuse_done(const struct step *step, const char *id, struct error *error)
{
    error_set(error, ERROR_USAGE, "--skip-tenant: tenant '%s' is done already in part %d of %s", id, step->part,
              step->plan->revision);
    error_text(&error->hint, "leave that --skip-tenant out: there is nothing to skip");
    return blame_command(step, error);
}

static struct roll read_state(struct tenant_loop *loop, const char *state, struct error *error)
{
    const struct step *step = loop->step;
    char part[16];
    const char *values[4] = {step->plan->revision, step->direction, part, state};
    struct roll roll = {0};
    PGresult *result;
    snprintf(part, sizeof part, "%d", step->part);
    result =
        ledger_query(step->run->ledger,
                     "SELECT tenant FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1 AND direction = $2"
                     " AND part = CAST($3 AS integer) AND tenant <> '' AND state = $4",
                     4, values, error);
    if (result != NULL)
        roll = roll_read(result);
    PQclear(result);
    return roll;
}

int skip_check_closed(struct tenant_loop *loop, struct error *error)
{
    struct run *run = loop->step->run;
    struct roll skipped = read_state(loop, "skipped", error);
    size_t i, count = 0;
    for (i = 0; i < run->options.skip_count; i++)
        count += roll_has(&skipped, run->options.skip[i]);
    run->skipped = run->skipped || count == run->options.skip_count;
    run->owing = run->owing || count > 0;
    roll_free(&skipped);
    return error->kind == ERROR_NONE ? 0 : -1;
}

int skip_check(struct tenant_loop *loop, struct error *error)
{
    struct run *run = loop->step->run;
    size_t i;
    if (run->options.skip_count == 0)
        return 0;
    loop->done = read_state(loop, "done", error);
    if (error->kind == ERROR_NONE)
        loop->skipped = read_state(loop, "skipped", error);
    for (i = 0; error->kind == ERROR_NONE && !run->skipped && i < run->options.skip_count; i++) {
        const char *id = run->options.skip[i];
        if (roll_has(&loop->done, id))
            refuse_done(loop->step, id, error);
        else if (!roll_has(&loop->roll, id) && !roll_has(&loop->skipped, id))
            refuse_unknown(loop, id, error);
    }
    run->skipped = run->owing = true;
    return error->kind == ERROR_NONE ? 0 : -1;
}

void skip_note(struct tenant_loop *loop)
{
    const struct run_options *options = options_of(loop);
    size_t i;
    if (options->skip_count == 0)
        return;
    if (loop->skips == NULL)
        loop->skips = calloc(options->skip_count, sizeof *loop->skips);
    if (loop->skips == NULL)
        abort();
    for (i = 0; i < options->skip_count; i++)
        if (roll_has(&loop->roll, options->skip[i]))
            loop->skips[i] = true;
}

bool skip_has(const struct run *run, const char *id)
{
    size_t i;
    for (i = 0; i < run->options.skip_count; i++)
        if (strcmp(run->options.skip[i], id) == 0)
            return true;
    return false;
}

static bool is_new(const struct tenant_loop *loop, size_t i)
{
    const char *id = options_of(loop)->skip[i];
    return loop->skips[i] && !roll_has(&loop->done, id) && !roll_has(&loop->skipped, id);
}

void skip_send(struct tenant_loop *loop)
{
    const struct step *step = loop->step;
    struct run *run = step->run;
    char part[16];
    const char *values[6] = {step->plan->revision, step->direction, part, run->id, NULL, "skipped"};
    size_t i;
    snprintf(part, sizeof part, "%d", step->part);
    for (i = 0; loop->skips != NULL && i < run->options.skip_count; i++) {
        if (!is_new(loop, i))
            continue;
        values[4] = run->options.skip[i];
        ledger_send(run->ledger, LEDGER_LOOP_TENANT, 6, values, NULL);
        run_record(run, step->plan->revision, step->part, run->options.skip[i], step->script->sha256, "skipped", NULL,
                   -1);
    }
}

void skip_say(const struct tenant_loop *loop)
{
    const struct step *step = loop->step;
    size_t i;
    for (i = 0; loop->skips != NULL && i < options_of(loop)->skip_count; i++)
        if (is_new(loop, i))
            report_log(REPORT_INFO, "dmlua.tenants", "tenant %s is left out of part %d of %s",
                       options_of(loop)->skip[i], step->part, step->plan->revision);
}
