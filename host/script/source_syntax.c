/* Recognizing Lua: one function a rule of the grammar (Lua 5.4's manual, §9), true when it was met. */
#include "host/script/source_syntax.h"

/* Lua has 200 C levels, some of them in use, and 255 registers a function; locals also bound the upvalues. */
enum { DEEPEST = 100, MOST_LOCALS = 100, FIELDS_AT_ONCE = 50 };

/* What an expression was: only a call is a statement, only a variable is assigned to. */
enum form { FORM_NONE, FORM_VALUE, FORM_VARIABLE, FORM_CALL };

static bool read_expression(struct source_syntax *syntax);
static bool read_block(struct source_syntax *syntax);
static bool read_table(struct source_syntax *syntax);

void source_syntax_advance(struct source_syntax *syntax)
{
    syntax->token = source_next(&syntax->scanner);
}

void source_syntax_begin(struct source_syntax *syntax, const char *text, size_t size)
{
    *syntax = (struct source_syntax){.scanner = {text, text + size}};
    source_syntax_advance(syntax);
}

static bool at(const struct source_syntax *syntax, int kind)
{
    return syntax->token.kind == kind;
}

static bool accept(struct source_syntax *syntax, int kind)
{
    if (!at(syntax, kind))
        return false;
    source_syntax_advance(syntax);
    return true;
}

bool source_syntax_enter(struct source_syntax *syntax)
{
    return ++syntax->depth <= DEEPEST;
}

bool source_syntax_local(struct source_syntax *syntax)
{
    return ++syntax->locals <= MOST_LOCALS && accept(syntax, SOURCE_NAME);
}

/* Values side by side; each waits for the last one. */
static bool read_expressions(struct source_syntax *syntax)
{
    unsigned depth = syntax->depth;
    do {
        if (!source_syntax_enter(syntax) || !read_expression(syntax))
            return false;
    } while (accept(syntax, ','));
    syntax->depth = depth;
    return true;
}

static bool read_arguments(struct source_syntax *syntax)
{
    if (accept(syntax, SOURCE_STRING))
        return true;
    if (at(syntax, '{'))
        return read_table(syntax);
    if (!accept(syntax, '('))
        return false;
    return accept(syntax, ')') || (read_expressions(syntax) && accept(syntax, ')'));
}

static enum form read_primary(struct source_syntax *syntax)
{
    if (accept(syntax, SOURCE_NAME))
        return FORM_VARIABLE;
    return accept(syntax, '(') && read_expression(syntax) && accept(syntax, ')') ? FORM_VALUE : FORM_NONE;
}

/* .name, [value], :name(…), (…): one of them. FORM_NONE: none, or a broken one. */
static enum form read_suffix(struct source_syntax *syntax)
{
    if (accept(syntax, '.'))
        return accept(syntax, SOURCE_NAME) ? FORM_VARIABLE : FORM_NONE;
    if (accept(syntax, '['))
        return read_expression(syntax) && accept(syntax, ']') ? FORM_VARIABLE : FORM_NONE;
    if (accept(syntax, ':') && !accept(syntax, SOURCE_NAME))
        return FORM_NONE;
    return read_arguments(syntax) ? FORM_CALL : FORM_NONE;
}

static bool begins_suffix(const struct source_syntax *syntax)
{
    switch (syntax->token.kind) {
    case '.':
    case '[':
    case ':':
    case '(':
    case '{':
    case SOURCE_STRING:
        return true;
    default:
        return false;
    }
}

static enum form read_suffixed(struct source_syntax *syntax)
{
    unsigned depth = syntax->depth;
    enum form form = FORM_NONE;
    if (!source_syntax_enter(syntax) || !source_syntax_enter(syntax)) /* a table or function, and its key or self */
        return FORM_NONE;
    form = read_primary(syntax);
    while (form != FORM_NONE && begins_suffix(syntax))
        form = read_suffix(syntax);
    syntax->depth = depth;
    return form;
}

/* name = value, [value] = value, or a value. A name may also begin a value, which the token behind it tells. */
static bool read_field(struct source_syntax *syntax, bool *positional)
{
    struct source_scanner ahead = syntax->scanner;
    *positional = false;
    if (accept(syntax, '['))
        return read_expression(syntax) && accept(syntax, ']') && accept(syntax, '=') && read_expression(syntax);
    if (at(syntax, SOURCE_NAME) && source_next(&ahead).kind == '=') {
        source_syntax_advance(syntax);
        source_syntax_advance(syntax);
        return read_expression(syntax);
    }
    *positional = true;
    return read_expression(syntax);
}

/* Positional values are stored fifty at a time. */
static bool read_table(struct source_syntax *syntax)
{
    unsigned depth = syntax->depth, waiting = 0;
    bool positional;
    if (!source_syntax_enter(syntax) || !accept(syntax, '{'))
        return false;
    while (!at(syntax, '}')) {
        if (!read_field(syntax, &positional))
            return false;
        waiting = (waiting + positional) % FIELDS_AT_ONCE;
        syntax->depth = depth + 1 + waiting;
        if (!accept(syntax, ',') && !accept(syntax, ';'))
            break;
    }
    syntax->depth = depth;
    return accept(syntax, '}');
}

static bool read_simple(struct source_syntax *syntax)
{
    switch (syntax->token.kind) {
    case SOURCE_NUMBER:
    case SOURCE_STRING:
    case SOURCE_NIL:
    case SOURCE_TRUE:
    case SOURCE_FALSE:
        source_syntax_advance(syntax);
        return true;
    case SOURCE_DOTS:
        source_syntax_advance(syntax);
        return syntax->vararg;
    case '{':
        return read_table(syntax);
    case SOURCE_FUNCTION:
        source_syntax_advance(syntax);
        return source_syntax_body(syntax);
    default:
        return read_suffixed(syntax) != FORM_NONE;
    }
}

static bool accept_unary(struct source_syntax *syntax)
{
    return accept(syntax, SOURCE_NOT) || accept(syntax, '-') || accept(syntax, '#') || accept(syntax, '~');
}

static bool accept_binary(struct source_syntax *syntax)
{
    return accept(syntax, SOURCE_BINARY) || accept(syntax, SOURCE_AND) || accept(syntax, SOURCE_OR) ||
           accept(syntax, '-') || accept(syntax, '~');
}

/* Whatever binds stronger, it is values with operators between and before them; each may wait for the next one. */
static bool read_expression(struct source_syntax *syntax)
{
    unsigned depth = syntax->depth;
    do {
        if (!source_syntax_enter(syntax))
            return false;
        while (accept_unary(syntax))
            if (!source_syntax_enter(syntax))
                return false;
        if (!read_simple(syntax))
            return false;
    } while (accept_binary(syntax));
    syntax->depth = depth;
    return true;
}

static bool read_parameters(struct source_syntax *syntax)
{
    if (!accept(syntax, '('))
        return false;
    if (accept(syntax, ')'))
        return true;
    do {
        if (accept(syntax, SOURCE_DOTS)) {
            syntax->vararg = true;
            break;
        }
        if (!source_syntax_local(syntax))
            return false;
    } while (accept(syntax, ','));
    return accept(syntax, ')');
}

bool source_syntax_body(struct source_syntax *syntax)
{
    unsigned loops = syntax->loops;
    bool vararg = syntax->vararg, met;
    syntax->loops = 0;
    syntax->vararg = false;
    met = read_parameters(syntax) && read_block(syntax) && accept(syntax, SOURCE_END_WORD);
    syntax->loops = loops;
    syntax->vararg = vararg;
    return met;
}

static bool read_loop(struct source_syntax *syntax, int last)
{
    bool met;
    syntax->loops++;
    met = read_block(syntax) && accept(syntax, last);
    syntax->loops--;
    return met;
}

static bool read_while(struct source_syntax *syntax)
{
    return read_expression(syntax) && accept(syntax, SOURCE_DO) && read_loop(syntax, SOURCE_END_WORD);
}

static bool read_names(struct source_syntax *syntax)
{
    do {
        if (!source_syntax_local(syntax))
            return false;
    } while (accept(syntax, ','));
    return true;
}

/* name = from, to[, step] */
static bool read_range(struct source_syntax *syntax)
{
    if (!read_expression(syntax) || !accept(syntax, ',') || !read_expression(syntax))
        return false;
    return !accept(syntax, ',') || read_expression(syntax);
}

static bool read_for(struct source_syntax *syntax)
{
    bool met;
    syntax->locals += 4; /* the loop's own */
    if (!source_syntax_local(syntax))
        return false;
    if (accept(syntax, '='))
        met = read_range(syntax);
    else
        met = (!accept(syntax, ',') || read_names(syntax)) && accept(syntax, SOURCE_IN) && read_expressions(syntax);
    return met && accept(syntax, SOURCE_DO) && read_loop(syntax, SOURCE_END_WORD);
}

static bool read_if(struct source_syntax *syntax)
{
    do {
        if (!read_expression(syntax) || !accept(syntax, SOURCE_THEN) || !read_block(syntax))
            return false;
    } while (accept(syntax, SOURCE_ELSEIF));
    if (accept(syntax, SOURCE_ELSE) && !read_block(syntax))
        return false;
    return accept(syntax, SOURCE_END_WORD);
}

static bool read_function(struct source_syntax *syntax)
{
    if (!accept(syntax, SOURCE_NAME))
        return false;
    while (accept(syntax, '.'))
        if (!accept(syntax, SOURCE_NAME))
            return false;
    if (accept(syntax, ':') && !(accept(syntax, SOURCE_NAME) && ++syntax->locals)) /* self */
        return false;
    return source_syntax_body(syntax);
}

static bool read_local(struct source_syntax *syntax)
{
    if (accept(syntax, SOURCE_FUNCTION))
        return source_syntax_local(syntax) && source_syntax_body(syntax);
    return read_names(syntax) && (!accept(syntax, '=') || read_expressions(syntax));
}

/* A call, or variables and their values. */
static bool read_assignment(struct source_syntax *syntax)
{
    unsigned depth = syntax->depth;
    enum form form = read_suffixed(syntax);
    if (form == FORM_CALL)
        return true;
    while (form == FORM_VARIABLE && accept(syntax, ',')) {
        if (!source_syntax_enter(syntax) || !source_syntax_enter(syntax))
            return false;
        form = read_suffixed(syntax);
    }
    if (form != FORM_VARIABLE || !accept(syntax, '=') || !read_expressions(syntax))
        return false;
    syntax->depth = depth;
    return true;
}

static bool read_statement(struct source_syntax *syntax)
{
    switch (syntax->token.kind) {
    case ';':
        source_syntax_advance(syntax);
        return true;
    case SOURCE_BREAK:
        source_syntax_advance(syntax);
        return syntax->loops > 0;
    case SOURCE_DO:
        source_syntax_advance(syntax);
        return read_block(syntax) && accept(syntax, SOURCE_END_WORD);
    case SOURCE_WHILE:
        source_syntax_advance(syntax);
        return read_while(syntax);
    case SOURCE_REPEAT:
        source_syntax_advance(syntax);
        return read_loop(syntax, SOURCE_UNTIL) && read_expression(syntax);
    case SOURCE_IF:
        source_syntax_advance(syntax);
        return read_if(syntax);
    case SOURCE_FOR:
        source_syntax_advance(syntax);
        return read_for(syntax);
    case SOURCE_FUNCTION:
        source_syntax_advance(syntax);
        return read_function(syntax);
    case SOURCE_LOCAL:
        source_syntax_advance(syntax);
        return read_local(syntax);
    default:
        return read_assignment(syntax);
    }
}

static bool ends_block(const struct source_syntax *syntax)
{
    return at(syntax, SOURCE_END) || at(syntax, SOURCE_END_WORD) || at(syntax, SOURCE_ELSE) ||
           at(syntax, SOURCE_ELSEIF) || at(syntax, SOURCE_UNTIL);
}

/* `return` is the last statement; what stands behind it must end the block. */
static bool read_return(struct source_syntax *syntax)
{
    if (!ends_block(syntax) && !at(syntax, ';') && !read_expressions(syntax))
        return false;
    accept(syntax, ';');
    return ends_block(syntax);
}

static bool read_block(struct source_syntax *syntax)
{
    unsigned depth = syntax->depth;
    if (!source_syntax_enter(syntax))
        return false;
    while (!ends_block(syntax)) {
        if (accept(syntax, SOURCE_RETURN)) {
            if (!read_return(syntax))
                return false;
        } else if (!read_statement(syntax)) {
            return false;
        }
    }
    syntax->depth = depth;
    return true;
}
