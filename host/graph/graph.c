#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

struct graph *graph_new(void)
{
    struct graph *graph = memory_take(1, sizeof *graph);
    graph->labels = labels_new();
    return graph;
}

static void links_free(struct links *links)
{
    free(links->start);
    free(links->items);
}

void graph_free(struct graph *graph)
{
    if (graph == NULL)
        return;
    if (graph->needs.start != graph->down.start) {
        links_free(&graph->needs);
        links_free(&graph->needed_by);
    }
    links_free(&graph->down);
    links_free(&graph->children);
    pool_free(&graph->pool);
    free(graph->nodes);
    free(graph->names);
    free(graph->table);
    free(graph->doubles);
    free(graph->order);
    free(graph->replaced);
    labels_free(graph->labels);
    free(graph);
}

/* Alembic's rule for ids, and its words; the words that stand for something else name no revision either. */
static int check_id(const struct graph_source *source, struct graph_error *error)
{
    static const char *const reserved[] = {"head", "heads", "base", "current"};
    const char *where = source->path != NULL ? source->path : "this revision";
    const char *bad = strpbrk(source->id, "@-+:");
    size_t i;
    if (source->id[0] == '\0')
        return graph_fail(error, "The revision identifier in %s is empty", where);
    if (bad != NULL) {
        graph_hint(
            error,
            "letters, digits, '_' and '.' are safe; '@', '-', '+' and ':' have a meaning of their own");
        return graph_fail(error, "Character(s) '%c' not allowed in revision identifier '%s' (%s)", *bad,
                          source->id, where);
    }
    for (i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(source->id, reserved[i]) == 0)
            return graph_fail(error, "'%s' is a word of its own and no revision identifier (%s)", source->id,
                              where);
    return 0;
}

static const char *const *copy_names(struct graph *graph, const char *const *names, size_t count)
{
    const char **copy;
    size_t i;
    if (count == 0)
        return NULL;
    copy = pool_take(&graph->pool, count, sizeof *copy);
    for (i = 0; i < count; i++)
        copy[i] = pool_text(&graph->pool, names[i]);
    return copy;
}

static void node_fill(struct graph *graph, struct node *node, const struct graph_source *source)
{
    node->id = pool_text(&graph->pool, source->id);
    node->path = pool_text(&graph->pool, source->path);
    node->message = pool_text(&graph->pool, source->message);
    node->down = copy_names(graph, source->down, source->down_count);
    node->down_count = (uint32_t)source->down_count;
    node->labels = copy_names(graph, source->labels, source->label_count);
    node->label_count = (uint32_t)source->label_count;
    node->depends = copy_names(graph, source->depends, source->depends_count);
    node->depends_count = (uint32_t)source->depends_count;
    node->replaces = copy_names(graph, source->replaces, source->replaces_count);
    node->replaces_count = (uint32_t)source->replaces_count;
    node->replaced_heads = copy_names(graph, source->replaced_heads, source->replaced_head_count);
    node->replaced_head_count = (uint32_t)source->replaced_head_count;
}

int graph_add(struct graph *graph, const struct graph_source *source, struct graph_error *error)
{
    uint32_t n = graph->count;
    if (check_id(source, error) != 0)
        return -1;
    if (n == graph->capacity) {
        graph->capacity = n > 0 ? n * 2 : 64;
        graph->nodes = memory_grow(graph->nodes, graph->capacity, sizeof *graph->nodes);
    }
    node_fill(graph, &graph->nodes[n], source);
    graph->count++;
    if (!name_put(graph, graph->nodes[n].id, n, false)) {
        graph->doubles = memory_grow(graph->doubles, graph->double_count + 1, sizeof *graph->doubles);
        graph->doubles[graph->double_count++] = n;
    }
    return 0;
}

int graph_finish(struct graph *graph, struct graph_error *error)
{
    if (replaced_collect(graph, error) != 0 || graph_link(graph, error) != 0)
        return -1;
    return graph_check_cycles(graph, error);
}

size_t graph_count(const struct graph *graph)
{
    return graph->count;
}

const char *graph_id(const struct graph *graph, unsigned revision)
{
    return graph->nodes[revision].id;
}

bool graph_find(const struct graph *graph, const char *id, unsigned *revision)
{
    const struct name *name = name_find(graph, id);
    if (name == NULL || name->label)
        return false;
    *revision = name->node;
    return true;
}

void graph_describe(const struct graph *graph, unsigned revision, struct graph_revision *description)
{
    const struct node *node = &graph->nodes[revision];
    const struct label_set *labels = labels_of(graph, revision);
    *description = (struct graph_revision){
        .id = node->id,
        .path = node->path,
        .message = node->message,
        .down = node->down,
        .down_count = node->down_count,
        .depends = node->depends,
        .depends_count = node->depends_count,
        .own_labels = node->labels,
        .own_label_count = node->label_count,
        .labels = labels != NULL ? labels->names : NULL,
        .label_count = labels != NULL ? labels->count : 0,
        .parents = graph->down.items + graph->down.start[revision],
        .parent_count = links_count(&graph->down, revision),
        .children = graph->children.items + graph->children.start[revision],
        .child_count = links_count(&graph->children, revision),
        .dependents = graph->needed_by.items + graph->needed_by.start[revision],
        .dependent_count = links_count(&graph->needed_by, revision),
    };
}
