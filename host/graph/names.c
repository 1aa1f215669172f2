#include <stdlib.h>
#include <string.h>

#include "bindings/distance.h"
#include "host/graph/internal.h"

/* The hash table holds ids and labels together, because Alembic resolves both by one map. */

static uint32_t hash(const char *text)
{
    uint32_t value = 2166136261u; /* FNV-1a */
    for (; *text != '\0'; text++)
        value = (value ^ (unsigned char)*text) * 16777619u;
    return value ^ value >> 15;
}

/* Where `text` stands, or the free place where it would. */
static uint32_t *slot_of(const struct graph *graph, const char *text, uint32_t value)
{
    uint32_t mask = graph->table_size - 1;
    uint32_t i = value & mask;
    for (; graph->table[i] != 0; i = (i + 1) & mask) {
        const struct name *name = &graph->names[graph->table[i] - 1];
        if (name->hash == value && strcmp(name->text, text) == 0)
            break;
    }
    return &graph->table[i];
}

static void table_grow(struct graph *graph)
{
    uint32_t n, i;
    graph->table_size = graph->table_size > 0 ? graph->table_size * 2 : 64;
    free(graph->table);
    graph->table = memory_take(graph->table_size, sizeof *graph->table);
    for (n = 0; n < graph->name_count; n++) {
        i = graph->names[n].hash & (graph->table_size - 1);
        while (graph->table[i] != 0)
            i = (i + 1) & (graph->table_size - 1);
        graph->table[i] = n + 1;
    }
}

bool name_put(struct graph *graph, const char *text, uint32_t node, bool label)
{
    uint32_t value = hash(text);
    uint32_t *slot;
    if (graph->name_count * 2 >= graph->table_size)
        table_grow(graph);
    slot = slot_of(graph, text, value);
    if (*slot != 0)
        return false;
    if (graph->name_count == graph->name_capacity) {
        graph->name_capacity = graph->name_capacity > 0 ? graph->name_capacity * 2 : 64;
        graph->names = memory_grow(graph->names, graph->name_capacity, sizeof *graph->names);
    }
    graph->names[graph->name_count] = (struct name){text, value, node, label};
    *slot = ++graph->name_count;
    return true;
}

const struct name *name_find(const struct graph *graph, const char *text)
{
    uint32_t found = graph->table_size > 0 ? *slot_of(graph, text, hash(text)) : 0;
    return found > 0 ? &graph->names[found - 1] : NULL;
}

/* Suggestions. */

enum { FARTHEST = 2, SHOWN = 3 };

/* How far `name` is from what was wanted: as a whole, or, a little farther, its beginning for a mistyped
 * prefix. */
static int farness(const char *wanted, size_t length, const char *name)
{
    size_t name_length = strlen(name);
    int whole = (int)distance(wanted, length, name, name_length, FARTHEST) * 2, part;
    if (length < 4 || length >= name_length)
        return whole;
    part = (int)distance(wanted, length, name, length, FARTHEST) * 2 + 1;
    return part < whole ? part : whole;
}

void name_suggest(const struct graph *graph, const char *wanted, struct text *text)
{
    const struct name *best[SHOWN] = {NULL};
    int far[SHOWN], count = 0, i;
    size_t length = strlen(wanted);
    int limit = length < 4 ? 2 : FARTHEST * 2 + 1;
    uint32_t n;
    for (n = 0; n < graph->name_count; n++) {
        int value = farness(wanted, length, graph->names[n].text);
        if (value > limit || (count == SHOWN && value >= far[SHOWN - 1]))
            continue;
        for (i = count < SHOWN ? count++ : SHOWN - 1; i > 0 && far[i - 1] > value; i--) {
            far[i] = far[i - 1];
            best[i] = best[i - 1];
        }
        far[i] = value;
        best[i] = &graph->names[n];
    }
    for (i = 0; i < count; i++) {
        const char *message = graph->nodes[best[i]->node].message;
        text_add(text, "%s'%s'", i == 0 ? "did you mean " : i + 1 < count ? ", " : " or ", best[i]->text);
        if (message != NULL && *message != '\0' && !best[i]->label)
            text_add(text, " (%s)", message);
    }
    if (count > 0)
        text_add(text, "?");
}
