/* Python's tokens and string literals. */
#include <stdlib.h>
#include <string.h>

#include "host/script/python.h"

void python_scan(struct python_scanner *scanner, const char *text, size_t size)
{
    *scanner = (struct python_scanner){.begin = text, .at = text, .end = text + size, .line = 1, .fresh = true};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        scanner->at += 3;
}

/* The character `ahead` of the present one; 0 at the end. */
static char peek(const struct python_scanner *scanner, size_t ahead)
{
    return (size_t)(scanner->end - scanner->at) > ahead ? scanner->at[ahead] : '\0';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0;
}

/* 1 or 2 for a line's end, 0 for none. */
static size_t line_end(const struct python_scanner *scanner, size_t ahead)
{
    char c = peek(scanner, ahead);
    if (c == '\r')
        return peek(scanner, ahead + 1) == '\n' ? 2 : 1;
    return c == '\n' ? 1 : 0;
}

static void skip_comment(struct python_scanner *scanner)
{
    while (scanner->at < scanner->end && line_end(scanner, 0) == 0)
        scanner->at++;
}

/* A line's end that ends no logical line: of an empty one, within brackets, after a backslash. */
static bool skip_line_end(struct python_scanner *scanner)
{
    size_t backslash = peek(scanner, 0) == '\\' ? 1 : 0;
    size_t size = line_end(scanner, backslash);
    if (size == 0 || (backslash == 0 && !scanner->fresh && scanner->depth == 0))
        return false;
    scanner->at += backslash + size;
    scanner->line++;
    if (scanner->fresh)
        scanner->indented = false;
    return true;
}

static void skip_blanks(struct python_scanner *scanner)
{
    while (scanner->at < scanner->end) {
        char c = *scanner->at;
        if (c == ' ' || c == '\t' || c == '\f') {
            scanner->indented = scanner->fresh ? c != '\f' : scanner->indented;
            scanner->at++;
        } else if (c == '#') {
            skip_comment(scanner);
        } else if (!skip_line_end(scanner)) {
            return;
        }
    }
}

/* How many characters before the quote are a string's prefix; -1: there is no string here. */
static int prefix_size(const struct python_scanner *scanner)
{
    int size = 0;
    while (size < 2 && peek(scanner, (size_t)size) != '\0' && strchr("rRuUbBfFtT", peek(scanner, (size_t)size)) != NULL)
        size++;
    return peek(scanner, (size_t)size) == '"' || peek(scanner, (size_t)size) == '\'' ? size : -1;
}

static bool is_quote(const struct python_scanner *scanner, char quote, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (peek(scanner, i) != quote)
            return false;
    return true;
}

/* Moves behind the string, or, where it has no end, to where it breaks off. */
static void skip_string(struct python_scanner *scanner, size_t prefix)
{
    char quote = peek(scanner, prefix);
    size_t quotes, size;
    scanner->at += prefix;
    quotes = is_quote(scanner, quote, 3) ? 3 : 1;
    scanner->at += quotes;
    while (scanner->at < scanner->end && !is_quote(scanner, quote, quotes)) {
        bool escaped = *scanner->at == '\\' && scanner->at + 1 < scanner->end;
        scanner->at += escaped;
        size = line_end(scanner, 0);
        if (size > 0 && quotes == 1 && !escaped)
            return;
        scanner->line += size > 0;
        scanner->at += size > 0 ? size : 1;
    }
    if (scanner->at < scanner->end)
        scanner->at += quotes;
}

static void count_bracket(struct python_scanner *scanner, char c)
{
    if (c == '(' || c == '[' || c == '{')
        scanner->depth++;
    else if ((c == ')' || c == ']' || c == '}') && scanner->depth > 0)
        scanner->depth--;
}

static enum python_kind take(struct python_scanner *scanner)
{
    int prefix = prefix_size(scanner);
    if (prefix >= 0) {
        skip_string(scanner, (size_t)prefix);
        return PYTHON_STRING;
    }
    if (is_word(*scanner->at)) {
        while (scanner->at < scanner->end && is_word(*scanner->at))
            scanner->at++;
        return PYTHON_NAME;
    }
    count_bracket(scanner, *scanner->at++);
    return PYTHON_SIGN;
}

struct python_token python_next(struct python_scanner *scanner)
{
    struct python_token token = {.kind = PYTHON_END};
    if (scanner->fresh)
        scanner->indented = false;
    skip_blanks(scanner);
    token.at = scanner->at;
    token.line = scanner->line;
    token.indented = scanner->indented;
    token.depth = scanner->depth;
    if (scanner->at == scanner->end)
        return token;
    token.size = line_end(scanner, 0);
    scanner->fresh = token.size > 0;
    if (token.size > 0) {
        scanner->at += token.size;
        scanner->line++;
        token.kind = PYTHON_NEWLINE;
        return token;
    }
    token.kind = take(scanner);
    token.size = (size_t)(scanner->at - token.at);
    return token;
}

static void append(struct python_text *text, const char *bytes, size_t size)
{
    if (text->size + size >= text->capacity) {
        text->capacity = 2 * (text->size + size) + 16;
        text->at = realloc(text->at, text->capacity);
        if (text->at == NULL)
            abort();
    }
    if (size > 0)
        memcpy(text->at + text->size, bytes, size);
    text->size += size;
    text->at[text->size] = '\0';
}

static void append_character(struct python_text *text, unsigned long code)
{
    char bytes[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (i = size; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(lead[size] | code);
    append(text, bytes, size);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Up to `most` digits of a base at *at; how many there were. */
static size_t read_digits(const char **at, const char *end, size_t most, int base, unsigned long *code)
{
    size_t count = 0;
    for (*code = 0; count < most && *at < end && digit_value(**at) < base; count++, (*at)++)
        *code = *code * (unsigned long)base + (unsigned long)digit_value(**at);
    return count;
}

static const char not_a_character[] = "has an escape that is no character";

/* \x41, \u0041, \U00000041, \101: `c` stands before *at, or is the first of the digits. */
static const char *append_code(char c, const char **at, const char *end, struct python_text *text)
{
    size_t wanted = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    unsigned long code;
    if (wanted > 0 && read_digits(at, end, wanted, 16, &code) != wanted)
        return not_a_character;
    if (wanted == 0) {
        (*at)--;
        read_digits(at, end, 3, 8, &code);
    }
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return not_a_character;
    append_character(text, code);
    return NULL;
}

/* What stands behind a backslash. */
static const char *append_escape(const char **at, const char *end, struct python_text *text)
{
    static const char names[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    char c = *(*at)++;
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    if (name != NULL) {
        append(text, &values[name - names], 1);
    } else if (c == '\r' || c == '\n') {
        *at += c == '\r' && *at < end && **at == '\n';
    } else if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7')) {
        return append_code(c, at, end, text);
    } else if (c == 'N') {
        return "has \\N{…}, which is not known here";
    } else {
        append(text, "\\", 1);
        append(text, &c, 1);
    }
    return NULL;
}

/* The text between the quotes; null if there is no end. */
static const char *find_body(const struct python_token *token, size_t prefix, const char **end)
{
    const char *at = token->at + prefix;
    size_t size = token->size - prefix, quotes = 1;
    if (size >= 6 && at[1] == *at && at[2] == *at)
        quotes = 3;
    *end = at + size - quotes;
    if (size < 2 * quotes || memcmp(*end, at, quotes) != 0)
        return NULL;
    if (quotes == 1 && size >= 3 && at[1] == *at && at[2] == *at)
        return NULL; /* three quotes and no end */
    return at + quotes;
}

const char *python_decode(const struct python_token *token, struct python_text *text)
{
    const char *at = token->at, *end, *fault = NULL;
    bool raw = false;
    for (; *at != '"' && *at != '\''; at++) {
        if (strchr("fFtT", *at) != NULL)
            return "is an f-string";
        if (strchr("bB", *at) != NULL)
            return "is bytes, not text";
        raw = raw || *at == 'r' || *at == 'R';
    }
    at = find_body(token, (size_t)(at - token->at), &end);
    if (at == NULL)
        return "has no closing quote";
    append(text, "", 0);
    while (at < end && fault == NULL) {
        char c = *at++;
        if (c == '\0')
            fault = "holds a NUL";
        else if (c == '\\' && !raw && at < end)
            fault = append_escape(&at, end, text);
        else
            append(text, &c, 1);
    }
    return fault;
}
