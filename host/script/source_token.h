#ifndef DMLUA_SCRIPT_SOURCE_H
#define DMLUA_SCRIPT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

/* Lua's tokens (Lua 5.4's manual, §3.1), as far as a file can be judged without Lua: what is rare or broken is
   SOURCE_OTHER, and then Lua itself reads the file. Two-character signs have names of their own; any other sign
   is its character. */
enum source_token_kind {
    SOURCE_END = 256, /* of the file */
    SOURCE_OTHER,
    SOURCE_NAME,
    SOURCE_NUMBER,
    SOURCE_STRING, /* with its quotes */
    SOURCE_DOTS,   /* ... */
    SOURCE_BINARY, /* an operator that stands between two values: .. == ~= <= >= // << >> and the like */
    SOURCE_AND,
    SOURCE_BREAK,
    SOURCE_DO,
    SOURCE_ELSE,
    SOURCE_ELSEIF,
    SOURCE_END_WORD,
    SOURCE_FALSE,
    SOURCE_FOR,
    SOURCE_FUNCTION,
    SOURCE_GOTO,
    SOURCE_IF,
    SOURCE_IN,
    SOURCE_LOCAL,
    SOURCE_NIL,
    SOURCE_NOT,
    SOURCE_OR,
    SOURCE_REPEAT,
    SOURCE_RETURN,
    SOURCE_THEN,
    SOURCE_TRUE,
    SOURCE_UNTIL,
    SOURCE_WHILE
};

struct source_token {
    int kind;
    const char *at;
    size_t size;
};

struct source_scanner {
    const char *at, *end;
};

/* Behind a long bracket that begins at `at`: "[[…]]", "[=[…]=]". Null when it has no end; `at` itself when none
   begins there. Unless null, *body and *size are what it holds. */
const char *source_long_bracket(const char *at, const char *end, const char **body, size_t *size);

struct source_token source_next(struct source_scanner *scanner);

#endif
