#include <stdlib.h>

#include "host/graph/internal.h"

static int fail_rows(const struct text *unknown, size_t count, struct graph_error *error)
{
    graph_fail(
        error,
        "Can't locate revision identified by '%s': the database's version table holds %s, but no migration "
        "file here has %s",
        unknown->at, count == 1 ? "it" : "them", count == 1 ? "it" : "them");
    graph_hint(
        error,
        "the database is ahead of these files, or on another branch of the code (a deploy that was rolled "
        "back?): run dmlua from the code that has the file, to upgrade on or to downgrade; or, when the "
        "schema "
        "already is as at a revision of these files: dmlua stamp --purge REVISION");
    return -1;
}

int resolve_rows(const struct graph *graph, const char *const *rows, size_t count, struct set *set,
                 struct graph_error *error)
{
    struct text unknown = {0};
    size_t i, unknown_count = 0, replaced_count = 0;
    int result = 0;
    for (i = 0; i < count; i++) {
        const struct name *name = name_find(graph, rows[i]);
        if (name != NULL && !name->label)
            set_add(set, name->node);
        else if (replaced_find(graph, rows[i]) != NULL)
            replaced_count++;
        else
            text_add(&unknown, "%s%s", unknown_count++ > 0 ? "', '" : "", rows[i]);
    }
    if (unknown_count > 0)
        result = fail_rows(&unknown, unknown_count, error);
    else if (replaced_count > 0)
        result = replaced_rows(graph, rows, count, set, error);
    free(unknown.at);
    return result;
}

/* Of a set that is known to overlap: names one revision, and the others of the set that it comes after. */
static int fail_overlap(const struct graph *graph, const struct set *set, uint32_t lower, bool rows,
                        struct graph_error *error)
{
    struct set line;
    struct text others = {0}, top = {0};
    size_t i;
    uint32_t upper = lower;
    set_open(&line, graph);
    set_add(&line, lower);
    set_follow(&line, &graph->needed_by);
    for (i = 0; i < set->count; i++)
        if (set->items[i] != lower && line.has[set->items[i]])
            upper = set->items[i];
    set_close(&line);
    set_open(&line, graph);
    set_add(&line, upper);
    set_follow(&line, &graph->needs);
    for (i = 0; i < set->count; i++) {
        if (!line.has[set->items[i]])
            text_add(&top, " %s", graph->nodes[set->items[i]].id);
        else if (set->items[i] != upper)
            text_add(&others, "%s%s", others.length > 0 ? ", " : "", graph->nodes[set->items[i]].id);
    }
    graph_fail(error, "Requested revision %s overlaps with other requested revisions %s",
               graph->nodes[upper].id, others.at);
    if (rows)
        graph_hint(
            error,
            "the version table holds a revision together with one that comes before it; to leave the later "
            "one alone: dmlua stamp --purge %s%s",
            graph->nodes[upper].id, top.length > 0 ? top.at : "");
    else
        graph_hint(error, "%s comes after the others, so it alone is enough", graph->nodes[upper].id);
    free(others.at);
    free(top.at);
    set_close(&line);
    return -1;
}

int check_overlap(const struct graph *graph, const struct set *set, bool rows, struct graph_error *error)
{
    struct set below;
    size_t i;
    int result = 0;
    if (set->count < 2)
        return 0;
    set_open(&below, graph);
    for (i = 0; i < set->count; i++)
        for (LINKS_EACH(&graph->needs, set->items[i], k))
            set_add(&below, graph->needs.items[k]);
    set_follow(&below, &graph->needs);
    for (i = 0; i < set->count && result == 0; i++)
        if (below.has[set->items[i]])
            result = fail_overlap(graph, set, set->items[i], rows, error);
    set_close(&below);
    return result;
}
