#ifndef DMLUA_SCRIPT_PYTHON_H
#define DMLUA_SCRIPT_PYTHON_H

#include <stdbool.h>
#include <stddef.h>

/* Python's tokens, as far as a header needs them (Python's reference, "Lexical analysis"). */
enum python_kind {
    PYTHON_END,
    PYTHON_NEWLINE, /* the end of a logical line */
    PYTHON_NAME,    /* a word or a number */
    PYTHON_STRING,  /* with its prefix and its quotes */
    PYTHON_SIGN     /* any other character */
};

struct python_token {
    enum python_kind kind;
    const char *at;
    size_t size;
    int line;
    bool indented; /* the logical line is */
    int depth;     /* of the brackets that are open before it */
};

struct python_scanner {
    const char *begin, *at, *end;
    int line, depth;
    bool fresh; /* at the beginning of a logical line */
    bool indented;
};

void python_scan(struct python_scanner *scanner, const char *text, size_t size);
struct python_token python_next(struct python_scanner *scanner);

/* A text that grows: what a string literal says, in UTF-8. */
struct python_text {
    char *at;
    size_t size, capacity;
};
/* Appends what a string token says. Null, or what is the matter with it: a text without end. */
const char *python_decode(const struct python_token *token, struct python_text *text);

struct python_list {
    char **texts;
    size_t count;
};

enum python_field { PYTHON_REVISION, PYTHON_DOWN, PYTHON_LABELS, PYTHON_DEPENDS, PYTHON_FIELDS };

/* The header of a revision that was written for Alembic, in Python. All is owned. */
struct python_header {
    struct python_list fields[PYTHON_FIELDS];
    bool given[PYTHON_FIELDS]; /* assigned, be it None */
    char *doc;                 /* the module's own text; null: none */
    bool has_upgrade, has_downgrade;
    char *fault; /* the first thing that cannot be read; null: none */
    int fault_line;
};

/* Reads what is assigned at the top level of a file as a literal. Nothing is executed, and any bytes will do. */
void python_read(const char *text, size_t size, struct python_header *header);
void python_free(struct python_header *header);

#endif
