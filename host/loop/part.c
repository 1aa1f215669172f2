#include "host/loop/part.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/loop/show.h"
#include "host/step_parts.h"
#include "host/tenant.h"
#include "host/txn.h"

static struct ledger *ledger_of(const struct tenant_loop *loop)
{
    return loop->step->run->ledger;
}

static const struct part *earlier_part(const struct step *step, int number)
{
    return parts_find(&step->run->at.unfinished, step->plan->revision, step->direction, number);
}

bool loop_is_done(const struct tenant_loop *loop)
{
    const struct part *part = earlier_part(loop->step, loop->step->part + 1);
    return part != NULL && part->done;
}

int loop_open(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    const char *revision = step->plan->revision;
    const struct part *part;
    if (step_cut(step, error) != 0)
        return -1;
    step->part++;
    part = earlier_part(step, step->part);
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

void loop_note_failure(struct tenant_loop *loop, const char *id, const struct error *error)
{
    char *masked = config_mask(loop->step->run->config, error->message);
    char *failed = NULL;
    error_text(&failed, "%s%s%s: %s%s%s", loop->failed ? loop->failed : "", loop->failed ? "\n" : "", id, error->sqlstate,
               error->sqlstate[0] ? " " : "", masked);
    report_log(REPORT_ERROR, "dmlua.tenants", "tenant %s failed: %s%s%s%s%s%s", id, masked,
               error->sqlstate[0] ? " (SQLSTATE " : "", error->sqlstate, error->sqlstate[0] ? ")" : "",
               error->file ? " at " : "", error->file ? error->file : "");
    show_failed(loop->step, id, error);
    free(loop->failed);
    loop->failed = failed;
    free(masked);
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
    show_close(step);
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
