#ifndef DMLUA_FIRST_WORD_H
#define DMLUA_FIRST_WORD_H

#include <stddef.h>

/* The statement's first word behind comments and opening parentheses, in upper case, cut to `room` - 1 letters. */
void first_word(const char *statement, char *word, size_t room);

#endif
