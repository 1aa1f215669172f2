#ifndef DMLUA_ERROR_H
#define DMLUA_ERROR_H

#include <stddef.h>

/* What went wrong, kept as facts. It is decided on by kind and SQLSTATE, never by text, and printed once, by report. */
enum error_kind {
    ERROR_NONE,
    ERROR_MIGRATION,
    ERROR_USAGE,
    ERROR_REFUSED,
    ERROR_BUSY,
    ERROR_CONNECTION,
    ERROR_PARTIAL,
    ERROR_INTERRUPTED
};

/* What ended a tenant's transaction. All strings are owned; the file may be null. */
struct failure {
    char *tenant, *message, *file;
    char sqlstate[6];
    int line; /* 0: unknown */
};
struct failures {
    struct failure *list;
    size_t count;
};

/* All strings are owned and may be null. A zeroed struct is "no error". */
struct error {
    enum error_kind kind;
    char sqlstate[6];
    int line;           /* of `file`, 1-based; 0: unknown */
    int position;       /* of the fault in `statement`, characters, 1-based; 0: unknown */
    char *message;
    char *detail;
    char *hint;         /* the way out */
    char *context;      /* the server's CONTEXT */
    char *statement;    /* the SQL text that failed */
    char *source;       /* line `line` of `file`, as it stands there */
    char *traceback;    /* the author's own Lua frames */
    char *revision;
    char *file;
    char *tenant;
    char *state;        /* where the database stands now */
    struct failures failures; /* kind partial: each failed tenant, once */
};

/* Fills an empty error; one that is already set stays, because the first failure is the one that explains. */
void error_set(struct error *error, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sets one owned text field, replacing what stood there. */
void error_text(char **field, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with a copy of `text`; null leaves the field as it is. */
void error_put(char **field, const char *text);
/* How many bytes of the text, `limit` or a few more, end with a whole UTF-8 character. */
size_t error_cut(const char *text, size_t limit);
/* The beginning of a text, as UTF-8 for the database: other bytes are '?'. Owned. */
char *error_note(const char *text);
/* Frees the strings and zeroes the struct. */
void error_clear(struct error *error);
/* Fills an empty error with a copy of another; one that is already set stays. */
void error_copy(struct error *to, const struct error *from);
/* Moves `from` into `to` if `to` is empty; else drops it. `from` is empty afterwards. */
void error_move(struct error *to, struct error *from);

/* Adds what ended a tenant's transaction, under the given message. */
void failures_add(struct failures *failures, const char *tenant, const char *message, const struct error *error);
void failures_clear(struct failures *failures);

const char *error_kind_name(enum error_kind kind);
enum error_kind error_kind_named(const char *name); /* ERROR_MIGRATION for a name that is none */
int error_exit_code(enum error_kind kind);

#endif
