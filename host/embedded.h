#ifndef DMLUA_EMBEDDED_H
#define DMLUA_EMBEDDED_H

#include <stddef.h>

/* A Lua module whose text stands in the program; scripts/embed.cmake writes the table, a row with a null name ends it. */
struct embedded {
    const char *name;  /* as `require` is given it: "dmlua.op" */
    const char *chunk; /* chunk name: "=dmlua/op.lua" */
    const unsigned char *text;
    size_t size; /* bytes */
};

extern const struct embedded embedded_modules[];

#endif
