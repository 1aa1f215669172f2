/* The header of a revision that was written for Alembic. */
#include "host/script/python.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[PYTHON_FIELDS] = {"revision", "down_revision", "branch_labels", "depends_on"};

struct reader {
    struct python_scanner scanner;
    struct python_token token; /* the present one */
    struct python_header *header;
    bool defines; /* the last statement that was not indented began a function or class */
};

static void fault(struct reader *reader, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fault(struct reader *reader, int line, const char *format, ...)
{
    va_list args;
    if (reader->header->fault != NULL)
        return;
    va_start(args, format);
    if (vasprintf(&reader->header->fault, format, args) < 0)
        abort();
    va_end(args);
    reader->header->fault_line = line;
}

static void advance(struct reader *reader)
{
    reader->token = python_next(&reader->scanner);
}

static bool is_sign(const struct reader *reader, char sign)
{
    return reader->token.kind == PYTHON_SIGN && *reader->token.at == sign;
}

static bool is_name(const struct python_token *token, const char *name)
{
    return token->kind == PYTHON_NAME && token->size == strlen(name) && memcmp(token->at, name, token->size) == 0;
}

/* The end of a statement. A ";" within brackets is no Python, and ends nothing. */
static bool is_end(const struct reader *reader)
{
    return reader->token.kind == PYTHON_END || reader->token.kind == PYTHON_NEWLINE ||
           (is_sign(reader, ';') && reader->token.depth == 0);
}

static enum python_field field_of(const struct python_token *token)
{
    enum python_field field = 0;
    while (field < PYTHON_FIELDS && !is_name(token, names[field]))
        field++;
    return field;
}

static void list_clear(struct python_list *list)
{
    size_t i;
    for (i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
    *list = (struct python_list){0};
}

/* Grows by doubling. Takes the text over. */
static void list_add(struct python_list *list, char *text)
{
    if ((list->count & (list->count - 1)) == 0) {
        list->texts = realloc(list->texts, (list->count > 0 ? 2 * list->count : 1) * sizeof *list->texts);
        if (list->texts == NULL)
            abort();
    }
    list->texts[list->count++] = text;
}

/* Literals that stand side by side are one. Owned; null if one of them is none. */
static char *read_strings(struct reader *reader, const char *what)
{
    struct python_text text = {0};
    const char *wrong = NULL;
    int line = reader->token.line;
    for (; reader->token.kind == PYTHON_STRING; advance(reader))
        wrong = wrong != NULL ? wrong : python_decode(&reader->token, &text);
    if (wrong == NULL)
        return text.at;
    free(text.at);
    fault(reader, line, "%s %s", what, wrong);
    return NULL;
}

/* A text, or one in brackets of its own. False, with the fault, for anything else. */
static bool read_item(struct reader *reader, enum python_field field, struct python_list *list)
{
    bool bracket = is_sign(reader, '(');
    char *text;
    if (bracket)
        advance(reader);
    if (reader->token.kind != PYTHON_STRING) {
        fault(reader, reader->token.line, "%s is no literal", names[field]);
        return false;
    }
    text = read_strings(reader, names[field]);
    if (text == NULL)
        return false;
    list_add(list, text);
    if (bracket && !is_sign(reader, ')')) {
        fault(reader, reader->token.line, "%s is no literal", names[field]);
        return false;
    }
    if (bracket)
        advance(reader);
    return true;
}

/* Items with commas between them, up to `close` (0: the end of the statement). */
static bool read_items(struct reader *reader, enum python_field field, struct python_list *list, char close)
{
    while (close != '\0' ? !is_sign(reader, close) : !is_end(reader)) {
        if (!read_item(reader, field, list))
            return false;
        if (!is_sign(reader, ','))
            break;
        advance(reader);
    }
    if (close == '\0')
        return true;
    if (is_sign(reader, close)) {
        advance(reader);
        return true;
    }
    fault(reader, reader->token.line, "%s is no literal", names[field]);
    return false;
}

/* Does a literal end after the bracket that is read, or does it go on: ("a", "b"), "c"? */
static bool read_rest(struct reader *reader, enum python_field field, struct python_list *list)
{
    if (!is_sign(reader, ','))
        return true;
    if (list->count != 1) {
        fault(reader, reader->token.line, "%s is no list of texts", names[field]);
        return false;
    }
    advance(reader);
    return read_items(reader, field, list, '\0');
}

/* None, a text, or a tuple, list or set of texts, with or without brackets. */
static bool read_value(struct reader *reader, enum python_field field, struct python_list *list)
{
    char close = is_sign(reader, '(') ? ')' : is_sign(reader, '[') ? ']' : is_sign(reader, '{') ? '}' : '\0';
    if (is_name(&reader->token, "None")) {
        advance(reader);
        return true;
    }
    if (is_end(reader)) {
        fault(reader, reader->token.line, "%s is no literal", names[field]);
        return false;
    }
    if (close == '\0')
        return read_items(reader, field, list, '\0');
    advance(reader);
    return read_items(reader, field, list, close) && (close != ')' || read_rest(reader, field, list));
}

/* Up to "=", over what says the type. False: there is none. */
static bool skip_annotation(struct reader *reader)
{
    if (is_sign(reader, ':'))
        while (!is_end(reader) && !(is_sign(reader, '=') && reader->token.depth == 0))
            advance(reader);
    return is_sign(reader, '=');
}

/* Is nothing of the statement left? */
static void check_end(struct reader *reader, enum python_field field)
{
    if (!is_end(reader))
        fault(reader, reader->token.line, "%s is no literal", names[field]);
}

/* `revision = "x"`; the name is the present token. */
static void read_assignment(struct reader *reader, enum python_field field)
{
    struct python_header *header = reader->header;
    struct python_list list = {0};
    int line = reader->token.line;
    bool annotated;
    advance(reader);
    annotated = is_sign(reader, ':');
    if (!skip_annotation(reader)) {
        if (!annotated || !is_end(reader))
            fault(reader, line, "%s is used, not assigned a literal", names[field]);
        return;
    }
    advance(reader);
    if (read_value(reader, field, &list))
        check_end(reader, field);
    list_clear(&header->fields[field]);
    header->fields[field] = list;
    header->given[field] = true;
}

/* "=" and not "==". */
static bool is_assignment(const struct reader *reader)
{
    const struct python_scanner *scanner = &reader->scanner;
    return is_sign(reader, '=') && (scanner->at == scanner->end || *scanner->at != '=');
}

/* Does a name that stands behind this one get a value: for x in, with … as x, del x, case x? Within brackets `for`
   has names of its own. */
static bool is_binding(const struct python_token *token)
{
    return (is_name(token, "for") && token->depth == 0) || is_name(token, "as") || is_name(token, "del") ||
           is_name(token, "case");
}

/* What of a statement that is not looked into has been seen. */
struct skipping {
    enum python_field last;   /* the token before, where it is one */
    enum python_field waiting; /* in brackets that may turn out to be assigned to: (a, b) = … */
    bool binding;             /* behind `for`, `as`, `del` or `case` */
    bool bracketed;           /* it begins with a bracket or a star */
    bool assigned;            /* behind "=" */
};

/* The field that the present token, behind those that were seen, is a value for. */
static enum python_field field_set(struct reader *reader, const struct skipping *seen)
{
    bool outside = reader->token.depth == 0;
    if (outside && is_assignment(reader) && seen->waiting < PYTHON_FIELDS)
        return seen->waiting;
    if (seen->last < PYTHON_FIELDS && is_sign(reader, ':') && reader->scanner.at < reader->scanner.end &&
        *reader->scanner.at == '=')
        return seen->last;
    if (seen->last < PYTHON_FIELDS && outside && (is_assignment(reader) || (is_sign(reader, ',') && !seen->assigned)))
        return seen->last;
    return seen->binding ? field_of(&reader->token) : PYTHON_FIELDS;
}

static void note_token(const struct reader *reader, struct skipping *seen)
{
    seen->last = field_of(&reader->token);
    if (seen->bracketed && !seen->assigned && seen->last < PYTHON_FIELDS)
        seen->waiting = seen->last;
    if (is_binding(&reader->token))
        seen->binding = true;
    else if (is_name(&reader->token, "in") || is_sign(reader, ':') || is_sign(reader, '='))
        seen->binding = false;
    seen->assigned = seen->assigned || is_sign(reader, '=');
}

/* A statement that is not looked into must not set a field either: under an `if`, in an import, by `for`. */
static void skip_statement(struct reader *reader, bool imports)
{
    struct skipping seen = {.last = PYTHON_FIELDS, .waiting = PYTHON_FIELDS};
    seen.bracketed = is_sign(reader, '(') || is_sign(reader, '[') || is_sign(reader, '*');
    for (; !is_end(reader); advance(reader)) {
        enum python_field field = field_set(reader, &seen);
        if (field < PYTHON_FIELDS)
            fault(reader, reader->token.line, "%s is not assigned by a statement of its own", names[field]);
        note_token(reader, &seen);
        if (imports && seen.last < PYTHON_FIELDS)
            fault(reader, reader->token.line, "%s is imported, not assigned a literal", names[seen.last]);
    }
}

/* The rest of the line, whatever it is: of a function's or class's. */
static void skip_line(struct reader *reader)
{
    while (reader->token.kind != PYTHON_END && reader->token.kind != PYTHON_NEWLINE)
        advance(reader);
}

/* The name of a function or class is none of a field. */
static void check_defined(struct reader *reader)
{
    enum python_field field = field_of(&reader->token);
    if (field < PYTHON_FIELDS)
        fault(reader, reader->token.line, "%s is defined, not assigned a literal", names[field]);
}

static void read_definition(struct reader *reader)
{
    bool function;
    if (is_name(&reader->token, "async"))
        advance(reader);
    function = is_name(&reader->token, "def");
    if (function || is_name(&reader->token, "class")) {
        advance(reader);
        check_defined(reader);
    }
    if (function) {
        reader->header->has_upgrade = reader->header->has_upgrade || is_name(&reader->token, "upgrade");
        reader->header->has_downgrade = reader->header->has_downgrade || is_name(&reader->token, "downgrade");
    }
    reader->defines = true;
    skip_line(reader);
}

/* The text that a module begins with. */
static void read_doc(struct reader *reader)
{
    struct python_text text = {0};
    bool plain = true;
    for (; reader->token.kind == PYTHON_STRING; advance(reader))
        plain = plain && python_decode(&reader->token, &text) == NULL;
    if (plain && is_end(reader)) {
        reader->header->doc = text.at;
        text.at = NULL;
    }
    free(text.at);
    skip_statement(reader, false);
}

static bool begins_definition(const struct reader *reader)
{
    return is_name(&reader->token, "def") || is_name(&reader->token, "class") || is_name(&reader->token, "async") ||
           is_sign(reader, '@');
}

static void read_statement(struct reader *reader, bool first)
{
    enum python_field field = field_of(&reader->token);
    bool imports = is_name(&reader->token, "import") || is_name(&reader->token, "from");
    if (reader->token.indented && reader->defines) {
        skip_line(reader);
        return;
    }
    if (reader->token.indented) {
        skip_statement(reader, imports);
        return;
    }
    reader->defines = false;
    if (first && reader->token.kind == PYTHON_STRING)
        read_doc(reader);
    else if (begins_definition(reader))
        read_definition(reader);
    else if (field < PYTHON_FIELDS)
        read_assignment(reader, field);
    skip_statement(reader, imports);
}

static void check_given(struct reader *reader)
{
    const struct python_header *header = reader->header;
    if (!header->given[PYTHON_REVISION] || header->fields[PYTHON_REVISION].count != 1)
        fault(reader, 0, header->given[PYTHON_REVISION] ? "revision is no single text" : "no revision is assigned");
    if (!header->given[PYTHON_DOWN])
        fault(reader, 0, "no down_revision is assigned"); /* None is; without the name Alembic fails too */
}

void python_read(const char *text, size_t size, struct python_header *header)
{
    struct reader reader = {.header = header};
    bool first = true;
    *header = (struct python_header){0};
    python_scan(&reader.scanner, text, size);
    for (advance(&reader); reader.token.kind != PYTHON_END; advance(&reader)) {
        if (is_end(&reader))
            continue;
        read_statement(&reader, first);
        first = false;
    }
    check_given(&reader);
}

void python_free(struct python_header *header)
{
    int i;
    for (i = 0; i < PYTHON_FIELDS; i++)
        list_clear(&header->fields[i]);
    free(header->doc);
    free(header->fault);
    *header = (struct python_header){0};
}
