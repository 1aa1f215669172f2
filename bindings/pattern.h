#ifndef DMLUA_PATTERN_H
#define DMLUA_PATTERN_H

#include <lua.h>
#include <stddef.h>

/* Lua's patterns, matched in steps that a count hook of the thread sees, so that a script which is to stop
   does stop in the middle of a match. Lua's own matcher cannot be interrupted:
   `("a"):rep(30):find(("a?"):rep(30) .. ("a"):rep(30))` takes years. Differences: a malformed pattern is
   refused before the match begins, and no pattern is too complex. */
struct pattern;

enum { PATTERN_CAPTURES = 32 };

struct pattern_capture {
    const char *start;
    ptrdiff_t size; /* PATTERN_POSITION: a position capture, of `start` */
};
enum { PATTERN_POSITION = -1 };

struct pattern_match {
    const char *subject, *end; /* the whole text */
    int count;
    struct pattern_capture captures[PATTERN_CAPTURES];
};

/* [-0, +1] Compiles; the result lives as long as the userdata that is pushed. Raises for a malformed one. */
const struct pattern *pattern_compile(lua_State *L, const char *text, size_t size);

/* The end of a match that begins at `at`, with match->count and captures set; null if there is none. Raises
   what a hook raises. */
const char *pattern_run(lua_State *L, const struct pattern *pattern, struct pattern_match *match,
                        const char *at);

#endif
