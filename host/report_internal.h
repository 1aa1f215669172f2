#ifndef DMLUA_REPORT_INTERNAL_H
#define DMLUA_REPORT_INTERNAL_H

#include <stdio.h>

/* Takes the line of report_watch away, before anything else is written; it is drawn again later. */
void report_clear_line(void);
/* What takes it away, "" where there is none; for a signal handler, which may not do it so. */
const char *report_line_end(void);
/* A JSON string, with its quotes. */
void put_json_string(FILE *out, const char *text);

#endif
