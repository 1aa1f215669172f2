#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

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
        identifier->steps = strtol(relative, NULL, 10); /* too many digits: as far as there is */
        if (identifier->steps < -LONG_MAX)
            identifier->steps = -LONG_MAX;
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
    return graph->name_count > graph->count;
}

int branch_open(const struct graph *graph, const char *label, struct branch *branch,
                struct graph_error *error)
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
