/* Lua's tokens. */
#include "host/script/source_token.h"

#include <string.h>

enum { LONGEST_NUMBER = 40 }; /* Lua takes longer ones, nobody writes them */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The character `ahead` of the present one; 0 at the end, and the text holds no other. */
static char peek(const struct source_scanner *scanner, size_t ahead)
{
    return (size_t)(scanner->end - scanner->at) > ahead ? scanner->at[ahead] : '\0';
}

const char *source_long_bracket(const char *at, const char *end, const char **body, size_t *size)
{
    const char *from = at, *close;
    size_t level = 0;
    if (at == end || *at != '[')
        return at;
    for (from++; from < end && *from == '='; from++)
        level++;
    if (from == end || *from != '[')
        return at;
    from++;
    for (close = from; (close = memchr(close, ']', (size_t)(end - close))) != NULL; close++) {
        if ((size_t)(end - close) < level + 2 || close[level + 1] != ']' || strspn(close + 1, "=") != level)
            continue;
        if (body != NULL)
            *body = from;
        if (size != NULL)
            *size = (size_t)(close - from);
        return close + level + 2;
    }
    return NULL;
}

/* A comment's, from behind its dashes. False: it has no end. */
static bool skip_comment(struct source_scanner *scanner)
{
    const char *behind = source_long_bracket(scanner->at, scanner->end, NULL, NULL);
    if (behind == NULL)
        return false;
    if (behind == scanner->at)
        while (scanner->at < scanner->end && *scanner->at != '\n' && *scanner->at != '\r')
            scanner->at++;
    else
        scanner->at = behind;
    return true;
}

static bool skip_blanks(struct source_scanner *scanner)
{
    for (;;) {
        while (scanner->at < scanner->end && is_blank(*scanner->at))
            scanner->at++;
        if (peek(scanner, 0) != '-' || peek(scanner, 1) != '-')
            return true;
        scanner->at += 2;
        if (!skip_comment(scanner))
            return false;
    }
}

static const struct {
    const char *word;
    int kind;
} words[] = {
    {"and", SOURCE_AND},       {"break", SOURCE_BREAK},   {"do", SOURCE_DO},
    {"else", SOURCE_ELSE},     {"elseif", SOURCE_ELSEIF}, {"end", SOURCE_END_WORD},
    {"false", SOURCE_FALSE},   {"for", SOURCE_FOR},       {"function", SOURCE_FUNCTION},
    {"goto", SOURCE_GOTO},     {"if", SOURCE_IF},         {"in", SOURCE_IN},
    {"local", SOURCE_LOCAL},   {"nil", SOURCE_NIL},       {"not", SOURCE_NOT},
    {"or", SOURCE_OR},         {"repeat", SOURCE_REPEAT}, {"return", SOURCE_RETURN},
    {"then", SOURCE_THEN},     {"true", SOURCE_TRUE},     {"until", SOURCE_UNTIL},
    {"while", SOURCE_WHILE},
};
enum { SHORTEST_WORD = 2, LONGEST_WORD = 8 };

static int word_kind(const char *at, size_t size)
{
    size_t i;
    if (size < SHORTEST_WORD || size > LONGEST_WORD)
        return SOURCE_NAME;
    for (i = 0; i < sizeof words / sizeof *words && *words[i].word <= *at; i++)
        if (*words[i].word == *at && strlen(words[i].word) == size && memcmp(words[i].word, at, size) == 0)
            return words[i].kind;
    return SOURCE_NAME;
}

static int take_word(struct source_scanner *scanner)
{
    const char *from = scanner->at;
    while (scanner->at < scanner->end && is_word(*scanner->at))
        scanner->at++;
    return word_kind(from, (size_t)(scanner->at - from));
}

static bool take_digits(struct source_scanner *scanner, bool hex)
{
    const char *from = scanner->at;
    while (hex ? is_hex(peek(scanner, 0)) : is_digit(peek(scanner, 0)))
        scanner->at++;
    return scanner->at > from;
}

/* 12, 1.5, .5, 1e-9, 0xff. */
static bool take_plain_number(struct source_scanner *scanner)
{
    bool digits;
    if (peek(scanner, 0) == '0' && (peek(scanner, 1) | 0x20) == 'x') {
        scanner->at += 2;
        return take_digits(scanner, true);
    }
    digits = take_digits(scanner, false);
    if (peek(scanner, 0) == '.') {
        scanner->at++;
        digits = take_digits(scanner, false) || digits;
    }
    if (!digits || (peek(scanner, 0) | 0x20) != 'e')
        return digits;
    scanner->at += peek(scanner, 1) == '+' || peek(scanner, 1) == '-' ? 2 : 1;
    return take_digits(scanner, false);
}

static int take_number(struct source_scanner *scanner)
{
    const char *from = scanner->at;
    if (!take_plain_number(scanner) || is_word(peek(scanner, 0)) || peek(scanner, 0) == '.')
        return SOURCE_OTHER;
    return scanner->at - from <= LONGEST_NUMBER ? SOURCE_NUMBER : SOURCE_OTHER;
}

/* What stands behind a backslash. The rarer escapes (\z, \x41, \u{…}, \065) are left to Lua. */
static bool take_escape(struct source_scanner *scanner)
{
    char c = peek(scanner, 0);
    if (c == '\r' || c == '\0' || strchr("abfnrtv\\\"'\n", c) == NULL)
        return false;
    scanner->at++;
    return c != '\n' || peek(scanner, 0) != '\r'; /* the two are one line's end */
}

static int take_string(struct source_scanner *scanner)
{
    char quote = *scanner->at++;
    for (;;) {
        char c = peek(scanner, 0);
        if (c == '\0' || c == '\n' || c == '\r')
            return SOURCE_OTHER;
        scanner->at++;
        if (c == quote)
            return SOURCE_STRING;
        if (c == '\\' && !take_escape(scanner))
            return SOURCE_OTHER;
    }
}

static int take_bracket(struct source_scanner *scanner)
{
    const char *behind = source_long_bracket(scanner->at, scanner->end, NULL, NULL);
    if (behind == NULL)
        return SOURCE_OTHER;
    if (behind > scanner->at) {
        scanner->at = behind;
        return SOURCE_STRING;
    }
    scanner->at++;
    return peek(scanner, 0) == '=' ? SOURCE_OTHER : '[';
}

static int take_dots(struct source_scanner *scanner)
{
    size_t count = peek(scanner, 1) != '.' ? 1 : peek(scanner, 2) != '.' ? 2 : 3;
    if (count == 1 && is_digit(peek(scanner, 1)))
        return take_number(scanner);
    scanner->at += count;
    return count == 1 ? '.' : count == 2 ? SOURCE_BINARY : SOURCE_DOTS;
}

/* "-" and "~" also stand before a value, "=" and ":" mean something else alone. */
static int take_sign(struct source_scanner *scanner)
{
    char c = *scanner->at++, next = peek(scanner, 0);
    if ((next == '=' && strchr("=~<>", c) != NULL) || (next == c && strchr("/<>", c) != NULL)) {
        scanner->at++;
        return SOURCE_BINARY;
    }
    if (strchr("+*/%^&|<>", c) != NULL)
        return SOURCE_BINARY;
    if (c == ':' && next == ':')
        return SOURCE_OTHER;
    return strchr("-~=:;,(){}]#", c) != NULL ? c : SOURCE_OTHER;
}

static int take(struct source_scanner *scanner)
{
    char c = *scanner->at;
    if (is_digit(c))
        return take_number(scanner);
    if (is_word(c))
        return take_word(scanner);
    if (c == '"' || c == '\'')
        return take_string(scanner);
    if (c == '[')
        return take_bracket(scanner);
    return c == '.' ? take_dots(scanner) : take_sign(scanner);
}

struct source_token source_next(struct source_scanner *scanner)
{
    struct source_token token = {.kind = SOURCE_OTHER};
    if (!skip_blanks(scanner))
        return token;
    token.at = scanner->at;
    token.kind = scanner->at == scanner->end ? SOURCE_END : take(scanner);
    token.size = (size_t)(scanner->at - token.at);
    return token;
}
