#include "host/loop/roll.h"

#include <stdlib.h>
#include <string.h>

#include "host/config/text.h"
#include "host/tenant.h"

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct roll roll_new(size_t most)
{
    struct roll roll = {.ids = calloc(most + 1, sizeof *roll.ids)};
    if (roll.ids == NULL)
        abort();
    return roll;
}

void roll_add(struct roll *roll, const char *id)
{
    roll->ids[roll->count++] = text_copy(id);
}

void roll_sort(struct roll *roll)
{
    size_t added = roll->count, i;
    qsort(roll->ids, added, sizeof *roll->ids, compare_ids);
    roll->count = 0;
    for (i = 0; i < added; i++) {
        if (roll->count > 0 && strcmp(roll->ids[roll->count - 1], roll->ids[i]) == 0)
            free(roll->ids[i]);
        else
            roll->ids[roll->count++] = roll->ids[i];
    }
}

struct roll roll_read(const PGresult *result)
{
    struct roll roll = roll_new((size_t)PQntuples(result));
    int row;
    for (row = 0; row < PQntuples(result); row++)
        roll_add(&roll, PQgetvalue(result, row, 0));
    roll_sort(&roll);
    return roll;
}

void roll_free(struct roll *roll)
{
    size_t i;
    for (i = 0; i < roll->count; i++)
        free(roll->ids[i]);
    free(roll->ids);
    memset(roll, 0, sizeof *roll);
}

bool roll_has(const struct roll *roll, const char *id)
{
    return roll->count > 0 && bsearch(&id, roll->ids, roll->count, sizeof *roll->ids, compare_ids) != NULL;
}

bool roll_is(const struct roll *roll, const struct roll *other)
{
    size_t i;
    if (roll->count != other->count)
        return false;
    for (i = 0; i < roll->count; i++)
        if (strcmp(roll->ids[i], other->ids[i]) != 0)
            return false;
    return true;
}

size_t roll_missing(const struct roll *roll, const struct roll *other, const char **first)
{
    size_t missing = 0, i;
    for (i = 0; i < roll->count; i++) {
        if (roll_has(other, roll->ids[i]))
            continue;
        if (missing++ == 0)
            *first = roll->ids[i];
    }
    return missing;
}

const char *roll_nearest(const struct roll *roll, const char *id)
{
    return text_nearest(id, (const char *const *)roll->ids, roll->count);
}

void roll_remember(struct step *step, const char *from, struct roll *roll)
{
    struct step_roll *kept = calloc(1, sizeof *kept);
    if (kept == NULL)
        abort();
    error_put(&kept->from, from);
    kept->roll = *roll;
    memset(roll, 0, sizeof *roll);
    kept->next = step->rolls;
    step->rolls = kept;
}

int roll_check(struct step *step, struct error *error)
{
    const struct step_roll *kept;
    for (kept = step->rolls; kept != NULL; kept = kept->next) {
        PGresult *result = tenant_read(step, kept->from, true, error);
        struct roll now;
        const char *first = NULL;
        size_t missing;
        if (result == NULL)
            return -1;
        now = roll_read(result);
        PQclear(result);
        missing = roll_missing(&now, &kept->roll, &first);
        if (missing > 0) {
            step->late = true;
            error_set(error, ERROR_BUSY, "tenant %s%s appeared after tenants.each had seen its list to the end", first,
                      missing > 1 ? ", and others," : "");
            error_text(&error->hint, "run again: the loop visits the missing tenants");
        }
        roll_free(&now);
        if (missing > 0)
            return -1;
    }
    return 0;
}

void roll_forget(struct step *step)
{
    while (step->rolls != NULL) {
        struct step_roll *kept = step->rolls;
        step->rolls = kept->next;
        free(kept->from);
        roll_free(&kept->roll);
        free(kept);
    }
}
