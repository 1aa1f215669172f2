#ifndef DMLUA_PATTERN_PROGRAM_H
#define DMLUA_PATTERN_PROGRAM_H

#include "bindings/pattern.h"

#include <stdbool.h>

/* What a pattern is compiled to; only its compiler and its matcher know. */
enum kind {
    SINGLE,   /* one character of `set`, as often as `least` and `most` say */
    OPEN,     /* a capture begins */
    POSITION, /* a position capture */
    CLOSE,    /* a capture ends */
    BACK,     /* what a capture holds, again */
    BALANCED, /* %bxy */
    FRONTIER, /* %f[set] */
    TAIL,     /* $ at the end */
    DONE
};

struct item {
    enum kind kind;
    bool many;                 /* SINGLE: no upper limit */
    bool few;                  /* SINGLE: as few as will do */
    int least;                 /* SINGLE */
    int most;                  /* SINGLE, if not many: 0 or 1 more than least */
    int number;                /* of a capture */
    unsigned char first, last; /* BALANCED */
    unsigned char set[32];     /* a bit a character */
};

/* A quantified item on the way to the present one, and what it has taken. There is no alternation, so each
   item is on the way once at most, and nothing recurses. */
struct choice {
    const struct item *item;
    const char *start;
    size_t taken;
};

struct pattern {
    int captures;
    size_t count; /* of items */
    struct item *items;
    struct choice *choices; /* as many as items */
};

#endif
