#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

/* Alembic's words; "+0" is told as "0", like there. */
int fail_relative(const struct identifier *id, struct graph_error *error)
{
    return graph_fail(error, "Relative revision %s didn't produce %s migrations",
                      id->steps == 0 ? "0" : id->relative, id->steps == 0 ? "0" : id->relative + 1);
}

/* The applied revisions on the branch that no other of them comes after. */
static void add_active_tips(const struct graph *graph, const struct set *rows, const struct branch *branch,
                            struct set *tips)
{
    struct set applied;
    size_t i;
    set_open(&applied, graph);
    set_copy(&applied, rows);
    set_follow(&applied, &graph->needs);
    for (i = 0; i < applied.count; i++) {
        uint32_t node = applied.items[i];
        bool tip = branch->kin.has[node];
        for (LINKS_EACH(&graph->needed_by, node, k)) {
            uint32_t child = graph->needed_by.items[k];
            tip = tip && !(applied.has[child] && branch->kin.has[child]);
        }
        if (tip)
            set_add(tips, node);
    }
    set_close(&applied);
}

static void add_rows_on(const struct set *rows, const struct branch *branch, struct set *found)
{
    size_t i;
    for (i = 0; i < rows->count; i++)
        if (branch == NULL || branch->kin.has[rows->items[i]])
            set_add(found, rows->items[i]);
}

/* Where +N starts from: the one current row (on the branch); not yet on the branch: the applied revision that
   is nearest to it, else base. */
static int find_start(const struct graph *graph, const struct set *rows, const struct branch *branch,
                      uint32_t *start, struct graph_error *error)
{
    struct set starts;
    int result = 0;
    set_open(&starts, graph);
    add_rows_on(rows, branch, &starts);
    if (branch != NULL && starts.count == 0)
        add_active_tips(graph, rows, branch, &starts);
    *start = starts.count > 0 ? starts.items[0] : NODE_BASE;
    if (starts.count > 1) {
        result = graph_fail(error, "Ambiguous upgrade from multiple current revisions");
        graph_hint(error, "say which line goes on, as in '%s@+1', or name the revision to go to",
                   graph->nodes[*start].id);
    }
    set_close(&starts);
    return result;
}

/* LABEL@SYMBOL as one text again. Owned. */
static char *join_identifier(const char *label, const char *symbol)
{
    struct text text = {0};
    text_add(&text, "%s%s%s", label != NULL ? label : "", label != NULL ? "@" : "", symbol);
    return text.at;
}

static int resolve_start(const struct graph *graph, const struct identifier *id, bool labelled,
                         const char *shown, uint32_t *node, struct graph_error *error)
{
    char *text = join_identifier(labelled ? id->label : NULL, id->symbol);
    int result = resolve_one(graph, text, shown, node, error);
    free(text);
    return result;
}

/* Alembic goes down from base to the one base that there is, and is at a loss where there are several. */
static int fail_too_far(const struct graph *graph, const struct walk *walk, const char *target,
                        struct graph_error *error)
{
    struct set bases;
    bool several;
    set_open(&bases, graph);
    walk_bases(graph, &bases);
    several = bases.count > 1 && walk->from == NODE_BASE && walk->steps < 0;
    set_close(&bases);
    if (several)
        return graph_fail(error, "Ambiguous walk: there are several bases, and no revision %s", target);
    return graph_fail(error, "Walked too far: there is no revision %s", target);
}

static int walk_upgrade(const struct graph *graph, const struct identifier *id, const char *target,
                        const struct set *rows, const struct branch *branch, struct walk *walk,
                        struct graph_error *error)
{
    int result;
    if (id->symbol == NULL)
        result = find_start(graph, rows, branch, &walk->from, error);
    else
        result = resolve_start(graph, id, id->steps <= 0, target, &walk->from, error);
    walk->branch = branch;
    if (result != 0 || walk_run(graph, walk, error) != 0)
        return -1;
    if (!walk->too_far && (walk->end != NODE_BASE || walk->stop_at_end))
        return 0;
    walk_hint(graph, walk, error);
    if (id->symbol == NULL)
        return fail_relative(id, error);
    return fail_too_far(graph, walk, target, error);
}

static int target_relative(const struct graph *graph, const struct identifier *id, const char *target,
                           const struct set *rows, bool stop_at_end, struct set *targets,
                           struct graph_error *error)
{
    struct walk walk = {.steps = id->steps, .stop_at_end = stop_at_end};
    struct branch branch = {0};
    int result = 0;
    if (id->symbol == NULL && id->steps <= 0) {
        graph_hint(error, id->steps == 0 ? "+1 is the next revision" : "to go down: dmlua downgrade %s",
                   id->relative);
        return fail_relative(id, error);
    }
    if (id->label != NULL)
        result = branch_open(graph, id->label, &branch, error);
    if (result == 0)
        result = walk_upgrade(graph, id, target, rows, id->label != NULL ? &branch : NULL, &walk, error);
    if (result == 0 && walk.end != NODE_BASE)
        set_add(targets, walk.end);
    branch_close(&branch);
    return result;
}

int target_upgrade(const struct graph *graph, const char *target, const struct set *rows, bool stop_at_end,
                   struct set *targets, struct graph_error *error)
{
    struct identifier id;
    int result;
    identifier_parse(&id, graph, target);
    if (id.relative == NULL)
        result = resolve_all(graph, target, target, targets, error);
    else
        result = target_relative(graph, &id, target, rows, stop_at_end, targets, error);
    identifier_free(&id);
    return result;
}

/* Alembic takes no relative identifier where this is asked, and so quotes the whole of what it cannot find. */
static int check_start(const struct graph *graph, const struct identifier *id, const char *target,
                       struct graph_error *error)
{
    struct graph_error inner = {0};
    struct set found;
    int result;
    set_open(&found, graph);
    result = resolve_all(graph, id->symbol, target, &found, &inner);
    set_close(&found);
    if (result != 0 && strcmp(id->symbol, "head") != 0) {
        graph_hint(error, "%s", inner.hint);
        graph_fail(error, "Can't locate revision identified by '%s'", target);
    }
    graph_error_clear(&inner);
    return error->message != NULL ? -1 : 0;
}

int target_given(const struct graph *graph, const char *target, const char *shown, struct set *targets,
                 struct graph_error *error)
{
    struct identifier id;
    int result;
    identifier_parse(&id, graph, target);
    if (id.relative == NULL || id.symbol == NULL)
        result = resolve_all(graph, target, shown, targets, error);
    else if (check_start(graph, &id, target, error) != 0)
        result = -1;
    else
        result = target_relative(graph, &id, target, NULL, false, targets, error);
    identifier_free(&id);
    return result;
}

static int fail_row_on(const struct identifier *id, size_t found, struct graph_error *error)
{
    if (found == 0) {
        graph_hint(error, "no current revision is on branch '%s'", id->label);
        return fail_relative(id, error);
    }
    graph_hint(error, "name the revision to go down to, as in '%s@REVISION'", id->label);
    return graph_fail(error, "Ambiguous walk: several current revisions are on branch '%s'", id->label);
}

/* The one row that LABEL@-N goes down from: on the branch itself, or a branch head that a row's dependency
 * implies. */
static int find_row_on(const struct graph *graph, const struct identifier *id, const struct set *rows,
                       uint32_t *row, struct graph_error *error)
{
    struct branch branch;
    struct set found, current;
    int result = branch_open(graph, id->label, &branch, error);
    if (result != 0)
        return -1;
    set_open(&found, graph);
    add_rows_on(rows, &branch, &found);
    if (found.count == 0) {
        set_open(&current, graph);
        current_nodes(graph, rows, &current);
        add_rows_on(&current, &branch, &found);
        set_close(&current);
    }
    if (found.count == 1)
        *row = found.items[0];
    else
        result = fail_row_on(id, found.count, error);
    set_close(&found);
    branch_close(&branch);
    return result;
}

/* The row that -N goes down from. Alembic warns of several rows, in these words, and takes whichever comes first; there
   is no first row in a table, so this refuses. */
static int find_row(const struct graph *graph, const struct identifier *id, const struct set *rows,
                    uint32_t *row, struct text *label, struct graph_error *error)
{
    if (id->label != NULL)
        return find_row_on(graph, id, rows, row, error);
    if (rows->count == 0) {
        graph_hint(error, "the database has no revision");
        return fail_relative(id, error);
    }
    *row = rows->items[0];
    text_add(label, "%s", graph->nodes[*row].id);
    if (rows->count == 1)
        return 0;
    graph_hint(error, "say which line goes down, as in '%s@%s', or name the revision to go down to",
               label->at, id->relative);
    return graph_fail(error, "Ambiguous walk: downgrade %s from multiple heads is ambiguous", id->relative);
}

static int downgrade_relative(const struct graph *graph, const struct identifier *id, const char *target,
                              const struct set *rows, uint32_t *node, struct text *label,
                              struct graph_error *error)
{
    struct walk walk = {.steps = id->steps};
    struct branch branch = {0};
    int result;
    if (id->symbol == NULL && id->steps >= 0) {
        graph_hint(error, id->steps == 0 ? "-1 is the revision before" : "to go up: dmlua upgrade %s",
                   id->relative);
        return fail_relative(id, error);
    }
    if (id->symbol == NULL)
        result = find_row(graph, id, rows, &walk.from, label, error);
    else
        result = resolve_start(graph, id, id->steps < 0, target, &walk.from, error);
    if (result == 0 && id->label != NULL && id->steps > 0)
        result = branch_open(graph, id->label, &branch, error);
    walk.branch = branch.label != NULL ? &branch : NULL;
    if (result == 0)
        result = walk_run(graph, &walk, error);
    if (result == 0 && (walk.too_far || (walk.end == NODE_BASE && walk.steps >= 0))) {
        walk_hint(graph, &walk, error);
        result = id->symbol == NULL ? fail_relative(id, error) : fail_too_far(graph, &walk, target, error);
    }
    *node = walk.end;
    branch_close(&branch);
    return result;
}

int target_downgrade(const struct graph *graph, const char *target, const struct set *rows, uint32_t *node,
                     struct text *label, struct graph_error *error)
{
    struct identifier id;
    int result;
    identifier_parse(&id, graph, target);
    if (id.label != NULL)
        text_add(label, "%s", id.label);
    if (id.relative == NULL)
        result = resolve_one(graph, id.symbol, target, node, error);
    else
        result = downgrade_relative(graph, &id, target, rows, node, label, error);
    identifier_free(&id);
    return result;
}
