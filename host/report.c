#include "host/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/report_internal.h"
#include "host/utf8.h"

struct report_options report_options;

enum {
    SHOWN_TEXT = 4000, /* bytes of a message, statement, … that are shown; --json has all of it */
    SHOWN_LINE = 300   /* bytes of a line, on each side of what it is shown for */
};

/* One character of `size` bytes: control characters and bytes that are no UTF-8 as \xNN, tabs as they are, and where
   the text goes on after a line feed, `indent`; without one a line feed is \xNN, too. */
static void put_character(FILE *out, const unsigned char *c, size_t size, bool valid, const char *indent)
{
    bool c1 = size == 2 && *c == 0xc2 && c[1] < 0xa0; /* of Unicode; a terminal may obey them */
    if (*c == '\n' && indent != NULL)
        fprintf(out, "\n%s", indent);
    else if (c1 || !valid || (*c < 0x20 && *c != '\t') || *c == 0x7f)
        fprintf(out, "\\x%02x", c1 ? c[1] : *c);
    else
        fwrite(c, 1, size, out);
}

/* A text of `size` bytes so that no terminal obeys it. */
static void put_bytes(FILE *out, const char *text, size_t size, const char *indent)
{
    size_t valid = utf8_valid(text, size), i, next;
    for (i = 0; i < size; i = next) {
        next = i + 1;
        while (i < valid && next < size && ((unsigned char)text[next] & 0xc0) == 0x80)
            next++;
        put_character(out, (const unsigned char *)text + i, next - i, i < valid, indent);
        if (i == valid)
            valid = next + utf8_valid(text + next, size - next);
    }
}

static void put_shown(FILE *out, const char *text, const char *indent)
{
    put_bytes(out, text, strlen(text), indent);
}

/* The same, but of a long text only the beginning. */
static void put_beginning(FILE *out, const char *text, size_t limit, const char *indent)
{
    size_t size = strlen(text), shown = error_cut(text, limit);
    put_bytes(out, text, shown, indent);
    if (shown < size)
        fprintf(out, " … (%zu bytes more)", size - shown);
}

void report_log(enum report_level level, const char *logger, const char *format, ...)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    va_list args;
    char *text;
    int size;
    if ((level == REPORT_DEBUG && !report_options.verbose) || (level < REPORT_WARN && report_options.quiet))
        return;
    va_start(args, format);
    size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        return;
    report_clear_line();
    fprintf(stderr, "%-5s [%s] ", names[level], logger);
    put_shown(stderr, text, "  ");
    fputc('\n', stderr);
    free(text);
}

void report_print(const char *text)
{
    report_clear_line();
    put_shown(stderr, text, "");
    fputc('\n', stderr);
}

void report_write(const char *text, size_t size)
{
    report_clear_line();
    fwrite(text, 1, size, stdout);
}

bool report_end(void)
{
    bool written = fflush(stdout) == 0;
    if (written && !ferror(stdout)) /* of an earlier failure only the mark is left */
        return true;
    fprintf(stderr, "FAILED: standard output could not be written: %s\n",
            written ? "results are missing" : strerror(errno));
    return false;
}

/* JSON is UTF-8 (RFC 8259): a byte that is none of it is written as the code point of its number. */
void put_json_string(FILE *out, const char *text)
{
    size_t size = strlen(text), valid = utf8_valid(text, size), i;
    fputc('"', out);
    for (i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < 0x20 || c == 0x7f || i == valid)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
        if (i == valid)
            valid += 1 + utf8_valid(text + i + 1, size - i - 1);
    }
    fputc('"', out);
}

static void put_json_field(FILE *out, const char *name, const char *text)
{
    fprintf(out, ",\"%s\":", name);
    if (text == NULL || *text == '\0')
        fputs("null", out);
    else
        put_json_string(out, text);
}

static void put_json_line(FILE *out, int line)
{
    if (line > 0)
        fprintf(out, ",\"line\":%d", line);
    else
        fputs(",\"line\":null", out);
}

static void put_json_failures(const struct failures *failures)
{
    size_t i;
    fputs(",\"tenants\":[", stdout);
    for (i = 0; i < failures->count; i++) {
        const struct failure *failure = &failures->list[i];
        fputs(i > 0 ? ",{\"tenant\":" : "{\"tenant\":", stdout);
        put_json_string(stdout, failure->tenant);
        put_json_field(stdout, "sqlstate", failure->sqlstate);
        put_json_field(stdout, "message", failure->message);
        put_json_field(stdout, "file", failure->file);
        put_json_line(stdout, failure->line);
        fputc('}', stdout);
    }
    fputc(']', stdout);
}

static void report_error_json(const struct error *error)
{
    fputs("{\"error\":{\"kind\":", stdout);
    put_json_string(stdout, error_kind_name(error->kind));
    put_json_field(stdout, "message", error->message);
    put_json_field(stdout, "sqlstate", error->sqlstate);
    put_json_field(stdout, "revision", error->revision);
    put_json_field(stdout, "file", error->file);
    put_json_line(stdout, error->line);
    put_json_field(stdout, "source", error->source);
    put_json_field(stdout, "tenant", error->tenant);
    put_json_field(stdout, "hint", error->hint);
    put_json_field(stdout, "detail", error->detail);
    put_json_field(stdout, "statement", error->statement);
    put_json_field(stdout, "state", error->state);
    put_json_failures(&error->failures);
    fputs("}}\n", stdout);
    fflush(stdout);
}

/* The statement's line that holds the fault, or what of it lies near, and a caret below it. */
static void put_caret(const char *statement, int position)
{
    const char *c = statement, *start = statement, *end, *p;
    int column = 0;
    /* position counts characters; UTF-8 continuation bytes are not characters */
    for (; *c != '\0' && position > 1; c++) {
        if (((unsigned char)c[1] & 0xc0) != 0x80)
            position--;
        if (*c == '\n')
            start = c + 1;
    }
    if (c - start > SHOWN_LINE)
        start = c - SHOWN_LINE + error_cut(c - SHOWN_LINE, 0);
    end = start + strcspn(start, "\n");
    if (end - c > SHOWN_LINE)
        end = c + error_cut(c, SHOWN_LINE);
    for (p = start; p < c; p++)
        column += ((unsigned char)*p & 0xc0) != 0x80;
    fputs("  ", stderr);
    for (p = start; p < end; p++) {
        bool c1 = (unsigned char)*p == 0xc2 && (unsigned char)p[1] < 0xa0;
        fputc(c1 || (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p, stderr);
        p += c1;
    }
    fprintf(stderr, "\n  %*s^\n", column, "");
}

static void put_field(const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    fprintf(stderr, "  %s: ", name);
    put_beginning(stderr, text, SHOWN_TEXT, "    ");
    fputc('\n', stderr);
}

/* The author's line, below its place. */
static void put_source(const struct error *error)
{
    if (error->source == NULL)
        return;
    fprintf(stderr, "  %5d | ", error->line);
    put_beginning(stderr, error->source, SHOWN_LINE, "");
    fputc('\n', stderr);
}

/* A line each: tenant, SQLSTATE, message, place. */
static void put_failures(const struct failures *failures)
{
    size_t i;
    for (i = 0; i < failures->count; i++) {
        const struct failure *failure = &failures->list[i];
        fputs("  ", stderr);
        put_beginning(stderr, failure->tenant, SHOWN_LINE, NULL);
        fprintf(stderr, ": %s%s", failure->sqlstate, failure->sqlstate[0] ? " " : "");
        put_beginning(stderr, failure->message, SHOWN_TEXT, "    ");
        if (failure->file != NULL) {
            fputs(" at ", stderr);
            put_shown(stderr, failure->file, "");
        }
        if (failure->file != NULL && failure->line > 0)
            fprintf(stderr, ":%d", failure->line);
        fputc('\n', stderr);
    }
}

void report_error(const struct error *error)
{
    report_clear_line();
    if (report_options.json)
        report_error_json(error);
    fflush(stdout);
    fputs("FAILED: ", stderr);
    put_beginning(stderr, error->message != NULL ? error->message : "unknown error", SHOWN_TEXT, "  ");
    if (error->sqlstate[0] != '\0')
        fprintf(stderr, " (SQLSTATE %s)", error->sqlstate);
    fputc('\n', stderr);
    if (error->file != NULL) {
        fputs("  at ", stderr);
        put_shown(stderr, error->file, "");
        if (error->line > 0)
            fprintf(stderr, ":%d", error->line);
        fputc('\n', stderr);
    }
    put_source(error);
    put_failures(&error->failures);
    put_field("revision", error->revision);
    put_field("tenant", error->tenant);
    if (error->statement != NULL && error->position > 0)
        put_caret(error->statement, error->position);
    else
        put_field("statement", error->statement);
    put_field("detail", error->detail);
    put_field("context", error->context);
    put_field("hint", error->hint);
    if (error->traceback != NULL) {
        fputs("  ", stderr);
        put_shown(stderr, error->traceback, "  ");
        fputc('\n', stderr);
    }
    if (error->state != NULL) {
        put_shown(stderr, error->state, "");
        fputc('\n', stderr);
    }
}
