#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"
#include "host/loop/payment.h"
#include "host/signal.h"
#include "host/step_parts.h"
#include "host/txn.h"

enum {
    ATTEMPTS = 5,       /* at a batch that ran into a deadlock or a lock */
    PAUSE_MS = 200,     /* before the next */
    REPORT_SECONDS = 5  /* between lines that say how far it is */
};

/* A part's batches under way. */
struct batches {
    struct step *step;
    struct db_statement statement; /* with the cursor as its one value */
    const char *values[1];
    char *cursor;                  /* null: at the beginning, or the end */
    long long rows;
    double reported;               /* clock_now */
};

/* Rolls the batch back, if its failure was of the kind that passes. */
static bool may_retry(struct batches *batches, int attempt, struct error *error)
{
    struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    struct error ignored = {0};
    if (attempt == ATTEMPTS || signal_interrupted || !db_is_passing(error))
        return false;
    txn_rollback(batches->step->run->ledger, &ignored);
    error_clear(&ignored);
    error_clear(error);
    nanosleep(&pause, NULL);
    return true;
}

static void send_head(struct step *step)
{
    txn_begin(step->run->ledger);
    run_send_head(step->run, step->plan->revision, step->direction, step->finished);
}

/* One batch: its answer, in a transaction that is still open. Owned. */
static PGresult *run_batch(struct batches *batches, struct error *error)
{
    struct db *db = batches->step->run->ledger->db;
    PGresult *result;
    int attempt = 1;
    batches->values[0] = batches->cursor;
    batches->statement.values = batches->values;
    do {
        send_head(batches->step);
        result = db_query(db, &batches->statement, error);
    } while (result == NULL && may_retry(batches, attempt++, error));
    return result;
}

static void report(struct batches *batches)
{
    if (clock_now() - batches->reported < REPORT_SECONDS)
        return;
    batches->reported = clock_now();
    report_log(REPORT_INFO, "dmlua.migration", "part %d of %s: %lld rows so far", batches->step->part,
               batches->step->plan->revision, batches->rows);
}

/* Commits the batch with its cursor; the last one, whose cursor is null, with the part. */
static int commit_batch(struct batches *batches, struct error *error)
{
    struct step *step = batches->step;
    char part[16], rows[48];
    const char *values[4] = {step->plan->revision, step->direction, part, batches->cursor};
    snprintf(part, sizeof part, "%d", step->part);
    snprintf(rows, sizeof rows, "%lld rows", batches->rows);
    step_send_state_check(step);
    step_send_progress(step, batches->cursor != NULL ? "started" : "done");
    if (batches->cursor != NULL) {
        ledger_send(step->run->ledger, LEDGER_PROGRESS_MOVE, 4, values, NULL);
    } else {
        step_note(step, "batches", rows);
        step_record_part(step);
    }
    report(batches);
    return txn_commit(step->run->ledger, error);
}

static int run_batches(struct batches *batches, struct error *error)
{
    do {
        PGresult *result = run_batch(batches, error);
        if (result == NULL)
            return -1;
        free(batches->cursor);
        batches->cursor = NULL;
        if (PQntuples(result) > 0 && !PQgetisnull(result, 0, 0)) {
            error_put(&batches->cursor, PQgetvalue(result, 0, 0));
            batches->rows += strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        }
        PQclear(result);
        if (commit_batch(batches, error) != 0)
            return -1;
    } while (batches->cursor != NULL);
    return 0;
}

int step_batches(struct step *step, const struct db_statement *statement, struct error *error)
{
    struct batches batches = {.step = step, .statement = *statement};
    int rc;
    if (step_cut(step, error) != 0)
        return -1;
    batches.statement.count = 1;
    batches.reported = clock_now();
    step->part++;
    step->kept = parts_find(&step->run->at.unfinished, step->plan->revision, step->direction, step->part);
    recorder_open(&step->recorder);
    recorder_statement(&step->recorder, statement);
    rc = step->kept != NULL ? step_check_kept(step, error) : 0;
    if (step->kept == NULL && payment_runs(step->run))
        rc = step_refuse_behind(step, error);
    if (rc == 0 && (step->kept == NULL || !step->kept->done)) {
        if (step->kept != NULL)
            error_put(&batches.cursor, step->kept->cursor);
        step->kept = NULL;
        rc = run_batches(&batches, error);
    }
    step->finished += rc == 0;
    step_leave_part(step);
    free(batches.cursor);
    return rc;
}
