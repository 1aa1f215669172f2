#include "bindings/pattern.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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
    bool many;  /* SINGLE: no upper limit */
    bool few;   /* SINGLE: as few as will do */
    int least;  /* SINGLE */
    int most;   /* SINGLE, if not many: 0 or 1 more than least */
    int number; /* of a capture */
    unsigned char first, last; /* BALANCED */
    unsigned char set[32];     /* a bit a character */
};

/* A quantified item on the way to the present one, and what it has taken. There is no alternation, so each item is on
   the way once at most, and nothing recurses. */
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

struct reader {
    lua_State *L;
    const char *at, *end;
    struct pattern *pattern;
    int open[PATTERN_CAPTURES]; /* captures that are not closed yet */
    int depth;
    bool closed[PATTERN_CAPTURES];
};

static void set_add(unsigned char *set, int c)
{
    set[c >> 3] |= (unsigned char)(1 << (c & 7));
}

static bool set_has(const unsigned char *set, unsigned char c)
{
    return set[c >> 3] >> (c & 7) & 1;
}

static int is_zero(int c)
{
    return c == 0;
}

static const struct {
    char name;
    int (*test)(int);
} classes[] = {{'a', isalpha}, {'c', iscntrl}, {'d', isdigit}, {'g', isgraph},  {'l', islower}, {'p', ispunct},
               {'s', isspace}, {'u', isupper}, {'w', isalnum}, {'x', isxdigit}, {'z', is_zero}};

/* The members of a class. Made once: a migration's header alone is matched with dozens of patterns. */
static const unsigned char *class_set(size_t i)
{
    static unsigned char sets[sizeof classes / sizeof *classes][32];
    static bool made[sizeof classes / sizeof *classes];
    int c;
    for (c = 0; !made[i] && c < 256; c++)
        if (classes[i].test(c))
            set_add(sets[i], c);
    made[i] = true;
    return sets[i];
}

/* What stands behind a "%": a class, its complement as a capital, or the character itself. */
static void set_add_class(unsigned char *set, unsigned char name)
{
    const unsigned char *members;
    size_t i;
    int byte;
    for (i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (classes[i].name != tolower(name))
            continue;
        members = class_set(i);
        for (byte = 0; byte < 32; byte++)
            set[byte] |= islower(name) ? members[byte] : (unsigned char)~members[byte];
        return;
    }
    set_add(set, name);
}

static unsigned char next_char(struct reader *reader, const char *problem)
{
    if (reader->at >= reader->end)
        luaL_error(reader->L, "malformed pattern (%s)", problem);
    return (unsigned char)*reader->at++;
}

/* One member of a set, which begins with `c`: a class, a range or a character. */
static void read_member(struct reader *reader, unsigned char *set, unsigned char c)
{
    int i;
    if (c == '%') {
        set_add_class(set, next_char(reader, "missing ']'"));
    } else if (reader->end - reader->at >= 2 && *reader->at == '-' && reader->at[1] != ']') {
        reader->at++;
        for (i = c; i <= (unsigned char)*reader->at; i++)
            set_add(set, i);
        reader->at++;
    } else {
        set_add(set, c);
    }
}

/* Behind the "[". A "]" that comes first is a member. */
static void read_set(struct reader *reader, unsigned char *set)
{
    bool complement = reader->at < reader->end && *reader->at == '^';
    unsigned char c;
    int i;
    reader->at += complement;
    c = next_char(reader, "missing ']'");
    do {
        read_member(reader, set, c);
        c = next_char(reader, "missing ']'");
    } while (c != ']');
    for (i = 0; complement && i < 32; i++)
        set[i] = (unsigned char)~set[i];
}

static void read_quantifier(struct reader *reader, struct item *item)
{
    char c = reader->at < reader->end ? *reader->at : '\0';
    item->least = c == '*' || c == '-' || c == '?' ? 0 : 1;
    item->most = 1;
    item->many = c == '*' || c == '+' || c == '-';
    item->few = c == '-';
    if (item->many || c == '?')
        reader->at++;
}

static void read_open(struct reader *reader, struct item *item)
{
    bool position = reader->at < reader->end && *reader->at == ')';
    if (reader->pattern->captures == PATTERN_CAPTURES)
        luaL_error(reader->L, "too many captures");
    item->kind = position ? POSITION : OPEN;
    item->number = reader->pattern->captures++;
    if (position) {
        reader->at++;
        reader->closed[item->number] = true;
    } else {
        reader->open[reader->depth++] = item->number;
    }
}

static void read_close(struct reader *reader, struct item *item)
{
    if (reader->depth == 0)
        luaL_error(reader->L, "invalid pattern capture");
    item->kind = CLOSE;
    item->number = reader->open[--reader->depth];
    reader->closed[item->number] = true;
}

static void read_back(struct reader *reader, struct item *item, unsigned char digit)
{
    item->kind = BACK;
    item->number = digit - '1';
    if (item->number < 0 || item->number >= reader->pattern->captures || !reader->closed[item->number])
        luaL_error(reader->L, "invalid capture index %%%d in pattern", item->number + 1);
}

/* Behind a "%". */
static void read_escape(struct reader *reader, struct item *item)
{
    unsigned char c = next_char(reader, "ends with '%'");
    if (isdigit(c)) {
        read_back(reader, item, c);
    } else if (c == 'b') {
        item->kind = BALANCED;
        item->first = next_char(reader, "missing arguments to '%b'");
        item->last = next_char(reader, "missing arguments to '%b'");
    } else if (c == 'f') {
        item->kind = FRONTIER;
        if (reader->at >= reader->end || *reader->at++ != '[')
            luaL_error(reader->L, "missing '[' after '%%f' in pattern");
        read_set(reader, item->set);
    } else {
        set_add_class(item->set, c);
        read_quantifier(reader, item);
    }
}

static void read_single(struct reader *reader, struct item *item, unsigned char c)
{
    if (c == '[')
        read_set(reader, item->set);
    else if (c == '.')
        memset(item->set, 0xff, sizeof item->set);
    else
        set_add(item->set, c);
    read_quantifier(reader, item);
}

static void read_item(struct reader *reader, struct item *item)
{
    unsigned char c = (unsigned char)*reader->at++;
    if (c == '(')
        read_open(reader, item);
    else if (c == ')')
        read_close(reader, item);
    else if (c == '%')
        read_escape(reader, item);
    else if (c == '$' && reader->at == reader->end)
        item->kind = TAIL;
    else
        read_single(reader, item, c);
}

const struct pattern *pattern_compile(lua_State *L, const char *text, size_t size)
{
    struct reader reader = {.L = L, .at = text, .end = text + size};
    size_t most = size + 1;
    struct pattern *pattern;
    if (most > ((size_t)1 << 40) / (sizeof(struct item) + sizeof(struct choice)))
        luaL_error(L, "pattern too long");
    pattern = lua_newuserdatauv(L, sizeof *pattern + most * (sizeof(struct item) + sizeof(struct choice)), 0);
    *pattern = (struct pattern){.choices = (struct choice *)(pattern + 1)};
    pattern->items = (struct item *)(pattern->choices + most);
    reader.pattern = pattern;
    while (reader.at < reader.end) {
        struct item *item = &pattern->items[pattern->count++];
        *item = (struct item){.kind = SINGLE};
        read_item(&reader, item);
    }
    pattern->items[pattern->count].kind = DONE;
    if (reader.depth > 0)
        luaL_error(L, "unfinished capture");
    return pattern;
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

/* The nearest choice takes one character less, or one more: where it leads to, with `item` the one that follows. Null
   when no choice is left. */
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

const char *pattern_run(lua_State *L, const struct pattern *pattern, struct pattern_match *match, const char *at)
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
