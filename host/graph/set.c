#include <stdlib.h>

#include "host/graph/internal.h"

void set_open(struct set *set, const struct graph *graph)
{
    set->has = memory_take(graph->count, sizeof *set->has);
    set->items = memory_take(graph->count, sizeof *set->items);
    set->count = 0;
}

void set_close(struct set *set)
{
    free(set->has);
    free(set->items);
    *set = (struct set){0};
}

void set_add(struct set *set, uint32_t node)
{
    if (set->has[node])
        return;
    set->has[node] = true;
    set->items[set->count++] = node;
}

void set_copy(struct set *to, const struct set *from)
{
    size_t i;
    for (i = 0; i < from->count; i++)
        set_add(to, from->items[i]);
}

void set_follow(struct set *set, const struct links *links)
{
    size_t done;
    for (done = 0; done < set->count; done++) {
        uint32_t node = set->items[done];
        for (LINKS_EACH(links, node, i))
            set_add(set, links->items[i]);
    }
}

void set_list(struct set *set, struct graph_list *list)
{
    list->count = set->count;
    list->revisions = set->items;
    free(set->has);
    *set = (struct set){0};
}

void graph_list_free(struct graph_list *list)
{
    free(list->revisions);
    *list = (struct graph_list){0};
}
