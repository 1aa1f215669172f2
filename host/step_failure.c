#include "host/step_failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/loop/payment.h"
#include "host/loop/show.h"
#include "host/trace.h"
#include "host/txn.h"

/* What is kept of the step: its parts, also those of an earlier run that this one has not come to, and tenants of a
   loop that is not at its end. */
static void count_kept(const struct step *step, int *parts, int *tenants)
{
    const struct part_list *list = &step->run->at.unfinished;
    size_t i;
    *parts = step->finished;
    *tenants = 0;
    for (i = 0; i < list->count; i++) {
        const struct part *part = &list->parts[i];
        if (strcmp(part->what, step->plan->revision) != 0 || strcmp(part->direction, step->direction) != 0 ||
            part->number <= *parts)
            continue;
        if (part->done)
            *parts = part->number;
        else if (part->loop)
            *tenants = part->tenants;
    }
}

/* "nothing of abc was kept". Owned. */
static char *kept_text(const struct step *step)
{
    const char *revision = step->plan->revision;
    char some[64] = "nothing of", *text = NULL;
    int parts, tenants;
    count_kept(step, &parts, &tenants);
    if (parts > 0)
        snprintf(some, sizeof some, parts == 1 ? "part 1 of" : "parts 1 to %d of", parts);
    if (tenants == 0)
        error_text(&text, "%s %s %s kept", some, revision, parts > 1 ? "were" : "was");
    else if (parts == 0)
        error_text(&text, "the work of %d tenant%s of %s was kept", tenants, tenants == 1 ? "" : "s", revision);
    else
        error_text(&text, "%s %s and the work of %d tenant%s were kept", some, revision, tenants,
                   tenants == 1 ? "" : "s");
    return text;
}

/* What is kept of the step now, in words. */
static void say_state(struct step *step, struct error *error)
{
    char *rows = run_rows_text(step->run), *loop = show_standing(step), *kept = kept_text(step);
    const char *revision = step->plan->revision;
    const char *at = step->run->at.row_count > 0 ? rows : "base";
    char place[32] = "";
    if (error->line > 0)
        snprintf(place, sizeof place, ":%d", error->line);
    if (payment_runs(step->run))
        error_text(&error->state, "database is at %s; what is still owed of %s stays owed", at, revision);
    else if (step->run->single)
        error_text(&error->state, "nothing of this run was kept; correct %s%s and run %s again",
                   error->file ? error->file : step->script->path, place, step->run->kind);
    else if (error->kind == ERROR_PARTIAL)
        error_text(&error->state, "database is at %s; %s waits for the tenants that failed", at, revision);
    else if (loop != NULL && step->looping)
        error_text(&error->state, "database is at %s; %s", at, loop);
    else if (error->kind == ERROR_INTERRUPTED)
        error_text(&error->state, "database is at %s; %s; run %s again", at, kept, step->run->kind);
    else
        error_text(&error->state, "database is at %s; %s; correct %s%s and run %s again", at, kept,
                   error->file ? error->file : step->script->path, place, step->run->kind);
    free(kept);
    free(loop);
    free(rows);
}

/* The failure's own ledger row, in a transaction of its own. It must not hide the failure. */
static void record_failure(struct step *step, const struct error *failure)
{
    struct error ignored = {0};
    char *text = NULL, *note, *masked;
    if (!db_alive(step->run->ledger->db))
        return;
    masked = config_mask(step->run->config, failure->message);
    error_text(&text, "%s%s%s", failure->sqlstate, failure->sqlstate[0] ? ": " : "", masked);
    note = error_note(text);
    free(masked);
    free(text);
    txn_begin(step->run->ledger);
    run_record(step->run, step->plan->revision, step->cut ? step->part : 0, failure->tenant, step->script->sha256,
               "failed", note, step_elapsed(step));
    txn_commit(step->run->ledger, &ignored);
    error_clear(&ignored);
    free(note);
}

/* Puts the rows back that steps were counted with which are now known to be void. */
static void take_back(struct run *run, struct step *step)
{
    const struct graph_step *plan;
    if (step == NULL)
        return;
    take_back(run, step->next); /* the last one first; they are SENT_MAX at most */
    plan = step->plan;
    if (!step->committed)
        run_move_rows(run, plan->inserts, plan->insert_count, plan->deletes, plan->delete_count);
}

/* Whose failure it is: of a step that was sent, by the revision that the failed statement belongs to, or of `step`. */
static struct step *find_failed(struct run *run, struct step *step, const struct error *error)
{
    struct step *sent;
    for (sent = run->sent; sent != NULL; sent = sent->next)
        if (!sent->committed &&
            (step == NULL || (error->revision != NULL && strcmp(error->revision, sent->plan->revision) == 0)))
            return sent;
    return step;
}

/* Another step's script was running when the failure came: its lines are not where it comes from. */
static void forget_place(const struct step *failed, struct error *error)
{
    free(error->traceback);
    free(error->source);
    error->traceback = error->source = NULL;
    if (error->file != NULL && strcmp(error->file, failed->script->path) == 0)
        return;
    error_text(&error->file, "%s", failed->script->path);
    error->line = 0;
}

void step_fail(struct run *run, struct step *step, struct error *error)
{
    struct error earlier = {0};
    struct step *failed;
    txn_rollback(run->ledger, &earlier);
    tally_drop(&run->counts);
    run->in_txn = false;
    if (earlier.sqlstate[0] != '\0' && error->sqlstate[0] == '\0' && error->kind != ERROR_INTERRUPTED) {
        error_clear(error); /* what failed on the server stood before what the script tripped over */
        error_move(error, &earlier);
    }
    error_clear(&earlier);
    failed = find_failed(run, step, error);
    if (failed == NULL) /* every step is committed: the failure is not theirs, and says itself what it is */
        return;
    if (failed != step)
        forget_place(failed, error);
    if (!run->single) /* else all of the run is taken back */
        take_back(run, run->sent);
    trace_source(error);
    error_text(&error->revision, "%s", failed->plan->revision);
    if (error->tenant == NULL && failed->tenant != NULL)
        error_text(&error->tenant, "%s", failed->tenant);
    if (error->kind == ERROR_CONNECTION || !db_alive(run->ledger->db))
        error_text(&error->state,
                   "the server rolls back what was not committed; `dmlua current` shows where the database is");
    else if (error->state == NULL) /* what was refused may have said so itself */
        say_state(failed, error);
    record_failure(failed, error);
}

bool step_take_failure(struct step *step, struct error *error)
{
    bool same = error->kind != ERROR_NONE && step->failure.message != NULL &&
                strcmp(error->message, step->failure.message) == 0;
    if (step->failure.kind == ERROR_NONE)
        return false;
    if (same || error->kind == ERROR_INTERRUPTED) {
        error_clear(&step->failure);
    } else {
        error_clear(error);
        error_move(error, &step->failure);
    }
    return true;
}
