#include "host/answers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void answer_write(FILE *out, const PGresult *result)
{
    int columns = PQnfields(result), rows = PQntuples(result), row, column;
    fprintf(out, "%d %d %zu:%s", columns, rows, strlen(PQcmdStatus((PGresult *)result)),
            PQcmdStatus((PGresult *)result));
    for (column = 0; column < columns; column++)
        fprintf(out, "%u %zu:%s", PQftype(result, column), strlen(PQfname(result, column)), PQfname(result, column));
    for (row = 0; row < rows; row++)
        for (column = 0; column < columns; column++) {
            if (PQgetisnull(result, row, column))
                fputs("-", out);
            else
                fprintf(out, "%d:%s", PQgetlength(result, row, column), PQgetvalue(result, row, column));
        }
}

/* Reads "size:bytes" into a new string; null for "-" or what is no such text. */
static char *read_text(const char **text)
{
    char *end, *copy;
    unsigned long size;
    if (**text == '-') {
        (*text)++;
        return NULL;
    }
    size = strtoul(*text, &end, 10);
    if (*end != ':' || strnlen(end + 1, size) < size)
        return NULL;
    copy = strndup(end + 1, size);
    if (copy == NULL)
        abort();
    *text = end + 1 + size;
    return copy;
}

static bool read_columns(const char **text, PGresult *result, int columns)
{
    PGresAttDesc *descriptions = calloc((size_t)columns + 1, sizeof *descriptions);
    bool ok = descriptions != NULL;
    int column;
    for (column = 0; ok && column < columns; column++) {
        char *end;
        descriptions[column].typid = (Oid)strtoul(*text, &end, 10);
        *text = end + (*end == ' ');
        descriptions[column].name = read_text(text);
        descriptions[column].typlen = -1;
        descriptions[column].atttypmod = -1;
        ok = descriptions[column].name != NULL;
    }
    ok = ok && PQsetResultAttrs(result, columns, descriptions) != 0;
    for (column = 0; descriptions != NULL && column < columns; column++)
        free(descriptions[column].name);
    free(descriptions);
    return ok;
}

PGresult *answer_read(const char **text, char tag[ANSWER_TAG])
{
    PGresult *result;
    char *end, *kept;
    int columns, rows, row, column;
    if (*text == NULL || **text == '\0')
        return NULL;
    columns = (int)strtol(*text, &end, 10);
    rows = (int)strtol(end, &end, 10);
    *text = end + (*end == ' ');
    kept = read_text(text);
    snprintf(tag, ANSWER_TAG, "%s", kept != NULL ? kept : "");
    free(kept);
    result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    if (result == NULL)
        abort();
    if (columns > 0 && !read_columns(text, result, columns)) {
        PQclear(result);
        return NULL;
    }
    for (row = 0; row < rows; row++)
        for (column = 0; column < columns; column++) {
            char *value = read_text(text);
            PQsetvalue(result, row, column, value, value != NULL ? (int)strlen(value) : -1);
            free(value);
        }
    return result;
}
