#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

struct labels {
    struct pool pool;
    const struct label_set **sets; /* of every node; null until they are asked for */
};

/* Which branch names a revision lies on, as Alembic shows them: a label holds for its revision and all that
   descend from it by down_revision; and, where the line from there to its end neither forks nor merges, also
   downwards to the next fork or merge. Sets are shared between revisions and never changed. */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct label_set *set_take(struct labels *labels, uint32_t most)
{
    struct label_set *set = pool_take(&labels->pool, 1, sizeof *set + most * sizeof set->names[0]);
    set->count = 0;
    return set;
}

static const struct label_set *own_labels(const struct graph *graph, uint32_t n)
{
    const struct node *node = &graph->nodes[n];
    struct label_set *set;
    if (node->label_count == 0)
        return NULL;
    set = set_take(graph->labels, node->label_count);
    set->count = node->label_count;
    memcpy(set->names, node->labels, node->label_count * sizeof set->names[0]);
    qsort(set->names, set->count, sizeof set->names[0], compare_names);
    return set;
}

static bool contains(const struct label_set *a, const struct label_set *b)
{
    uint32_t i = 0, j = 0;
    while (i < a->count && j < b->count) {
        int order = strcmp(a->names[i++], b->names[j]);
        if (order > 0)
            return false;
        j += order == 0;
    }
    return j == b->count;
}

static const struct label_set *unite(struct labels *labels, const struct label_set *a,
                                     const struct label_set *b)
{
    struct label_set *both;
    uint32_t i = 0, j = 0;
    if (a == b || b == NULL || (a != NULL && contains(a, b)))
        return a;
    if (a == NULL || contains(b, a))
        return b;
    both = set_take(labels, a->count + b->count);
    while (i < a->count || j < b->count) {
        int order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->names[i], b->names[j]);
        both->names[both->count++] = order <= 0 ? a->names[i] : b->names[j];
        i += order <= 0;
        j += order >= 0;
    }
    return both;
}

/* No fork and no merge here, nor anywhere above; what is above was looked at before. */
static bool is_plain(const struct graph *graph, uint32_t n, const bool *plain)
{
    if (links_count(&graph->needed_by, n) > 1 || links_count(&graph->down, n) > 1)
        return false;
    return links_count(&graph->children, n) == 0 || plain[graph->children.items[graph->children.start[n]]];
}

static void spread_down(const struct graph *graph, const struct label_set **own)
{
    const struct label_set **sets = graph->labels->sets;
    bool *plain = memory_take(graph->count, sizeof *plain);
    uint32_t i;
    for (i = graph->count; i-- > 0;) {
        uint32_t n = graph->order[i];
        plain[n] = is_plain(graph, n, plain);
        if (!plain[n])
            continue;
        sets[n] = own[n];
        if (links_count(&graph->children, n) == 1)
            sets[n] = unite(graph->labels, sets[graph->children.items[graph->children.start[n]]], own[n]);
    }
    free(plain);
}

static void spread(const struct graph *graph)
{
    const struct label_set **above = memory_take(graph->count, sizeof *above); /* from ancestors and itself */
    struct labels *labels = graph->labels;
    uint32_t i;
    labels->sets = memory_take(graph->count, sizeof *labels->sets);
    for (i = 0; i < graph->count; i++)
        above[i] = own_labels(graph, i);
    spread_down(graph, above);
    for (i = 0; i < graph->count; i++) {
        uint32_t n = graph->order[i];
        for (LINKS_EACH(&graph->down, n, k))
            above[n] = unite(labels, above[n], above[graph->down.items[k]]);
        labels->sets[n] = unite(labels, labels->sets[n], above[n]);
    }
    free(above);
}

struct labels *labels_new(void)
{
    return memory_take(1, sizeof(struct labels));
}

void labels_free(struct labels *labels)
{
    pool_free(&labels->pool);
    free(labels->sets);
    free(labels);
}

const struct label_set *labels_of(const struct graph *graph, uint32_t node)
{
    if (graph->labels->sets == NULL)
        spread(graph);
    return graph->labels->sets[node];
}
