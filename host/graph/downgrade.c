#include <stdlib.h>

#include "host/graph/internal.h"

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

/* Alembic does not look at the label when there is one root only. A label that does not exist is refused here
   all the same, unless the tree has none and so nothing could be meant by it but the whole. */
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
        graph_hint(error,
                   applied->has[node]
                       ? "%s is applied, but nothing that comes after it is: see `dmlua current`"
                       : "%s is not applied: see `dmlua current`",
                   graph->nodes[node].id);
        result =
            graph_fail(error, "Destination %s is not a valid downgrade target from current head(s)", target);
    }
    set_close(&above);
    free(label.at);
    return result;
}

/* For every applied revision, how many others name it: those that nobody names are the rows that should be
 * there. */
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

static void add_downgrade_step(struct planning *planning, uint32_t n, uint32_t *dependents,
                               const struct set *rows)
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

int plan_downgrade(struct planning *planning, const char *const *targets, size_t count,
                   const struct set *rows, struct graph_error *error)
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
