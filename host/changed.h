#ifndef DMLUA_CHANGED_H
#define DMLUA_CHANGED_H

#include "host/standing.h"

struct script;
struct tree;

/* An applied migration whose file is not what it was when it last ran upwards. */
struct changed {
    const struct script *script; /* borrowed from the tree */
    const char *recorded;        /* its SHA-256 then; borrowed from the standing */
};

/* All of them. One that is unfinished, was taken back or stamped away is none: it may be edited freely. Owned:
   free(). */
struct changed *changed_find(const struct standing *standing, const struct tree *tree, size_t *count);

#endif
