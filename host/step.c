#include "host/step.h"

#include <stdlib.h>
#include <string.h>

#include "host/answers.h"
#include "host/api/bind.h"
#include "host/clock.h"
#include "host/config.h"
#include "host/fix.h"
#include "host/loop/debt.h"
#include "host/loop/roll.h"
#include "host/loop/settings.h"
#include "host/loop/show.h"
#include "host/step_failure.h"
#include "host/step_parts.h"
#include "host/tenant.h"
#include "host/tenant_settings.h"
#include "host/txn.h"
#include "host/watch.h"

PGresult *step_kept_answer(struct step *step, struct error *error)
{
    PGresult *result = answer_read(&step->recorder.kept, step->tag);
    if (result == NULL) {
        error_set(error, ERROR_REFUSED, "part %d of %s was done by an earlier run, which did not read this", step->part,
                  step->plan->revision);
        error_text(&error->hint, "put the script back as it was");
    }
    return result;
}

/* Waits until all that was sent has been answered; the transaction stays open. */
int step_await(struct step *step, struct error *error)
{
    return db_await(step_db(step), error);
}

double step_elapsed(const struct step *step)
{
    return clock_now() - step->began;
}

void step_note(struct step *step, const char *name, const char *text)
{
    char *notes = NULL;
    error_text(&notes, "%s%s%s: %s", step->notes ? step->notes : "", step->notes ? "; " : "", name, text);
    free(step->notes);
    step->notes = notes;
}

void step_note_visits(struct step *step)
{
    char text[64];
    if (step->visited == 0)
        return;
    snprintf(text, sizeof text, "%d visited", step->visited);
    step_note(step, "tenants", text);
    step->visited = 0;
}

const char *step_role(const struct step *step)
{
    const struct run *run = step->run;
    bool own = step->tenant != NULL && run->tenant_role != NULL && strcmp(run->tenant_role, "none") != 0;
    return own ? run->tenant_role : run->ledger->user;
}

enum { SENT_MAX = 32 }; /* steps that may be on their way: memory stays bounded however long the chain */

/* What was asked of a run's loops may not have been asked in vain. */
static int check_skipped(const struct run *run, struct error *error)
{
    if (!run->last || run->options.skip_count == 0 || run->skipped)
        return 0;
    error_set(error, ERROR_USAGE, "--skip-tenant: no resumable loop has run");
    error_text(&error->hint,
               "only tenants.each(fn, { mode = \"resumable\" }) can leave a tenant out; run again without it");
    return -1;
}

/* The last part: checks, version rows, ledger row, COMMIT. */
static int finish(struct step *step, struct error *error)
{
    struct run *run = step->run;
    const struct graph_step *plan = step->plan;
    struct origin origin = step_origin(step);
    const char *drop[2] = {plan->revision, step->direction};
    int rc = 0;
    if (step->open && step->kept != NULL)
        rc = step_close_part(step, error);
    if (rc == 0)
        rc = step_open_part(step, error);
    if (rc == 0 && step->kept != NULL) { /* cannot be: the last part takes its own row away */
        error_set(error, ERROR_REFUSED, "part %d of %s was done by an earlier run, but the script now ends before it",
                  step->part, plan->revision);
        error_text(&error->hint, "put the script back as it was, or forget the parts with --abandon");
        rc = -1;
    }
    if (rc == 0 && step->tenants_seen != NULL)
        rc = tenant_check_list(step, error);
    if (rc == 0)
        rc = roll_check(step, error);
    if (rc == 0)
        rc = check_skipped(run, error);
    if (rc != 0)
        return rc;
    step_send_state_check(step);
    watch_send(step);
    step_note_visits(step);
    run_send_rows(run, plan->deletes, plan->delete_count, plan->inserts, plan->insert_count, &origin);
    if (step->part > 1 || step->cut)
        ledger_send(run->ledger, LEDGER_PROGRESS_DROP, 2, drop, NULL);
    if (run->options.abandon) /* what was owed of the step that this one takes back */
        debt_send_abandoned(run, plan->revision, plan->up ? "downgrade" : "upgrade");
    run_record(run, plan->revision, step->cut ? step->part : 0, NULL, step->script->sha256, "done", step->notes, -1);
    if (run->single)
        rc = db_await(run->ledger->db, error);
    else if (step->cut)
        rc = txn_commit(run->ledger, error);
    else
        txn_send_commit(run->ledger);
    return rc;
}

static void note_begin(void *data)
{
    struct step *step = data;
    step->began = clock_now();
}

static void note_commit(void *data)
{
    struct step *step = data;
    step->ended = clock_now();
    step->committed = true;
    tally_keep(step->run, &step->run->counts, step->cut ? step->part : 0);
}

/* The step is sent: from here on the plan counts with its rows. */
static void add_sent(struct step *step)
{
    struct run *run = step->run;
    const struct graph_step *plan = step->plan;
    run_move_rows(run, plan->deletes, plan->delete_count, plan->inserts, plan->insert_count);
    if (run->sent_last != NULL)
        run->sent_last->next = step;
    else
        run->sent = step;
    run->sent_last = step;
    run->sent_count++;
    if (!run->single)
        db_call(run->ledger->db, note_commit, step);
}

void step_free(struct step *step)
{
    show_free(step);
    recorder_close(&step->recorder);
    error_clear(&step->failure);
    free(step->tenant);
    free(step->notes);
    tenant_forget(step);
    roll_forget(step);
    PQclear(step->watched.result);
    settings_free(step->settings);
    tenant_settings_free(step);
    free(step);
}

int steps_await(struct run *run, struct error *error)
{
    if (db_await(run->ledger->db, error) == 0)
        return 0;
    step_fail(run, NULL, error);
    return -1;
}

void steps_settle(struct run *run, void (*event)(void *, const struct graph_step *, double), void *data)
{
    while (run->sent != NULL && run->sent->committed) {
        struct step *step = run->sent;
        if (event != NULL)
            event(data, step->plan, step->ended - step->began);
        run->sent = step->next;
        if (run->sent == NULL)
            run->sent_last = NULL;
        run->sent_count--;
        step_free(step);
    }
    if (!run->in_txn && tally_is_due(run))
        tally_write(run);
}

void steps_commit(struct run *run)
{
    struct step *step;
    for (step = run->sent; step != NULL; step = step->next)
        note_commit(step);
}

void steps_drop(struct run *run)
{
    while (run->sent != NULL) {
        struct step *step = run->sent;
        run->sent = step->next;
        step_free(step);
    }
    run->sent_last = NULL;
    run->sent_count = 0;
}

struct step *step_new(struct run *run, const struct graph_step *plan, const struct script *script)
{
    struct step *step = calloc(1, sizeof *step);
    if (step == NULL)
        abort();
    step->run = run;
    step->plan = plan;
    step->script = script;
    step->direction = plan->up ? "upgrade" : "downgrade";
    step->began = clock_now(); /* or later, when the steps before it are done: note_begin */
    run->ledger->revision = plan->revision;
    run->stale = run->stale || run->dirty;
    run->dirty = false;
    return step;
}

enum { LATE_MAX = 100 }; /* times that a step is run once more for tenants that have appeared */

/* Takes the last part back; the next time finds the other parts done. */
static int take_late(struct run *run, struct step *step, struct error *error)
{
    struct error ignored = {0};
    report_log(REPORT_INFO, "dmlua.tenants", "%s: %s goes on with the missing tenants", error->message,
               step->plan->revision);
    error_clear(error);
    txn_rollback(run->ledger, &ignored);
    error_clear(&ignored);
    step_free(step);
    standing_free(&run->at);
    return standing_read(run->ledger, &run->at, error);
}

/* Returns 1 when a tenant has appeared for which it has to run once more. */
static int run_once(lua_State *L, struct run *run, const struct graph_step *plan, const struct script *script,
                    bool may_return, struct error *error)
{
    struct step *step = step_new(run, plan, script);
    int rc;
    db_call(run->ledger->db, note_begin, step);
    bind_push(L, step);
    rc = script_run(L, script, step->direction, error);
    bind_close(L, step);
    if (step_take_failure(step, error))
        rc = -1;
    if (rc == 0)
        rc = finish(step, error);
    if (rc != 0 && step->late && may_return)
        return take_late(run, step, error) == 0 ? 1 : -1;
    if (rc != 0) {
        step_fail(run, step, error);
        step_free(step);
        return -1;
    }
    add_sent(step);
    return run->sent_count < SENT_MAX ? 0 : steps_await(run, error);
}

int step_run(lua_State *L, struct run *run, const struct graph_step *plan, const struct script *script,
             struct error *error)
{
    int times = 0, rc;
    do
        rc = run_once(L, run, plan, script, times++ < LATE_MAX, error);
    while (rc == 1);
    return rc;
}
