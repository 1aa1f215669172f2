#ifndef DMLUA_CONFIG_TEXT_H
#define DMLUA_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Small owned strings. Out of memory ends the program: a configuration is a few kilobytes. */
void *text_resize(void *memory, size_t size);
char *text_copy(const char *text);
char *text_slice(const char *text, size_t size);
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Appends to *text (null: empty), reallocating it. */
void text_append(char **text, const char *more, size_t size);
void text_lower(char *text); /* ASCII */

/* Cuts a list at commas and white space; an item that is empty is none. Each item and the array are owned. */
size_t text_list(const char *text, char ***items);
void text_list_free(char **items, size_t count);
bool text_in_list(const char *text, char *const *items, size_t count);

/* The candidate that a misspelt name most likely meant (Damerau-Levenshtein within a third of its length, at
   most three, or begun with it); null when none is near. Borrowed from the candidates. */
const char *text_nearest(const char *name, const char *const *candidates, size_t count);

#endif
