#ifndef DMLUA_SQL_SCAN_H
#define DMLUA_SQL_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* SQL text cut into tokens by PostgreSQL's own scanner (libpg_query). Knows no Lua. */

/* Kinds that are named here; single characters stand for themselves. Numbers of enum Token in libpg_query
   15's pg_query.proto. */
enum sql_kind {
    SQL_IDENTIFIER = 258,
    SQL_UNICODE_IDENTIFIER = 259, /* U&"…" */
    SQL_FLOAT = 260,
    SQL_STRING = 261, /* also dollar-quoted */
    SQL_UNICODE_STRING = 262,
    SQL_BITS = 263,
    SQL_HEX = 264,
    SQL_INTEGER = 266,
    SQL_PARAMETER = 267, /* $1 */
    SQL_CAST = 268, /* :: */
    SQL_LINE_COMMENT = 275,
    SQL_BLOCK_COMMENT = 276
};

struct sql_token {
    size_t start, end; /* bytes of the text; `end` is the first one behind it */
    int kind;
    bool keyword;
};

struct sql_scan {
    struct sql_token *tokens; /* owned; comments are among them */
    size_t count;
    char *message; /* owned; null: the text was scanned */
    size_t offset; /* byte of the fault */
};

/* Scans `text`, which ends with a NUL behind `size` bytes. A NUL inside, text that is not UTF-8, and what the
   scanner refuses (a string, comment or dollar quote without an end) fill message and offset, and there are
   no tokens then. */
void sql_scan(struct sql_scan *scan, const char *text, size_t size);
void sql_scan_free(struct sql_scan *scan);

#endif
