/* The text of a pattern → its items. */
#include "bindings/pattern_program.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

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

static int is_zero(int c)
{
    return c == 0;
}

static const struct {
    char name;
    int (*test)(int);
} classes[] = {{'a', isalpha}, {'c', iscntrl},  {'d', isdigit}, {'g', isgraph},
               {'l', islower}, {'p', ispunct},  {'s', isspace}, {'u', isupper},
               {'w', isalnum}, {'x', isxdigit}, {'z', is_zero}};

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
