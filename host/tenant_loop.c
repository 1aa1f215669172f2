#include "host/tenant_loop.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/signal.h"
#include "host/step_parts.h"
#include "host/tenant.h"
#include "host/txn.h"

enum { BACKOFF_MS = 50, BACKOFF_MAX_MS = 5000 };

static struct ledger *ledger_of(const struct tenant_loop *loop)
{
    return loop->step->run->ledger;
}

int loop_open(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    const char *revision = step->plan->revision;
    const struct part *part;
    if (step_cut(step, error) != 0)
        return -1;
    step->part++;
    part = parts_find(&step->run->at.unfinished, revision, step->direction, step->part);
    if (part != NULL && part->done) {
        step->finished++;
        return 1;
    }
    recorder_open(&step->recorder); /* empty: what a loop does is told by its tenants' rows */
    txn_begin(ledger_of(loop));
    run_send_head(step->run, revision, step->direction, step->finished);
    step_send_progress(step, "running");
    step->looping = step->open = true;
    return txn_commit(ledger_of(loop), error);
}

PGresult *loop_done(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    char part[16];
    const char *values[3] = {step->plan->revision, step->direction, part};
    snprintf(part, sizeof part, "%d", step->part);
    return ledger_query(ledger_of(loop),
                        "SELECT tenant FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1"
                        " AND direction = $2 AND part = CAST($3 AS integer) AND tenant <> '' AND state = 'done'",
                        3, values, error);
}

PGresult *loop_list(struct tenant_loop *loop, const char *from, bool allow_empty, struct error *error)
{
    PGresult *result;
    txn_begin_read_only(ledger_of(loop));
    result = tenant_settle_role(loop->step, error) == 0 ? tenant_read(loop->step, from, allow_empty, error) : NULL;
    if (result == NULL) {
        txn_rollback(ledger_of(loop), error);
    } else if (txn_commit(ledger_of(loop), error) != 0) {
        PQclear(result);
        result = NULL;
    }
    return result;
}

/* Values of the statements about the loop's rows. */
struct row {
    const char *values[6];
    char part[16];
};

static void fill_row(const struct tenant_loop *loop, const char *id, const char *state, struct row *row)
{
    const struct step *step = loop->step;
    snprintf(row->part, sizeof row->part, "%d", step->part);
    row->values[0] = step->plan->revision;
    row->values[1] = step->direction;
    row->values[2] = row->part;
    row->values[3] = step->run->id;
    row->values[4] = id;
    row->values[5] = state;
}

int loop_begin(struct tenant_loop *loop, const char *id, struct error *error)
{
    struct row row;
    fill_row(loop, id, NULL, &row);
    txn_begin(ledger_of(loop));
    ledger_send(ledger_of(loop), LEDGER_LOOP_ALIVE, 4, row.values, NULL);
    return tenant_enter(loop->step, id, error);
}

int loop_commit(struct tenant_loop *loop, const char *id, struct error *error)
{
    struct row row;
    fill_row(loop, id, "done", &row);
    tenant_leave(loop->step);
    ledger_send(ledger_of(loop), LEDGER_LOOP_TENANT, 6, row.values, NULL);
    if (txn_commit(ledger_of(loop), error) != 0) {
        error_text(&error->tenant, "%s", id);
        return -1;
    }
    loop->visited++;
    return 0;
}

static void back_off(int attempt)
{
    struct pollfd fd = {.fd = signal_fd(), .events = POLLIN};
    int wait = BACKOFF_MS << (attempt < 7 ? attempt : 7);
    poll(&fd, 1, wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
}

/* Does the failure end the run, whoever's it is? */
static bool ends_run(const struct tenant_loop *loop, const struct error *error)
{
    return error->kind == ERROR_INTERRUPTED || error->kind == ERROR_CONNECTION || signal_interrupted ||
           (error->kind == ERROR_BUSY && error->sqlstate[0] == '\0') || !db_alive(ledger_of(loop)->db);
}

static void note_failure(struct tenant_loop *loop, const char *id, const struct error *error)
{
    char *masked = config_mask(loop->step->run->config, error->message);
    char *failed = NULL;
    error_text(&failed, "%s%s%s: %s%s%s", loop->failed ? loop->failed : "", loop->failed ? "\n" : "", id, error->sqlstate,
               error->sqlstate[0] ? " " : "", masked);
    report_log(REPORT_ERROR, "dmlua.tenants", "tenant %s failed: %s%s%s%s%s%s", id, masked,
               error->sqlstate[0] ? " (SQLSTATE " : "", error->sqlstate, error->sqlstate[0] ? ")" : "",
               error->file ? " at " : "", error->file ? error->file : "");
    free(loop->failed);
    loop->failed = failed;
    free(masked);
}

int loop_fail(struct tenant_loop *loop, const char *id, int attempt, struct error *error)
{
    struct error earlier = {0};
    struct step *step = loop->step;
    txn_rollback(ledger_of(loop), &earlier);
    if (earlier.sqlstate[0] != '\0' && error->sqlstate[0] == '\0' && error->kind != ERROR_INTERRUPTED) {
        error_clear(error);
        error_move(error, &earlier);
    }
    error_clear(&earlier);
    free(step->tenant);
    step->tenant = NULL;
    if (ends_run(loop, error))
        return -1;
    error_clear(&step->failure); /* it is this tenant's alone */
    if (db_is_passing(error) && attempt < loop->retries) {
        back_off(attempt);
        error_clear(error);
        return 1;
    }
    note_failure(loop, id, error);
    error_clear(error);
    loop->failures++;
    return loop->failures < loop->max_failures ? 0 : loop_close(loop, error);
}

static int refuse_partial(struct tenant_loop *loop, struct error *error)
{
    const char *direction = loop->step->direction;
    error_set(error, ERROR_PARTIAL, "%d tenant%s failed in part %d of %s; %d done in this run", loop->failures,
              loop->failures == 1 ? "" : "s", loop->step->part, loop->step->plan->revision, loop->visited);
    error_text(&error->detail, "%s", loop->failed);
    error_text(&error->file, "%s", loop->step->script->path);
    error_text(&error->hint, "`dmlua log` shows the run; mend the cause and run `dmlua %s` again: only the missing tenants are visited",
               direction);
    return -1;
}

int loop_close(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    char note[64];
    step->looping = step->open = false;
    if (loop->failures > 0) {
        recorder_close(&step->recorder);
        return refuse_partial(loop, error);
    }
    snprintf(note, sizeof note, "%d visited", loop->visited);
    step_note(step, "tenants", note);
    txn_begin(ledger_of(loop));
    run_send_head(step->run, step->plan->revision, step->direction, step->finished);
    step_send_progress(step, "done");
    step_record_part(step);
    recorder_close(&step->recorder);
    if (txn_commit(ledger_of(loop), error) != 0)
        return -1;
    step->finished++;
    return 0;
}

void loop_free(struct tenant_loop *loop)
{
    free(loop->failed); /* the step may be gone already, and frees what is its own */
    loop->failed = NULL;
}
