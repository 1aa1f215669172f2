/* dmlua.pattern: find, match, gmatch and gsub as the manual of Lua 5.4 has them (§6.4), over
 * bindings/pattern. */
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "bindings/bindings.h"
#include "bindings/pattern.h"

/* [-0, +1] Capture i; without captures, the whole match is the first. */
static void push_capture(lua_State *L, const struct pattern_match *match, int i, const char *start,
                         const char *end)
{
    const struct pattern_capture *capture = &match->captures[i];
    if (match->count == 0)
        lua_pushlstring(L, start, (size_t)(end - start));
    else if (capture->size == PATTERN_POSITION)
        lua_pushinteger(L, capture->start - match->subject + 1);
    else
        lua_pushlstring(L, capture->start, (size_t)capture->size);
}

/* [-0, +n] Returns n: all captures; the whole match if there are none and `whole`. */
static int push_captures(lua_State *L, const struct pattern_match *match, const char *start, const char *end,
                         bool whole)
{
    int count = match->count == 0 && whole ? 1 : match->count;
    int i;
    luaL_checkstack(L, count, "too many captures");
    for (i = 0; i < count; i++)
        push_capture(L, match, i, start, end);
    return count;
}

/* Where argument `index` says to begin, an offset; `size` + 1 if that is behind the text. */
static size_t read_start(lua_State *L, int index, size_t size)
{
    lua_Integer start = luaL_optinteger(L, index, 1);
    if (start > 0)
        return start - 1 > (lua_Integer)size ? size + 1 : (size_t)start - 1;
    if (start == 0 || start < -(lua_Integer)size)
        return 0;
    return size - (size_t)-start;
}

/* The subject is argument 1. */
static const char *read_subject(lua_State *L, struct pattern_match *match)
{
    size_t size;
    match->subject = luaL_checklstring(L, 1, &size);
    match->end = match->subject + size;
    match->count = 0;
    return match->subject;
}

/* Programs use few patterns again and again: the first short ones are kept in the functions' upvalue, a table from
 * text to pattern with their number at [1]. */
enum { KEPT_PATTERNS = 256, KEPT_SIZE = 64 };

/* [-0, +1] */
static const struct pattern *find_or_compile(lua_State *L, const char *text, size_t size)
{
    const struct pattern *pattern;
    lua_Integer count;
    if (size > KEPT_SIZE)
        return pattern_compile(L, text, size);
    lua_pushlstring(L, text, size);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TUSERDATA) {
        lua_remove(L, -2);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 1);
    pattern = pattern_compile(L, text, size);
    lua_rawgeti(L, lua_upvalueindex(1), 1);
    count = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (count < KEPT_PATTERNS) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, lua_upvalueindex(1));
        lua_pushinteger(L, count + 1);
        lua_rawseti(L, lua_upvalueindex(1), 1);
    }
    lua_remove(L, -2);
    return pattern;
}

/* [-0, +1] The pattern of argument 2. A "^" at its head is taken off and told, where it is an anchor. */
static const struct pattern *read_pattern(lua_State *L, bool *anchor)
{
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    bool anchored = anchor != NULL && size > 0 && *text == '^';
    if (anchor != NULL)
        *anchor = anchored;
    return find_or_compile(L, text + anchored, size - anchored);
}

static bool is_plain(const char *text, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++)
        if (strchr("^$*+?.([%-", text[i]) != NULL && text[i] != '\0')
            return false;
    return true;
}

static int find_plain(lua_State *L, const struct pattern_match *match, const char *at, const char *text,
                      size_t size)
{
    const char *found = memmem(at, (size_t)(match->end - at), text, size);
    if (found == NULL) {
        luaL_pushfail(L);
        return 1;
    }
    lua_pushinteger(L, found - match->subject + 1);
    lua_pushinteger(L, found - match->subject + (lua_Integer)size);
    return 2;
}

/* The first match from `at` on; its beginning, and its end in `*end`. */
static const char *search(lua_State *L, const struct pattern *pattern, struct pattern_match *match,
                          const char *at, bool anchor, const char **end)
{
    do {
        *end = pattern_run(L, pattern, match, at);
        if (*end != NULL)
            return at;
    } while (at++ < match->end && !anchor);
    return NULL;
}

static int find_or_match(lua_State *L, bool find)
{
    struct pattern_match match;
    const char *at = read_subject(L, &match), *end, *text;
    const struct pattern *pattern;
    size_t size, start = read_start(L, 3, (size_t)(match.end - at));
    bool anchor;
    text = luaL_checklstring(L, 2, &size);
    if (start > (size_t)(match.end - at)) {
        luaL_pushfail(L);
        return 1;
    }
    at += start;
    if (find && (lua_toboolean(L, 4) || is_plain(text, size)))
        return find_plain(L, &match, at, text, size);
    pattern = read_pattern(L, &anchor);
    at = search(L, pattern, &match, at, anchor, &end);
    if (at == NULL) {
        luaL_pushfail(L);
        return 1;
    }
    if (!find)
        return push_captures(L, &match, at, end, true);
    lua_pushinteger(L, at - match.subject + 1);
    lua_pushinteger(L, end - match.subject);
    return 2 + push_captures(L, &match, at, end, false);
}

/* find(s, pattern, init, plain) */
static int pattern_find(lua_State *L)
{
    return find_or_match(L, true);
}

/* match(s, pattern, init) */
static int pattern_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* The iterator of gmatch. Upvalues: subject, compiled pattern, offset to begin at, offset of the last match's
 * end. */
static int gmatch_next(lua_State *L)
{
    const struct pattern *pattern = lua_touserdata(L, lua_upvalueindex(2));
    struct pattern_match match;
    const char *at, *end, *last;
    size_t size;
    match.subject = lua_tolstring(L, lua_upvalueindex(1), &size);
    match.end = match.subject + size;
    at = match.subject + lua_tointeger(L, lua_upvalueindex(3));
    last = match.subject + lua_tointeger(L, lua_upvalueindex(4));
    for (; at <= match.end; at++) {
        end = pattern_run(L, pattern, &match, at);
        if (end == NULL || end == last)
            continue;
        lua_pushinteger(L, end - match.subject);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(L, &match, at, end, true);
    }
    lua_pushinteger(L, (lua_Integer)size + 1);
    lua_replace(L, lua_upvalueindex(3));
    return 0;
}

/* gmatch(s, pattern, init): "^" is no anchor here */
static int pattern_gmatch(lua_State *L)
{
    size_t size;
    luaL_checklstring(L, 1, &size);
    luaL_checkstring(L, 2);
    lua_pushinteger(L, (lua_Integer)read_start(L, 3, size));
    lua_replace(L, 3);
    lua_settop(L, 3);
    read_pattern(L, NULL);
    lua_replace(L, 2);
    lua_pushinteger(L, -1); /* no match has ended there */
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* One match to be replaced. */
struct replacement {
    lua_State *L;
    luaL_Buffer *buffer;
    const struct pattern_match *match;
    const char *start, *end;
};

/* Behind a "%" of a replacement text. */
static void add_escape(const struct replacement *replacement, char c)
{
    int number = c - '1';
    if (c == '%') {
        luaL_addchar(replacement->buffer, c);
    } else if (c == '0') {
        luaL_addlstring(replacement->buffer, replacement->start,
                        (size_t)(replacement->end - replacement->start));
    } else if (c < '1' || c > '9') {
        luaL_error(replacement->L, "invalid use of '%%' in replacement string");
    } else if (number >= replacement->match->count && number > 0) {
        luaL_error(replacement->L, "invalid capture index %%%d in replacement string", number + 1);
    } else {
        push_capture(replacement->L, replacement->match, number, replacement->start, replacement->end);
        luaL_tolstring(replacement->L, -1, NULL); /* a position is a number */
        lua_remove(replacement->L, -2);
        luaL_addvalue(replacement->buffer);
    }
}

/* The replacement is the text of argument 3. */
static void add_text(const struct replacement *replacement)
{
    size_t size;
    const char *text = lua_tolstring(replacement->L, 3, &size);
    const char *end = text + size, *escape;
    while ((escape = memchr(text, '%', (size_t)(end - text))) != NULL) {
        luaL_addlstring(replacement->buffer, text, (size_t)(escape - text));
        add_escape(replacement, escape + 1 < end ? escape[1] : '\0');
        text = escape + 2;
    }
    luaL_addlstring(replacement->buffer, text, (size_t)(end - text));
}

/* The replacement is what argument 3, a table or a function, answers; false and nil leave the match alone. */
static void add_answer(const struct replacement *replacement, int type)
{
    lua_State *L = replacement->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, replacement->match, replacement->start, replacement->end, true), 1);
    } else {
        push_capture(L, replacement->match, 0, replacement->start, replacement->end);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, replacement->start, (size_t)(replacement->end - replacement->start));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(replacement->buffer);
}

/* gsub(s, pattern, replacement, n) */
static int pattern_gsub(lua_State *L)
{
    struct pattern_match match;
    const char *at = read_subject(L, &match), *last = NULL, *end;
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, match.end - at + 1), count = 0;
    const struct pattern *pattern;
    luaL_Buffer buffer;
    bool anchor;
    luaL_argexpected(
        L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
        "string/function/table");
    if (type == LUA_TNUMBER)
        lua_tostring(L, 3);
    pattern = read_pattern(L, &anchor);
    luaL_buffinit(L, &buffer);
    while (count < most) {
        end = pattern_run(L, pattern, &match, at);
        if (end != NULL && end != last) {
            struct replacement replacement = {L, &buffer, &match, at, end};
            count++;
            if (type == LUA_TFUNCTION || type == LUA_TTABLE)
                add_answer(&replacement, type);
            else
                add_text(&replacement);
            at = last = end;
        } else if (at < match.end) {
            luaL_addchar(&buffer, *at++);
        } else {
            break;
        }
        if (anchor)
            break;
    }
    luaL_addlstring(&buffer, at, (size_t)(match.end - at));
    luaL_pushresult(&buffer);
    lua_pushinteger(L, count);
    return 2;
}

static const luaL_Reg pattern[] = {
    {"find", pattern_find}, {"match", pattern_match}, {"gmatch", pattern_gmatch}, {"gsub", pattern_gsub},
    {NULL, NULL},
};

int luaopen_dmlua_pattern(lua_State *L)
{
    luaL_newlibtable(L, pattern);
    lua_newtable(L); /* the patterns that are kept */
    luaL_setfuncs(L, pattern, 1);
    return 1;
}
