#ifndef DMLUA_SCRIPT_SOURCE_SYNTAX_H
#define DMLUA_SCRIPT_SOURCE_SYNTAX_H

#include "host/script/source_token.h"

/* Recognizes Lua 5.4 without making anything of it. It errs on one side only: what it takes Lua compiles, and what it
   does not take (labels, attribs, very deep or wide code, faults) is for Lua to decide. spec/fuzz/header.c holds
   it to that. */
struct source_syntax {
    struct source_scanner scanner;
    struct source_token token; /* the present one */
    unsigned depth;         /* bounds both C levels and registers of what is open here */
    unsigned locals;        /* of the whole file so far */
    unsigned loops;         /* around the present statement, in its function */
    bool vararg;            /* the present function has … */
};

/* `text` must hold no NUL and end with one. */
void source_syntax_begin(struct source_syntax *syntax, const char *text, size_t size);
void source_syntax_advance(struct source_syntax *syntax);

/* A function's parameters, statements and `end`. */
bool source_syntax_body(struct source_syntax *syntax);
/* A local of the name that is the present token, which it moves behind. */
bool source_syntax_local(struct source_syntax *syntax);
/* Goes a level deeper; the level is given back by `depth`. */
bool source_syntax_enter(struct source_syntax *syntax);

#endif
