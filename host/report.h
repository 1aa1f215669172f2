#ifndef DMLUA_REPORT_H
#define DMLUA_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "host/error.h"

/* The only writer to stdout and stderr. Control characters in what it is given are shown, not sent: neither a server's
   message nor a revision's name can move a terminal's cursor or forge a line. */
struct report_options {
    bool json;    /* errors and results as JSON */
    bool quiet;   /* no log lines below WARN */
    bool verbose; /* DEBUG lines too */
};
extern struct report_options report_options;

enum report_level { REPORT_DEBUG, REPORT_INFO, REPORT_WARN, REPORT_ERROR };

/* One log line on stderr: "INFO  [dmlua.migration] text". */
void report_log(enum report_level level, const char *logger, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line that a script prints, on stderr. */
void report_print(const char *text);
/* A result, on stdout, as it is. */
void report_write(const char *text, size_t size);
/* The end of all results. False, and said on stderr, when some of them could not be written. */
bool report_end(void);
/* "FAILED: …" on stderr with place, statement and caret, detail, hint; or one JSON object on stdout. */
void report_error(const struct error *error);

#endif
