#include "host/loop/part.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/loop/failed.h"
#include "host/loop/payment.h"
#include "host/loop/roll.h"
#include "host/loop/show.h"
#include "host/loop/skip.h"
#include "host/step_parts.h"
#include "host/tenant.h"
#include "host/txn.h"

static struct ledger *ledger_of(const struct tenant_loop *loop)
{
    return loop->step->run->ledger;
}

/* The part's own statement: the loop stands for what its tenants' transactions do, and is as the file is. */
static void record_loop(const struct script *script, struct recorder *recorder)
{
    const char *sha256 = script->sha256;
    struct db_statement statement = {.sql = PART_LOOP, .count = 1, .values = &sha256};
    recorder_open(recorder);
    recorder_statement(recorder, &statement);
}

void loop_hash(const struct script *script, char hash[65])
{
    struct recorder recorder;
    record_loop(script, &recorder);
    recorder_finish(&recorder, hash);
    recorder_close(&recorder);
}

/* Parts behind this one that are done already: the loop was, too, until a tenant appeared. */
static int count_behind(const struct step *step)
{
    const struct part_list *list = &step->run->at.unfinished;
    int behind = 0;
    size_t i;
    for (i = 0; i < list->count; i++)
        behind += list->parts[i].done && list->parts[i].number > step->part &&
                  strcmp(list->parts[i].what, step->plan->revision) == 0 &&
                  strcmp(list->parts[i].direction, step->direction) == 0;
    return behind;
}

/* `closed`: the part itself is done, as far as the database knows. */
static void send_head(struct step *step, bool closed)
{
    txn_begin(step->run->ledger);
    run_send_head(step->run, step->plan->revision, step->direction, step->finished + count_behind(step) + closed);
}

void loop_send_cursor(const struct tenant_loop *loop)
{
    char part[16], cursor[32];
    const char *values[4] = {loop->step->plan->revision, loop->step->direction, part, cursor};
    snprintf(part, sizeof part, "%d", loop->step->part);
    parts_loop_cursor(cursor, loop->listed, loop->failures);
    ledger_send(ledger_of(loop), LEDGER_PROGRESS_MOVE, 4, values, NULL);
}

/* Some tenants are done, by an earlier run: the others may not get another callback unasked. */
static int check_unchanged(struct tenant_loop *loop, const struct part *part, struct error *error)
{
    struct step *step = loop->step;
    char hash[65], note[80];
    recorder_finish(&step->recorder, hash);
    if (!part->loop || part->tenants == 0 || part->hash == NULL || strcmp(part->hash, hash) == 0)
        return 0;
    if (step->run->options.accept_changed) {
        report_log(REPORT_WARN, "dmlua.tenants", "%s has changed since part %d of %s was run for %d tenants; accepted",
                   step->script->path, step->part, step->plan->revision, part->tenants);
        snprintf(note, sizeof note, "accepted after %d tenants", part->tenants);
        step_note(step, "changed file", note);
        return 0;
    }
    error_set(error, ERROR_REFUSED,
              "%s has changed since part %d of %s was run for %d tenant%s: the others would get another"
              " callback",
              step->script->path, step->part, step->plan->revision, part->tenants, part->tenants == 1 ? "" : "s");
    error_text(&error->hint, "put the file back as it was, or go on with it as it is now, for the missing tenants, with"
                             " --accept-changed");
    error_text(&error->file, "%s", step->script->path);
    return -1;
}

PGresult *loop_done(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    char part[16];
    const char *values[4] = {step->plan->revision, step->direction, part, payment_runs(step->run) ? "true" : "false"};
    snprintf(part, sizeof part, "%d", step->part);
    return ledger_query(ledger_of(loop),
                        "SELECT tenant FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1"
                        " AND direction = $2 AND part = CAST($3 AS integer) AND tenant <> ''"
                        " AND (state = 'done' OR state = 'skipped' AND NOT CAST($4 AS boolean))",
                        4, values, error);
}

PGresult *loop_cursors(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    char part[16];
    const char *values[3] = {step->plan->revision, step->direction, part};
    snprintf(part, sizeof part, "%d", step->part);
    return ledger_query(ledger_of(loop),
                        "SELECT tenant, cursor FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1"
                        " AND direction = $2 AND part = CAST($3 AS integer) AND round = 0 AND tenant <> ''"
                        " AND cursor IS NOT NULL AND state <> 'done'",
                        3, values, error);
}

/* The part was closed by an earlier run: it must have been a loop then, too. */
static int check_kept(struct step *step, const struct part *part, struct error *error)
{
    int rc = 0;
    if (part->loop)
        return 0;
    step->kept = part;
    rc = step_check_kept(step, error);
    step->kept = NULL;
    return rc;
}

/* No tenant's row can be there, but for one of a runner that was stopped and outlived. */
static void send_sweep(struct step *step)
{
    char part[16];
    const char *values[3] = {step->plan->revision, step->direction, part};
    snprintf(part, sizeof part, "%d", step->part);
    ledger_send_text(step->run->ledger,
                     "DELETE FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1 AND direction = $2"
                     " AND part = CAST($3 AS integer) AND tenant <> ''",
                     3, values, NULL);
}

static int open_part(struct tenant_loop *loop, const struct part *part, struct error *error)
{
    struct step *step = loop->step;
    send_head(step, part != NULL && part->done);
    if (part == NULL)
        send_sweep(step);
    step_send_progress(step, "running");
    loop_send_cursor(loop);
    step->looping = step->open = true;
    return txn_commit(ledger_of(loop), error);
}

/* How many tenants of the list an earlier run has neither done nor skipped; -1 on failure. */
static int count_late(struct tenant_loop *loop, struct error *error)
{
    PGresult *result = loop_done(loop, error);
    const char *first = NULL;
    struct roll done;
    size_t late;
    if (result == NULL)
        return -1;
    done = roll_read(result);
    PQclear(result);
    late = roll_missing(&loop->roll, &done, &first);
    if (late > 0)
        report_log(REPORT_INFO, "dmlua.tenants", "part %d of %s was done; since then tenant %s%s appeared",
                   loop->step->part, loop->step->plan->revision, first, late > 1 ? " and others have" : " has");
    roll_free(&done);
    return (int)late;
}

/* The step's end looks at the list again, unless the script says who is in it. */
static void remember(struct tenant_loop *loop)
{
    if (!loop->fixed)
        roll_remember(loop->step, loop->from, &loop->roll);
}

/* The part was closed by an earlier run. Returns 1 unless a tenant has appeared since. */
static int settle_closed(struct tenant_loop *loop, const struct part *part, struct error *error)
{
    int late;
    if (check_kept(loop->step, part, error) != 0 || skip_check_closed(loop, error) != 0)
        return -1;
    late = count_late(loop, error);
    if (late != 0)
        return late < 0 ? -1 : 0;
    remember(loop);
    return 1;
}

/* The part is done, of a step that is: it is opened for those who owe it. Returns 1 when nobody does who is to pay. */
static int open_owed(struct tenant_loop *loop, const struct part *part, struct error *error)
{
    struct step *step = loop->step;
    if (part == NULL)
        return step_refuse_behind(step, error);
    if (check_kept(step, part, error) != 0)
        return -1;
    if (payment_count(step, step->part) == 0) {
        recorder_close(&step->recorder);
        return 1;
    }
    step->looping = step->open = true;
    return payment_open(loop, error);
}

/* Does the list ask for anything? Returns 1 when the part is done. */
static int settle(struct tenant_loop *loop, const struct part *part, struct error *error)
{
    int rc = part != NULL && part->done ? settle_closed(loop, part, error) : 0;
    if (rc == 0)
        rc = skip_check(loop, error);
    if (rc == 0 && part != NULL)
        rc = check_unchanged(loop, part, error);
    return rc;
}

int loop_open(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    const struct part *part;
    int rc;
    if (step_cut(step, error) != 0)
        return -1;
    step->part++;
    part = parts_find(&step->run->at.unfinished, step->plan->revision, step->direction, step->part);
    record_loop(step->script, &step->recorder);
    if (payment_runs(step->run))
        return open_owed(loop, part, error);
    rc = settle(loop, part, error);
    if (rc == 0)
        return open_part(loop, part, error);
    if (rc > 0) {
        recorder_close(&step->recorder);
        step->finished++;
    }
    return rc;
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

void loop_see(struct tenant_loop *loop, const char *from, bool fixed)
{
    roll_sort(&loop->roll);
    loop->listed = (int)loop->roll.count;
    loop->fixed = fixed;
    error_put(&loop->from, from);
    skip_note(loop);
}

bool loop_chooses(const struct tenant_loop *loop)
{
    return loop->step->run->options.skip_count > 0 || payment_runs(loop->step->run);
}

/* The list is read before the loop is open, and after. */
static int part_of(const struct tenant_loop *loop)
{
    return loop->step->part + !loop->step->looping;
}

bool loop_reads(const struct tenant_loop *loop)
{
    return !payment_runs(loop->step->run) || payment_count(loop->step, part_of(loop)) > 0;
}

bool loop_wants(const struct tenant_loop *loop, const char *id)
{
    if (payment_runs(loop->step->run))
        return payment_wants(loop->step, part_of(loop), id);
    return !skip_has(loop->step->run, id);
}

int loop_look(struct tenant_loop *loop, struct ledger *ledger, const char *id, char **cursor, struct error *error)
{
    struct step *step = loop->step;
    char part[16];
    const char *values[4] = {step->plan->revision, step->direction, part, id};
    PGresult *result;
    bool done;
    snprintf(part, sizeof part, "%d", step->part);
    result = ledger_query(ledger,
                          "SELECT state, cursor FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1"
                          " AND direction = $2 AND part = CAST($3 AS integer) AND round = 0 AND tenant = $4",
                          4, values, error);
    if (result == NULL)
        return -1;
    done = PQntuples(result) > 0 && strcmp(PQgetvalue(result, 0, 0), "done") == 0;
    free(*cursor);
    *cursor = NULL;
    if (PQntuples(result) > 0 && !PQgetisnull(result, 0, 1))
        error_put(cursor, PQgetvalue(result, 0, 1));
    PQclear(result);
    return done;
}

void loop_note_done(struct tenant_loop *loop)
{
    loop->visited++;
    show_done(loop->step);
}

int loop_close(struct tenant_loop *loop, struct error *error)
{
    struct step *step = loop->step;
    char note[64];
    show_close(step);
    step->looping = step->open = false;
    if (failed_close(loop, error) != 0) {
        recorder_close(&step->recorder);
        return -1;
    }
    if (payment_runs(step->run)) {
        recorder_close(&step->recorder);
        step->run->paid += (size_t)loop->visited;
        return 0;
    }
    snprintf(note, sizeof note, "%d visited", loop->visited);
    step_note(step, "tenants", note);
    tally_write(step->run);
    send_head(step, false);
    skip_send(loop);
    step_send_progress(step, "done");
    tally_send_unknown(step->run, step->plan->revision, step->direction, step->part);
    step_record_part(step);
    recorder_close(&step->recorder);
    if (txn_commit(ledger_of(loop), error) != 0)
        return -1;
    skip_say(loop);
    remember(loop);
    step->finished++;
    return 0;
}

/* The step may be gone already, and frees what is its own. */
void loop_free(struct tenant_loop *loop)
{
    failures_clear(&loop->failed);
    free(loop->skips);
    loop->skips = NULL;
    free(loop->from);
    loop->from = NULL;
    roll_free(&loop->roll);
    roll_free(&loop->done);
    roll_free(&loop->skipped);
}
