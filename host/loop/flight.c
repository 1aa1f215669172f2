#include "host/loop/flight.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/loop/depth.h"
#include "host/loop/lane.h"
#include "host/loop/payment.h"
#include "host/loop/show.h"
#include "host/signal.h"

enum {
    HELD_MOST = 1 << 20, /* bytes of statements that may be on their way on a connection */
    BURST = 32           /* tenants that are begun before answers are looked at */
};

struct flight {
    struct tenant_loop *loop;
    struct lane *lanes;
    size_t lane_count;
    const struct flight_tenant *tenants;
    size_t count, begun;
    struct visit *again; /* to be begun again, each when it is due */
    struct depth depth;
    bool alone; /* one callback at a time */
    flight_call *call;
    void *data;
    struct error end; /* why the run cannot go on */
};

size_t flight_place(const struct tenant_loop *loop, const struct visit *visit)
{
    return (size_t)(visit->lane - loop->flight->lanes);
}

bool flight_would_block(const struct tenant_loop *loop, const struct visit *visit)
{
    struct flight *flight = loop->flight;
    size_t i;
    for (i = 0; i < flight->lane_count; i++) {
        const struct lane *lane = &flight->lanes[i];
        if (lane == visit->lane)
            continue;
        db_stir(lane->ledger->db); /* what is still here of a COMMIT may hold what this one waits for */
        if (lane->open != NULL || (db_poll(lane->ledger->db).events & POLLOUT) != 0)
            return true;
    }
    return false;
}

/* Begins or goes on with a visit's callback. While it runs, the step is the tenant's. */
static void call_on(struct flight *flight, struct visit *visit)
{
    struct step *step = flight->loop->step;
    struct db *db = visit->lane->ledger->db;
    struct error error = {0};
    enum flight_step went;
    visit->state = VISIT_RUNS;
    visit->lane->open = visit;
    step->visit = visit;
    step->tenant = visit->id;
    step->can_be_ddl = visit->can_be_ddl;
    went = flight->call(flight->data, visit, &error);
    visit->can_be_ddl = step->can_be_ddl;
    step->can_be_ddl = false;
    step->visit = NULL;
    step->tenant = NULL;
    if (went == FLIGHT_STOPPED)
        error_move(&flight->end, &error);
    error_move(&visit->failure, &error);
    if (went != FLIGHT_WAITS) {
        visit->lane->open = NULL;
        visit->lane->stale = visit->lane->stale || visit->sets;
        if (visit->failure.kind != ERROR_NONE || went == FLIGHT_STOPPED)
            visit_abandon(visit);
        else
            visit_commit(flight->loop, visit);
    } else {
        db_ask(db);
    }
    if (went == FLIGHT_WAITS || db_crowded(db))
        db_push(db);
}

static bool may_go_on(const struct visit *visit)
{
    const struct db *db = visit->lane->ledger->db;
    return visit->state == VISIT_WAITS ? db_idle(db) : visit->state == VISIT_CROWDED && !db_crowded(db);
}

/* Waits its turn. Whoever was first is first again among those that are due. */
static void put_again(struct flight *flight, struct visit *visit, double due)
{
    struct visit **at = &flight->again;
    visit_renew(visit);
    visit->due = due;
    while (*at != NULL && (*at)->due <= due)
        at = &(*at)->next;
    visit->next = *at;
    *at = visit;
}

static void settle_done(struct flight *flight, struct visit *visit)
{
    depth_learn(&flight->depth, visit->sent);
    if (flight->loop->batch > 0)
        show_rows(flight->loop->step, visit->scope.rows);
    tally_keep(flight->loop->step->run, &visit->counts, flight->loop->step->part);
    if (visit->after != NULL) {
        free(visit->cursor);
        visit->cursor = visit->after;
        visit->after = NULL;
        visit->attempt = 0;
        put_again(flight, visit, 0);
        return;
    }
    loop_note_done(flight->loop);
    visit_free(visit);
}

/* The visit's transaction is over. */
static void settle(struct flight *flight, struct visit *visit)
{
    struct error failure = {0};
    switch (visit_judge(flight->loop, visit, &failure)) {
    case VISIT_DONE:
        settle_done(flight, visit);
        break;
    case VISIT_FOUND:
        visit->unsure = visit->met = true;
        put_again(flight, visit, 0);
        break;
    case VISIT_AGAIN:
        flight->alone = flight->alone || visit->blocked;
        if (!visit->blocked)
            show_retried(flight->loop->step, visit->id, visit->attempt + 1, &failure);
        put_again(flight, visit, visit->blocked ? 0 : clock_now() + visit_pause(visit->attempt++) / 1000.0);
        break;
    case VISIT_FAILED:
        loop_note_failure(flight->loop, visit->id, &failure);
        flight->loop->failures++;
        visit_free(visit);
        break;
    case VISIT_LEFT:
        visit_free(visit);
        break;
    case VISIT_ENDS_RUN:
        error_move(&flight->end, &failure);
        visit_free(visit);
        break;
    }
    error_clear(&failure);
}

/* Takes off what is answered; says whether anything was. */
static bool settle_all(struct flight *flight)
{
    bool moved = false;
    size_t i;
    for (i = 0; i < flight->lane_count; i++) {
        struct lane *lane = &flight->lanes[i];
        while (lane->first != NULL && lane->first->scope.pending == 0 &&
               (lane->first->state == VISIT_SENT || !lane_is_open(lane))) {
            settle(flight, lane_take(lane));
            moved = true;
        }
        if (lane->open == NULL && db_failed(lane->ledger->db)) /* between the transactions */
            db_await(lane->ledger->db, &flight->end);
    }
    return moved;
}

static bool go_on_all(struct flight *flight)
{
    bool moved = false;
    size_t i;
    for (i = 0; i < flight->lane_count; i++) {
        struct visit *visit = flight->lanes[i].open;
        if (visit == NULL || !may_go_on(visit) || flight->end.kind != ERROR_NONE)
            continue;
        call_on(flight, visit);
        moved = true;
    }
    return moved;
}

static size_t count_all(const struct flight *flight)
{
    size_t i, count = 0;
    for (i = 0; i < flight->lane_count; i++)
        count += flight->lanes[i].count;
    return count;
}

/* No more are on their way than may still fail: where the author has said how many, from the beginning; else once one
   has, by when more than that may be. */
static bool may_fail(const struct flight *flight)
{
    const struct tenant_loop *loop = flight->loop;
    if (loop->failures >= loop->max_failures)
        return false;
    return (!loop->exact && loop->failures == 0) ||
           count_all(flight) < (size_t)(loop->max_failures - loop->failures);
}

/* The connection with the fewest on it that may take another one; or null. */
static struct lane *free_lane(struct flight *flight)
{
    struct lane *best = NULL;
    size_t i, usable = flight->alone ? 1 : flight->lane_count;
    for (i = usable; i < flight->lane_count; i++)
        if (flight->lanes[i].count > 0)
            return NULL;
    for (i = 0; i < usable; i++) {
        struct lane *lane = &flight->lanes[i];
        if (lane->open == NULL && lane->count < flight->depth.most && db_held(lane->ledger->db) < HELD_MOST &&
            !db_crowded(lane->ledger->db) && (best == NULL || lane->count < best->count))
            best = lane;
    }
    return best;
}

/* The next one to begin: what is due again, else a new one; null: nobody now. */
static struct visit *next_visit(struct flight *flight)
{
    struct visit *visit = flight->again;
    const struct flight_tenant *tenant;
    if (!may_fail(flight))
        return NULL;
    if (visit != NULL && visit->due <= clock_now()) {
        flight->again = visit->next;
        visit->next = NULL;
        return visit;
    }
    if (flight->begun == flight->count)
        return NULL;
    tenant = &flight->tenants[flight->begun++];
    return visit_new(tenant->id, tenant->row, tenant->cursor);
}

/* Another run's transaction has been with the tenant: its row says how far. Returns 1 when it is done. */
static int look(struct flight *flight, struct lane *lane, struct visit *visit)
{
    int done = loop_look(flight->loop, lane->ledger, visit->id, &visit->cursor, &flight->end);
    visit->unsure = false;
    if (done == 0)
        return 0;
    if (done > 0)
        show_done(flight->loop->step);
    visit_free(visit);
    return 1;
}

static bool begin_one(struct flight *flight)
{
    struct lane *lane = free_lane(flight);
    struct visit *visit = lane != NULL ? next_visit(flight) : NULL;
    if (visit == NULL)
        return false;
    if (visit->unsure && lane->count > 0) { /* a wait behind others might be for a callback that is not called on */
        put_again(flight, visit, 0);
        return false;
    }
    if (visit->unsure && look(flight, lane, visit) != 0)
        return true;
    lane_ready(lane, flight->loop);
    lane_add(lane, visit);
    visit_begin(flight->loop, visit);
    call_on(flight, visit);
    return true;
}

static bool begin_some(struct flight *flight)
{
    int begun = 0;
    while (begun < BURST && flight->end.kind == ERROR_NONE && begin_one(flight))
        begun++;
    return begun > 0;
}

static bool is_over(const struct flight *flight)
{
    if (count_all(flight) > 0)
        return false;
    return flight->loop->failures >= flight->loop->max_failures ||
           (flight->again == NULL && flight->begun == flight->count);
}

static int time_left(const struct flight *flight)
{
    double left;
    if (flight->again == NULL)
        return -1;
    left = (flight->again->due - clock_now()) * 1000;
    return left > 0 ? (int)left + 1 : -1; /* it is due, and waits for its turn */
}

static void check_interrupt(struct flight *flight)
{
    if (!signal_interrupted || flight->end.kind != ERROR_NONE)
        return;
    signal_noticed();
    error_set(&flight->end, ERROR_INTERRUPTED, "interrupted");
}

/* On the step's own connection, between two transactions. */
static void write_tally(struct flight *flight)
{
    struct run *run = flight->loop->step->run;
    if (tally_is_due(run) && flight->lanes[0].open == NULL)
        tally_write(run);
}

static void fly(struct flight *flight)
{
    while (flight->end.kind == ERROR_NONE && !is_over(flight)) {
        bool moved = settle_all(flight);
        moved = go_on_all(flight) || moved;
        write_tally(flight); /* before the next callback takes the connection for itself */
        moved = begin_some(flight) || moved;
        if (!moved && flight->end.kind == ERROR_NONE && !is_over(flight))
            lanes_wait(flight->lanes, flight->lane_count, time_left(flight));
        check_interrupt(flight);
    }
}

/* What is on its way is answered before this returns; callbacks that have not ended are not called on. */
static void land(struct flight *flight)
{
    struct error ignored = {0};
    size_t i;
    for (i = 0; i < flight->lane_count; i++) {
        struct lane *lane = &flight->lanes[i];
        if (lane->open != NULL)
            visit_abandon(lane->open);
        lane->open = NULL;
        lane_ready(lane, flight->loop); /* the step goes on on the first one */
        db_relax(lane->ledger->db, false);
        if (signal_interrupted && !db_idle(lane->ledger->db))
            db_interrupt(lane->ledger->db);
    }
    for (i = 0; i < flight->lane_count; i++)
        if (db_await(flight->lanes[i].ledger->db, &ignored) != 0)
            error_move(&flight->end, &ignored);
    settle_all(flight);
    while (flight->again != NULL) {
        struct visit *visit = flight->again;
        flight->again = visit->next;
        visit_free(visit);
    }
}

static int open_lanes(struct flight *flight)
{
    size_t wanted = payment_runs(flight->loop->step->run) ? 1 : (size_t)flight->loop->workers;
    if (wanted > flight->count)
        wanted = flight->count;
    flight->lanes = calloc(wanted, sizeof *flight->lanes);
    if (flight->lanes == NULL)
        abort();
    lane_borrow(&flight->lanes[0], flight->loop);
    flight->lane_count = 1;
    if (wanted > 1 && lanes_open(flight->lanes + 1, wanted - 1, flight->loop, &flight->end) != 0)
        return -1;
    flight->lane_count = wanted;
    return 0;
}

int flight_run(struct tenant_loop *loop, const struct flight_tenant *tenants, size_t count, flight_call *call,
               void *data, struct error *error)
{
    struct flight flight = {.loop = loop, .tenants = tenants, .count = count, .depth = depth_new(),
                            .call = call, .data = data};
    size_t i;
    if (count == 0)
        return 0;
    loop->flight = &flight;
    if (open_lanes(&flight) == 0)
        fly(&flight);
    land(&flight);
    for (i = 0; i < flight.lane_count; i++)
        lane_close(&flight.lanes[i], loop);
    free(flight.lanes);
    loop->flight = NULL;
    if (flight.end.kind == ERROR_NONE)
        return 0;
    error_move(error, &flight.end);
    return -1;
}
