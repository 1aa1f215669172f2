#include "host/step.h"

#include <stdlib.h>
#include <string.h>

#include "host/answers.h"
#include "host/api/bind.h"
#include "host/config.h"
#include "host/step_parts.h"
#include "host/tenant.h"
#include "host/trace.h"
#include "host/txn.h"

static bool says(const char *sql, const char *word)
{
    return strncasecmp(sql + strspn(sql, " \t\r\n"), word, strlen(word)) == 0;
}

/* A read's answer in a part that an earlier run finished. */
static PGresult *kept_answer(struct step *step, struct error *error)
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
    recorder_statement(&step->recorder, statement);
    if (step->kept != NULL) {
        result = kept_answer(step, error);
    } else {
        step->run->dirty = step->run->dirty || statement->origin.raw;
        result = db_query(step->run->ledger->db, statement, error);
        if (result != NULL)
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
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - step->began.tv_sec) + (double)(now.tv_nsec - step->began.tv_nsec) / 1e9;
}

void step_note(struct step *step, const char *name, const char *text)
{
    char *notes = NULL;
    error_text(&notes, "%s%s%s: %s", step->notes ? step->notes : "", step->notes ? "; " : "", name, text);
    free(step->notes);
    step->notes = notes;
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
    if (rc != 0)
        return rc;
    step_send_state_check(step);
    run_send_rows(run, plan->deletes, plan->delete_count, plan->inserts, plan->insert_count, &origin);
    if (step->part > 1 || step->cut)
        ledger_send(run->ledger, LEDGER_PROGRESS_DROP, 2, drop, NULL);
    run_record(run, plan->revision, step->cut ? step->part : 0, NULL, step->script->sha256, "done", step->notes, -1);
    rc = run->single ? db_await(run->ledger->db, error) : txn_commit(run->ledger, error);
    if (rc == 0)
        run_move_rows(run, plan->deletes, plan->delete_count, plan->inserts, plan->insert_count);
    return rc;
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

static void fail(struct step *step, struct error *error)
{
    struct error earlier = {0};
    txn_rollback(step->run->ledger, &earlier);
    step->run->in_txn = false;
    if (earlier.sqlstate[0] != '\0' && error->sqlstate[0] == '\0' && error->kind != ERROR_INTERRUPTED) {
        error_clear(error); /* what failed on the server stood before what the script tripped over */
        error_move(error, &earlier);
    }
    error_clear(&earlier);
    error_text(&error->revision, "%s", step->plan->revision);
    if (error->tenant == NULL && step->tenant != NULL)
        error_text(&error->tenant, "%s", step->tenant);
    if (error->kind == ERROR_CONNECTION || !db_alive(step->run->ledger->db))
        error_text(&error->state, "the server rolls back what was not committed; `dmlua current` shows where the database is");
    else
        say_state(step, error);
    record_failure(step, error);
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

int step_run(lua_State *L, struct run *run, const struct graph_step *plan, const struct script *script,
             struct error *error)
{
    struct step step = {.run = run, .plan = plan, .script = script, .direction = plan->up ? "upgrade" : "downgrade"};
    int rc;
    clock_gettime(CLOCK_MONOTONIC, &step.began);
    run->stale = run->stale || run->dirty;
    run->dirty = false;
    bind_push(L, &step);
    rc = script_run(L, script, step.direction, error);
    if (take_failure(&step, error))
        rc = -1;
    if (rc == 0)
        rc = finish(&step, error);
    if (rc != 0) {
        trace_source(error);
        fail(&step, error);
    }
    bind_close(L, &step);
    recorder_close(&step.recorder);
    error_clear(&step.failure);
    free(step.tenant);
    free(step.notes);
    free(step.tenants_seen);
    free(step.tenants_from);
    return rc != 0 ? -1 : 0;
}
