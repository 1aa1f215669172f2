/* Matching: one pass over the items, with a list of choices to turn back to. */
#include "bindings/pattern_program.h"

#include <stdint.h>
#include <string.h>

static bool set_has(const unsigned char *set, unsigned char c)
{
    return set[c >> 3] >> (c & 7) & 1;
}

/* One run. */
struct run {
    lua_State *L;
    struct pattern_match *match;
    struct choice *choices;
    size_t depth;
    unsigned steps;
};

enum { STEPS = 10000 }; /* between two calls of the hook: as long as its own thousand instructions, roughly */

/* Lets the thread's count hook have a look, as if so many instructions had been carried out. */
static void call_hook(lua_State *L)
{
    lua_Hook hook = lua_gethook(L);
    lua_Debug frame = {.event = LUA_HOOKCOUNT};
    if (hook != NULL && (lua_gethookmask(L) & LUA_MASKCOUNT) != 0)
        hook(L, &frame);
}

static void count_step(struct run *run)
{
    if (++run->steps < STEPS)
        return;
    run->steps = 0;
    call_hook(run->L);
}

static bool takes(const struct run *run, const struct item *item, const char *at)
{
    return at < run->match->end && set_has(item->set, (unsigned char)*at);
}

/* Takes as many characters as the item may, or as few; null if not even those. */
static const char *run_single(struct run *run, const struct item *item, const char *at)
{
    size_t least = (size_t)item->least, most = item->many ? SIZE_MAX : (size_t)item->most, taken = 0;
    if (item->few)
        most = least;
    for (; taken < most && takes(run, item, at + taken); taken++)
        count_step(run);
    if (taken < least)
        return NULL;
    if (item->few || taken > least)
        run->choices[run->depth++] = (struct choice){item, at, taken};
    return at + taken;
}

static const char *run_back(struct run *run, const struct item *item, const char *at)
{
    const struct pattern_capture *capture = &run->match->captures[item->number];
    if (capture->size < 0 || run->match->end - at < capture->size ||
        memcmp(at, capture->start, (size_t)capture->size) != 0)
        return NULL;
    return at + capture->size;
}

static const char *run_balanced(struct run *run, const struct item *item, const char *at)
{
    size_t depth = 0;
    if (at == run->match->end || (unsigned char)*at != item->first)
        return NULL;
    for (; at < run->match->end; at++) {
        count_step(run);
        if ((unsigned char)*at == item->last && depth > 0) {
            if (--depth == 0)
                return at + 1;
        } else if ((unsigned char)*at == item->first) {
            depth++;
        }
    }
    return NULL;
}

static const char *run_frontier(struct run *run, const struct item *item, const char *at)
{
    unsigned char before = at == run->match->subject ? '\0' : (unsigned char)at[-1];
    unsigned char here = at == run->match->end ? '\0' : (unsigned char)*at;
    return !set_has(item->set, before) && set_has(item->set, here) ? at : NULL;
}

static const char *run_item(struct run *run, const struct item *item, const char *at)
{
    struct pattern_capture *capture = &run->match->captures[item->number];
    switch (item->kind) {
    case SINGLE:
        return run_single(run, item, at);
    case OPEN:
        *capture = (struct pattern_capture){at, 0};
        return at;
    case POSITION:
        *capture = (struct pattern_capture){at, PATTERN_POSITION};
        return at;
    case CLOSE:
        capture->size = at - capture->start;
        return at;
    case BACK:
        return run_back(run, item, at);
    case BALANCED:
        return run_balanced(run, item, at);
    case FRONTIER:
        return run_frontier(run, item, at);
    case TAIL:
        return at == run->match->end ? at : NULL;
    case DONE:
        break;
    }
    return at;
}

/* The nearest choice takes one character less, or one more: where it leads to, with `item` the one that
   follows. Null when no choice is left. */
static const char *turn_back(struct run *run, const struct item **item)
{
    struct choice *choice;
    for (; run->depth > 0; run->depth--) {
        choice = &run->choices[run->depth - 1];
        *item = choice->item + 1;
        if (choice->item->few && takes(run, choice->item, choice->start + choice->taken))
            return choice->start + ++choice->taken;
        if (!choice->item->few && choice->taken > (size_t)choice->item->least)
            return choice->start + --choice->taken;
    }
    return NULL;
}

const char *pattern_run(lua_State *L, const struct pattern *pattern, struct pattern_match *match,
                        const char *at)
{
    struct run run = {.L = L, .match = match, .choices = pattern->choices};
    const struct item *item = pattern->items;
    match->count = pattern->captures;
    while (item->kind != DONE) {
        count_step(&run);
        at = run_item(&run, item, at);
        item++;
        if (at == NULL)
            at = turn_back(&run, &item);
        if (at == NULL)
            return NULL;
    }
    return at;
}
