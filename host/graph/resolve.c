#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

enum { SHOWN = 10 }; /* of a long list in an error */

/* Where the number of a relative identifier begins, or null. */
static char *find_relative(char *text)
{
    char *sign = strrchr(text, '+');
    char *minus = strrchr(text, '-');
    char *digit;
    if (sign == NULL || (minus != NULL && minus > sign))
        sign = minus;
    if (sign == NULL || sign[1] == '\0')
        return NULL;
    for (digit = sign + 1; *digit != '\0'; digit++)
        if (!isdigit((unsigned char)*digit))
            return NULL;
    return sign;
}

void identifier_parse(struct identifier *identifier, const struct graph *graph, const char *text)
{
    size_t length = strlen(text);
    char *memory = memory_take(length * 2 + 2, 1);
    char *symbol = memory, *at, *relative;
    *identifier = (struct identifier){.memory = memory};
    memcpy(memory, text, length + 1);
    at = strchr(memory, '@');
    if (at != NULL && name_find(graph, text) == NULL) {
        *at = '\0';
        identifier->label = memory;
        symbol = at + 1;
    }
    relative = name_find(graph, symbol) == NULL ? find_relative(symbol) : NULL;
    if (relative != NULL) {
        identifier->relative = strcpy(memory + length + 1, relative);
        errno = 0;
        identifier->steps = strtol(relative, NULL, 10); /* LONG_MAX when there are too many digits: too far anyway */
        *relative = '\0';
    }
    identifier->symbol = *symbol != '\0' || relative == NULL ? symbol : NULL;
}

void identifier_free(struct identifier *identifier)
{
    free(identifier->memory);
    *identifier = (struct identifier){0};
}

bool labels_known(const struct graph *graph)
{
    return graph->name_count + graph->double_count > graph->count;
}

int branch_open(const struct graph *graph, const char *label, struct branch *branch, struct graph_error *error)
{
    struct set below;
    struct graph_error inner = {0};
    *branch = (struct branch){.label = label};
    if (resolve_name(graph, label, NULL, &branch->node, &inner) != 0) {
        graph_fail(error, "Can't locate revision identified by '%s': No such branch: '%s'", label, label);
        if (inner.hint != NULL)
            graph_hint(error, "%s", inner.hint);
        graph_error_clear(&inner);
        return -1;
    }
    set_open(&branch->kin, graph);
    set_open(&below, graph);
    set_add(&below, branch->node);
    set_follow(&below, &graph->down);
    set_add(&branch->kin, branch->node);
    set_follow(&branch->kin, &graph->children);
    set_copy(&branch->kin, &below);
    set_close(&below);
    return 0;
}

void branch_close(struct branch *branch)
{
    set_close(&branch->kin);
}

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
    text_add(text, "\n  %s%s%s", name, shown->message != NULL ? "  " : "", shown->message != NULL ? shown->message : "");
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
    graph_fail(error, "Can't locate revision identified by '%s': Multiple revisions start with '%s': %s%s", prefix,
               prefix, names.at, matches->count > shown ? "..." : "");
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
        graph_hint(error, "one identifier names one revision; only stamp and merge take several, as words of their own");
    else
        graph_hint(error, "no revision or branch label begins with it; `dmlua history` lists them all");
    free(suggestion.at);
    return -1;
}

int resolve_name(const struct graph *graph, const char *text, const struct branch *branch, uint32_t *node,
                 struct graph_error *error)
{
    const struct name *name = name_find(graph, text);
    struct matches matches = {.count = 0};
    if (name == NULL) {
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
    return graph_fail(error, "Can't locate revision identified by '%s': Revision %s is not a member of branch '%s'",
                      text, graph->nodes[*node].id, branch->label);
}

/* Adds the heads: those that nothing comes after by down_revision, on `branch` unless that is null; or, `real`, those
   that nothing depends on either. */
static void add_heads(const struct graph *graph, const struct branch *branch, bool real, struct set *set)
{
    const struct links *up = real ? &graph->needed_by : &graph->children;
    uint32_t n;
    for (n = 0; n < graph->count; n++)
        if (links_count(up, n) == 0 && (branch == NULL || branch->kin.has[n]))
            set_add(set, n);
}

int fail_heads(const struct graph *graph, const struct set *heads, const char *argument, struct graph_error *error)
{
    struct text lines = {0}, merge = {0};
    size_t i;
    for (i = 0; i < heads->count; i++) {
        const char *id = graph->nodes[heads->items[i]].id;
        text_add(&merge, " %s", id);
        if (i < SHOWN * 2)
            add_line(graph, heads->items[i], id, &lines);
    }
    if (heads->count > SHOWN * 2)
        text_add(&lines, "\n  and %zu more", heads->count - SHOWN * 2);
    graph_fail(error,
               "Multiple head revisions are present for given argument '%s'; please specify a specific target revision, "
               "'<branchname>@%s' to narrow to a specific head, or 'heads' for all heads",
               argument, argument);
    graph_hint(error, "the heads are:%s\nto join them: dmlua merge -m \"merge heads\"%s", lines.at, merge.at);
    free(lines.at);
    free(merge.at);
    return -1;
}

static int add_single_head(const struct graph *graph, const struct branch *branch, const char *shown, struct set *set,
                           struct graph_error *error)
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

static int resolve_on(const struct graph *graph, const char *symbol, const char *shown, const struct branch *branch,
                      struct set *set, struct graph_error *error)
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

static int fail_rows(const struct text *unknown, size_t count, struct graph_error *error)
{
    graph_fail(error, "Can't locate revision identified by '%s': the database's version table holds %s, but no migration "
               "file here has %s", unknown->at, count == 1 ? "it" : "them", count == 1 ? "it" : "them");
    graph_hint(error, "the database is ahead of these files, or on another branch of the code (a deploy that was rolled "
               "back?): run dmlua from the code that has the file, to upgrade on or to downgrade; or, when the schema "
               "already is as at a revision of these files: dmlua stamp --purge REVISION");
    return -1;
}

int resolve_rows(const struct graph *graph, const char *const *rows, size_t count, struct set *set,
                 struct graph_error *error)
{
    struct text unknown = {0};
    size_t i, unknown_count = 0;
    for (i = 0; i < count; i++) {
        const struct name *name = name_find(graph, rows[i]);
        if (name != NULL && !name->label)
            set_add(set, name->node);
        else
            text_add(&unknown, "%s%s", unknown_count++ > 0 ? "', '" : "", rows[i]);
    }
    if (unknown_count > 0)
        fail_rows(&unknown, unknown_count, error);
    free(unknown.at);
    return unknown_count > 0 ? -1 : 0;
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
    graph_fail(error, "Requested revision %s overlaps with other requested revisions %s", graph->nodes[upper].id, others.at);
    if (rows)
        graph_hint(error, "the version table holds a revision together with one that comes before it; to leave the later "
                   "one alone: dmlua stamp --purge %s%s", graph->nodes[upper].id, top.length > 0 ? top.at : "");
    else
        graph_hint(error, "%s comes after the others, so it alone is enough", graph->nodes[upper].id);
    free(others.at);
    free(top.at);
    set_close(&line);
    return -1;
}

/* Refuses a set in which one revision is an ancestor of another one. */
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
