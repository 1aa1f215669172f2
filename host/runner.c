#include "host/runner.h"

#include <stdlib.h>
#include <string.h>

#include "host/changed.h"
#include "host/config.h"
#include "host/graph.h"
#include "host/loop/debt.h"
#include "host/step.h"
#include "host/txn.h"
#include "host/version_table.h"

static int make_plan(struct run *run, const struct tree *tree, unsigned command, const char *const *targets,
                     size_t count, struct graph_plan *plan, struct error *error)
{
    struct graph_error graph_error = {0};
    if (graph_plan(tree_graph(tree), command, targets, count, (const char *const *)run->at.rows, run->at.row_count,
                   plan, &graph_error) == 0)
        return 0;
    error_set(error, ERROR_USAGE, "%s", graph_error.message);
    error_put(&error->hint, graph_error.hint);
    graph_error_clear(&graph_error);
    return -1;
}

/* A step that its file cannot take is refused before the first one runs. */
static int check_scripts(const struct tree *tree, const struct graph_plan *plan, struct error *error)
{
    size_t i;
    for (i = 0; i < plan->step_count; i++) {
        const struct graph_step *step = &plan->steps[i];
        if (!step->adopts &&
            script_check(tree_find(tree, step->revision), step->up ? "upgrade" : "downgrade", error) != 0)
            return -1;
    }
    return 0;
}

static size_t character_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* The longest id that the plan writes into the version table; null: it writes none. */
static const char *longest_id(const struct graph_plan *plan)
{
    const char *longest = NULL;
    size_t i, j;
    for (i = 0; i < plan->step_count; i++)
        for (j = 0; j < plan->steps[i].insert_count; j++) {
            const char *id = plan->steps[i].inserts[j];
            if (longest == NULL || character_count(id) > character_count(longest))
                longest = id;
        }
    return longest;
}

enum { ALEMBIC_WIDTH = 32 };

/* Alembic's column holds 32 characters, unless somebody has widened it; a longer id must not fail in the middle of a
   run. */
static int check_width(const struct run *run, const struct graph_plan *plan, struct error *error)
{
    struct ledger *ledger = run->ledger;
    const char *id = longest_id(plan);
    size_t width;
    if (id == NULL || character_count(id) <= ALEMBIC_WIDTH)
        return 0;
    if (version_table_width(ledger, &width, error) < 0)
        return -1;
    if (width == 0 || character_count(id) <= width)
        return 0;
    error_set(error, ERROR_USAGE, "revision id '%s' has %zu characters, but %s.%s holds %zu", id, character_count(id),
              ledger->schema, ledger->table, width);
    error_text(&error->hint, "`dmlua ensure_version --widen` lets it hold %d; or give a shorter id",
               VERSION_TABLE_WIDE);
    return -1;
}

/* What stays of a part that is given up. */
static void warn_abandoned(const struct part *part)
{
    char tenants[64] = "what it made";
    if (part->loop)
        snprintf(tenants, sizeof tenants, "a tenant loop; the work of %d tenant%s", part->tenants,
                 part->tenants == 1 ? "" : "s");
    report_log(REPORT_WARN, "dmlua.migration", "abandoned: part %d of %s of %s%s %s stays in the database",
               part->number, part->direction, part->what, part->loop ? "," : ";", tenants);
}

static int drop_parts(struct run *run, struct error *error)
{
    size_t i;
    txn_begin(run->ledger);
    for (i = 0; i < run->at.unfinished.count; i++) {
        const struct part *part = &run->at.unfinished.parts[i];
        const char *values[2] = {part->what, part->direction};
        ledger_send_text(run->ledger,
                         "DELETE FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1 AND direction = $2", 2,
                         values, NULL);
        warn_abandoned(part);
        run_record(run, part->what, part->number, NULL, NULL, "abandoned", part->direction, -1);
    }
    if (txn_commit(run->ledger, error) != 0)
        return -1;
    parts_free(&run->at.unfinished);
    return 0;
}

/* The last part of the first unfinished step; null when there is none. */
static const struct part *last_part(const struct part_list *list)
{
    const struct part *part = list->parts;
    if (list->count == 0)
        return NULL;
    while (part + 1 < list->parts + list->count && strcmp(part[1].what, part->what) == 0 &&
           strcmp(part[1].direction, part->direction) == 0)
        part++;
    return part;
}

/* How far the part has come, in words. */
static void describe_part(const struct part *part, char text[80])
{
    if (part->done || !part->loop)
        snprintf(text, 80, "%s", part->done ? "done" : "started");
    else if (part->listed > 0)
        snprintf(text, 80, "a tenant loop that has done %d of %d tenants", part->tenants, part->listed);
    else
        snprintf(text, 80, "a tenant loop that has done %d tenants", part->tenants);
}

/* An unfinished step goes on, or is abandoned; nothing may go back over it. */
static int check_unfinished(struct run *run, const struct graph_plan *plan, struct error *error)
{
    const struct part *part = last_part(&run->at.unfinished);
    char text[80];
    size_t i;
    if (part == NULL)
        return 0;
    if (run->options.abandon)
        return drop_parts(run, error);
    if (strcmp(run->kind, part->direction) == 0) {
        for (i = 0; i < plan->step_count; i++)
            if (strcmp(plan->steps[i].revision, part->what) == 0)
                return 0;
        if (strcmp(run->kind, "upgrade") == 0)
            return 0;
    }
    describe_part(part, text);
    error_set(error, ERROR_REFUSED, "%s of %s is unfinished: part %d is %s", part->direction, part->what, part->number,
              text);
    /* `downgrade REV` goes down to REV and leaves it; the one below it is REV-1 */
    error_text(&error->hint,
               "finish it with `dmlua %s %s%s`, or forget its parts with --abandon (what they made stays)",
               part->direction, part->what, strcmp(part->direction, "downgrade") == 0 ? "-1" : "");
    return -1;
}

/* "Running upgrade a -> b, message", Alembic's line. */
static void log_step(const struct run *run, const struct graph_step *step, const struct script *script)
{
    const char *message = script != NULL ? script->message : NULL;
    bool more = message != NULL && *message != '\0';
    char *text = NULL;
    error_text(&text, "Running %s %s -> %s%s%s", strcmp(run->kind, "stamp") == 0 ? "stamp_revision" : run->kind,
               step->from, step->to, more ? ", " : "", more ? message : "");
    db_log(run->ledger->db, REPORT_INFO, "dmlua.migration", text); /* when the steps before it are done */
    free(text);
}

static void warn_changed(const struct run *run, const struct tree *tree)
{
    size_t count, i;
    struct changed *changed = changed_find(&run->at, tree, &count);
    for (i = 0; i < count; i++)
        report_log(REPORT_WARN, "dmlua.migration",
                   "%s was changed after %s ran; put it back, or write what is new into a new revision",
                   changed[i].script->path, changed[i].script->revision);
    free(changed);
}

static int commit_single(struct run *run, struct error *error)
{
    if (!run->single || !run->in_txn)
        return 0;
    run->in_txn = false;
    if (txn_commit(run->ledger, error) != 0) {
        error_text(&error->state, "nothing of this run was kept");
        return -1;
    }
    steps_commit(run);
    return 0;
}

/* Rows that a baseline replaces become its own: a transaction that moves them and runs nothing. */
static int adopt(struct run *run, const struct graph_step *step, struct error *error)
{
    struct origin origin = {.revision = step->revision};
    char *note = NULL;
    report_log(REPORT_INFO, "dmlua.migration", "%s replaces %s: nothing to run", step->to, step->from);
    error_text(&note, "replaces %s; nothing was run", step->from);
    txn_begin(run->ledger);
    run_send_head(run, "", run->kind, 0);
    run_send_rows(run, step->deletes, step->delete_count, step->inserts, step->insert_count, &origin);
    run_record(run, step->revision, 0, NULL, NULL, "done", note, -1);
    free(note);
    if (txn_commit(run->ledger, error) != 0)
        return -1;
    run_move_rows(run, step->deletes, step->delete_count, step->inserts, step->insert_count);
    return 0;
}

/* Does that first; `first` is the plan's first step that runs something. */
static int adopt_rows(struct run *run, const struct graph_plan *plan, size_t *first, struct error *error)
{
    int rc = 0;
    for (*first = 0; rc == 0 && *first < plan->step_count && plan->steps[*first].adopts; (*first)++)
        rc = adopt(run, &plan->steps[*first], error);
    return rc;
}

/* How many of the plan's steps have run something; -1 on failure. */
static int carry_out(lua_State *L, struct run *run, const struct tree *tree, const struct graph_plan *plan,
                     runner_event *event, void *data, struct error *error)
{
    size_t first, i;
    int rc = adopt_rows(run, plan, &first, error);
    for (i = first; rc == 0 && i < plan->step_count; i++) {
        const struct graph_step *step = &plan->steps[i];
        const struct script *script = tree_find(tree, step->revision);
        log_step(run, step, script);
        run->last = i + 1 == plan->step_count;
        rc = step_run(L, run, step, script, error);
        steps_settle(run, event, data);
    }
    if (rc == 0)
        rc = steps_await(run, error);
    if (rc == 0)
        rc = commit_single(run, error);
    steps_settle(run, event, data);
    steps_drop(run);
    tally_close(run);
    return rc == 0 ? (int)(plan->step_count - first) : -1;
}

/* Of the steps over which the rows move. */
static void send_abandoned(struct run *run, const struct tree *tree, const struct graph_plan *plan)
{
    int row;
    for (row = 0; row < debt_rows(run); row++)
        if (debt_is_crossed(run, row, tree_graph(tree), plan))
            debt_send_dropped(run, row);
}

/* Stamping moves the rows and runs nothing: one transaction for all its steps. */
static int stamp(struct run *run, const struct tree *tree, const struct graph_plan *plan, runner_event *event,
                 void *data, struct error *error)
{
    size_t i;
    if (plan->step_count == 0)
        return 0;
    txn_begin(run->ledger);
    run_send_head(run, "", run->kind, 0);
    for (i = 0; i < plan->step_count; i++) {
        const struct graph_step *step = &plan->steps[i];
        struct origin origin = {.revision = step->revision};
        log_step(run, step, NULL);
        run_send_rows(run, step->deletes, step->delete_count, step->inserts, step->insert_count, &origin);
        run_record(run, step->revision, 0, NULL, NULL, "done", NULL, -1);
    }
    send_abandoned(run, tree, plan);
    if (txn_commit(run->ledger, error) != 0) {
        error_text(&error->state, "nothing was stamped");
        return -1;
    }
    for (i = 0; i < plan->step_count; i++) {
        const struct graph_step *step = &plan->steps[i];
        run_move_rows(run, step->deletes, step->delete_count, step->inserts, step->insert_count);
        if (event != NULL)
            event(data, step, 0);
    }
    return (int)plan->step_count;
}

int runner_run(lua_State *L, struct run *run, const struct tree *tree, unsigned command, const char *const *targets,
               size_t target_count, struct graph_plan *plan, runner_event *event, void *data, struct error *error)
{
    bool stamping = strcmp(run->kind, "stamp") == 0;
    if (run_begin(run, error) != 0)
        return -1;
    if (run->options.tell_debts != NULL)
        run->options.tell_debts(run->options.tell_data, run->at.debts);
    if (make_plan(run, tree, command, targets, target_count, plan, error) != 0 ||
        check_unfinished(run, plan, error) != 0 || debt_check(run, tree_graph(tree), plan, error) != 0 ||
        check_width(run, plan, error) != 0)
        return -1;
    if (plan->step_count == 0 && run->options.skip_count > 0) {
        error_set(error, ERROR_USAGE, "--skip-tenant: there is nothing to %s, so no loop runs", run->kind);
        return -1;
    }
    if (stamping)
        return stamp(run, tree, plan, event, data, error);
    if (check_scripts(tree, plan, error) != 0)
        return -1;
    warn_changed(run, tree);
    return carry_out(L, run, tree, plan, event, data, error);
}
