#include "host/step.h"

#include <stdlib.h>
#include <string.h>

#include "host/answers.h"
#include "host/api/bind.h"
#include "host/clock.h"
#include "host/config.h"
#include "host/step_parts.h"
#include "host/tenant.h"
#include "host/trace.h"
#include "host/txn.h"

static bool says(const char *sql, const char *word)
{
    return strncasecmp(sql + strspn(sql, " \t\r\n"), word, strlen(word)) == 0;
}

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

/* Does it change the session for the parts that follow? */
static bool is_setting(const char *sql)
{
    static const char blanks[] = " \t\r\n";
    const char *second;
    if (!says(sql, "SET") && !says(sql, "RESET"))
        return false;
    sql += strspn(sql, blanks);
    second = sql + strcspn(sql, blanks);
    return !says(second, "LOCAL") && !says(second, "CONSTRAINTS");
}

/* The settings that a finished part made were its session's: they are made anew for the parts that are left. */
static int set_again(struct step *step, const struct db_statement *statement, struct error *error)
{
    step->run->dirty = true;
    db_send(step->run->ledger->db, statement);
    db_sync(step->run->ledger->db);
    return db_await(step->run->ledger->db, error);
}

int step_send(struct step *step, const struct db_statement *statement, const struct step_alone *alone,
              struct error *error)
{
    struct db *db = step->run->ledger->db;
    if (alone != NULL && step->alone)
        return step_run_alone(step, statement, alone, error);
    if (step_open_part(step, error) != 0)
        return -1;
    if (!step->looping)
        recorder_statement(&step->recorder, statement);
    if (step->kept != NULL) {
        if (statement->origin.raw && is_setting(statement->sql) && set_again(step, statement, error) != 0)
            return -1;
    } else {
        db_send(db, statement);
        if (statement->origin.raw) {
            step->run->dirty = true;
            if (says(statement->sql, "DEALLOCATE"))
                db_forget_prepared(db);
        }
        if (db_failed(db))
            return db_await(db, error);
    }
    return step->alone ? step_close_part(step, error) : 0;
}

PGresult *step_query(struct step *step, const struct db_statement *statement, struct error *error)
{
    PGresult *result;
    step->tag[0] = '\0';
    if (step_open_part(step, error) != 0)
        return NULL;
    if (!step->looping)
        recorder_statement(&step->recorder, statement);
    if (step->kept != NULL) {
        result = step_kept_answer(step, error);
    } else {
        step->run->dirty = step->run->dirty || statement->origin.raw;
        result = db_query(step->run->ledger->db, statement, error);
        if (result != NULL && !step->looping)
            recorder_answer(&step->recorder, result);
    }
    if (result != NULL && step->alone && step_close_part(step, error) != 0) {
        PQclear(result);
        return NULL;
    }
    return result;
}

/* Waits until all that was sent has been answered; the transaction stays open. */
int step_await(struct step *step, struct error *error)
{
    return db_await(step->run->ledger->db, error);
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

enum { SENT_MAX = 32 }; /* steps that may be on their way: memory stays bounded however long the chain */

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
    if (rc != 0)
        return rc;
    step_send_state_check(step);
    run_send_rows(run, plan->deletes, plan->delete_count, plan->inserts, plan->insert_count, &origin);
    if (step->part > 1 || step->cut)
        ledger_send(run->ledger, LEDGER_PROGRESS_DROP, 2, drop, NULL);
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

/* What is kept of the step now, in words. */
static void say_state(struct step *step, struct error *error)
{
    char *rows = run_rows_text(step->run);
    const char *revision = step->plan->revision;
    const char *at = step->run->at.row_count > 0 ? rows : "base";
    char place[32] = "";
    const char *was = step->finished > 1 ? "were" : "was";
    char parts[64] = "nothing of";
    if (step->finished > 0)
        snprintf(parts, sizeof parts, step->finished == 1 ? "part 1 of" : "parts 1 to %d of", step->finished);
    if (error->line > 0)
        snprintf(place, sizeof place, ":%d", error->line);
    if (step->run->single)
        error_text(&error->state, "nothing of this run was kept; correct %s%s and run %s again",
                   error->file ? error->file : step->script->path, place, step->run->kind);
    else if (error->kind == ERROR_INTERRUPTED)
        error_text(&error->state, "database is at %s; %s %s %s kept; run %s again", at, parts, revision, was, step->run->kind);
    else
        error_text(&error->state, "database is at %s; %s %s %s kept; correct %s%s and run %s again", at, parts, revision, was,
                   error->file ? error->file : step->script->path, place, step->run->kind);
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
    run_record(step->run, step->plan->revision, step->cut ? step->part : 0, failure->tenant, step->script->sha256, "failed",
               note, step_elapsed(step));
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
        if (!sent->committed && (step == NULL || (error->revision != NULL && strcmp(error->revision, sent->plan->revision) == 0)))
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

/* `step` is the one whose script ran; null: all were sent. */
static void fail(struct run *run, struct step *step, struct error *error)
{
    struct error earlier = {0};
    struct step *failed;
    txn_rollback(run->ledger, &earlier);
    run->in_txn = false;
    if (earlier.sqlstate[0] != '\0' && error->sqlstate[0] == '\0' && error->kind != ERROR_INTERRUPTED) {
        error_clear(error); /* what failed on the server stood before what the script tripped over */
        error_move(error, &earlier);
    }
    error_clear(&earlier);
    failed = find_failed(run, step, error);
    if (failed != step)
        forget_place(failed, error);
    if (!run->single) /* else all of the run is taken back */
        take_back(run, run->sent);
    trace_source(error);
    error_text(&error->revision, "%s", failed->plan->revision);
    if (error->tenant == NULL && failed->tenant != NULL)
        error_text(&error->tenant, "%s", failed->tenant);
    if (error->kind == ERROR_CONNECTION || !db_alive(run->ledger->db))
        error_text(&error->state, "the server rolls back what was not committed; `dmlua current` shows where the database is");
    else
        say_state(failed, error);
    record_failure(failed, error);
}

/* A failure that the script met comes before whatever it made of it: an error of its own, or nothing. */
static bool take_failure(struct step *step, struct error *error)
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

static void step_free(struct step *step)
{
    recorder_close(&step->recorder);
    error_clear(&step->failure);
    free(step->tenant);
    free(step->notes);
    free(step->tenants_seen);
    free(step->tenants_from);
    free(step);
}

int steps_await(struct run *run, struct error *error)
{
    if (db_await(run->ledger->db, error) == 0)
        return 0;
    fail(run, NULL, error);
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

static struct step *step_new(struct run *run, const struct graph_step *plan, const struct script *script)
{
    struct step *step = calloc(1, sizeof *step);
    if (step == NULL)
        abort();
    step->run = run;
    step->plan = plan;
    step->script = script;
    step->direction = plan->up ? "upgrade" : "downgrade";
    run->ledger->revision = plan->revision;
    run->stale = run->stale || run->dirty;
    run->dirty = false;
    return step;
}

int step_run(lua_State *L, struct run *run, const struct graph_step *plan, const struct script *script,
             struct error *error)
{
    struct step *step = step_new(run, plan, script);
    int rc;
    db_call(run->ledger->db, note_begin, step);
    bind_push(L, step);
    rc = script_run(L, script, step->direction, error);
    bind_close(L, step);
    if (take_failure(step, error))
        rc = -1;
    if (rc == 0)
        rc = finish(step, error);
    if (rc != 0) {
        fail(run, step, error);
        step_free(step);
        return -1;
    }
    add_sent(step);
    return run->sent_count < SENT_MAX ? 0 : steps_await(run, error);
}
