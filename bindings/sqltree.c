/* Module dmlua.sqltree: SQL text cut into statements, tokens and parameters by PostgreSQL's scanner, never by
   its parser: what a newer grammar brings passes through. */
#include <ctype.h>
#include <lauxlib.h>
#include <pg_query.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bindings/bindings.h"
#include "bindings/sql_scan.h"

static const char SCAN_TYPE[] = "dmlua.sqltree.scan";
enum { MAX_WORDS = 6 };

/* A text and its tokens. */
struct source {
    const char *text; /* borrowed from the stack */
    size_t size;
    const struct sql_scan *scan; /* in a userdata on the stack */
};

static int scan_close(lua_State *L)
{
    sql_scan_free(luaL_checkudata(L, 1, SCAN_TYPE));
    return 0;
}

/* [-0, +1] Scans argument 1; what stays on the stack owns the tokens. */
static struct source scan_argument(lua_State *L)
{
    struct source source;
    struct sql_scan *scan;
    source.text = luaL_checklstring(L, 1, &source.size);
    scan = lua_newuserdatauv(L, sizeof *scan, 0);
    memset(scan, 0, sizeof *scan);
    luaL_setmetatable(L, SCAN_TYPE);
    lua_toclose(L, -1);
    sql_scan(scan, source.text, source.size);
    source.scan = scan;
    return source;
}

static lua_Integer count_lines(const char *text, size_t from, size_t to)
{
    lua_Integer lines = 0;
    const char *place = text + from;
    while ((place = memchr(place, '\n', (size_t)(text + to - place))) != NULL) {
        lines++;
        place++;
    }
    return lines;
}

/* [-0, +2] nil, {message =, offset = byte from 1, line = from 0} */
static int push_fault(lua_State *L, const struct source *source)
{
    lua_pushnil(L);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, source->scan->message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, (lua_Integer)source->scan->offset + 1);
    lua_setfield(L, -2, "offset");
    lua_pushinteger(L, count_lines(source->text, 0, source->scan->offset));
    lua_setfield(L, -2, "line");
    return 2;
}

static bool is_comment(const struct sql_token *token)
{
    return token->kind == SQL_LINE_COMMENT || token->kind == SQL_BLOCK_COMMENT;
}

/* A keyword or an identifier without quotes. */
static bool is_bare(const struct source *source, const struct sql_token *token)
{
    return token->keyword || (token->kind == SQL_IDENTIFIER && source->text[token->start] != '"');
}

static bool is_word(const struct source *source, const struct sql_token *token, const char *word)
{
    size_t size = token->end - token->start;
    return token->keyword && strlen(word) == size &&
           strncasecmp(source->text + token->start, word, size) == 0;
}

/* [-0, +1] The token's text in upper case. */
static void push_upper(lua_State *L, const struct source *source, const struct sql_token *token)
{
    luaL_Buffer buffer;
    size_t i, size = token->end - token->start;
    char *copy = luaL_buffinitsize(L, &buffer, size);
    for (i = 0; i < size; i++)
        copy[i] = (char)toupper((unsigned char)source->text[token->start + i]);
    luaL_pushresultsize(&buffer, size);
}

/* Where one statement lies: tokens [first, last), text [start, end). */
struct statement {
    size_t first, last, start, end;
};

/* Follows parentheses and BEGIN ATOMIC … END, whose semicolons belong to the statement. As psql does, this
   looks at CREATE FUNCTION and PROCEDURE only, outside parentheses, and counts CASE there, because it ends
   with END too. Other than psql it knows BEGIN by the ATOMIC behind it, and `AS end` and `x.end` for names.
 */
struct nesting {
    int parentheses, begins;
    const struct sql_token *before; /* the last token that is no comment */
};

/* CREATE [OR REPLACE] FUNCTION or PROCEDURE. */
static bool is_routine(const struct source *source, size_t first, size_t last)
{
    size_t i, seen = 0;
    for (i = first; i < last && seen < 4; i++) {
        const struct sql_token *token = &source->scan->tokens[i];
        if (is_comment(token))
            continue;
        if (seen++ == 0 && !is_word(source, token, "CREATE"))
            return false;
        if (is_word(source, token, "FUNCTION") || is_word(source, token, "PROCEDURE"))
            return true;
    }
    return false;
}

static bool is_label(const struct source *source, const struct nesting *nesting)
{
    return nesting->before->kind == '.' || is_word(source, nesting->before, "AS");
}

static void follow(struct nesting *nesting, const struct source *source, size_t first, size_t i)
{
    const struct sql_token *token = &source->scan->tokens[i];
    if (token->kind == '(') {
        nesting->parentheses++;
    } else if (token->kind == ')') {
        nesting->parentheses -= nesting->parentheses > 0;
    } else if (nesting->parentheses == 0 && token->keyword && nesting->before != NULL) {
        if (is_word(source, token, "ATOMIC") && is_word(source, nesting->before, "BEGIN"))
            nesting->begins += nesting->begins > 0 || is_routine(source, first, i);
        else if (nesting->begins > 0 && is_word(source, token, "CASE") && !is_label(source, nesting))
            nesting->begins++;
        else if (nesting->begins > 0 && is_word(source, token, "END") && !is_label(source, nesting))
            nesting->begins--;
    }
    nesting->before = token;
}

/* The token behind the statement that begins at token `first`: its semicolon, or the end. `empty`: there are
   only comments. */
static size_t find_end(const struct source *source, size_t first, bool *empty)
{
    const struct sql_token *tokens = source->scan->tokens;
    struct nesting nesting = {0};
    size_t i;
    for (i = first; i < source->scan->count; i++) {
        if (tokens[i].kind == ';' && nesting.parentheses == 0 && nesting.begins == 0)
            break;
        if (!is_comment(&tokens[i]))
            follow(&nesting, source, first, i);
    }
    *empty = nesting.before == NULL;
    return i;
}

/* The next statement from token `from` on, false when there is none. Comments before its first word are left
   out, but for the hints of pg_hint_plan, which the server has to see. */
static bool next_statement(const struct source *source, size_t from, struct statement *found)
{
    const struct sql_token *tokens = source->scan->tokens;
    size_t last, count = source->scan->count;
    bool empty = true;
    for (last = from; empty; from = last + 1) {
        if (from >= count)
            return false;
        last = find_end(source, from, &empty);
        found->first = from;
    }
    while (is_comment(&tokens[found->first]) &&
           strncmp(source->text + tokens[found->first].start, "/*+", 3) != 0)
        found->first++;
    found->last = last;
    found->start = tokens[found->first].start;
    found->end = last < count ? tokens[last].start : source->size;
    while (strchr(" \t\n\r\f\v", source->text[found->end - 1]) != NULL)
        found->end--;
    return true;
}

/* [-0, +1] The words that the statement begins with, in upper case: up to MAX_WORDS, and up to the first
 * other token. */
static void push_words(lua_State *L, const struct source *source, const struct statement *statement)
{
    lua_Integer count = 0;
    size_t i;
    lua_newtable(L);
    for (i = statement->first; i < statement->last && count < MAX_WORDS; i++) {
        const struct sql_token *token = &source->scan->tokens[i];
        if (is_comment(token))
            continue;
        if (!is_bare(source, token))
            break;
        push_upper(L, source, token);
        lua_rawseti(L, -2, ++count);
    }
}

/* [-0, +0] Notes the first backslash outside quotes, which is psql's and no SQL, in the statement at the top:
   psql = "\connect", psql_line = its line from 0. */
static void note_backslash(lua_State *L, const struct source *source, const struct statement *statement)
{
    const struct sql_token *tokens = source->scan->tokens;
    size_t i, end;
    for (i = statement->first; i < statement->last && tokens[i].kind != '\\'; i++)
        ;
    if (i == statement->last)
        return;
    for (end = tokens[i].end; end < source->size && !isspace((unsigned char)source->text[end]); end++)
        ;
    lua_pushlstring(L, source->text + tokens[i].start, end - tokens[i].start);
    lua_setfield(L, -2, "psql");
    lua_pushinteger(L, count_lines(source->text, 0, tokens[i].start));
    lua_setfield(L, -2, "psql_line");
}

/* sqltree.split(text) → list of {sql =, offset = byte from 1, line = from 0, words = {"CREATE", "INDEX"}},
   without empty statements and without the semicolons; or nil, {message =, offset =, line =}. */
static int sqltree_split(lua_State *L)
{
    struct source source = scan_argument(L);
    struct statement statement = {0};
    size_t from = 0, counted = 0;
    lua_Integer count = 0, line = 0;
    if (source.scan->message != NULL)
        return push_fault(L, &source);
    lua_newtable(L);
    while (next_statement(&source, from, &statement)) {
        line += count_lines(source.text, counted, statement.start);
        counted = statement.start;
        from = statement.last + 1;
        lua_createtable(L, 0, 4);
        lua_pushlstring(L, source.text + statement.start, statement.end - statement.start);
        lua_setfield(L, -2, "sql");
        lua_pushinteger(L, (lua_Integer)statement.start + 1);
        lua_setfield(L, -2, "offset");
        lua_pushinteger(L, line);
        lua_setfield(L, -2, "line");
        push_words(L, &source, &statement);
        lua_setfield(L, -2, "words");
        note_backslash(L, &source, &statement);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* sqltree.tokens(text) → list of the tokens' texts without comments: bare words in upper case, the rest as it
   stands (quoted identifiers and constants with their quotes); or nil and the fault. */
static int sqltree_tokens(lua_State *L)
{
    struct source source = scan_argument(L);
    lua_Integer count = 0;
    size_t i;
    if (source.scan->message != NULL)
        return push_fault(L, &source);
    lua_newtable(L);
    for (i = 0; i < source.scan->count; i++) {
        const struct sql_token *token = &source.scan->tokens[i];
        if (is_comment(token))
            continue;
        if (is_bare(&source, token))
            push_upper(L, &source, token);
        else
            lua_pushlstring(L, source.text + token->start, token->end - token->start);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* Does an operand end with this token, so that a colon behind it separates: `[1:n]`, `[i :n]`,
 * JSON_OBJECT('k' :v)? */
static bool ends_operand(const struct source *source, const struct sql_token *token, bool adjacent)
{
    switch (token->kind) {
    case SQL_IDENTIFIER:
    case SQL_UNICODE_IDENTIFIER:
    case SQL_FLOAT:
    case SQL_STRING:
    case SQL_UNICODE_STRING:
    case SQL_BITS:
    case SQL_HEX:
    case SQL_INTEGER:
    case SQL_PARAMETER:
    case ')':
    case ']':
        return true;
    case ':':
    case SQL_CAST:
        return adjacent;
    default:
        return adjacent && token->keyword;
    }
}

/* Is token `i` the colon of a `:name`? `before` is the last token in front of it that is no comment, or null.
 */
static bool is_named(const struct source *source, size_t i, const struct sql_token *before)
{
    const struct sql_token *token = &source->scan->tokens[i];
    if (token->kind != ':' || i + 1 == source->scan->count)
        return false;
    if (token[1].start != token->end || !is_bare(source, &token[1]))
        return false;
    return before == NULL || !ends_operand(source, before, before->end == token->start);
}

/* [-0, +1] {start =, finish =, name =} or {start =, finish =, index =}; bytes from 1, both inclusive. */
static void push_parameter(lua_State *L, const struct source *source, size_t start, size_t end)
{
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)start + 1);
    lua_setfield(L, -2, "start");
    lua_pushinteger(L, (lua_Integer)end);
    lua_setfield(L, -2, "finish");
    if (source->text[start] == '$') {
        lua_pushinteger(L, strtoll(source->text + start + 1, NULL, 10));
        lua_setfield(L, -2, "index");
    } else {
        lua_pushlstring(L, source->text + start + 1, end - start - 1);
        lua_setfield(L, -2, "name");
    }
}

/* sqltree.parameters(text) → list of the places where `:name` or `$1` stands, in order; or nil and the fault.
   Strings, quoted identifiers, dollar quotes, comments, casts, `:=`, `:'x'` and the colons of slices are
   none. */
static int sqltree_parameters(lua_State *L)
{
    struct source source = scan_argument(L);
    const struct sql_token *before = NULL;
    lua_Integer count = 0;
    size_t i;
    if (source.scan->message != NULL)
        return push_fault(L, &source);
    lua_newtable(L);
    for (i = 0; i < source.scan->count; i++) {
        const struct sql_token *token = &source.scan->tokens[i];
        if (is_comment(token))
            continue;
        if (token->kind == SQL_PARAMETER || is_named(&source, i, before)) {
            size_t end = token->kind == SQL_PARAMETER ? token->end : token[1].end;
            push_parameter(L, &source, token->start, end);
            lua_rawseti(L, -2, ++count);
        }
        before = token;
    }
    return 1;
}

/* sqltree.version() → the PostgreSQL version whose scanner this is. */
static int sqltree_version(lua_State *L)
{
    lua_pushliteral(L, PG_VERSION);
    return 1;
}

static const luaL_Reg functions[] = {
    {"split", sqltree_split},
    {"tokens", sqltree_tokens},
    {"parameters", sqltree_parameters},
    {"version", sqltree_version},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {{"__gc", scan_close}, {"__close", scan_close}, {NULL, NULL}};

int luaopen_dmlua_sqltree(lua_State *L)
{
    if (luaL_newmetatable(L, SCAN_TYPE))
        luaL_setfuncs(L, metamethods, 0);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
