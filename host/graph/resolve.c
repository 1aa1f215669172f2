#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

enum { SHOWN = 20 }; /* of a long list in an error */

/* Prefixes. Alembic takes one of any length, and only names longer than three characters have prefixes. */
struct matches {
    const struct name *first[SHOWN];
    size_t count;
};

static void find_matches(const struct graph *graph, const char *prefix, const struct branch *branch,
                         struct matches *matches)
{
    size_t length = strlen(prefix);
    uint32_t i;
    for (i = 0; i < graph->name_count && length > 0; i++) {
        const struct name *name = &graph->names[i];
        if (strncmp(name->text, prefix, length) != 0 || strlen(name->text) <= 3)
            continue;
        if (branch != NULL && !branch->kin.has[name->node])
            continue;
        if (matches->count < SHOWN)
            matches->first[matches->count] = name;
        matches->count++;
    }
}

static void add_line(const struct graph *graph, uint32_t node, const char *name, struct text *text)
{
    const struct node *shown = &graph->nodes[node];
    text_add(text, "\n  %s%s%s", name, shown->message != NULL ? "  " : "",
             shown->message != NULL ? shown->message : "");
}

static int fail_ambiguous(const struct graph *graph, const char *prefix, const struct matches *matches,
                          struct graph_error *error)
{
    struct text names = {0}, lines = {0};
    size_t i, shown = matches->count < SHOWN ? matches->count : SHOWN;
    for (i = 0; i < shown; i++) {
        text_add(&names, "%s'%s'", i > 0 ? ", " : "", matches->first[i]->text);
        add_line(graph, matches->first[i]->node, matches->first[i]->text, &lines);
    }
    if (matches->count > shown)
        text_add(&lines, "\n  and %zu more", matches->count - shown);
    graph_fail(error, "Can't locate revision identified by '%s': Multiple revisions start with '%s': %s%s",
               prefix, prefix, names.at, matches->count > shown ? "..." : "");
    graph_hint(error, "type more of it; these begin so:%s", lines.at);
    free(names.at);
    free(lines.at);
    return -1;
}

static int fail_unknown(const struct graph *graph, const char *text, struct graph_error *error)
{
    struct text suggestion = {0};
    name_suggest(graph, text, &suggestion);
    graph_fail(error, "Can't locate revision identified by '%s'", text);
    if (suggestion.length > 0)
        graph_hint(error, "%s", suggestion.at);
    else if (strpbrk(text, ", ") != NULL)
        graph_hint(
            error,
            "one identifier names one revision; only stamp and merge take several, as words of their own");
    else
        graph_hint(error, "no revision or branch label begins with it; `dmlua history` lists them all");
    free(suggestion.at);
    return -1;
}

int resolve_name(const struct graph *graph, const char *text, const struct branch *branch, uint32_t *node,
                 struct graph_error *error)
{
    const struct name *name = name_find(graph, text);
    const struct replaced *replaced = name == NULL ? replaced_find(graph, text) : NULL;
    struct matches matches = {.count = 0};
    if (name == NULL && replaced != NULL) {
        name = name_find(graph, graph->nodes[replaced->node].id);
    } else if (name == NULL) {
        find_matches(graph, text, branch, &matches);
        if (matches.count == 0)
            return fail_unknown(graph, text, error);
        if (matches.count > 1)
            return fail_ambiguous(graph, text, &matches, error);
        name = matches.first[0];
    }
    *node = name->node;
    if (branch == NULL || branch->kin.has[*node])
        return 0;
    return graph_fail(error,
                      "Can't locate revision identified by '%s': Revision %s is not a member of branch '%s'",
                      text, graph->nodes[*node].id, branch->label);
}

/* Adds the heads: those that nothing comes after by down_revision, on `branch` unless that is null; or,
   `real`, those that nothing depends on either. */
static void add_heads(const struct graph *graph, const struct branch *branch, bool real, struct set *set)
{
    const struct links *up = real ? &graph->needed_by : &graph->children;
    uint32_t n;
    for (n = 0; n < graph->count; n++)
        if (links_count(up, n) == 0 && (branch == NULL || branch->kin.has[n]))
            set_add(set, n);
}

static int fail_heads(const struct graph *graph, const struct set *heads, const char *argument,
                      struct graph_error *error)
{
    struct text lines = {0}, merge = {0};
    size_t i;
    for (i = 0; i < heads->count && i < SHOWN; i++) {
        add_line(graph, heads->items[i], graph->nodes[heads->items[i]].id, &lines);
        text_add(&merge, " %s", graph->nodes[heads->items[i]].id);
    }
    if (heads->count > SHOWN) {
        text_add(&lines, "\n  and %zu more", heads->count - SHOWN);
        merge.length = 0;
        text_add(&merge, " heads");
    }
    if (argument == NULL)
        graph_fail(error, "Multiple heads are present; please specify a single target revision");
    else
        graph_fail(
            error,
            "Multiple head revisions are present for given argument '%s'; please specify a specific "
            "target revision, '<branchname>@%s' to narrow to a specific head, or 'heads' for all heads",
            argument, argument);
    graph_hint(error, "the heads are:%s\nto join them: dmlua merge -m \"merge heads\"%s", lines.at, merge.at);
    free(lines.at);
    free(merge.at);
    return -1;
}

static int add_single_head(const struct graph *graph, const struct branch *branch, const char *shown,
                           struct set *set, struct graph_error *error)
{
    struct set heads;
    int result = 0;
    set_open(&heads, graph);
    add_heads(graph, branch, false, &heads);
    if (heads.count > 1)
        result = fail_heads(graph, &heads, shown, error);
    else
        set_copy(set, &heads);
    set_close(&heads);
    return result;
}

static int resolve_on(const struct graph *graph, const char *symbol, const char *shown,
                      const struct branch *branch, struct set *set, struct graph_error *error)
{
    uint32_t node;
    if (strcmp(symbol, "heads") == 0) {
        add_heads(graph, branch, branch == NULL, set);
        return 0;
    }
    if (strcmp(symbol, "head") == 0)
        return add_single_head(graph, branch, shown, set, error);
    if (resolve_name(graph, symbol, branch, &node, error) != 0)
        return -1;
    set_add(set, node);
    return 0;
}

int resolve_all(const struct graph *graph, const char *text, const char *shown, struct set *set,
                struct graph_error *error)
{
    const char *at = name_find(graph, text) == NULL ? strchr(text, '@') : NULL;
    const char *symbol = at != NULL ? at + 1 : text;
    struct branch branch;
    char *label;
    int result;
    if (strcmp(symbol, "base") == 0 && (at == NULL || !labels_known(graph)))
        return 0;
    if (at == NULL)
        return resolve_on(graph, symbol, shown, NULL, set, error);
    label = memory_take((size_t)(at - text) + 1, 1);
    memcpy(label, text, (size_t)(at - text));
    result = branch_open(graph, label, &branch, error);
    if (result == 0 && strcmp(symbol, "base") != 0)
        result = resolve_on(graph, symbol, shown, &branch, set, error);
    branch_close(&branch);
    free(label);
    return result;
}

int resolve_one(const struct graph *graph, const char *text, const char *shown, uint32_t *node,
                struct graph_error *error)
{
    struct set set;
    int result;
    set_open(&set, graph);
    result = resolve_all(graph, text, shown, &set, error);
    if (result == 0 && set.count > 1)
        result = fail_heads(graph, &set, shown, error);
    *node = set.count > 0 ? set.items[0] : NODE_BASE;
    set_close(&set);
    return result;
}
