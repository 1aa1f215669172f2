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

/* The first `kept` scripts remain; the others have been freed or moved. */
static void shorten(struct tree *tree, size_t kept)
{
    memset(tree->scripts + kept, 0, (tree->count - kept) * sizeof *tree->scripts);
    tree->count = kept;
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
    shorten(tree, kept);
    free(ids);
}

/* The ids that the files replace which are not left out, sorted. Owned. */
static const char **replaced_ids(const struct tree *tree, const bool *left_out, size_t *count)
{
    const char **ids;
    size_t total = 0, i, k;
    for (i = 0; i < tree->count; i++)
        total += tree->scripts[i].replaces_count;
    ids = calloc(total + 1, sizeof *ids);
    if (ids == NULL)
        abort();
    *count = 0;
    for (i = 0; i < tree->count; i++)
        for (k = 0; !left_out[i] && k < tree->scripts[i].replaces_count; k++)
            ids[(*count)++] = tree->scripts[i].replaces[k];
    qsort(ids, *count, sizeof *ids, compare_ids);
    return ids;
}

static bool has_id(const char **ids, size_t count, const char *id)
{
    return bsearch(&id, ids, count, sizeof *ids, compare_ids) != NULL;
}

/* What is left out must be replaced by a file that stays: two baselines could replace one another. */
static int check_left_out(const struct tree *tree, const bool *left_out, struct error *error)
{
    size_t count, i;
    const char **ids = replaced_ids(tree, left_out, &count);
    for (i = 0; i < tree->count && error->kind == ERROR_NONE; i++) {
        const struct script *script = &tree->scripts[i];
        if (!left_out[i] || has_id(ids, count, script->revision))
            continue;
        error_set(error, ERROR_USAGE, "%s is replaced only by a revision that is itself replaced", script->revision);
        error_text(&error->file, "%s", script->path);
        error_text(&error->hint, "a baseline lists in `replaces` all that those baselines replace which it replaces");
    }
    free(ids);
    return error->kind == ERROR_NONE ? 0 : -1;
}

/* Leaves out what a baseline replaces. */
static int drop_replaced(struct tree *tree, struct error *error)
{
    bool *left_out = calloc(tree->count + 1, sizeof *left_out);
    size_t count, i, kept = 0;
    const char **ids;
    int result;
    if (left_out == NULL)
        abort();
    ids = replaced_ids(tree, left_out, &count);
    for (i = 0; i < tree->count; i++)
        left_out[i] = has_id(ids, count, tree->scripts[i].revision);
    result = check_left_out(tree, left_out, error);
    free(ids);
    for (i = 0; result == 0 && i < tree->count; i++) {
        if (left_out[i])
            script_free(&tree->scripts[i]);
        else
            tree->scripts[kept++] = tree->scripts[i];
    }
    if (result == 0)
        shorten(tree, kept);
    free(left_out);
    return result;
}

int tree_settle(struct tree *tree, struct error *error)
{
    size_t i;
    drop_ported(tree);
    if (drop_replaced(tree, error) != 0)
        return -1;
    for (i = 0; i < tree->count; i++)
        if (tree->scripts[i].fault != NULL)
            return script_fault(&tree->scripts[i], error);
    return 0;
}
