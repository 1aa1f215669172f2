/* What a file says of itself in words: its message, its creation date. */
#include <stdlib.h>
#include <string.h>

#include "host/config/text.h"
#include "host/script/internal.h"
#include "host/script/source_token.h"

struct piece {
    const char *at;
    size_t size;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct piece trim_left(struct piece piece)
{
    while (piece.size > 0 && is_space(*piece.at)) {
        piece.at++;
        piece.size--;
    }
    return piece;
}

static struct piece trim_right(struct piece piece)
{
    while (piece.size > 0 && is_space(piece.at[piece.size - 1]))
        piece.size--;
    return piece;
}

static bool begins(struct piece piece, const char *with)
{
    size_t size = strlen(with);
    return piece.size >= size && memcmp(piece.at, with, size) == 0;
}

/* Cuts the first line off. */
static struct piece take_line(struct piece *rest)
{
    struct piece line = *rest;
    const char *end = memchr(rest->at, '\n', rest->size);
    if (end != NULL)
        line.size = (size_t)(end - rest->at);
    rest->at += line.size + (end != NULL);
    rest->size -= line.size + (end != NULL);
    return line;
}

/* The text behind a line's "--" and one space. False: the line is none of a comment. */
static bool take_dashes(struct piece *line)
{
    *line = trim_left(*line);
    if (!begins(*line, "--"))
        return false;
    line->at += 2;
    line->size -= 2;
    if (line->size > 0 && is_space(*line->at)) {
        line->at++;
        line->size--;
    }
    *line = trim_right(*line);
    return true;
}

/* Lines that begin with "--", without it, up to the first one that does not. */
static size_t join_lines(struct piece rest, char *doc)
{
    size_t size = 0;
    bool found = false;
    while (rest.size > 0) {
        struct piece line = take_line(&rest);
        if (!take_dashes(&line)) {
            if (found || line.size > 0)
                break;
            continue;
        }
        if (found)
            doc[size++] = '\n';
        memcpy(doc + size, line.at, line.size);
        size += line.size;
        found = true;
    }
    return size;
}

/* The comment that the file begins with: a long one, or lines. `doc` has room for the whole text. */
static size_t find_comment(struct piece text, char *doc)
{
    struct piece head = trim_left(text), body;
    if (begins(head, "--[")) {
        const char *behind = source_long_bracket(head.at + 2, head.at + head.size, &body.at, &body.size);
        if (behind != NULL && behind > head.at + 2) {
            memcpy(doc, body.at, body.size);
            return body.size;
        }
    }
    return join_lines(text, doc);
}

static size_t drop_returns(char *text, size_t size)
{
    size_t kept = 0, i;
    for (i = 0; i < size; i++)
        if (text[i] != '\r')
            text[kept++] = text[i];
    return kept;
}

/* Does a blank line, or the part that `dmlua revision` writes, begin at the line's end or beginning `at`? */
static struct piece first_paragraph(struct piece doc)
{
    struct piece rest = doc, line;
    while (rest.size > 0) {
        const char *begin = rest.at;
        line = take_line(&rest);
        if (begins(line, "Revision ID:") || trim_left(line).size == 0)
            return trim_right((struct piece){doc.at, (size_t)(begin - doc.at)});
    }
    return doc;
}

/* The first paragraph on one line: a line's end and the blanks around it are one space. */
static char *copy_message(struct piece doc)
{
    struct piece rest = first_paragraph(doc);
    char *message = text_resize(NULL, rest.size + 1);
    size_t size = 0;
    while (rest.size > 0) {
        struct piece line = trim_right(trim_left(take_line(&rest)));
        if (size > 0 && line.size > 0)
            message[size++] = ' ';
        memcpy(message + size, line.at, line.size);
        size += line.size;
    }
    message[size] = '\0';
    return message;
}

/* Behind the first "Create Date:" that a line begins with and that says something; null if there is none. */
static char *copy_date(struct piece doc)
{
    static const char name[] = "Create Date:";
    while (doc.size > 0) {
        struct piece line = take_line(&doc);
        if (!begins(line, name))
            continue;
        line = trim_left((struct piece){line.at + strlen(name), line.size - strlen(name)});
        if (line.size > 0)
            return text_slice(line.at, line.size);
    }
    return NULL;
}

/* Takes the text over. */
static void describe(struct script *script, char *text, size_t size)
{
    struct piece doc = {text, drop_returns(text, size)};
    doc = trim_right(trim_left(doc));
    script->doc = text_slice(doc.at, doc.size);
    script->message = copy_message(doc);
    script->create_date = copy_date(doc);
    free(text);
}

void comment_read(struct script *script, const char *text, size_t size)
{
    char *doc = text_resize(NULL, size + 1);
    describe(script, doc, find_comment((struct piece){text, size}, doc));
}

void comment_take(struct script *script, char *doc)
{
    describe(script, doc, strlen(doc));
}
