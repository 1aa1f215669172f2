#ifndef DMLUA_LOOP_ROLL_H
#define DMLUA_LOOP_ROLL_H

#include <libpq-fe.h>

#include "host/step.h"

/* A set of tenants' ids. A zeroed struct is the empty one. */
struct roll {
    char **ids; /* sorted by bytes, each once */
    size_t count;
};

/* An empty one with room for `most` ids, which are added, and sorted when all are. Owned: roll_free. */
struct roll roll_new(size_t most);
void roll_add(struct roll *roll, const char *id);
void roll_sort(struct roll *roll);
/* From the first column. Owned: roll_free. */
struct roll roll_read(const PGresult *result);
void roll_free(struct roll *roll);
bool roll_has(const struct roll *roll, const char *id);
/* Are they the same set? */
bool roll_is(const struct roll *roll, const struct roll *other);
/* How many of `roll` the other has not; *first is one of them, borrowed. */
size_t roll_missing(const struct roll *roll, const struct roll *other, const char **first);
/* The id in it that is nearest to a misspelt one; null when none is near. Borrowed. */
const char *roll_nearest(const struct roll *roll, const char *id);

/* The list that a step's resumable loop has seen to its end: looked at again before the step ends. */
struct step_roll {
    char *from; /* the query; null: the configuration's */
    struct roll roll;
    struct step_roll *next;
};
/* Keeps it for the step's end; takes the roll over. */
void roll_remember(struct step *step, const char *from, struct roll *roll);
/* Has a tenant appeared since? Then the step may not end yet: an error, and step->late. */
int roll_check(struct step *step, struct error *error);
void roll_forget(struct step *step);

#endif
