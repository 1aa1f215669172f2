#ifndef DMLUA_CONFIG_INIFILE_H
#define DMLUA_CONFIG_INIFILE_H

#include <stddef.h>

#include "host/error.h"

/* An ini file as Python's configparser reads it, because Alembic's inis are written for that: comments are
   whole lines
   (# or ;), a value may hold both; `=` or `:`; keys fold case; a deeper indented line continues the value. */
struct inifile_entry {
    char *section;
    char *key;   /* lower case */
    char *value; /* raw: %(…)s not yet replaced; continuation lines joined by \n */
    int line;    /* of the key */
};

struct inifile_section {
    char *name;
    int line;
};

struct inifile {
    char *shown; /* the path, for messages */
    struct inifile_entry *entries;
    size_t entry_count;
    struct inifile_section *sections;
    size_t section_count;
};

/* Reads `path`, which messages call `shown`. Fails on what cannot be read, is no UTF-8, holds a NUL, has a
   line that is no key, section or comment, or says a key twice; never prints a line's text, which may be a
   password. */
int inifile_load(const char *path, const char *shown, struct inifile *ini, struct error *error);
void inifile_free(struct inifile *ini);

/* The entry, or null. */
const struct inifile_entry *inifile_find(const struct inifile *ini, const char *section, const char *key);
/* The line of the section's first header; 0: there is none. */
int inifile_section_line(const struct inifile *ini, const char *section);

/* An error with a place: "FILE:LINE". */
void inifile_error(const struct inifile *ini, int line, struct error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
