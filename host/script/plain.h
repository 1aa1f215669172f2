#ifndef DMLUA_SCRIPT_PLAIN_H
#define DMLUA_SCRIPT_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

enum { PLAIN_NAMES = 16 };

struct plain_name {
    const char *at; /* into the text; no NUL behind it */
    size_t size;
};

struct plain_list {
    struct plain_name names[PLAIN_NAMES];
    size_t count;
};

/* The header of a Lua file that says it in literals. */
struct plain_header {
    struct plain_name revision;
    struct plain_list down, labels, depends;
    bool has_upgrade, has_downgrade;
};

/* Reads a header without running the file: true when nothing but literals is assigned at its top level, all names are
   of letters, digits, "_" and ".", and Lua would compile the whole; running it gives then what `header` says. False
   says nothing about the file: run it. `text` ends with a NUL that `size` does not count. */
bool plain_read(const char *text, size_t size, struct plain_header *header);

#endif
