#include "host/loop/lane.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/loop/settings.h"
#include "host/signal.h"
#include "host/signal.h"
#include "host/tenant.h"

void lane_borrow(struct lane *lane, const struct tenant_loop *loop)
{
    memset(lane, 0, sizeof *lane);
    lane->ledger = loop->step->run->ledger;
    db_relax(lane->ledger->db, true);
}

/* The settings of the session: the host's, and over them what the step has set before its loop. */
static void send_settings(struct lane *lane, const struct tenant_loop *loop)
{
    const struct step_setting *setting;
    ledger_guard(lane->ledger);
    for (setting = loop->step->settings; setting != NULL; setting = setting->next) {
        struct db_statement statement = {.sql = setting->sql, .count = setting->count, .values = setting->values};
        db_send(lane->ledger->db, &statement);
    }
}

/* Without them the server would refuse one loop's transaction after the other, or carry them out as somebody else. */
static int check_session(const struct lane *lane, const struct tenant_loop *loop, struct error *error)
{
    const struct ledger *first = loop->step->run->ledger;
    if (strcmp(lane->own.user, first->user) == 0 && strcmp(lane->own.session, first->session) == 0 &&
        strcmp(lane->own.schema, first->schema) == 0)
        return 0;
    error_set(error, ERROR_CONNECTION,
              "a second connection is another: user %s, schema %s; the first is user %s, schema %s", lane->own.user,
              lane->own.schema, first->user, first->schema);
    return -1;
}

static int finish_open(struct lane *lane, struct db *db, const struct tenant_loop *loop, struct error *error)
{
    const struct run *run = loop->step->run;
    if (db_finish(db, run->config, error) != 0 || ledger_open(&lane->own, db, run->config, error) != 0) {
        ledger_close(&lane->own);
        db_close(db);
        return -1;
    }
    lane->ledger = &lane->own;
    lane->own.revision = loop->step->plan->revision;
    db_echo(db, config_flag(run->config, "sqlalchemy.echo"));
    db_relax(db, true);
    if (check_session(lane, loop, error) != 0)
        return -1;
    send_settings(lane, loop);
    db_sync(db);
    return db_await(db, error);
}

int lanes_open(struct lane *lanes, size_t count, const struct tenant_loop *loop, struct error *error)
{
    struct db **started = calloc(count, sizeof *started);
    size_t i;
    int rc = 0;
    if (started == NULL)
        abort();
    memset(lanes, 0, count * sizeof *lanes);
    for (i = 0; rc == 0 && i < count; i++)
        rc = (started[i] = db_start(loop->step->run->config, error)) != NULL ? 0 : -1;
    for (i = 0; i < count; i++) {
        if (rc == 0)
            rc = finish_open(&lanes[i], started[i], loop, error);
        else
            db_close(started[i]);
    }
    for (i = 0; rc != 0 && i < count; i++)
        lane_close(&lanes[i], loop);
    free(started);
    if (rc != 0 && !signal_interrupted) /* the first one is there: URL and network are well */
        error_text(&error->hint,
                   "the loop asks for %zu connections (workers): give it fewer, or the server and the role more",
                   count + 1);
    return rc;
}

bool lane_is_open(const struct lane *lane)
{
    return lane->ledger != NULL && db_alive(lane->ledger->db);
}

void lane_close(struct lane *lane, const struct tenant_loop *loop)
{
    struct db *db = lane->ledger != NULL ? lane->ledger->db : NULL;
    if (db != NULL)
        db_scope(db, NULL);
    if (lane->ledger == &lane->own) {
        db_close(db);
        ledger_close(&lane->own);
    } else if (db != NULL) {
        db_relax(db, false);
    }
    lane->ledger = NULL;
    while (lane->first != NULL)
        visit_free(lane_take(lane));
}

/* Outside of any transaction: what is undone in one that fails would be there again. */
static void put_back(struct lane *lane, const struct tenant_loop *loop)
{
    ledger_send_text(lane->ledger, "CLOSE ALL", 0, NULL, NULL); /* those WITH HOLD have a tenant's rows */
    ledger_send(lane->ledger, LEDGER_RESET_USER, 0, NULL, NULL);
    ledger_send(lane->ledger, LEDGER_RESET_ROLE, 0, NULL, NULL);
    ledger_send(lane->ledger, LEDGER_RESET, 0, NULL, NULL);
    send_settings(lane, loop);
    lane->stale = false;
}

/* The server keeps a statement's plan, and makes it for tables as large as they then are. dmlua_progress grows from
   nothing: a plan for a handful of rows would read through all of them for each tenant. */
static bool is_to_plan_again(const struct lane *lane)
{
    return lane->begun == 64 || lane->begun == 512 || lane->begun == 4096;
}

void lane_ready(struct lane *lane, const struct tenant_loop *loop)
{
    static const enum ledger_statement used[] = {LEDGER_BEGIN,       LEDGER_LOOP_FIRST,   LEDGER_LOOP_ENTER,
                                                 LEDGER_LOOP_LEAVE,  LEDGER_TENANT_LEAVE, LEDGER_LOOP_CURSOR,
                                                 LEDGER_TENANT_ENTER};
    bool sent = lane->stale;
    size_t i;
    if (lane->stale)
        put_back(lane, loop);
    if (is_to_plan_again(lane))
        db_forget_prepared(lane->ledger->db);
    for (i = 0; i < sizeof used / sizeof *used; i++)
        sent = ledger_prepare(lane->ledger, used[i]) || sent;
    if (sent)
        db_sync(lane->ledger->db);
}

void lane_add(struct lane *lane, struct visit *visit)
{
    visit->lane = lane;
    lane->begun++;
    if (lane->last != NULL)
        lane->last->next = visit;
    else
        lane->first = visit;
    lane->last = visit;
    lane->count++;
}

struct visit *lane_take(struct lane *lane)
{
    struct visit *visit = lane->first;
    lane->first = visit->next;
    if (lane->first == NULL)
        lane->last = NULL;
    lane->count--;
    if (lane->open == visit) { /* its connection is lost: nothing may be told to it any more */
        lane->open = NULL;
        if (lane->ledger != NULL)
            db_scope(lane->ledger->db, NULL);
    }
    visit->next = NULL;
    return visit;
}

static bool stir_all(struct lane *lanes, size_t count)
{
    bool moved = false;
    size_t i;
    for (i = 0; i < count; i++)
        moved = db_stir(lanes[i].ledger->db) || moved;
    return moved;
}

void lanes_wait(struct lane *lanes, size_t count, int timeout)
{
    struct pollfd fds[LANES_MAX + 1] = {{0}};
    size_t i;
    if (stir_all(lanes, count))
        return;
    for (i = 0; i < count; i++)
        fds[i] = db_poll(lanes[i].ledger->db);
    fds[i].fd = signal_fd();
    fds[i].events = POLLIN;
    poll(fds, (nfds_t)count + 1, report_wait(timeout));
    report_changed();
    for (i = 0; i < count; i++)
        if (fds[i].revents != 0)
            db_push(lanes[i].ledger->db);
}
