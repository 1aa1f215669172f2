#include "host/loop/debt.h"

#include <stdlib.h>
#include <string.h>

#include "host/graph.h"

const char *debt_text(const struct run *run, int row, enum debt_field field)
{
    return PQgetvalue(run->at.debts, row, field);
}

int debt_rows(const struct run *run)
{
    return run->at.debts != NULL ? PQntuples(run->at.debts) : 0;
}

bool debt_is_of(const struct run *run, int row, const char *what, const char *direction)
{
    return strcmp(debt_text(run, row, DEBT_WHAT), what) == 0 &&
           strcmp(debt_text(run, row, DEBT_DIRECTION), direction) == 0;
}

bool debt_is_applied(const struct graph *graph, const char *revision, const char *const *rows, size_t row_count)
{
    struct graph_list list = {0};
    struct graph_error ignored = {0};
    bool applied = false;
    size_t i;
    if (graph_applied(graph, rows, row_count, &list, &ignored) == 0)
        for (i = 0; !applied && i < list.count; i++)
            applied = strcmp(graph_id(graph, list.revisions[i]), revision) == 0;
    graph_list_free(&list);
    graph_error_clear(&ignored);
    return applied;
}

bool debt_is_crossed(const struct run *run, int row, const struct graph *graph, const struct graph_plan *plan)
{
    const char *what = debt_text(run, row, DEBT_WHAT);
    bool up = strcmp(debt_text(run, row, DEBT_DIRECTION), "upgrade") == 0;
    return debt_is_applied(graph, what, (const char *const *)run->at.rows, run->at.row_count) == up &&
           debt_is_applied(graph, what, plan->heads, plan->head_count) != up;
}

int debt_check(const struct run *run, const struct graph *graph, const struct graph_plan *plan, struct error *error)
{
    int row;
    for (row = 0; row < debt_rows(run) && !run->options.abandon; row++) {
        const char *what = debt_text(run, row, DEBT_WHAT), *direction = debt_text(run, row, DEBT_DIRECTION);
        if (!debt_is_crossed(run, row, graph, plan))
            continue;
        error_set(error, ERROR_REFUSED, "tenant %s owes the %s of %s, which this would take back",
                  debt_text(run, row, DEBT_TENANT), direction, what);
        error_text(&error->hint,
                   "pay it first with `dmlua %s %s --only-tenant ID`; or forget it with --abandon, and a loop on the"
                   " way visits the tenant like any other",
                   direction, what);
        return -1;
    }
    return 0;
}

void debt_send_dropped(struct run *run, int row)
{
    const char *values[4] = {debt_text(run, row, DEBT_WHAT), debt_text(run, row, DEBT_DIRECTION),
                             debt_text(run, row, DEBT_PART), debt_text(run, row, DEBT_TENANT)};
    ledger_send(run->ledger, LEDGER_DEBT_DROP, 4, values, NULL);
    run_record(run, values[0], atoi(values[2]), values[3], NULL, "abandoned", "a debt", -1);
    debt_send_sweep(run, values[0], values[1]);
    run->owing = true;
}

void debt_send_abandoned(struct run *run, const char *what, const char *direction)
{
    int row;
    for (row = 0; row < debt_rows(run); row++)
        if (debt_is_of(run, row, what, direction))
            debt_send_dropped(run, row);
}

void debt_send_sweep(struct run *run, const char *what, const char *direction)
{
    const char *values[2] = {what, direction};
    ledger_send_text(
        run->ledger,
        "DELETE FROM {s}.dmlua_progress p WHERE version_table = {t} AND what = $1 AND direction = $2"
        " AND tenant_key = '' AND state = 'owed' AND NOT EXISTS (SELECT FROM {s}.dmlua_progress t"
        " WHERE t.version_table = {t} AND t.what = $1 AND t.direction = $2 AND t.tenant <> '' AND t.state <> 'done')",
        2, values, NULL);
}
