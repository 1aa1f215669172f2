#include "host/loop/payment.h"

#include <stdlib.h>
#include <string.h>

#include "host/loop/debt.h"
#include "host/txn.h"

bool payment_runs(const struct run *run)
{
    return run->options.only_count > 0;
}

static bool is_asked(const struct run *run, const char *id)
{
    size_t i;
    for (i = 0; i < run->options.only_count; i++)
        if (strcmp(run->options.only[i], id) == 0)
            return true;
    return false;
}

/* The tenant of the debt in that row, if it is of the part and is to be paid; else null. */
static const char *asked_debt(const struct step *step, int part, int row)
{
    const PGresult *debts = step->run->at.debts;
    const char *id = PQgetvalue(debts, row, DEBT_TENANT);
    bool same = strcmp(PQgetvalue(debts, row, DEBT_WHAT), step->plan->revision) == 0 &&
                strcmp(PQgetvalue(debts, row, DEBT_DIRECTION), step->direction) == 0 &&
                atoi(PQgetvalue(debts, row, DEBT_PART)) == part;
    return same && is_asked(step->run, id) ? id : NULL;
}

size_t payment_count(const struct step *step, int part)
{
    size_t count = 0;
    int row;
    for (row = 0; row < PQntuples(step->run->at.debts); row++)
        count += asked_debt(step, part, row) != NULL;
    return count;
}

bool payment_wants(const struct step *step, int part, const char *id)
{
    int row;
    for (row = 0; is_asked(step->run, id) && row < PQntuples(step->run->at.debts); row++) {
        const char *owing = asked_debt(step, part, row);
        if (owing != NULL && strcmp(owing, id) == 0)
            return true;
    }
    return false;
}

static int check_list(const struct tenant_loop *loop, struct error *error)
{
    const struct step *step = loop->step;
    int row;
    for (row = 0; row < PQntuples(step->run->at.debts); row++) {
        const char *id = asked_debt(step, step->part, row);
        if (id == NULL || roll_has(&loop->roll, id))
            continue;
        error_set(error, ERROR_USAGE, "tenant %s is not in the loop's list any more: its debt of %s cannot be paid", id,
                  step->plan->revision);
        error_text(
            &error->hint,
            "if the tenant is gone for good, --only-tenant with --write-off and --reason TEXT gives the debt up");
        return -1;
    }
    return 0;
}

int payment_open(struct tenant_loop *loop, struct error *error)
{
    const struct step *step = loop->step;
    struct run *run = step->run;
    char part[16];
    const char *values[4] = {step->plan->revision, step->direction, part, run->id};
    if (check_list(loop, error) != 0)
        return -1;
    snprintf(part, sizeof part, "%d", step->part);
    txn_begin(run->ledger);
    run_send_head(run, step->plan->revision, step->direction, 0);
    ledger_send(run->ledger, LEDGER_DEBT_TAKE, 4, values, NULL);
    return txn_commit(run->ledger, error);
}

void payment_send(const struct tenant_loop *loop, const char *id)
{
    const struct step *step = loop->step;
    struct run *run = step->run;
    char part[16];
    const char *values[4] = {step->plan->revision, step->direction, part, id};
    snprintf(part, sizeof part, "%d", step->part);
    ledger_send(run->ledger, LEDGER_DEBT_DROP, 4, values, NULL);
    debt_send_sweep(run, step->plan->revision, step->direction);
    run_record(run, step->plan->revision, step->part, id, step->script->sha256, "done", step->direction, -1);
}
