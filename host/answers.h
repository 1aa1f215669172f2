#ifndef DMLUA_ANSWERS_H
#define DMLUA_ANSWERS_H

#include <libpq-fe.h>
#include <stdio.h>

/* A query's answer as text, kept with its part so that a rerun's script reads what the first run read.
   Format: "columns rows rowcount\n", each column "size oid:name", each value "size:bytes" or "-:" for NULL. */
void answer_write(FILE *out, const PGresult *result);
enum { ANSWER_TAG = 64 }; /* bytes of a command tag: COMPLETION_TAG_BUFSIZE of PostgreSQL */
/* The next answer at *text, which is moved behind it. Owned: PQclear. Null when there is none. libpq gives a result
   that is made by hand no command tag: it is put into `tag`. */
PGresult *answer_read(const char **text, char tag[ANSWER_TAG]);

#endif
