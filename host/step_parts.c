#include "host/step_parts.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/fix.h"
#include "host/loop/payment.h"
#include "host/txn.h"
#include "host/watch.h"

struct origin step_origin(const struct step *step)
{
    struct origin origin = {.revision = step->plan->revision};
    return origin;
}

int step_refuse_behind(const struct step *step, struct error *error)
{
    error_set(error, ERROR_REFUSED, "part %d of %s is behind its last loop: --only-tenant runs the loops alone",
              step->part, step->plan->revision);
    return -1;
}

int step_open_part(struct step *step, struct error *error)
{
    struct run *run = step->run;
    if (step->open)
        return 0;
    if (step->fix != NULL)
        return fix_refuse_outside(step, error);
    step->part++;
    step->open = true;
    recorder_open(&step->recorder);
    step->kept = parts_find(&run->at.unfinished, step->plan->revision, step->direction, step->part);
    if (step->kept != NULL && !step->kept->done)
        step->kept = NULL;
    if (step->kept != NULL) {
        step->recorder.kept = step->kept->answers;
        return 0;
    }
    if (payment_runs(run))
        return step_refuse_behind(step, error);
    if (!run->in_txn)
        txn_begin(run->ledger);
    run->in_txn = run->single;
    run_send_head(run, step->plan->revision, step->direction, step->finished);
    return 0;
}

bool step_is_unchanged(struct step *step)
{
    char hash[65];
    recorder_finish(&step->recorder, hash);
    return step->kept->hash != NULL && strcmp(hash, step->kept->hash) == 0;
}

int step_check_kept(struct step *step, struct error *error)
{
    char *before, *now;
    if (step_is_unchanged(step))
        return 0;
    parts_difference(step->kept->statements ? step->kept->statements : "", step->recorder.statements, &before, &now);
    if (step->run->options.accept_changed) {
        report_log(REPORT_WARN, "dmlua.migration",
                   "part %d of %s has changed since it was done: was %s, is %s; accepted", step->part,
                   step->plan->revision, before, now);
    } else {
        error_set(error, ERROR_REFUSED,
                  "part %d of %s was done by an earlier run, and its statements have changed since", step->part,
                  step->plan->revision);
        error_text(&error->detail, "done: %s\nnow:  %s", before, now);
        error_text(&error->hint, "put the script back as it was, or go on from the next part with --accept-changed");
        error_text(&error->file, "%s", step->script->path);
    }
    free(before);
    free(now);
    return error->kind == ERROR_NONE ? 0 : -1;
}

void step_send_state_check(struct step *step)
{
    const struct ledger *ledger = step->run->ledger;
    struct origin origin = step_origin(step);
    const char *values[4] = {ledger->user, ledger->session, ledger->role,
                             config_get(step->run->config, "tenant_setting")};
    origin.file = step->script->path;
    ledger_send(step->run->ledger, LEDGER_CHECK_STATE, 4, values, &origin);
}

void step_send_progress(struct step *step, const char *state)
{
    char part[16], hash[65];
    const char *values[8] = {step->plan->revision, step->direction, part, state, hash, NULL, NULL, step->run->id};
    snprintf(part, sizeof part, "%d", step->part);
    recorder_finish(&step->recorder, hash);
    values[5] = step->recorder.statements;
    values[6] = step->recorder.answers;
    ledger_send(step->run->ledger, LEDGER_PROGRESS_PUT, 8, values, NULL);
}

void step_leave_part(struct step *step)
{
    recorder_close(&step->recorder);
    step->open = false;
    step->kept = NULL;
}

void step_record_part(struct step *step)
{
    step_note_visits(step);
    run_record(step->run, step->plan->revision, step->part, NULL, step->script->sha256, "done", step->notes, -1);
    free(step->notes);
    step->notes = NULL;
}

/* Commits the open part with its progress row. */
int step_close_part(struct step *step, struct error *error)
{
    int rc;
    if (!step->open)
        return 0;
    if (step->kept != NULL) {
        rc = step_check_kept(step, error);
        step->finished += rc == 0;
        step_leave_part(step);
        return rc;
    }
    if (step->recorder.too_much) {
        error_set(error, ERROR_REFUSED, "part %d of %s has read more than the 1 MB that can be kept for a rerun",
                  step->part, step->plan->revision);
        error_text(&error->hint, "read less before autocommit_block, or move the block into a revision of its own");
        return -1;
    }
    step_send_state_check(step);
    watch_send(step);
    step_send_progress(step, "done");
    step_record_part(step);
    rc = txn_commit(step->run->ledger, error);
    if (rc == 0)
        tally_keep(step->run, &step->run->counts, step->part);
    step->finished += rc == 0;
    step_leave_part(step);
    return rc;
}

int step_cut(struct step *step, struct error *error)
{
    if (step->tenant != NULL) {
        error_set(error, ERROR_MIGRATION,
                  "autocommit_block inside tenants.each or run(tenant): a tenant's statements are one transaction");
        return -1;
    }
    if (step->run->single) {
        error_set(error, ERROR_REFUSED, "%s leaves its transaction, but transaction_per_migration = false asks for one"
                                        " transaction round the whole run", step->plan->revision);
        error_text(&error->hint, "set transaction_per_migration = true, or upgrade past this revision by itself");
        return -1;
    }
    step->cut = true;
    return step_close_part(step, error);
}

/* The statement failed, and was corrected to one that makes another index. */
static void warn_left_index(struct step *step)
{
    char *before, *now;
    parts_difference(step->kept->statements ? step->kept->statements : "", step->recorder.statements, &before, &now);
    report_log(REPORT_WARN, "dmlua.migration", "part %d of %s had failed as %s; if that left an invalid index, drop it",
               step->part, step->plan->revision, before);
    free(before);
    free(now);
}

/* An earlier run started the statement, and it failed or nobody saw what came of it; it may have been corrected since.
   Returns 1 when nothing is left to do. */
static int settle_started(struct step *step, const struct step_alone *alone, struct error *error)
{
    const char *name = alone->index;
    struct db_statement drop = {.origin = step_origin(step)};
    PGresult *result;
    char *sql = NULL;
    bool there, valid;
    if (name == NULL)
        return 0;
    result = ledger_query(step->run->ledger,
                          "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass($1)", 1,
                          &name, error);
    if (result == NULL)
        return -1;
    there = PQntuples(result) > 0;
    valid = there && *PQgetvalue(result, 0, 0) == 't';
    PQclear(result);
    if (!alone->drops && !there && !step_is_unchanged(step))
        warn_left_index(step);
    if (alone->drops || !there)
        return alone->drops && !there && !step->kept->failed && step_is_unchanged(step);
    if (valid)
        return step_check_kept(step, error) == 0 ? 1 : -1;
    report_log(REPORT_INFO, "dmlua.migration", "index %s was left invalid by an earlier run; dropping it", name);
    error_text(&sql, "DROP INDEX CONCURRENTLY %s", name);
    drop.sql = sql;
    db_send(step->run->ledger->db, &drop);
    db_sync(step->run->ledger->db);
    free(sql);
    return db_await(step->run->ledger->db, error);
}

/* Writes `started`, in a transaction of its own, unless an earlier run has. Returns 1 when that run's statement is
   done. */
static int start_alone(struct step *step, const struct step_alone *alone, struct error *error)
{
    struct run *run = step->run;
    if (step->kept != NULL)
        return settle_started(step, alone, error);
    txn_begin(run->ledger);
    run_send_head(run, step->plan->revision, step->direction, step->finished);
    step_send_progress(step, "started");
    return txn_commit(run->ledger, error);
}

/* Looks what came of it, and writes `done`. */
static int finish_alone(struct step *step, const struct step_alone *alone, struct error *error)
{
    struct run *run = step->run;
    struct origin origin = step_origin(step);
    origin.file = step->script->path;
    txn_begin(run->ledger);
    run_send_head(run, step->plan->revision, step->direction, step->finished);
    if (alone->index != NULL && !alone->drops)
        ledger_send(run->ledger, LEDGER_INDEX_VALID, 1, &alone->index, &origin);
    step_send_progress(step, "done");
    step_record_part(step);
    return txn_commit(run->ledger, error);
}

/* Sends it. That the server has refused it is written down: nothing came of it but, perhaps, an invalid index. */
static int send_alone(struct step *step, const struct db_statement *statement, struct error *error)
{
    struct run *run = step->run;
    struct error ignored = {0};
    db_send(run->ledger->db, statement);
    db_sync(run->ledger->db);
    if (db_await(run->ledger->db, error) == 0)
        return 0;
    if (db_alive(run->ledger->db)) {
        txn_begin(run->ledger);
        run_send_head(run, step->plan->revision, step->direction, step->finished);
        step_send_progress(step, "failed");
        txn_commit(run->ledger, &ignored);
        error_clear(&ignored);
    }
    return -1;
}

/* A statement that refuses a transaction block: a part of its own, between two short transactions. */
int step_run_alone(struct step *step, const struct db_statement *statement, const struct step_alone *alone,
                     struct error *error)
{
    int rc;
    step->part++;
    step->kept = parts_find(&step->run->at.unfinished, step->plan->revision, step->direction, step->part);
    recorder_open(&step->recorder);
    recorder_statement(&step->recorder, statement);
    if (step->kept != NULL && step->kept->done) {
        rc = step_check_kept(step, error);
    } else if (payment_runs(step->run)) {
        rc = step_refuse_behind(step, error);
    } else {
        rc = start_alone(step, alone, error);
        if (rc == 0)
            rc = send_alone(step, statement, error);
        if (rc >= 0)
            rc = finish_alone(step, alone, error);
    }
    step->finished += rc == 0;
    step_leave_part(step);
    return rc;
}

