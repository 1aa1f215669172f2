#ifndef DMLUA_FIRST_WORD_H
#define DMLUA_FIRST_WORD_H

#include <stddef.h>

/* What stands behind blanks and comments. Borrowed from the text. */
const char *skip_blanks(const char *sql);
/* The statement's first word behind comments and opening parentheses, in upper case, cut to `room` - 1 letters. */
void first_word(const char *statement, char *word, size_t room);

#endif
