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
    bool no_color;
    bool no_progress; /* nothing of report_watch */
    double progress;  /* seconds between its lines and events, no bar; 0: as usual */
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
/* Something that takes a while. Its line is `columns` wide at most, and may use colours if they are wanted; it holds
   nothing harmful. */
struct report_watch {
    void (*draw)(void *data, char *line, size_t size, int columns, bool colours);
    void (*tell)(void *data);  /* the same as a log line, where there is no terminal to draw on */
    void (*event)(void *data); /* as an event, with --json */
    void *data;
};
/* From now on it is shown: at the foot of the terminal that stderr is, redrawn ten times a second at most; elsewhere a
   line every ten seconds. Borrowed until it is over. */
void report_watch(const struct report_watch *watch);
/* It is over: its line goes. */
void report_unwatch(const struct report_watch *watch);
/* Shows how it stands now, if it is time to. */
void report_changed(void);
/* The milliseconds that poll may wait until it is, of a timeout (-1: any). */
int report_wait(int timeout);

/* An event, with --json: {"event":name, … and the fields that follow}, one object a line on stdout. */
void report_event_begin(const char *name);
void report_event_text(const char *name, const char *value);     /* null: null or "" */
void report_event_number(const char *name, long long value);     /* null: below 0 */
void report_event_seconds(const char *name, double value);
void report_event_end(void);

/* "FAILED: …" on stderr with place, statement and caret, detail, hint; or one JSON object on stdout. */
void report_error(const struct error *error);

#endif
