#include "host/graph/internal.h"

static int choose_upgrade(const struct graph *graph, const char *const *targets, size_t count,
                          const struct set *rows, struct set *todo, struct graph_error *error)
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

/* Steps: the targets' ancestors that are not applied. */
int plan_upgrade(struct planning *planning, const char *const *targets, size_t count, const struct set *rows,
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
