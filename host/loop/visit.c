#include "host/loop/visit.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "host/loop/payment.h"
#include "host/loop/show.h"
#include "host/signal.h"
#include "host/tenant.h"
#include "host/txn.h"
#include "host/watch.h"

enum { BACKOFF_MS = 50, BACKOFF_MAX_MS = 5000 };

static struct ledger *ledger_of(const struct tenant_loop *loop)
{
    return loop->step->run->ledger;
}

/* Values of the statements about the loop's rows. */
struct row {
    const char *values[6];
    char part[16];
};

static void fill_row(const struct tenant_loop *loop, const char *id, const char *state, struct row *row)
{
    const struct step *step = loop->step;
    snprintf(row->part, sizeof row->part, "%d", step->part);
    row->values[0] = step->plan->revision;
    row->values[1] = step->direction;
    row->values[2] = row->part;
    row->values[3] = step->run->id;
    row->values[4] = id;
    row->values[5] = state;
}

int loop_begin(struct tenant_loop *loop, const char *id, struct error *error)
{
    struct row row;
    fill_row(loop, id, NULL, &row);
    txn_begin(ledger_of(loop));
    ledger_send(ledger_of(loop), LEDGER_LOOP_ALIVE, 4, row.values, NULL);
    return tenant_enter(loop->step, id, error);
}

int loop_commit(struct tenant_loop *loop, const char *id, struct error *error)
{
    struct row row;
    fill_row(loop, id, "done", &row);
    tenant_leave(loop->step);
    watch_send(loop->step);
    ledger_send(ledger_of(loop), LEDGER_LOOP_TENANT, 6, row.values, NULL);
    if (payment_runs(loop->step->run))
        payment_send(loop, id);
    if (txn_commit(ledger_of(loop), error) != 0) {
        error_text(&error->tenant, "%s", id);
        return -1;
    }
    loop->visited++;
    show_done(loop->step);
    return 0;
}

static void back_off(int attempt)
{
    struct pollfd fd = {.fd = signal_fd(), .events = POLLIN};
    int wait = BACKOFF_MS << (attempt < 7 ? attempt : 7);
    poll(&fd, 1, wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
}

/* Does the failure end the run, whoever's it is? */
static bool ends_run(const struct tenant_loop *loop, const struct error *error)
{
    return error->kind == ERROR_INTERRUPTED || error->kind == ERROR_CONNECTION || signal_interrupted ||
           (error->kind == ERROR_BUSY && error->sqlstate[0] == '\0') || !db_alive(ledger_of(loop)->db);
}

int loop_fail(struct tenant_loop *loop, const char *id, int attempt, struct error *error)
{
    struct error earlier = {0};
    struct step *step = loop->step;
    txn_rollback(ledger_of(loop), &earlier);
    if (earlier.sqlstate[0] != '\0' && error->sqlstate[0] == '\0' && error->kind != ERROR_INTERRUPTED) {
        error_clear(error);
        error_move(error, &earlier);
    }
    error_clear(&earlier);
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
