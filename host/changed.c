#include "host/changed.h"

#include <stdlib.h>
#include <string.h>

#include "host/graph.h"
#include "host/script.h"

/* Which revisions of the graph the database has, by number. Owned; null when a row is of no file. */
static bool *find_applied(const struct standing *standing, const struct graph *graph)
{
    struct graph_list applied = {0};
    struct graph_error error = {0};
    bool *has = NULL;
    size_t i;
    if (graph_applied(graph, (const char *const *)standing->rows, standing->row_count, &applied, &error) == 0) {
        has = calloc(graph_count(graph) + 1, sizeof *has);
        if (has == NULL)
            abort();
        for (i = 0; i < applied.count; i++)
            has[applied.revisions[i]] = true;
        graph_list_free(&applied);
    }
    graph_error_clear(&error);
    return has;
}

struct changed *changed_find(const struct standing *standing, const struct tree *tree, size_t *count)
{
    const PGresult *recorded = standing->recorded;
    const struct graph *graph = tree_graph(tree);
    bool *applied = recorded != NULL ? find_applied(standing, graph) : NULL;
    int row, rows = applied != NULL ? PQntuples(recorded) : 0;
    struct changed *list = calloc((size_t)rows + 1, sizeof *list);
    if (list == NULL)
        abort();
    *count = 0;
    for (row = 0; row < rows; row++) {
        struct changed one = {tree_find(tree, PQgetvalue(recorded, row, 0)), PQgetvalue(recorded, row, 1)};
        unsigned number;
        if (one.script != NULL && graph_find(graph, one.script->revision, &number) && applied[number] &&
            strcmp(one.script->sha256, one.recorded) != 0)
            list[(*count)++] = one;
    }
    free(applied);
    return list;
}
