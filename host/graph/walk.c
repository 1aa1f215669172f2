#include <stdlib.h>

#include "host/graph/internal.h"

void walk_bases(const struct graph *graph, struct set *set)
{
    uint32_t n;
    for (n = 0; n < graph->count; n++)
        if (links_count(&graph->down, n) == 0)
            set_add(set, n);
}

/* The nodes one step from `node`: children (or bases), kept to the branch; or parents. */
static void add_next(const struct graph *graph, const struct walk *walk, uint32_t node, struct set *next)
{
    const struct links *links = walk->steps > 0 ? &graph->children : &graph->down;
    size_t i, kept = 0;
    if (node != NODE_BASE)
        for (LINKS_EACH(links, node, k))
            set_add(next, links->items[k]);
    else if (walk->steps > 0)
        walk_bases(graph, next);
    if (walk->steps < 0 || walk->branch == NULL)
        return;
    for (i = 0; i < next->count; i++)
        if (walk->branch->kin.has[next->items[i]])
            next->items[kept++] = next->items[i];
        else
            next->has[next->items[i]] = false;
    next->count = kept;
}

static int fail_fork(const struct graph *graph, const struct walk *walk, uint32_t node,
                     const struct set *next, struct graph_error *error)
{
    struct text names = {0};
    const char *id = node == NODE_BASE ? "base" : graph->nodes[node].id;
    const char *first = graph->nodes[next->items[0]].id;
    size_t i;
    for (i = 0; i < next->count; i++)
        text_add(&names, "%s%s", i > 0 ? ", " : "", graph->nodes[next->items[i]].id);
    graph_fail(error, "Ambiguous walk: %s %s %s", id, walk->steps > 0 ? "leads up to" : "leads down to",
               names.at);
    if (walk->steps > 0)
        graph_hint(error, "say which branch, as in '%s@+1', or name the revision to go to", first);
    else
        graph_hint(error, "name the revision to go to");
    free(names.at);
    return -1;
}

static void empty(struct set *set)
{
    while (set->count > 0)
        set->has[set->items[--set->count]] = false;
}

int walk_run(const struct graph *graph, struct walk *walk, struct graph_error *error)
{
    struct set next;
    long left = walk->steps < 0 ? -walk->steps : walk->steps;
    int result = 0;
    walk->end = walk->from;
    set_open(&next, graph);
    for (; left > 0 && result == 0; left--) {
        bool at_base = walk->steps < 0 && walk->end == NODE_BASE;
        empty(&next);
        add_next(graph, walk, walk->end, &next);
        if (next.count > 1) {
            result = fail_fork(graph, walk, walk->end, &next, error);
        } else if (next.count == 1) {
            walk->end = next.items[0];
        } else if (walk->steps < 0 && !at_base) {
            walk->end = NODE_BASE;
        } else {
            walk->too_far = !walk->stop_at_end;
            break;
        }
        walk->done++;
    }
    set_close(&next);
    return result;
}

void walk_hint(const struct graph *graph, const struct walk *walk, struct graph_error *error)
{
    const char *from = walk->from == NODE_BASE ? "base" : graph->nodes[walk->from].id;
    const char *where = walk->steps > 0 ? "above" : "below";
    if (walk->done == 0)
        graph_hint(error, "there is nothing %s %s", where, from);
    else
        graph_hint(error, "only %ld step%s can be gone %s %s", walk->done, walk->done == 1 ? "" : "s", where,
                   from);
}
