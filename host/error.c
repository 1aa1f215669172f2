#include "host/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/utf8.h"

static const struct {
    const char *name;
    int exit_code;
} kinds[] = {
    [ERROR_NONE] = {"none", 0},
    [ERROR_MIGRATION] = {"migration", 1},
    [ERROR_USAGE] = {"usage", 2},
    [ERROR_REFUSED] = {"refused", 3},
    [ERROR_BUSY] = {"busy", 4},
    [ERROR_CONNECTION] = {"connection", 5},
    [ERROR_PARTIAL] = {"partial", 6},
    [ERROR_INTERRUPTED] = {"interrupted", 130},
};

static char *format_text(const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        abort(); /* out of memory while saying so: nothing better can be done */
    return text;
}

void error_set(struct error *error, enum error_kind kind, const char *format, ...)
{
    va_list args;
    if (error->kind != ERROR_NONE)
        return;
    error->kind = kind;
    va_start(args, format);
    error->message = format_text(format, args);
    va_end(args);
}

void error_text(char **field, const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    text = format_text(format, args);
    va_end(args);
    free(*field);
    *field = text;
}

void error_put(char **field, const char *text)
{
    if (text != NULL)
        error_text(field, "%s", text);
}

size_t error_cut(const char *text, size_t limit)
{
    size_t size = strnlen(text, limit);
    while (((unsigned char)text[size] & 0xc0) == 0x80)
        size++;
    return size;
}

enum { NOTE_SIZE = 2000 };

char *error_note(const char *text)
{
    size_t cut = error_cut(text, NOTE_SIZE), at;
    char *note = NULL;
    error_text(&note, "%.*s%s", (int)cut, text, text[cut] != '\0' ? "…" : "");
    for (at = utf8_valid(note, strlen(note)); note[at] != '\0'; at += utf8_valid(note + at, strlen(note + at)))
        note[at] = '?';
    return note;
}

void failures_add(struct failures *failures, const char *tenant, const char *message, const struct error *error)
{
    struct failure *failure;
    failures->list = realloc(failures->list, (failures->count + 1) * sizeof *failures->list);
    if (failures->list == NULL)
        abort();
    failure = &failures->list[failures->count++];
    memset(failure, 0, sizeof *failure);
    error_text(&failure->tenant, "%s", tenant);
    error_text(&failure->message, "%s", message);
    error_put(&failure->file, error->file);
    memcpy(failure->sqlstate, error->sqlstate, sizeof failure->sqlstate);
    failure->line = error->line;
}

void failures_clear(struct failures *failures)
{
    size_t i;
    for (i = 0; i < failures->count; i++) {
        free(failures->list[i].tenant);
        free(failures->list[i].message);
        free(failures->list[i].file);
    }
    free(failures->list);
    memset(failures, 0, sizeof *failures);
}

static struct failures copy_failures(const struct failures *from)
{
    struct failures copy = {0};
    size_t i;
    for (i = 0; i < from->count; i++) {
        const struct failure *failure = &from->list[i];
        struct error place = {.file = failure->file, .line = failure->line};
        memcpy(place.sqlstate, failure->sqlstate, sizeof place.sqlstate);
        failures_add(&copy, failure->tenant, failure->message, &place);
    }
    return copy;
}

void error_clear(struct error *error)
{
    free(error->message);
    free(error->detail);
    free(error->hint);
    free(error->context);
    free(error->statement);
    free(error->source);
    free(error->traceback);
    free(error->revision);
    free(error->file);
    free(error->tenant);
    free(error->state);
    failures_clear(&error->failures);
    memset(error, 0, sizeof *error);
}

static char *copy_text(const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copy == NULL)
        abort();
    return copy;
}

void error_copy(struct error *to, const struct error *from)
{
    if (to->kind != ERROR_NONE)
        return;
    error_clear(to);
    *to = *from;
    to->message = copy_text(from->message);
    to->detail = copy_text(from->detail);
    to->hint = copy_text(from->hint);
    to->context = copy_text(from->context);
    to->statement = copy_text(from->statement);
    to->source = copy_text(from->source);
    to->traceback = copy_text(from->traceback);
    to->revision = copy_text(from->revision);
    to->file = copy_text(from->file);
    to->tenant = copy_text(from->tenant);
    to->state = copy_text(from->state);
    to->failures = copy_failures(&from->failures);
}

void error_move(struct error *to, struct error *from)
{
    if (to->kind != ERROR_NONE) {
        error_clear(from);
        return;
    }
    error_clear(to);
    *to = *from;
    memset(from, 0, sizeof *from);
}

const char *error_kind_name(enum error_kind kind)
{
    return kinds[kind].name;
}

enum error_kind error_kind_named(const char *name)
{
    size_t i;
    for (i = ERROR_MIGRATION; i < sizeof kinds / sizeof *kinds; i++)
        if (name != NULL && strcmp(kinds[i].name, name) == 0)
            return (enum error_kind)i;
    return ERROR_MIGRATION;
}

int error_exit_code(enum error_kind kind)
{
    return kinds[kind].exit_code;
}
