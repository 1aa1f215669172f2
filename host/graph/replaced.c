/* Baselines: a revision that stands for a history that is no longer in the graph. Its ids are aliases of the
   baseline where that is sound: of a row only together with all other heads of that history, of a parent only when
   there is one head. */
#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

static int compare_replaced(const void *a, const void *b)
{
    return strcmp(((const struct replaced *)a)->id, ((const struct replaced *)b)->id);
}

const struct replaced *replaced_find(const struct graph *graph, const char *id)
{
    struct replaced key = {.id = id};
    if (graph->replaced_count == 0)
        return NULL;
    return bsearch(&key, graph->replaced, graph->replaced_count, sizeof *graph->replaced, compare_replaced);
}

static bool is_head(const struct node *node, const char *id)
{
    uint32_t i;
    for (i = 0; i < node->replaced_head_count; i++)
        if (strcmp(node->replaced_heads[i], id) == 0)
            return true;
    return false;
}

static void add_replaced(struct graph *graph, uint32_t n)
{
    const struct node *node = &graph->nodes[n];
    uint32_t i;
    for (i = 0; i < node->replaces_count; i++) {
        bool head = is_head(node, node->replaces[i]);
        graph->replaced[graph->replaced_count++] =
            (struct replaced){node->replaces[i], n, head, head && node->replaced_head_count == 1};
    }
}

static int fail_twice(const struct graph *graph, const struct replaced *one, const struct replaced *other,
                      struct graph_error *error)
{
    struct text text = {0};
    node_show(graph, one->node < other->node ? one->node : other->node, &text);
    text_add(&text, " and ");
    node_show(graph, one->node < other->node ? other->node : one->node, &text);
    graph_fail(error, "Revision %s is replaced twice, by %s", one->id, text.at);
    graph_hint(error, "take it out of one of the two lists `replaces`");
    free(text.at);
    return -1;
}

static int fail_present(const struct graph *graph, const struct replaced *replaced, uint32_t node,
                        struct graph_error *error)
{
    struct text text = {0};
    node_show(graph, replaced->node, &text);
    text_add(&text, " replaces revision ");
    node_show(graph, node, &text);
    graph_fail(error, "Revision %s, which is present", text.at);
    graph_hint(error, "take it out of the list `replaces`");
    free(text.at);
    return -1;
}

static int check_replaced(const struct graph *graph, struct graph_error *error)
{
    size_t i;
    for (i = 0; i < graph->replaced_count; i++) {
        const struct replaced *replaced = &graph->replaced[i];
        const struct name *name = name_find(graph, replaced->id);
        if (name != NULL)
            return fail_present(graph, replaced, name->node, error);
        if (i > 0 && strcmp(replaced->id, replaced[-1].id) == 0)
            return fail_twice(graph, replaced, &replaced[-1], error);
    }
    return 0;
}

int replaced_collect(struct graph *graph, struct graph_error *error)
{
    size_t total = 0;
    uint32_t n;
    for (n = 0; n < graph->count; n++)
        total += graph->nodes[n].replaces_count;
    if (total == 0)
        return 0;
    graph->replaced = memory_take(total, sizeof *graph->replaced);
    for (n = 0; n < graph->count; n++)
        add_replaced(graph, n);
    qsort(graph->replaced, graph->replaced_count, sizeof *graph->replaced, compare_replaced);
    return check_replaced(graph, error);
}

static void add_ids(const char *const *ids, uint32_t count, struct text *text)
{
    uint32_t i;
    for (i = 0; i < count; i++)
        text_add(text, "%s%s", i > 0 ? " " : "", ids[i]);
}

static int fail_middle(const struct graph *graph, const struct replaced *row, struct graph_error *error)
{
    const struct node *node = &graph->nodes[row->node];
    struct text baseline = {0}, heads = {0};
    node_show(graph, row->node, &baseline);
    add_ids(node->replaced_heads, node->replaced_head_count, &heads);
    graph_fail(error,
               "Can't locate revision identified by '%s': the database is in the middle of the history that %s "
               "replaces",
               row->id, baseline.at);
    graph_hint(
        error,
        "finish that history with the files from before the baseline: check them out, then `dmlua upgrade heads`, "
        "or `alembic upgrade heads` where they are Python; when the database is at %s, run this again",
        heads.at);
    free(baseline.at);
    free(heads.at);
    return -1;
}

/* Counts for each baseline how many of the heads that it replaces are among the rows. */
static int count_heads(const struct graph *graph, const char *const *rows, size_t count, uint32_t *heads,
                       struct graph_error *error)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const struct replaced *replaced = replaced_find(graph, rows[i]);
        if (replaced != NULL && !replaced->head)
            return fail_middle(graph, replaced, error);
        if (replaced != NULL)
            heads[replaced->node]++;
    }
    for (i = 0; i < count; i++) {
        const struct replaced *replaced = replaced_find(graph, rows[i]);
        if (replaced != NULL && heads[replaced->node] < graph->nodes[replaced->node].replaced_head_count)
            return fail_middle(graph, replaced, error);
    }
    return 0;
}

/* Of the baselines, those that no other row or baseline has as an ancestor. */
static void add_tops(const struct graph *graph, const uint32_t *heads, struct set *set)
{
    struct set all, below;
    uint32_t n;
    size_t i;
    set_open(&all, graph);
    set_open(&below, graph);
    set_copy(&all, set);
    for (n = 0; n < graph->count; n++)
        if (heads[n] > 0)
            set_add(&all, n);
    for (i = 0; i < all.count; i++)
        for (LINKS_EACH(&graph->needs, all.items[i], k))
            set_add(&below, graph->needs.items[k]);
    set_follow(&below, &graph->needs);
    for (n = 0; n < graph->count; n++)
        if (heads[n] > 0 && !below.has[n])
            set_add(set, n);
    set_close(&all);
    set_close(&below);
}

int replaced_rows(const struct graph *graph, const char *const *rows, size_t count, struct set *set,
                  struct graph_error *error)
{
    uint32_t *heads = memory_take(graph->count, sizeof *heads);
    int result = count_heads(graph, rows, count, heads, error);
    if (result == 0)
        add_tops(graph, heads, set);
    free(heads);
    return result;
}

static void add_adoption(struct planning *planning, uint32_t n, bool remains)
{
    const struct node *node = &planning->graph->nodes[n];
    struct graph_step *step = plan_add(planning, node->id, true, node->replaced_head_count, 1);
    memcpy(step->deletes, node->replaced_heads, node->replaced_head_count * sizeof *step->deletes);
    step->delete_count = node->replaced_head_count;
    step->from = plan_join(planning, node->replaced_heads, node->replaced_head_count);
    step->to = node->id;
    step->adopts = true;
    if (remains)
        plan_insert(planning, step, n);
}

void plan_adopt(struct planning *planning, const struct set *rows, const char *const *names, size_t count)
{
    struct set done;
    size_t i;
    set_open(&done, planning->graph);
    for (i = 0; i < count; i++) {
        const struct replaced *replaced = replaced_find(planning->graph, names[i]);
        if (replaced == NULL || done.has[replaced->node])
            continue;
        set_add(&done, replaced->node);
        add_adoption(planning, replaced->node, rows->has[replaced->node]);
    }
    set_close(&done);
}
