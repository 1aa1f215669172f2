#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

/* What `stamp` moves: the rows on the line of any target, dependencies counted, and where to. */
struct stamp {
    struct set destinations;
    struct set rows;    /* those that a target has to do with */
    const char **names; /* their ids */
};

/* What comes after any of a set of revisions, and what any of them needs; both with the set itself. */
struct sides {
    struct set above, below;
};

static void sides_open(const struct graph *graph, const struct set *from, struct sides *sides)
{
    set_open(&sides->above, graph);
    set_open(&sides->below, graph);
    set_copy(&sides->above, from);
    set_copy(&sides->below, from);
    set_follow(&sides->above, &graph->needed_by);
    set_follow(&sides->below, &graph->needs);
}

static void sides_close(struct sides *sides)
{
    set_close(&sides->above);
    set_close(&sides->below);
}

/* Adds the rows that are ancestors or descendants of what `tests` holds; of an empty set, all. */
static void add_related(const struct graph *graph, const struct set *tests, const struct set *rows,
                        struct set *related)
{
    struct sides sides;
    size_t i;
    sides_open(graph, tests, &sides);
    for (i = 0; i < rows->count; i++) {
        uint32_t row = rows->items[i];
        if (tests->count == 0 || sides.above.has[row] || sides.below.has[row])
            set_add(related, row);
    }
    sides_close(&sides);
}

/* The label of LABEL@SYMBOL narrows what is moved, so its own revision counts too. */
static int add_label(const struct graph *graph, const char *target, const struct set *rows, struct set *tests,
                     struct graph_error *error)
{
    struct identifier id;
    uint32_t node;
    int result = 0;
    identifier_parse(&id, graph, target);
    if (id.label != NULL && rows->count > 0) {
        result = resolve_name(graph, id.label, NULL, &node, error);
        if (result == 0)
            set_add(tests, node);
    }
    identifier_free(&id);
    return result;
}

static int add_target(const struct graph *graph, const char *target, const struct set *rows,
                      struct stamp *stamp, struct graph_error *error)
{
    struct set tests;
    int result;
    set_open(&tests, graph);
    result = target_given(graph, target, NULL, &tests, error);
    if (result == 0)
        set_copy(&stamp->destinations, &tests);
    if (result == 0)
        result = add_label(graph, target, rows, &tests, error);
    if (result == 0)
        add_related(graph, &tests, rows, &stamp->rows);
    set_close(&tests);
    return result;
}

static int choose_targets(struct planning *planning, const char *const *targets, size_t count,
                          const struct set *rows, struct stamp *stamp, struct graph_error *error)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (add_target(planning->graph, targets[i], rows, stamp, error) != 0)
            return -1;
    stamp->names = pool_take(planning->pool, rows->count, sizeof *stamp->names);
    for (i = 0; i < stamp->rows.count; i++)
        stamp->names[i] = planning->graph->nodes[stamp->rows.items[i]].id;
    return 0;
}

static void add_stamp_step(struct planning *planning, const struct stamp *stamp, const struct sides *sides,
                           uint32_t node)
{
    bool moves = sides->above.has[node] || sides->below.has[node];
    struct graph_step *step = plan_add(planning, planning->graph->nodes[node].id, !sides->below.has[node],
                                       moves ? stamp->rows.count : 0, 1);
    size_t i;
    step->to = planning->graph->nodes[node].id;
    if (moves)
        step->from = plan_join(planning, stamp->names, stamp->rows.count);
    for (i = 0; moves && i < stamp->rows.count; i++)
        if (planning->present[stamp->rows.items[i]])
            plan_delete(planning, step, stamp->rows.items[i]);
    plan_insert(planning, step, node);
}

/* A destination that is a row already stays as it is. */
static void add_stamp_steps(struct planning *planning, const struct stamp *stamp)
{
    struct sides sides;
    size_t i;
    sides_open(planning->graph, &stamp->rows, &sides);
    for (i = 0; i < stamp->destinations.count; i++)
        if (!stamp->rows.has[stamp->destinations.items[i]])
            add_stamp_step(planning, stamp, &sides, stamp->destinations.items[i]);
    sides_close(&sides);
}

static void add_base_steps(struct planning *planning, const struct stamp *stamp)
{
    size_t i;
    for (i = 0; i < stamp->rows.count; i++) {
        struct graph_step *step = plan_add(planning, "", false, 1, 0);
        step->from = stamp->names[i];
        plan_delete(planning, step, stamp->rows.items[i]);
    }
}

/* --purge: all rows, known or not, go with the first step; a row that this step writes again stays. */
static void add_purge(struct planning *planning, const char *const *purged, size_t count)
{
    struct graph_plan *plan = planning->plan;
    struct graph_step *first;
    const char *again;
    size_t i;
    if (count == 0)
        return;
    first = plan->step_count > 0 ? &plan->steps[0] : plan_add(planning, "", false, 0, 0);
    if (first->to[0] == '\0')
        first->from = pool_text(planning->pool, plan_join(planning, purged, count));
    again = first->insert_count > 0 ? first->inserts[0] : "";
    first->deletes = pool_take(planning->pool, count, sizeof *first->deletes);
    for (i = 0; i < count; i++) {
        if (strcmp(purged[i], again) == 0)
            first->insert_count = 0;
        else
            first->deletes[first->delete_count++] = pool_text(planning->pool, purged[i]);
    }
}

/* Follows Alembic's _stamp_revs: a target that is a row already stays as it is; one above or below any of the
   rows that the targets have to do with takes the place of them all; one that none of them leads to is added.
 */
int plan_stamp(struct planning *planning, const char *const *targets, size_t count, const struct set *rows,
               const char *const *purged, size_t purged_count, struct graph_error *error)
{
    struct stamp stamp = {0};
    int result;
    set_open(&stamp.destinations, planning->graph);
    set_open(&stamp.rows, planning->graph);
    result = choose_targets(planning, targets, count, rows, &stamp, error);
    if (result == 0 && stamp.destinations.count == 0)
        add_base_steps(planning, &stamp);
    else if (result == 0)
        add_stamp_steps(planning, &stamp);
    if (result == 0)
        add_purge(planning, purged, purged_count);
    set_close(&stamp.destinations);
    set_close(&stamp.rows);
    return result;
}
