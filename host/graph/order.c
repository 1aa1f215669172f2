#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

/* The heads of the set that wait for their turn, and how many of the set still have to come before each node.
 */
struct order {
    uint32_t *waiting;
    uint32_t *queue, first, last;
};

/* Takes `node`'s parents one step nearer; those that became free wait, but the first, which follows at once.
 */
static uint32_t free_parents(const struct graph *graph, const struct set *set, struct order *order,
                             uint32_t node)
{
    uint32_t next = NODE_BASE;
    for (LINKS_EACH(&graph->needs, node, i)) {
        uint32_t parent = graph->needs.items[i];
        if (!set->has[parent] || --order->waiting[parent] > 0)
            continue;
        if (next == NODE_BASE)
            next = parent;
        else
            order->queue[order->last++] = parent;
    }
    return next;
}

static void order_open(const struct graph *graph, const struct set *set, struct order *order)
{
    uint32_t n;
    order->first = order->last = 0;
    order->waiting = memory_take(graph->count, sizeof *order->waiting);
    order->queue = memory_take(set->count, sizeof *order->queue);
    for (n = 0; n < graph->count; n++) {
        if (!set->has[n])
            continue;
        for (LINKS_EACH(&graph->needed_by, n, i))
            order->waiting[n] += set->has[graph->needed_by.items[i]];
        if (order->waiting[n] == 0)
            order->queue[order->last++] = n;
    }
}

/* Nodes whose children in the set have all been placed, newest first: one line is followed to its end before
   the next one is begun, from the heads in load order, which is as near to Alembic's order as a linear walk
   comes. */
void set_sort_newest(const struct graph *graph, struct set *set)
{
    struct order order;
    size_t count = 0;
    order_open(graph, set, &order);
    while (order.first < order.last) {
        uint32_t node = order.queue[order.first++];
        for (; node != NODE_BASE; node = free_parents(graph, set, &order, node))
            set->items[count++] = node;
    }
    free(order.waiting);
    free(order.queue);
}
