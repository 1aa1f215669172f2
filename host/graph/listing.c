#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

void graph_heads(const struct graph *graph, bool resolve_dependencies, struct graph_list *list)
{
    const struct links *up = resolve_dependencies ? &graph->needed_by : &graph->children;
    struct set heads;
    uint32_t n;
    set_open(&heads, graph);
    for (n = 0; n < graph->count; n++)
        if (links_count(up, n) == 0)
            set_add(&heads, n);
    set_list(&heads, list);
}

void graph_bases(const struct graph *graph, struct graph_list *list)
{
    struct set bases;
    uint32_t n;
    set_open(&bases, graph);
    for (n = 0; n < graph->count; n++)
        if (links_count(&graph->down, n) == 0)
            set_add(&bases, n);
    set_list(&bases, list);
}

void graph_order(const struct graph *graph, struct graph_list *list)
{
    list->count = graph->count;
    list->revisions = memory_take(graph->count, sizeof *list->revisions);
    memcpy(list->revisions, graph->order, graph->count * sizeof *list->revisions);
}

void current_nodes(const struct graph *graph, const struct set *rows, struct set *current)
{
    struct set applied;
    size_t i;
    set_open(&applied, graph);
    set_copy(&applied, rows);
    set_follow(&applied, &graph->needs);
    for (i = 0; i < applied.count; i++) {
        uint32_t node = applied.items[i];
        bool last = true;
        for (LINKS_EACH(&graph->children, node, k))
            last = last && !applied.has[graph->children.items[k]];
        if (last)
            set_add(current, node);
    }
    set_close(&applied);
}

int graph_applied(const struct graph *graph, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error)
{
    struct set applied;
    int result;
    set_open(&applied, graph);
    result = resolve_rows(graph, rows, row_count, &applied, error);
    set_follow(&applied, &graph->needs);
    set_list(&applied, list);
    if (result != 0)
        graph_list_free(list);
    return result;
}

int graph_current(const struct graph *graph, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error)
{
    struct set present, current;
    int result;
    set_open(&present, graph);
    set_open(&current, graph);
    result = resolve_rows(graph, rows, row_count, &present, error);
    current_nodes(graph, &present, &current);
    set_close(&present);
    set_list(&current, list);
    if (result != 0)
        graph_list_free(list);
    return result;
}

int graph_rows(const struct graph *graph, const char *const *rows, size_t row_count, struct graph_list *list,
               struct graph_error *error)
{
    struct set present;
    int result;
    set_open(&present, graph);
    result = resolve_rows(graph, rows, row_count, &present, error);
    set_list(&present, list);
    if (result != 0)
        graph_list_free(list);
    return result;
}

/* LABEL@ keeps to the ends that lie on that branch. */
static int keep_labelled(const struct graph *graph, const struct identifier *id, struct set *ends,
                         struct graph_error *error)
{
    struct branch branch;
    size_t i, kept = 0;
    if (id->label == NULL)
        return 0;
    if (branch_open(graph, id->label, &branch, error) != 0)
        return -1;
    for (i = 0; i < ends->count; i++)
        if (branch.kin.has[ends->items[i]])
            ends->items[kept++] = ends->items[i];
    ends->count = kept;
    branch_close(&branch);
    return 0;
}

/* So many down from each of `ends`. */
static int walk_back(const struct graph *graph, const struct identifier *id, const struct set *ends,
                     struct set *starts, struct graph_error *error)
{
    size_t i;
    for (i = 0; i < ends->count; i++) {
        struct walk walk = {.from = ends->items[i], .steps = id->steps};
        if (walk_run(graph, &walk, error) != 0)
            return -1;
        if (walk.too_far) {
            walk_hint(graph, &walk, error);
            return fail_relative(id, error);
        }
        if (walk.end != NODE_BASE)
            set_add(starts, walk.end);
    }
    return 0;
}

/* -N and LABEL@-N: so many down from each head (of the branch). */
static int resolve_back(const struct graph *graph, const struct identifier *id, struct set *set,
                        struct graph_error *error)
{
    struct set heads;
    int result;
    set_open(&heads, graph);
    result = resolve_all(graph, "heads", id->relative, &heads, error);
    if (result == 0)
        result = keep_labelled(graph, id, &heads, error);
    if (result == 0)
        result = walk_back(graph, id, &heads, set, error);
    set_close(&heads);
    return result;
}

int graph_resolve(const struct graph *graph, const char *text, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error)
{
    struct identifier id;
    struct set set;
    int result;
    set_open(&set, graph);
    identifier_parse(&id, graph, text);
    if (rows != NULL && strcmp(text, "current") == 0)
        result = resolve_rows(graph, rows, row_count, &set, error);
    else if (id.symbol == NULL && id.steps < 0)
        result = resolve_back(graph, &id, &set, error);
    else
        result = target_given(graph, text, text, &set, error);
    identifier_free(&id);
    set_list(&set, list);
    if (result != 0)
        graph_list_free(list);
    return result;
}

/* History. */

struct range {
    char *start, *end;
    const char *text; /* as typed, for errors */
    struct set rows;
};

static int range_open(const struct graph *graph, const char *text, const char *const *rows, size_t row_count,
                      struct range *range, struct graph_error *error)
{
    const char *colon = text != NULL ? strchr(text, ':') : NULL;
    *range = (struct range){.text = text};
    if (text != NULL && (colon == NULL || strchr(colon + 1, ':') != NULL))
        return graph_fail(error, "History range requires [start]:[end], [start]:, or :[end]");
    set_open(&range->rows, graph);
    range->start = strdup(text != NULL ? text : "");
    range->end = strdup(colon != NULL && colon[1] != '\0' ? colon + 1 : "heads");
    if (range->start == NULL || range->end == NULL)
        abort();
    if (colon != NULL)
        range->start[colon - text] = '\0';
    if (strcmp(range->start, "current") == 0 || strcmp(range->end, "current") == 0)
        return resolve_rows(graph, rows, row_count, &range->rows, error);
    return 0;
}

static void range_close(struct range *range)
{
    free(range->start);
    free(range->end);
    set_close(&range->rows);
}

/* Like Alembic, `current` of a database without revisions is as if nothing was typed. */
static int range_end(const struct graph *graph, const struct range *range, const struct set *starts,
                     struct set *ends, struct graph_error *error)
{
    if (strcmp(range->end, "current") != 0)
        return target_upgrade(graph, range->end, starts, true, ends, error);
    set_copy(ends, &range->rows);
    if (ends->count > 0)
        return 0;
    return resolve_all(graph, "heads", range->end, ends, error);
}

static int range_ends(const struct graph *graph, struct range *range, struct set *starts, struct set *ends,
                      struct graph_error *error)
{
    struct identifier id;
    int result = 0;
    identifier_parse(&id, graph, range->start);
    if (strcmp(range->start, "current") == 0)
        set_copy(starts, &range->rows);
    else if (*range->start != '\0' && (id.symbol != NULL || id.steps >= 0))
        result = resolve_all(graph, range->start, range->start, starts, error);
    if (result == 0)
        result = range_end(graph, range, starts, ends, error);
    if (result == 0)
        result = keep_labelled(graph, &id, ends, error);
    if (result == 0 && id.symbol == NULL && id.steps < 0)
        result = walk_back(graph, &id, ends, starts, error);
    identifier_free(&id);
    return result;
}

static int fail_range(const struct range *range, struct graph_error *error)
{
    return graph_fail(
        error, "Requested range %s:%s does not refer to ancestor/descendant revisions along the same branch",
        range->start, range->end);
}

/* Does one of the ends descend from a start by down_revision? By depends_on alone Alembic fails an assertion. */
static bool on_one_branch(const struct set *starts, const struct set *ends, size_t end_count, const struct set *above)
{
    size_t i;
    for (i = 0; i < end_count; i++)
        if (above->has[ends->items[i]])
            return true;
    return starts->count == 0 || end_count == 0;
}

/* Ancestors of the ends that are no ancestors of the starts, the starts themselves, and of these what
   descends from the starts by down_revision. */
static int choose_range(const struct graph *graph, struct range *range, struct set *chosen,
                        struct graph_error *error)
{
    struct set starts, ends, below, above;
    size_t i, end_count;
    int result;
    set_open(&starts, graph);
    set_open(&ends, graph);
    set_open(&below, graph);
    set_open(&above, graph);
    result = range_ends(graph, range, &starts, &ends, error);
    if (result == 0)
        result = check_overlap(graph, &ends, false, error);
    if (result == 0)
        result = check_overlap(graph, &starts, false, error);
    set_copy(&above, &starts);
    set_follow(&above, &graph->children);
    set_copy(&below, &starts);
    set_follow(&below, &graph->needs);
    end_count = ends.count;
    set_follow(&ends, &graph->needs);
    if (result == 0 && !on_one_branch(&starts, &ends, end_count, &above))
        result = fail_range(range, error);
    for (i = 0; i < starts.count && result == 0; i++)
        if (!ends.has[starts.items[i]])
            result = fail_range(range, error);
    for (i = 0; i < ends.count && result == 0; i++) {
        uint32_t node = ends.items[i];
        bool inside = starts.has[node] || (!below.has[node] && (starts.count == 0 || above.has[node]));
        if (inside)
            set_add(chosen, node);
    }
    set_close(&starts);
    set_close(&ends);
    set_close(&below);
    set_close(&above);
    return result;
}

int graph_history(const struct graph *graph, const char *text, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error)
{
    struct range range;
    struct set chosen;
    int result;
    set_open(&chosen, graph);
    result = range_open(graph, text, rows, row_count, &range, error);
    if (result == 0)
        result = choose_range(graph, &range, &chosen, error);
    if (result == 0)
        set_sort_newest(graph, &chosen);
    range_close(&range);
    set_list(&chosen, list);
    if (result != 0)
        graph_list_free(list);
    return result;
}
