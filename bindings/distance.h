#ifndef DMLUA_BINDINGS_DISTANCE_H
#define DMLUA_BINDINGS_DISTANCE_H

#include <stddef.h>

/* How many letters are to be added, dropped, changed or swapped with their neighbour to make one name of the other
   (Damerau-Levenshtein, each place edited once); upper and lower case are alike. Above `limit`, and of names that are
   longer than any that is typed, limit + 1. */
size_t distance(const char *a, size_t a_size, const char *b, size_t b_size, size_t limit);

#endif
