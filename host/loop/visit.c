#include "host/loop/visit.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/config.h"
#include "host/loop/lane.h"
#include "host/loop/payment.h"
#include "host/loop/show.h"
#include "host/signal.h"
#include "host/tenant.h"
#include "host/txn.h"

enum { BACKOFF_MS = 50, BACKOFF_MAX_MS = 5000, FORGOTTEN_MAX = 5 };

static struct ledger *ledger_of(const struct tenant_loop *loop)
{
    return loop->step->run->ledger;
}

struct visit *visit_new(const char *id, long long row, const char *cursor)
{
    struct visit *visit = calloc(1, sizeof *visit);
    if (visit == NULL)
        abort();
    error_text(&visit->id, "%s", id);
    error_put(&visit->cursor, cursor);
    visit->row = row;
    return visit;
}

void visit_renew(struct visit *visit)
{
    error_clear(&visit->scope.failure);
    memset(&visit->scope, 0, sizeof visit->scope);
    tally_drop(&visit->counts);
    error_clear(&visit->failure);
    PQclear(visit->answer);
    visit->answer = NULL;
    free(visit->after);
    visit->after = NULL;
    PQclear(visit->watched.result);
    visit->watched.result = NULL;
    visit->can_be_ddl = false;
    visit->sets = visit->blocked = visit->taken_back = false;
    visit->next = NULL;
}

void visit_free(struct visit *visit)
{
    if (visit == NULL)
        return;
    visit_renew(visit);
    free(visit->id);
    free(visit->cursor);
    free(visit);
}

/* The values that say which row of dmlua_progress is meant; `part` is room for a number. */
static void fill_row(const struct tenant_loop *loop, const struct visit *visit, char part[16], const char **values)
{
    const struct step *step = loop->step;
    snprintf(part, 16, "%d", step->part);
    values[0] = step->plan->revision;
    values[1] = step->direction;
    values[2] = part;
    values[3] = step->run->id;
    values[4] = visit->id;
}

static struct origin origin_of(const struct tenant_loop *loop, const struct visit *visit)
{
    struct origin origin = {
        .revision = loop->step->plan->revision, .file = loop->step->script->path, .tenant = visit->id};
    return origin;
}

static void send_entry(struct tenant_loop *loop, struct visit *visit)
{
    struct run *run = loop->step->run;
    struct origin origin = origin_of(loop, visit);
    const char *setting = config_get(run->config, "tenant_setting");
    char part[16];
    const char *values[9];
    fill_row(loop, visit, part, values);
    if (loop->batch == 0 && !payment_runs(run) && !visit->met) {
        values[5] = setting;
        values[6] = run->tenant_role;
        ledger_send(visit->lane->ledger, LEDGER_LOOP_FIRST, 7, values, &origin);
        return;
    }
    values[5] = loop->batch > 0 ? "running" : "done";
    values[6] = visit->cursor;
    values[7] = setting;
    values[8] = run->tenant_role;
    ledger_send(visit->lane->ledger, LEDGER_LOOP_ENTER, 9, values, &origin);
}

void visit_begin(struct tenant_loop *loop, struct visit *visit)
{
    struct ledger *ledger = visit->lane->ledger;
    visit->generation = db_generation(ledger->db);
    visit->scope.counter = tally_rows;
    visit->scope.counts = &visit->counts;
    if (visit->cursor == NULL)
        tally_tenant(&visit->counts, loop->step->plan->revision, visit->id);
    db_scope(ledger->db, &visit->scope);
    txn_begin(ledger);
    send_entry(loop, visit);
}

static const char *user_of(const struct run *run)
{
    bool none = run->tenant_role != NULL && strcmp(run->tenant_role, "none") == 0;
    return none ? run->ledger->user : run->tenant_role;
}

/* The row says where the next batch begins. */
static void put_cursor(struct tenant_loop *loop, struct visit *visit)
{
    struct origin origin = origin_of(loop, visit);
    char part[16];
    const char *values[7];
    fill_row(loop, visit, part, values);
    values[5] = visit->after != NULL ? "running" : "done";
    values[6] = visit->after;
    ledger_send(visit->lane->ledger, LEDGER_LOOP_CURSOR, 7, values, &origin);
}

/* BEGIN … Sync COMMIT Sync: when something has failed, its COMMIT answers ROLLBACK, and the next one begins clean. */
static void end(struct visit *visit, enum ledger_statement last, const struct origin *origin)
{
    struct ledger *ledger = visit->lane->ledger;
    db_sync(ledger->db);
    ledger_send(ledger, last, 0, NULL, origin);
    db_sync(ledger->db);
    db_scope(ledger->db, NULL);
    visit->state = VISIT_SENT;
    visit->sent = clock_now();
}

void visit_commit(struct tenant_loop *loop, struct visit *visit)
{
    struct run *run = loop->step->run;
    struct origin origin = origin_of(loop, visit);
    struct ledger *ledger = visit->lane->ledger;
    const char *values[4] = {config_get(run->config, "tenant_setting"), visit->id, user_of(run), run->ledger->role};
    bool pays = payment_runs(run);
    if (loop->batch == 0 && !visit->can_be_ddl && !pays) {
        ledger_send(ledger, LEDGER_LOOP_LEAVE, 3, values, &origin);
    } else { /* the transaction goes on for a moment, as the migrator's */
        ledger_send(ledger, LEDGER_TENANT_LEAVE, 4, values, &origin);
        if (visit->can_be_ddl)
            watch_send_on(loop->step, ledger, &visit->watched);
        if (loop->batch > 0)
            put_cursor(loop, visit);
        if (pays && visit->after == NULL)
            payment_send(loop, visit->id); /* on the first connection: a run that pays has no other */
        /* What waits for the COMMIT, triggers and cursors WITH HOLD, is the tenant's again. */
        values[2] = run->tenant_role;
        ledger_send(ledger, LEDGER_TENANT_ENTER, 3, values, &origin);
    }
    end(visit, LEDGER_COMMIT, &origin); /* what had been put off until then may fail */
}

void visit_abandon(struct visit *visit)
{
    visit->taken_back = true;
    end(visit, LEDGER_ROLLBACK, NULL);
}

/* Does the failure end the run, whoever's it is? */
static bool ends_run(const struct tenant_loop *loop, const struct error *error)
{
    return error->kind == ERROR_INTERRUPTED || error->kind == ERROR_CONNECTION || signal_interrupted ||
           (error->kind == ERROR_BUSY && error->sqlstate[0] == '\0') || !db_alive(ledger_of(loop)->db);
}

/* What failed on the server stood before what the callback tripped over. */
static struct error *first_failure(struct visit *visit)
{
    struct error *server = &visit->scope.failure;
    bool told = visit->failure.kind != ERROR_NONE;
    if (!told)
        return server;
    if ((visit->scope.slot != 0 && visit->scope.slot != DB_SLOTS) ||
        (server->sqlstate[0] != '\0' && visit->failure.sqlstate[0] == '\0'))
        return server;
    return &visit->failure;
}

/* A prepared statement that the server has forgotten: a callback has said DEALLOCATE, in whatever way. Or one of a
   callback's answers with other columns than when it was prepared, which PostgreSQL refuses (0A000). */
static bool is_forgotten(const struct visit *visit, const struct error *failure)
{
    int slot = visit->scope.slot;
    return (slot != 0 && strcmp(failure->sqlstate, "26000") == 0) ||
           (slot == DB_SLOTS && strcmp(failure->sqlstate, "0A000") == 0);
}

/* Those that were sent behind it have failed like it. */
static void forget_prepared(struct visit *visit)
{
    struct db *db = visit->lane->ledger->db;
    if (visit->generation == db_generation(db))
        db_forget_prepared(db);
}

static bool is_found(const struct visit *visit, const struct error *failure)
{
    return (visit->scope.slot == LEDGER_LOOP_FIRST && strcmp(failure->sqlstate, "23505") == 0) ||
           (visit->scope.slot == LEDGER_LOOP_ENTER && strcmp(failure->sqlstate, "22007") == 0);
}

enum visit_end visit_judge(const struct tenant_loop *loop, struct visit *visit, struct error *failure)
{
    struct error *first = first_failure(visit);
    if (first->kind == ERROR_NONE)
        return visit->state == VISIT_SENT && !visit->taken_back ? VISIT_DONE : VISIT_LEFT;
    if (is_found(visit, first))
        return VISIT_FOUND;
    error_move(failure, first);
    error_put(&failure->tenant, visit->id);
    if (ends_run(loop, failure))
        return VISIT_ENDS_RUN;
    if (visit->blocked)
        return VISIT_AGAIN; /* it will not be again: from now on callbacks run one at a time */
    if (is_forgotten(visit, failure)) {
        forget_prepared(visit);
        return visit->attempt < FORGOTTEN_MAX ? VISIT_AGAIN : VISIT_FAILED;
    }
    return db_is_passing(failure) && visit->attempt < loop->retries ? VISIT_AGAIN : VISIT_FAILED;
}

int visit_pause(int attempt)
{
    int pause = BACKOFF_MS << (attempt < 7 ? attempt : 7);
    if (pause > BACKOFF_MAX_MS)
        pause = BACKOFF_MAX_MS;
    /* Two that have run into each other, in this process or in another one, do not meet again. */
    return pause + (int)((long long)(clock_now() * 1e9) % (pause / 2));
}

static void back_off(int attempt)
{
    struct pollfd fd = {.fd = signal_fd(), .events = POLLIN};
    poll(&fd, 1, visit_pause(attempt));
}

int loop_fail(struct tenant_loop *loop, const char *id, int attempt, struct error *error)
{
    struct step *step = loop->step;
    free(step->tenant);
    step->tenant = NULL;
    if (ends_run(loop, error))
        return -1;
    error_clear(&step->failure); /* it is this tenant's alone */
    if (db_is_passing(error) && attempt < loop->retries) {
        show_retried(step, id, attempt + 1, error);
        back_off(attempt);
        error_clear(error);
        return 1;
    }
    loop_note_failure(loop, id, error);
    error_clear(error);
    loop->failures++;
    return loop->failures < loop->max_failures ? 0 : loop_close(loop, error);
}
