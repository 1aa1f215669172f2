#ifndef DMLUA_EMBEDDED_H
#define DMLUA_EMBEDDED_H

#include <stddef.h>

/* A Lua module that stands in the program, compiled by the build; scripts/embed.c writes the table, a row with a null
   name ends it. */
struct embedded {
    const char *name;  /* as `require` is given it: "dmlua.op" */
    const char *chunk; /* chunk name: "=dmlua/op.lua" */
    const unsigned char *code;
    size_t size; /* bytes */
};

extern const struct embedded embedded_modules[];

#endif
