#include "bindings/sql_scan.h"

#include <limits.h>
#include <pg_query.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c != '\0' && strchr(" \t\n\r\f\v", c) != NULL;
}

/* Bytes of the UTF-8 character at `text`, 0 if there is none: what PostgreSQL's pg_utf8_islegal accepts. */
static size_t character_size(const unsigned char *text, size_t left)
{
    size_t i, size = text[0] < 0x80   ? 1
                     : text[0] < 0xc2 ? 0
                     : text[0] < 0xe0 ? 2
                     : text[0] < 0xf0 ? 3
                     : text[0] < 0xf5 ? 4
                                      : 0;
    if (size > left)
        return 0;
    for (i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f)) /* too long; surrogates */
        return 0;
    if ((text[0] == 0xf0 && text[1] < 0x90) ||
        (text[0] == 0xf4 && text[1] > 0x8f)) /* too long; beyond U+10FFFF */
        return 0;
    return size;
}

static void fail(struct sql_scan *scan, const char *message, size_t length, size_t offset)
{
    scan->message = strndup(message, length);
    if (scan->message == NULL)
        abort(); /* without a message the text would pass for empty */
    scan->offset = offset;
}

static bool check_bytes(struct sql_scan *scan, const char *text, size_t size)
{
    static const char nul[] = "a NUL byte in SQL text", broken[] = "SQL text that is not UTF-8",
                      vast[] = "SQL text of more than 64 MB";
    size_t i = 0;
    if (size > (size_t)1 << 26) {
        fail(scan, vast, sizeof vast - 1, 0);
        return false;
    }
    while (i < size) {
        size_t length = character_size((const unsigned char *)text + i, size - i);
        if (text[i] == '\0' || length == 0) {
            fail(scan, length == 0 ? broken : nul, (length == 0 ? sizeof broken : sizeof nul) - 1, i);
            return false;
        }
        i += length;
    }
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

/* Numbers as PostgreSQL 16 reads them (1_000, 0xff), or as 14 did (`1and 2`), are errors for version 15's
   scanner. Here each becomes as many digits, in a copy that only finds the borders of tokens: whether the
   number is one is for the server to say. Digits that belong to a word, a parameter or an escape are left
   alone; inside strings and comments the change is harmless. Returns null when there is nothing to change. */
static char *plain_numbers(const char *text, size_t size)
{
    char *copy = NULL;
    size_t i = 0, end;
    while (i < size) {
        char before = i == 0 ? ' ' : text[i - 1];
        if (!is_digit(text[i]) || is_word(before) || before == '$' || before == '\\') {
            i++;
            continue;
        }
        for (end = i; end < size && (is_word(text[end]) || (text[end] == '.' && text[end + 1] != '.')); end++)
            if (!is_digit(text[end]) && copy == NULL && (copy = malloc(size + 1)) != NULL)
                memcpy(copy, text, size + 1);
        if (copy != NULL)
            memset(copy + i, '0', end - i);
        i = end;
    }
    return copy;
}

/* The protobuf encoding of pg_query's ScanResult: {version = 1; repeated ScanToken tokens = 2}, a ScanToken
   being {start = 1; end = 2; token = 4; keyword_kind = 5}, all numbers. */
enum { WIRE_NUMBER = 0, WIRE_BYTES = 2 };
enum { TOKEN_START = 1, TOKEN_END = 2, TOKEN_KIND = 4, TOKEN_KEYWORD = 5 };

struct wire {
    const unsigned char *place, *end;
};

static uint64_t read_number(struct wire *wire)
{
    uint64_t number = 0;
    int shift;
    for (shift = 0; wire->place < wire->end && shift < 64; shift += 7) {
        unsigned char byte = *wire->place++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return number;
}

static struct sql_token read_token(struct wire *wire, size_t size)
{
    struct wire inner = {wire->place, wire->place + size};
    struct sql_token token = {0};
    while (inner.place < inner.end) {
        uint64_t tag = read_number(&inner);
        uint64_t value = read_number(&inner);
        switch (tag >> 3) {
        case TOKEN_START:
            token.start = value;
            break;
        case TOKEN_END:
            token.end = value;
            break;
        case TOKEN_KIND:
            token.kind = (int)value;
            break;
        case TOKEN_KEYWORD:
            token.keyword = value != 0;
            break;
        }
    }
    wire->place = inner.end;
    return token;
}

static bool add_token(struct sql_scan *scan, struct sql_token token, size_t *room)
{
    if (scan->count == *room) {
        size_t more = *room == 0 ? 64 : *room * 2;
        struct sql_token *grown = realloc(scan->tokens, more * sizeof *grown);
        if (grown == NULL)
            return false;
        scan->tokens = grown;
        *room = more;
    }
    scan->tokens[scan->count++] = token;
    return true;
}

static bool read_tokens(struct sql_scan *scan, const PgQueryProtobuf *message)
{
    struct wire wire = {(const unsigned char *)message->data,
                        (const unsigned char *)message->data + message->len};
    size_t room = 0;
    while (wire.place < wire.end) {
        uint64_t tag = read_number(&wire), value = read_number(&wire);
        if ((tag & 7) == WIRE_BYTES && !add_token(scan, read_token(&wire, value), &room))
            return false;
    }
    return true;
}

/* The library gives a wrong end for U&'…' and U&"…", and \v as a token, which version 16 reads as a blank. */
static void correct_tokens(struct sql_scan *scan, const char *text, size_t size)
{
    size_t i, kept = 0;
    for (i = 0; i < scan->count; i++) {
        struct sql_token token = scan->tokens[i];
        if (token.kind == SQL_UNICODE_IDENTIFIER || token.kind == SQL_UNICODE_STRING) {
            token.end = i + 1 < scan->count ? scan->tokens[i + 1].start : size;
            while (token.end > token.start + 1 && is_blank(text[token.end - 1]))
                token.end--;
        }
        if (token.kind != '\v')
            scan->tokens[kept++] = token;
    }
    scan->count = kept;
}

/* The byte of the character with this number (from 1). */
static size_t byte_offset(const char *text, size_t size, int character)
{
    size_t i = 0;
    while (i < size && character > 1)
        if ((text[++i] & 0xc0) != 0x80)
            character--;
    return i;
}

/* "unterminated quoted string at or near "…"": what follows may be all the rest of the text. */
static size_t short_message(const char *message)
{
    const char *tail = strstr(message, " at or near \"");
    return tail == NULL ? strlen(message) : (size_t)(tail - message);
}

void sql_scan(struct sql_scan *scan, const char *text, size_t size)
{
    static const char no_memory[] = "not enough memory for SQL text";
    PgQueryScanResult result;
    memset(scan, 0, sizeof *scan);
    if (!check_bytes(scan, text, size))
        return;
    result = pg_query_scan(text);
    if (result.error != NULL) {
        char *plain = plain_numbers(text, size);
        if (plain != NULL) {
            pg_query_free_scan_result(result);
            result = pg_query_scan(plain);
            free(plain);
        }
    }
    if (result.error != NULL)
        fail(scan, result.error->message, short_message(result.error->message),
             byte_offset(text, size, result.error->cursorpos));
    else if (read_tokens(scan, &result.pbuf))
        correct_tokens(scan, text, size);
    else
        fail(scan, no_memory, sizeof no_memory - 1, 0);
    pg_query_free_scan_result(result);
}

void sql_scan_free(struct sql_scan *scan)
{
    free(scan->tokens);
    free(scan->message);
    memset(scan, 0, sizeof *scan);
}
