#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

void node_show(const struct graph *graph, uint32_t node, struct text *text)
{
    const struct node *shown = &graph->nodes[node];
    if (shown->path != NULL)
        text_add(text, "%s (%s)", shown->id, shown->path);
    else
        text_add(text, "%s", shown->id);
}

/* Alembic only warns of it, and then takes the file it read last. */
static int check_doubles(const struct graph *graph, struct graph_error *error)
{
    struct text text = {0};
    uint32_t i;
    for (i = 0; i < graph->double_count; i++) {
        const char *id = graph->nodes[graph->doubles[i]].id;
        text_add(&text, "%sRevision %s is present more than once: ", i > 0 ? "\n" : "", id);
        node_show(graph, name_find(graph, id)->node, &text);
        text_add(&text, " and ");
        node_show(graph, graph->doubles[i], &text);
    }
    if (graph->double_count > 0) {
        graph_fail(error, "%s", text.at);
        graph_hint(error, "give one of the files an identifier of its own, or delete it if it is a copy");
    }
    free(text.at);
    return graph->double_count > 0 ? -1 : 0;
}

static void put_labels(struct graph *graph, uint32_t n, struct text *faults)
{
    const struct node *node = &graph->nodes[n];
    uint32_t i;
    for (i = 0; i < node->label_count; i++) {
        const struct name *taken = name_find(graph, node->labels[i]);
        if (taken == NULL) {
            name_put(graph, node->labels[i], n, true);
            continue;
        }
        text_add(faults, "%sBranch name '%s' in revision ", faults->length > 0 ? "\n" : "", node->labels[i]);
        node_show(graph, n, faults);
        text_add(faults, " already used by revision ");
        node_show(graph, taken->node, faults);
    }
}

static int check_labels(struct graph *graph, struct graph_error *error)
{
    struct text faults = {0};
    uint32_t n;
    int result = 0;
    for (n = 0; n < graph->count; n++)
        put_labels(graph, n, &faults);
    if (faults.length > 0) {
        result = graph_fail(error, "%s", faults.at);
        graph_hint(error,
                   "a label names one branch, and no label is spelt like a revision: rename one of them");
    }
    free(faults.at);
    return result;
}

struct loops {
    struct text ids, lines;
};

/* What one pass over all names found wrong. */
struct faults {
    struct text missing, suggestions;
    struct loops down, depends;
};

static void add_missing(const struct graph *graph, uint32_t n, const char *wanted, struct faults *faults)
{
    const struct replaced *replaced = replaced_find(graph, wanted);
    const struct name *label = name_find(graph, wanted);
    text_add(&faults->missing, "%sRevision %s referenced from ", faults->missing.length > 0 ? "\n" : "",
             wanted);
    node_show(graph, n, &faults->missing);
    text_add(&faults->missing, " is not present");
    if (replaced != NULL) {
        text_add(&faults->missing, ": it is one of those that ");
        node_show(graph, replaced->node, &faults->missing);
        text_add(&faults->missing, " replaces, and not the only head of them");
    } else if (faults->suggestions.length == 0 && label != NULL) {
        text_add(&faults->suggestions, "'%s' is a label of %s, and down_revision takes identifiers.", wanted,
                 graph->nodes[label->node].id);
    } else if (faults->suggestions.length == 0) {
        name_suggest(graph, wanted, &faults->suggestions);
    }
}

static void add_loop(const struct graph *graph, uint32_t n, struct loops *loops)
{
    text_add(&loops->ids, "%s%s", loops->ids.length > 0 ? ", " : "", graph->nodes[n].id);
    text_add(&loops->lines, "\n  ");
    node_show(graph, n, &loops->lines);
    text_add(&loops->lines, " names itself");
}

/* The revision of this name; or the baseline that has taken its place, if whoever has the one has all of the other. */
static bool find_named(const struct graph *graph, const char *text, bool depends, uint32_t *node)
{
    const struct name *name = name_find(graph, text);
    const struct replaced *replaced = name == NULL ? replaced_find(graph, text) : NULL;
    if (name != NULL)
        *node = name->node;
    if (replaced != NULL)
        *node = replaced->node;
    return replaced != NULL ? replaced->last : name != NULL && (depends || !name->label);
}

/* Writes the nodes that n names to `items`, each once, and says how many. `faults` may be null: told already.
 */
static uint32_t resolve_names(const struct graph *graph, uint32_t n, bool depends, uint32_t *last,
                              uint32_t *items, struct faults *faults)
{
    const struct node *node = &graph->nodes[n];
    const char *const *names = depends ? node->depends : node->down;
    uint32_t count = depends ? node->depends_count : node->down_count;
    uint32_t i, written = 0;
    for (i = 0; i < count; i++) {
        uint32_t other;
        bool found = find_named(graph, names[i], depends, &other);
        if (found && other != n && last[other] != n + 1) {
            last[other] = n + 1;
            items[written++] = other;
        } else if (faults != NULL && found && other == n) {
            add_loop(graph, n, depends ? &faults->depends : &faults->down);
        } else if (faults != NULL && !found) {
            add_missing(graph, n, names[i], faults);
        }
    }
    return written;
}

static struct links links_new(const struct graph *graph, size_t most)
{
    return (struct links){memory_take((size_t)graph->count + 1, sizeof(uint32_t)),
                          memory_take(most, sizeof(uint32_t))};
}

/* Parents (and, for `needs`, dependencies after them) of every node. */
static struct links links_resolve(const struct graph *graph, bool depends, struct faults *faults)
{
    uint32_t *last = memory_take(graph->count, sizeof *last); /* who named a node last, + 1 */
    size_t most = 0;
    struct links links;
    uint32_t n;
    for (n = 0; n < graph->count; n++)
        most += graph->nodes[n].down_count + (depends ? graph->nodes[n].depends_count : 0);
    links = links_new(graph, most);
    for (n = 0; n < graph->count; n++) {
        uint32_t at = links.start[n];
        at += resolve_names(graph, n, false, last, links.items + at, depends ? NULL : faults);
        if (depends)
            at += resolve_names(graph, n, true, last, links.items + at, faults);
        links.start[n + 1] = at;
    }
    free(last);
    return links;
}

/* The same links seen from the other end, in load order. */
static struct links links_reverse(const struct graph *graph, const struct links *links)
{
    struct links reverse = links_new(graph, links->start[graph->count]);
    uint32_t *fill = memory_take((size_t)graph->count + 1, sizeof *fill);
    uint32_t n;
    for (n = 0; n < links->start[graph->count]; n++)
        reverse.start[links->items[n] + 1]++;
    for (n = 0; n < graph->count; n++)
        fill[n + 1] = reverse.start[n + 1] += reverse.start[n];
    fill[0] = 0;
    for (n = 0; n < graph->count; n++)
        for (LINKS_EACH(links, n, i))
            reverse.items[fill[links->items[i]]++] = n;
    free(fill);
    return reverse;
}

static int fail_loops(struct loops *loops, const char *kind, const char *field, struct graph_error *error)
{
    graph_hint(error, "a revision cannot come after itself: correct its %s", field);
    return graph_fail(error, "%s is detected in revisions (%s)%s", kind, loops->ids.at, loops->lines.at);
}

static int fail_missing(const struct faults *faults, struct graph_error *error)
{
    const char *suggestions = faults->suggestions.length > 0 ? faults->suggestions.at : "";
    graph_hint(error,
               "%s%sbring the missing file back, or correct down_revision or depends_on in the file named",
               suggestions, *suggestions != '\0' ? " Else " : "");
    return graph_fail(error, "%s", faults->missing.at);
}

static int report_faults(struct faults *faults, struct graph_error *error)
{
    int result = 0;
    if (faults->down.ids.length > 0)
        result = fail_loops(&faults->down, "Self-loop", "down_revision", error);
    else if (faults->depends.ids.length > 0)
        result = fail_loops(&faults->depends, "Dependency self-loop", "depends_on", error);
    else if (faults->missing.length > 0)
        result = fail_missing(faults, error);
    free(faults->down.ids.at);
    free(faults->down.lines.at);
    free(faults->depends.ids.at);
    free(faults->depends.lines.at);
    free(faults->missing.at);
    free(faults->suggestions.at);
    return result;
}

static bool has_dependencies(const struct graph *graph)
{
    uint32_t n;
    for (n = 0; n < graph->count; n++)
        if (graph->nodes[n].depends_count > 0)
            return true;
    return false;
}

int graph_link(struct graph *graph, struct graph_error *error)
{
    struct faults faults = {0};
    if (check_doubles(graph, error) != 0 || check_labels(graph, error) != 0)
        return -1;
    graph->down = links_resolve(graph, false, &faults);
    graph->needs = graph->down;
    if (has_dependencies(graph))
        graph->needs = links_resolve(graph, true, &faults);
    graph->children = links_reverse(graph, &graph->down);
    graph->needed_by = graph->children;
    if (graph->needs.start != graph->down.start)
        graph->needed_by = links_reverse(graph, &graph->needs);
    return report_faults(&faults, error);
}
