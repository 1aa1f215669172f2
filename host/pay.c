#include "host/pay.h"

#include <stdlib.h>
#include <string.h>

#include "host/api/bind.h"
#include "host/graph.h"
#include "host/loop/debt.h"
#include "host/loop/payment.h"
#include "host/step.h"
#include "host/step_failure.h"
#include "host/step_parts.h"
#include "host/txn.h"

/* What is to be paid. */
struct bill {
    struct run *run;
    char *revision; /* owned by pay_run's caller */
    const char *direction;
    size_t count;   /* of debts */
};

static bool is_of(const struct bill *bill, int row)
{
    return debt_is_of(bill->run, row, bill->revision, bill->direction);
}

/* The revision, by the graph; one whose file is gone is known by its debts. */
static int find_revision(struct bill *bill, const struct tree *tree, const char *target, struct error *error)
{
    const struct run *run = bill->run;
    struct graph_error graph_error = {0};
    struct graph_list list = {0};
    int row, rc;
    for (row = 0; row < debt_rows(run); row++)
        if (strcmp(debt_text(run, row, DEBT_WHAT), target) == 0) {
            error_text(&bill->revision, "%s", target);
            return 0;
        }
    rc = graph_resolve(tree_graph(tree), target, (const char *const *)run->at.rows, run->at.row_count, &list,
                       &graph_error);
    if (rc != 0) {
        error_set(error, ERROR_USAGE, "%s", graph_error.message);
        error_put(&error->hint, graph_error.hint);
    } else if (list.count != 1) {
        error_set(error, ERROR_USAGE, "--only-tenant takes one revision; '%s' names %s", target,
                  list.count == 0 ? "none" : "several");
        rc = -1;
    } else {
        error_text(&bill->revision, "%s", graph_id(tree_graph(tree), list.revisions[0]));
    }
    graph_error_clear(&graph_error);
    graph_list_free(&list);
    return rc;
}

enum { NAMED = 10 }; /* debts that an error names */

/* Is it another loop's of the same step? */
static bool is_named_before(const struct run *run, int row)
{
    int before;
    for (before = 0; before < row; before++)
        if (strcmp(debt_text(run, before, DEBT_TENANT), debt_text(run, row, DEBT_TENANT)) == 0 &&
            strcmp(debt_text(run, before, DEBT_WHAT), debt_text(run, row, DEBT_WHAT)) == 0 &&
            strcmp(debt_text(run, before, DEBT_DIRECTION), debt_text(run, row, DEBT_DIRECTION)) == 0)
            return true;
    return false;
}

/* "bbbb by t03, bbbb by t07": the debts that there are. Owned. */
static char *name_debts(const struct run *run)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int row, named = 0;
    if (out == NULL)
        abort();
    for (row = 0; row < debt_rows(run); row++) {
        if (is_named_before(run, row) || ++named > NAMED)
            continue;
        fprintf(out, "%s%s%s by %.100s", named > 1 ? ", " : "",
                strcmp(debt_text(run, row, DEBT_DIRECTION), "downgrade") == 0 ? "the downgrade of " : "",
                debt_text(run, row, DEBT_WHAT), debt_text(run, row, DEBT_TENANT));
    }
    if (named > NAMED)
        fprintf(out, " and %d more", named - NAMED);
    fclose(out);
    return text;
}

static int refuse_no_debt(const struct bill *bill, const char *id, struct error *error)
{
    char *there = name_debts(bill->run);
    error_set(error, ERROR_USAGE, "tenant '%s' does not owe the %s of %s", id, bill->direction, bill->revision);
    error_text(&error->hint, debt_rows(bill->run) > 0 ? "owed are: %s" : "no tenant owes anything%s", there);
    free(there);
    return -1;
}

/* Every tenant that was named must owe it. */
static int count_debts(struct bill *bill, struct error *error)
{
    const struct run *run = bill->run;
    size_t i;
    for (i = 0; i < run->options.only_count; i++) {
        size_t before = bill->count;
        int row;
        for (row = 0; row < debt_rows(run); row++)
            bill->count += is_of(bill, row) && strcmp(debt_text(run, row, DEBT_TENANT), run->options.only[i]) == 0;
        if (bill->count == before)
            return refuse_no_debt(bill, run->options.only[i], error);
    }
    return 0;
}

/* A debt of the upgrade is paid while the revision is applied, one of the downgrade while it is not. */
static int check_applied(const struct bill *bill, const struct tree *tree, struct error *error)
{
    const struct run *run = bill->run;
    bool up = strcmp(bill->direction, "upgrade") == 0;
    bool has = debt_is_applied(tree_graph(tree), bill->revision, (const char *const *)run->at.rows, run->at.row_count);
    if (has == up)
        return 0;
    error_set(error, ERROR_USAGE, "%s is %sapplied: the %s is not what the database stands on", bill->revision,
              up ? "not " : "", bill->direction);
    error_text(&error->hint,
               "--only-tenant pays what a loop left out in a step that is done; `dmlua current` shows what is owed");
    return -1;
}

static int write_off(const struct bill *bill, struct error *error)
{
    struct run *run = bill->run;
    size_t i;
    int row;
    txn_begin(run->ledger);
    run_send_head(run, bill->revision, bill->direction, 0);
    for (i = 0; i < run->options.only_count; i++)
        for (row = 0; row < debt_rows(run); row++) {
            const char *values[4] = {bill->revision, bill->direction, debt_text(run, row, DEBT_PART),
                                     run->options.only[i]};
            if (!is_of(bill, row) || strcmp(debt_text(run, row, DEBT_TENANT), run->options.only[i]) != 0)
                continue;
            ledger_send(run->ledger, LEDGER_DEBT_DROP, 4, values, NULL);
            run_record(run, bill->revision, atoi(values[2]), values[3], NULL, "written off", bill->direction, -1);
        }
    debt_send_sweep(run, bill->revision, bill->direction);
    return txn_commit(run->ledger, error);
}

/* The parts of the step that is done, in place of those that are unfinished. */
static int read_parts(const struct bill *bill, struct error *error)
{
    struct run *run = bill->run;
    const char *values[2] = {bill->revision, bill->direction};
    PGresult *result =
        ledger_query(run->ledger,
                     "SELECT what, direction, part, 'done', hash, statements, answers, cursor, 0, 0"
                     " FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1 AND direction = $2"
                     " AND tenant = '' AND state = 'owed' ORDER BY part",
                     2, values, error);
    if (result == NULL)
        return -1;
    parts_free(&run->at.unfinished);
    parts_read(result, &run->at.unfinished);
    PQclear(result);
    return 0;
}

static int check_file(const struct bill *bill, const struct script *script, struct error *error)
{
    const struct run *run = bill->run;
    char hash[65];
    size_t i;
    loop_hash(script, hash);
    for (i = 0; i < run->at.unfinished.count; i++) {
        const struct part *part = &run->at.unfinished.parts[i];
        if (!part->loop || strcmp(part->hash, hash) == 0)
            continue;
        if (run->options.accept_changed) {
            report_log(REPORT_WARN, "dmlua.tenants", "%s has changed since its loop ran; accepted", script->path);
            return 0;
        }
        error_set(error, ERROR_REFUSED,
                  "%s has changed since its loop ran: the tenant would get another callback than the others",
                  script->path);
        error_text(&error->hint, "put the file back as it was, or pay with it as it is now with --accept-changed");
        error_text(&error->file, "%s", script->path);
        return -1;
    }
    return 0;
}

static const struct script *find_script(const struct bill *bill, const struct tree *tree, struct error *error)
{
    const struct script *script = tree_find(tree, bill->revision);
    if (script == NULL) {
        error_set(error, ERROR_USAGE, "the file of %s is gone: its loops cannot run", bill->revision);
        error_text(&error->hint, "put it back, or give the debt up with --write-off and --reason TEXT");
        return NULL;
    }
    return script_check(script, bill->direction, error) == 0 ? script : NULL;
}

static void refuse_unpaid(const struct bill *bill, const struct script *script, struct error *error)
{
    error_set(error, ERROR_REFUSED, "%s no longer comes to the loop of which the debt is", script->path);
    error_text(&error->hint,
               "put the file back as it was when the loop ran, or give the debt up with --write-off and --reason TEXT");
    error_text(&error->file, "%s", script->path);
    error_text(&error->revision, "%s", bill->revision);
}

/* What stands behind the last loop is refused, and need not have run. */
static int run_loops(lua_State *L, const struct bill *bill, const struct script *script, struct error *error)
{
    struct graph_step plan = {.revision = bill->revision, .up = strcmp(bill->direction, "upgrade") == 0};
    struct step *step = step_new(bill->run, &plan, script);
    int rc;
    bind_push(L, step);
    rc = script_run(L, script, step->direction, error);
    bind_close(L, step);
    if (step_take_failure(step, error))
        rc = -1;
    if (bill->run->paid == bill->count && error->kind != ERROR_INTERRUPTED) {
        error_clear(error);
        rc = 0;
    } else if (rc == 0) {
        refuse_unpaid(bill, script, error);
        rc = -1;
    }
    if (rc != 0)
        step_fail(bill->run, step, error);
    step_free(step);
    tally_close(bill->run);
    return rc;
}

static int settle(lua_State *L, struct bill *bill, const struct tree *tree, struct error *error)
{
    const struct script *script;
    if (bill->run->options.write_off)
        return write_off(bill, error);
    script = find_script(bill, tree, error);
    if (script == NULL || check_applied(bill, tree, error) != 0 || read_parts(bill, error) != 0 ||
        check_file(bill, script, error) != 0)
        return -1;
    return run_loops(L, bill, script, error);
}

int pay_run(lua_State *L, struct run *run, const struct tree *tree, const char *direction, const char *target,
            char **revision, struct error *error)
{
    struct bill bill = {.run = run, .direction = direction};
    int rc = run_begin(run, error);
    if (rc == 0)
        rc = find_revision(&bill, tree, target, error);
    if (rc == 0)
        rc = count_debts(&bill, error);
    if (rc == 0)
        rc = settle(L, &bill, tree, error);
    run->ledger->revision = NULL; /* it was borrowed from the bill */
    *revision = bill.revision;
    return rc == 0 ? (int)bill.count : -1;
}
