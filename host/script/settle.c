/* Which of the files that were read count. */
#include <stdlib.h>
#include <string.h>

#include "host/script/internal.h"

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The ids of the Lua files, sorted. Owned. */
static const char **lua_ids(const struct tree *tree, size_t *count)
{
    const char **ids = calloc(tree->count + 1, sizeof *ids);
    size_t i;
    if (ids == NULL)
        abort();
    *count = 0;
    for (i = 0; i < tree->count; i++)
        if (!tree->scripts[i].python)
            ids[(*count)++] = tree->scripts[i].revision;
    qsort(ids, *count, sizeof *ids, compare_ids);
    return ids;
}

/* Leaves out the Python files whose revision has been ported. */
static void drop_ported(struct tree *tree)
{
    size_t count, kept = 0, i;
    const char **ids = lua_ids(tree, &count);
    for (i = 0; i < tree->count; i++) {
        struct script *script = &tree->scripts[i];
        if (script->python && bsearch(&script->revision, ids, count, sizeof *ids, compare_ids) != NULL)
            script_free(script);
        else
            tree->scripts[kept++] = *script;
    }
    memset(tree->scripts + kept, 0, (tree->count - kept) * sizeof *tree->scripts);
    tree->count = kept;
    free(ids);
}

int tree_settle(struct tree *tree, struct error *error)
{
    size_t i;
    drop_ported(tree);
    for (i = 0; i < tree->count; i++)
        if (tree->scripts[i].fault != NULL)
            return script_fault(&tree->scripts[i], error);
    return 0;
}
