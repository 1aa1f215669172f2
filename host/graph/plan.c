#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

struct graph_step *plan_add(struct planning *planning, const char *revision, bool up, size_t deletes,
                            size_t inserts)
{
    struct graph_plan *plan = planning->plan;
    struct graph_step *step;
    if (plan->step_count == planning->capacity) {
        planning->capacity = planning->capacity > 0 ? planning->capacity * 2 : 16;
        plan->steps = memory_grow(plan->steps, planning->capacity, sizeof *plan->steps);
    }
    step = &plan->steps[plan->step_count++];
    *step = (struct graph_step){.revision = revision, .up = up, .from = "", .to = ""};
    step->deletes = pool_take(planning->pool, deletes, sizeof *step->deletes);
    step->inserts = pool_take(planning->pool, inserts, sizeof *step->inserts);
    return step;
}

void plan_delete(struct planning *planning, struct graph_step *step, uint32_t node)
{
    planning->present[node] = false;
    step->deletes[step->delete_count++] = planning->graph->nodes[node].id;
}

void plan_insert(struct planning *planning, struct graph_step *step, uint32_t node)
{
    planning->present[node] = true;
    set_add(&planning->seen, node);
    step->inserts[step->insert_count++] = planning->graph->nodes[node].id;
}

const char *plan_join(struct planning *planning, const char *const *names, size_t count)
{
    size_t i, length = 1;
    char *joined, *end;
    if (count < 2)
        return count == 1 ? names[0] : "";
    for (i = 0; i < count; i++)
        length += strlen(names[i]) + 2;
    end = joined = pool_take(planning->pool, length, 1);
    for (i = 0; i < count; i++) {
        end = stpcpy(end, i > 0 ? ", " : "");
        end = stpcpy(end, names[i]);
    }
    return joined;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void fill_heads(struct planning *planning)
{
    struct graph_plan *plan = planning->plan;
    const struct set *seen = &planning->seen;
    size_t i;
    plan->heads = pool_take(planning->pool, seen->count, sizeof *plan->heads);
    for (i = 0; i < seen->count; i++)
        if (planning->present[seen->items[i]])
            plan->heads[plan->head_count++] = planning->graph->nodes[seen->items[i]].id;
    qsort(plan->heads, plan->head_count, sizeof *plan->heads, compare_names);
}

/* START:END of --sql: START, one revision at most, takes the place of the rows. */
static int split_range(const struct graph *graph, const char *target, struct set *rows, const char **end,
                       struct graph_error *error)
{
    const char *colon = strchr(target, ':');
    uint32_t node;
    char *start;
    int result;
    *end = target;
    if (colon == NULL)
        return 0;
    *end = colon + 1;
    start = memory_take((size_t)(colon - target) + 1, 1);
    memcpy(start, target, (size_t)(colon - target));
    result = resolve_one(graph, start, start, &node, error);
    free(start);
    if (result != 0)
        return -1;
    if (rows->count > 0 && (node == NODE_BASE || !rows->has[node]))
        return graph_fail(error,
                          "Stamp operation with --sql only supports a single starting revision at a time");
    if (node != NODE_BASE)
        set_add(rows, node);
    return 0;
}

static int split_ranges(const struct graph *graph, enum graph_command command, const char *const *targets,
                        size_t count, struct set *rows, const char **ends, struct graph_error *error)
{
    size_t i;
    for (i = 0; i < count; i++) {
        if (command == GRAPH_DOWNGRADE && strchr(targets[i], ':') == NULL) {
            graph_hint(
                error,
                "no database is read with --sql, so say where it stands: dmlua downgrade --sql FROM:%s",
                targets[i]);
            return graph_fail(error, "downgrade with --sql requires <fromrev>:<torev>");
        }
        if (split_range(graph, targets[i], rows, &ends[i], error) != 0)
            return -1;
    }
    return 0;
}

static int refuse_ranges(enum graph_command command, const char *const *targets, size_t count,
                         struct graph_error *error)
{
    size_t i;
    for (i = 0; command != GRAPH_STAMP && i < count; i++)
        if (strchr(targets[i], ':') != NULL) {
            graph_hint(error, "a range START:END is for --sql, where no database says where to start");
            return graph_fail(error, "Range revision not allowed");
        }
    return 0;
}

static int run_command(struct planning *planning, unsigned command, const char *const *targets, size_t count,
                       const struct set *rows, const char *const *purged, size_t purged_count,
                       struct graph_error *error)
{
    set_copy(&planning->seen, rows);
    for (size_t i = 0; i < rows->count; i++)
        planning->present[rows->items[i]] = true;
    if (command == GRAPH_UPGRADE)
        return plan_upgrade(planning, targets, count, rows, error);
    if (command == GRAPH_DOWNGRADE)
        return plan_downgrade(planning, targets, count, rows, error);
    return plan_stamp(planning, targets, count, rows, purged, purged_count, error);
}

int graph_plan(const struct graph *graph, unsigned command, const char *const *targets, size_t target_count,
               const char *const *rows, size_t row_count, struct graph_plan *plan, struct graph_error *error)
{
    struct planning planning = {.graph = graph, .plan = plan};
    bool offline = command & GRAPH_OFFLINE, purge = command & GRAPH_PURGE;
    const char **ends = memory_take(target_count, sizeof *ends);
    struct set present;
    int result;
    command &= ~(unsigned)(GRAPH_OFFLINE | GRAPH_PURGE);
    *plan = (struct graph_plan){.memory = memory_take(1, sizeof(struct pool))};
    planning.pool = plan->memory;
    planning.present = memory_take(graph->count, sizeof *planning.present);
    set_open(&planning.seen, graph);
    set_open(&present, graph);
    if (offline)
        result = split_ranges(graph, command, targets, target_count, &present, ends, error);
    else
        result = refuse_ranges(command, targets, target_count, error);
    if (result == 0 && !offline && !purge)
        result = resolve_rows(graph, rows, row_count, &present, error);
    if (result == 0 && !offline && !purge)
        plan_adopt(&planning, &present, rows, row_count);
    if (result == 0)
        result = run_command(&planning, command, offline ? ends : targets, target_count, &present, rows,
                             purge && !offline ? row_count : 0, error);
    if (result == 0)
        fill_heads(&planning);
    set_close(&present);
    set_close(&planning.seen);
    free(planning.present);
    free(ends);
    if (result != 0)
        graph_plan_free(plan);
    return result;
}

void graph_plan_free(struct graph_plan *plan)
{
    if (plan->memory != NULL)
        pool_free(plan->memory);
    free(plan->memory);
    free(plan->steps);
    *plan = (struct graph_plan){0};
}
