#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

/* Kahn's order: parents first. Returns how many nodes have a place in it; the others hang on a cycle. */
static uint32_t order_nodes(const struct graph *graph, const struct links *up, const struct links *down,
                            uint32_t *order)
{
    uint32_t *waiting = memory_take(graph->count, sizeof *waiting);
    uint32_t n, done, count = 0;
    for (n = 0; n < graph->count; n++) {
        waiting[n] = links_count(down, n);
        if (waiting[n] == 0)
            order[count++] = n;
    }
    for (done = 0; done < count; done++)
        for (LINKS_EACH(up, order[done], i))
            if (--waiting[up->items[i]] == 0)
                order[count++] = up->items[i];
    free(waiting);
    return count;
}

/* Tarjan's strongly connected components, with a stack of its own instead of recursion. */
struct tarjan {
    const struct links *links;
    uint32_t *number, *low, *next; /* number 0: not seen yet */
    uint32_t *path, path_length;   /* nodes being walked */
    uint32_t *stack, stack_length; /* nodes whose component is not known yet */
    bool *stacked;
    uint32_t counter;
};

static void tarjan_enter(struct tarjan *t, uint32_t node)
{
    t->number[node] = t->low[node] = ++t->counter;
    t->next[node] = t->links->start[node];
    t->path[t->path_length++] = node;
    t->stack[t->stack_length++] = node;
    t->stacked[node] = true;
}

/* Goes on from the last node of the path. True when that node is finished. */
static bool tarjan_step(struct tarjan *t)
{
    uint32_t node = t->path[t->path_length - 1];
    while (t->next[node] < t->links->start[node + 1]) {
        uint32_t other = t->links->items[t->next[node]++];
        if (t->number[other] == 0) {
            tarjan_enter(t, other);
            return false;
        }
        if (t->stacked[other] && t->number[other] < t->low[node])
            t->low[node] = t->number[other];
    }
    return true;
}

static void tarjan_leave(struct tarjan *t, struct set *cyclic)
{
    uint32_t node = t->path[--t->path_length];
    uint32_t first = t->stack_length;
    if (t->path_length > 0 && t->low[node] < t->low[t->path[t->path_length - 1]])
        t->low[t->path[t->path_length - 1]] = t->low[node];
    if (t->low[node] != t->number[node])
        return;
    do
        t->stacked[t->stack[--first]] = false;
    while (t->stack[first] != node);
    for (uint32_t i = first; t->stack_length - first > 1 && i < t->stack_length; i++)
        set_add(cyclic, t->stack[i]);
    t->stack_length = first;
}

/* Adds every node that lies on a cycle. */
static void find_cyclic(const struct graph *graph, const struct links *links, struct set *cyclic)
{
    uint32_t *block = memory_take((size_t)graph->count * 5, sizeof *block);
    struct tarjan t = {
        .links = links, .number = block, .low = block + graph->count, .next = block + graph->count * 2};
    uint32_t n;
    t.path = block + (size_t)graph->count * 3;
    t.stack = block + (size_t)graph->count * 4;
    t.stacked = memory_take(graph->count, sizeof *t.stacked);
    for (n = 0; n < graph->count; n++) {
        if (t.number[n] != 0)
            continue;
        tarjan_enter(&t, n);
        while (t.path_length > 0)
            if (tarjan_step(&t))
                tarjan_leave(&t, cyclic);
    }
    free(t.stacked);
    free(block);
}

/* One line a revision: which of the others it names, and in which file. */
static void show_cyclic(const struct graph *graph, const struct links *links, const struct set *cyclic,
                        struct text *text)
{
    size_t i;
    for (i = 0; i < cyclic->count; i++) {
        uint32_t node = cyclic->items[i];
        bool first = true;
        text_add(text, "\n  ");
        node_show(graph, node, text);
        for (LINKS_EACH(links, node, k)) {
            if (!cyclic->has[links->items[k]])
                continue;
            text_add(text, "%s%s", first ? " comes after " : ", ", graph->nodes[links->items[k]].id);
            first = false;
        }
    }
}

static int fail_cycle(const struct graph *graph, const struct links *links, const char *kind,
                      const char *field, struct graph_error *error)
{
    struct set cyclic;
    struct text ids = {0}, lines = {0};
    size_t i;
    set_open(&cyclic, graph);
    find_cyclic(graph, links, &cyclic);
    for (i = 0; i < cyclic.count; i++)
        text_add(&ids, "%s%s", i > 0 ? ", " : "", graph->nodes[cyclic.items[i]].id);
    show_cyclic(graph, links, &cyclic, &lines);
    graph_fail(error, "%s is detected in revisions (%s)%s", kind, ids.at, lines.at);
    graph_hint(error, "correct %s in one of these files, so that the line starts at a base again", field);
    free(ids.at);
    free(lines.at);
    set_close(&cyclic);
    return -1;
}

int graph_check_cycles(struct graph *graph, struct graph_error *error)
{
    graph->order = memory_take(graph->count, sizeof *graph->order);
    if (order_nodes(graph, &graph->children, &graph->down, graph->order) < graph->count)
        return fail_cycle(graph, &graph->down, "Cycle", "down_revision", error);
    if (graph->needs.start == graph->down.start)
        return 0;
    if (order_nodes(graph, &graph->needed_by, &graph->needs, graph->order) < graph->count)
        return fail_cycle(graph, &graph->needs, "Dependency cycle", "depends_on (or down_revision)", error);
    return 0;
}
