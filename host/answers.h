#ifndef DMLUA_ANSWERS_H
#define DMLUA_ANSWERS_H

#include <libpq-fe.h>
#include <stdio.h>

/* A query's answer as text, kept with its part so that a rerun's script reads what the first run read.
   Format: "columns rows rowcount\n", each column "size oid:name", each value "size:bytes" or "-:" for NULL. */
void answer_write(FILE *out, const PGresult *result);
/* The next answer at *text, which is moved behind it. Owned: PQclear. Null when there is none. */
PGresult *answer_read(const char **text);

#endif
