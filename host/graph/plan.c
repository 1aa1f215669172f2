#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

struct graph_step *plan_add(struct planning *planning, const char *revision, bool up, size_t deletes, size_t inserts)
{
    struct graph_plan *plan = planning->plan;
    struct graph_step *step;
    if (plan->step_count == planning->capacity) {
        planning->capacity = planning->capacity > 0 ? planning->capacity * 2 : 16;
        plan->steps = memory_grow(plan->steps, planning->capacity, sizeof *plan->steps);
    }
    step = &plan->steps[plan->step_count++];
    *step = (struct graph_step){.revision = revision, .up = up, .from = "", .to = ""};
    step->deletes = pool_take(planning->pool, deletes, sizeof *step->deletes);
    step->inserts = pool_take(planning->pool, inserts, sizeof *step->inserts);
    return step;
}

void plan_delete(struct planning *planning, struct graph_step *step, uint32_t node)
{
    planning->present[node] = false;
    step->deletes[step->delete_count++] = planning->graph->nodes[node].id;
}

void plan_insert(struct planning *planning, struct graph_step *step, uint32_t node)
{
    planning->present[node] = true;
    set_add(&planning->seen, node);
    step->inserts[step->insert_count++] = planning->graph->nodes[node].id;
}

const char *plan_join(struct planning *planning, const char *const *names, size_t count)
{
    size_t i, length = 1;
    char *joined, *end;
    if (count < 2)
        return count == 1 ? names[0] : "";
    for (i = 0; i < count; i++)
        length += strlen(names[i]) + 2;
    end = joined = pool_take(planning->pool, length, 1);
    for (i = 0; i < count; i++) {
        end = stpcpy(end, i > 0 ? ", " : "");
        end = stpcpy(end, names[i]);
    }
    return joined;
}

/* Upgrade. */

static int choose_upgrade(const struct graph *graph, const char *const *targets, size_t count, const struct set *rows,
                          struct set *todo, struct graph_error *error)
{
    struct set wanted, applied;
    size_t i;
    int result = 0;
    set_open(&wanted, graph);
    set_open(&applied, graph);
    for (i = 0; i < count && result == 0; i++)
        result = target_upgrade(graph, targets[i], rows, false, &wanted, error);
    if (result == 0)
        result = check_overlap(graph, &wanted, false, error);
    if (result == 0)
        result = check_overlap(graph, rows, true, error);
    set_follow(&wanted, &graph->needs);
    set_copy(&applied, rows);
    set_follow(&applied, &graph->needs);
    for (i = 0; i < wanted.count && result == 0; i++)
        if (!applied.has[wanted.items[i]])
            set_add(todo, wanted.items[i]);
    set_close(&wanted);
    set_close(&applied);
    return result;
}

static void add_upgrade_step(struct planning *planning, uint32_t n)
{
    const struct graph *graph = planning->graph;
    const struct node *node = &graph->nodes[n];
    struct graph_step *step = plan_add(planning, node->id, true, links_count(&graph->needs, n), 1);
    step->from = plan_join(planning, node->down, node->down_count);
    step->to = node->id;
    for (LINKS_EACH(&graph->needs, n, i))
        if (planning->present[graph->needs.items[i]])
            plan_delete(planning, step, graph->needs.items[i]);
    plan_insert(planning, step, n);
}

static int plan_upgrade(struct planning *planning, const char *const *targets, size_t count, const struct set *rows,
                        struct graph_error *error)
{
    struct set todo;
    size_t i;
    int result;
    set_open(&todo, planning->graph);
    result = choose_upgrade(planning->graph, targets, count, rows, &todo, error);
    if (result == 0) {
        set_sort_newest(planning->graph, &todo);
        for (i = todo.count; i-- > 0;)
            add_upgrade_step(planning, todo.items[i]);
    }
    set_close(&todo);
    return result;
}

/* Downgrade. */

static void add_roots(const struct graph *graph, uint32_t target, struct set *roots)
{
    uint32_t n;
    if (target != NODE_BASE) {
        for (LINKS_EACH(&graph->children, target, i))
            set_add(roots, graph->children.items[i]);
        return;
    }
    for (n = 0; n < graph->count; n++)
        if (links_count(&graph->down, n) == 0)
            set_add(roots, n);
}

/* Keeps the roots that the label's revision descends from. */
static int keep_roots(const struct graph *graph, const char *label, const struct set *roots, struct set *kept,
                      struct graph_error *error)
{
    struct branch branch;
    struct set below;
    size_t i;
    if (branch_open(graph, label, &branch, error) != 0)
        return -1;
    set_open(&below, graph);
    set_add(&below, branch.node);
    set_follow(&below, &graph->down);
    for (i = 0; i < roots->count; i++)
        if (below.has[roots->items[i]])
            set_add(kept, roots->items[i]);
    set_close(&below);
    branch_close(&branch);
    if (kept->count > 0)
        return 0;
    graph_hint(error, "nothing that would be dropped leads to branch '%s'", label);
    return graph_fail(error, "Not a valid downgrade target from current heads");
}

/* Alembic does not look at the label when there is one root only. A label that does not exist is refused here all the
   same, unless the tree has none and so nothing could be meant by it but the whole. */
static int choose_roots(const struct graph *graph, uint32_t target, const char *label, struct set *roots,
                        struct graph_error *error)
{
    struct set all;
    struct branch branch;
    int result = 0;
    set_open(&all, graph);
    add_roots(graph, target, &all);
    if (label != NULL && all.count > 1) {
        result = keep_roots(graph, label, &all, roots, error);
    } else {
        set_copy(roots, &all);
        if (label != NULL && labels_known(graph)) {
            result = branch_open(graph, label, &branch, error);
            branch_close(&branch);
        }
    }
    set_close(&all);
    return result;
}

/* Descendants of the roots, as far as they are applied. */
static int choose_downgrade(const struct graph *graph, const char *target, const struct set *rows,
                            const struct set *applied, struct set *todo, struct graph_error *error)
{
    struct text label = {0};
    struct set above;
    uint32_t node = NODE_BASE;
    size_t i;
    int result;
    set_open(&above, graph);
    result = target_downgrade(graph, target, rows, &node, &label, error);
    if (result == 0)
        result = choose_roots(graph, node, label.at, &above, error);
    set_follow(&above, &graph->needed_by);
    for (i = 0; i < above.count && result == 0; i++)
        if (applied->has[above.items[i]])
            set_add(todo, above.items[i]);
    if (result == 0 && node != NODE_BASE && todo->count == 0 && !rows->has[node]) {
        graph_hint(error, applied->has[node] ? "%s is applied, but nothing that comes after it is: see `dmlua current`"
                                             : "%s is not applied: see `dmlua current`", graph->nodes[node].id);
        result = graph_fail(error, "Destination %s is not a valid downgrade target from current head(s)", target);
    }
    set_close(&above);
    free(label.at);
    return result;
}

/* For every applied revision, how many others name it: those that nobody names are the rows that should be there. */
static uint32_t *count_dependents(const struct graph *graph, const struct set *applied)
{
    uint32_t *dependents = memory_take(graph->count, sizeof *dependents);
    size_t i;
    for (i = 0; i < applied->count; i++)
        for (LINKS_EACH(&graph->needs, applied->items[i], k))
            dependents[graph->needs.items[k]]++;
    return dependents;
}

/* A row that another row already implies (Alembic leaves such) goes with the first step. */
static void drop_redundant(struct planning *planning, struct graph_step *step, const struct set *rows,
                           const uint32_t *dependents)
{
    size_t i;
    for (i = 0; i < rows->count; i++)
        if (dependents[rows->items[i]] > 0)
            plan_delete(planning, step, rows->items[i]);
}

static void add_downgrade_step(struct planning *planning, uint32_t n, uint32_t *dependents, const struct set *rows)
{
    const struct graph *graph = planning->graph;
    const struct node *node = &graph->nodes[n];
    bool first = planning->plan->step_count == 0;
    uint32_t parents = links_count(&graph->needs, n);
    struct graph_step *step = plan_add(planning, node->id, false, 1 + (first ? rows->count : 0), parents);
    step->from = node->id;
    step->to = plan_join(planning, node->down, node->down_count);
    plan_delete(planning, step, n);
    for (LINKS_EACH(&graph->needs, n, i))
        if (--dependents[graph->needs.items[i]] == 0 && !planning->present[graph->needs.items[i]])
            plan_insert(planning, step, graph->needs.items[i]);
    if (first)
        drop_redundant(planning, step, rows, dependents);
}

static int plan_downgrade(struct planning *planning, const char *const *targets, size_t count, const struct set *rows,
                          struct graph_error *error)
{
    const struct graph *graph = planning->graph;
    struct set applied, todo;
    uint32_t *dependents;
    size_t i;
    int result;
    if (count != 1)
        return graph_fail(error, "downgrade takes one target, not %zu", count);
    set_open(&applied, graph);
    set_open(&todo, graph);
    set_copy(&applied, rows);
    set_follow(&applied, &graph->needs);
    dependents = count_dependents(graph, &applied);
    result = choose_downgrade(graph, targets[0], rows, &applied, &todo, error);
    if (result == 0) {
        set_sort_newest(graph, &todo);
        for (i = 0; i < todo.count; i++)
            add_downgrade_step(planning, todo.items[i], dependents, rows);
    }
    free(dependents);
    set_close(&applied);
    set_close(&todo);
    return result;
}

/* What all commands share. */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void fill_heads(struct planning *planning)
{
    struct graph_plan *plan = planning->plan;
    const struct set *seen = &planning->seen;
    size_t i;
    plan->heads = pool_take(planning->pool, seen->count, sizeof *plan->heads);
    for (i = 0; i < seen->count; i++)
        if (planning->present[seen->items[i]])
            plan->heads[plan->head_count++] = planning->graph->nodes[seen->items[i]].id;
    qsort(plan->heads, plan->head_count, sizeof *plan->heads, compare_names);
}

/* START:END of --sql: START, one revision at most, takes the place of the rows. */
static int split_range(const struct graph *graph, const char *target, struct set *rows, const char **end,
                       struct graph_error *error)
{
    const char *colon = strchr(target, ':');
    uint32_t node;
    char *start;
    int result;
    *end = target;
    if (colon == NULL)
        return 0;
    *end = colon + 1;
    start = memory_take((size_t)(colon - target) + 1, 1);
    memcpy(start, target, (size_t)(colon - target));
    result = resolve_one(graph, start, start, &node, error);
    free(start);
    if (result != 0)
        return -1;
    if (rows->count > 0 && (node == NODE_BASE || !rows->has[node]))
        return graph_fail(error, "Stamp operation with --sql only supports a single starting revision at a time");
    if (node != NODE_BASE)
        set_add(rows, node);
    return 0;
}

static int split_ranges(const struct graph *graph, enum graph_command command, const char *const *targets, size_t count,
                        struct set *rows, const char **ends, struct graph_error *error)
{
    size_t i;
    for (i = 0; i < count; i++) {
        if (command == GRAPH_DOWNGRADE && strchr(targets[i], ':') == NULL) {
            graph_hint(error, "no database is read with --sql, so say where it stands: dmlua downgrade --sql FROM:%s",
                       targets[i]);
            return graph_fail(error, "downgrade with --sql requires <fromrev>:<torev>");
        }
        if (split_range(graph, targets[i], rows, &ends[i], error) != 0)
            return -1;
    }
    return 0;
}

static int refuse_ranges(enum graph_command command, const char *const *targets, size_t count, struct graph_error *error)
{
    size_t i;
    for (i = 0; command != GRAPH_STAMP && i < count; i++)
        if (strchr(targets[i], ':') != NULL) {
            graph_hint(error, "a range START:END is for --sql, where no database says where to start");
            return graph_fail(error, "Range revision not allowed");
        }
    return 0;
}

static int run_command(struct planning *planning, unsigned command, const char *const *targets, size_t count,
                       const struct set *rows, const char *const *purged, size_t purged_count,
                       struct graph_error *error)
{
    set_copy(&planning->seen, rows);
    for (size_t i = 0; i < rows->count; i++)
        planning->present[rows->items[i]] = true;
    if (command == GRAPH_UPGRADE)
        return plan_upgrade(planning, targets, count, rows, error);
    if (command == GRAPH_DOWNGRADE)
        return plan_downgrade(planning, targets, count, rows, error);
    return plan_stamp(planning, targets, count, rows, purged, purged_count, error);
}

int graph_plan(const struct graph *graph, unsigned command, const char *const *targets, size_t target_count,
               const char *const *rows, size_t row_count, struct graph_plan *plan, struct graph_error *error)
{
    struct planning planning = {.graph = graph, .plan = plan};
    bool offline = command & GRAPH_OFFLINE, purge = command & GRAPH_PURGE;
    const char **ends = memory_take(target_count, sizeof *ends);
    struct set present;
    int result;
    command &= ~(unsigned)(GRAPH_OFFLINE | GRAPH_PURGE);
    *plan = (struct graph_plan){.memory = memory_take(1, sizeof(struct pool))};
    planning.pool = plan->memory;
    planning.present = memory_take(graph->count, sizeof *planning.present);
    set_open(&planning.seen, graph);
    set_open(&present, graph);
    if (offline)
        result = split_ranges(graph, command, targets, target_count, &present, ends, error);
    else
        result = refuse_ranges(command, targets, target_count, error);
    if (result == 0 && !offline && !purge)
        result = resolve_rows(graph, rows, row_count, &present, error);
    if (result == 0)
        result = run_command(&planning, command, offline ? ends : targets, target_count, &present,
                             rows, purge && !offline ? row_count : 0, error);
    if (result == 0)
        fill_heads(&planning);
    set_close(&present);
    set_close(&planning.seen);
    free(planning.present);
    free(ends);
    if (result != 0)
        graph_plan_free(plan);
    return result;
}

void graph_plan_free(struct graph_plan *plan)
{
    if (plan->memory != NULL)
        pool_free(plan->memory);
    free(plan->memory);
    free(plan->steps);
    *plan = (struct graph_plan){0};
}
