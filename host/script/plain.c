/* Headers that can be read without running the file: nearly all. Running costs twenty times as much. */
#include "host/script/plain.h"

#include <string.h>

#include "host/script/source_syntax.h"

/* Names beyond this, and files in which Lua's jumps could become too wide, are looked at by Lua. */
enum { LONGEST_NAME = 255, LONGEST_TEXT = 1 << 16 };

struct plain {
    struct source_syntax syntax;
    struct plain_header *header;
};

static bool at(const struct plain *plain, int kind)
{
    return plain->syntax.token.kind == kind;
}

static bool accept(struct plain *plain, int kind)
{
    if (!at(plain, kind))
        return false;
    source_syntax_advance(&plain->syntax);
    return true;
}

static bool is_word(const struct plain *plain, const char *word)
{
    const struct source_token *token = &plain->syntax.token;
    return token->size == strlen(word) && memcmp(token->at, word, token->size) == 0;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* A quoted name of plain characters, as lua/dmlua/header.lua takes it without a second look. */
static bool read_name(struct plain *plain, struct plain_name *name)
{
    const struct source_token *token = &plain->syntax.token;
    size_t i;
    if (!at(plain, SOURCE_STRING) || *token->at == '[' || token->size < 3 || token->size > LONGEST_NAME + 2)
        return false;
    *name = (struct plain_name){token->at + 1, token->size - 2};
    for (i = 0; i < name->size; i++)
        if (!is_plain(name->at[i]))
            return false;
    source_syntax_advance(&plain->syntax);
    return true;
}

static bool has_name(const struct plain_list *list, const struct plain_name *name)
{
    size_t i;
    for (i = 0; i < list->count; i++)
        if (list->names[i].size == name->size && memcmp(list->names[i].at, name->at, name->size) == 0)
            return true;
    return false;
}

static bool read_item(struct plain *plain, struct plain_list *list)
{
    struct plain_name name;
    if (list->count == PLAIN_NAMES || !read_name(plain, &name) || has_name(list, &name))
        return false;
    list->names[list->count++] = name;
    return true;
}

/* nil, a name, or a table of names. */
static bool read_list(struct plain *plain, struct plain_list *list)
{
    list->count = 0;
    if (accept(plain, SOURCE_NIL))
        return true;
    if (!accept(plain, '{'))
        return read_item(plain, list);
    while (!at(plain, '}')) {
        if (!read_item(plain, list))
            return false;
        if (!accept(plain, ',') && !accept(plain, ';'))
            break;
    }
    return accept(plain, '}');
}

/* revision = "…"; what is assigned twice has the last value. */
static bool read_assignment(struct plain *plain)
{
    struct plain_header *header = plain->header;
    bool revision = is_word(plain, "revision");
    struct plain_list *list = is_word(plain, "down_revision")   ? &header->down
                              : is_word(plain, "branch_labels") ? &header->labels
                              : is_word(plain, "depends_on")    ? &header->depends
                                                                : NULL;
    source_syntax_advance(&plain->syntax);
    if (!accept(plain, '='))
        return false;
    return revision ? read_name(plain, &header->revision) : list != NULL && read_list(plain, list);
}

/* function upgrade() … end */
static bool read_function(struct plain *plain)
{
    bool upgrade = is_word(plain, "upgrade"), downgrade = is_word(plain, "downgrade");
    if ((!upgrade && !downgrade) || !accept(plain, SOURCE_NAME) || !source_syntax_body(&plain->syntax))
        return false;
    plain->header->has_upgrade = plain->header->has_upgrade || upgrade;
    plain->header->has_downgrade = plain->header->has_downgrade || downgrade;
    return true;
}

/* What may not be local is refused with its reason, by lua/dmlua/header.lua. */
static bool is_header_word(const struct plain *plain)
{
    static const char *const words[] = {"revision", "down_revision", "branch_labels", "depends_on",
                                        "replaces", "upgrade",       "downgrade"};
    size_t i;
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(plain, words[i]))
            return true;
    return false;
}

static bool read_constant(struct plain *plain);

/* name = constant, or a constant, which waits for the others. */
static bool read_field(struct plain *plain)
{
    if (accept(plain, SOURCE_NAME))
        return accept(plain, '=') && read_constant(plain);
    return source_syntax_enter(&plain->syntax) && read_constant(plain);
}

static bool read_table(struct plain *plain)
{
    unsigned depth = plain->syntax.depth;
    if (!source_syntax_enter(&plain->syntax))
        return false;
    while (!at(plain, '}')) {
        if (!read_field(plain))
            return false;
        if (!accept(plain, ',') && !accept(plain, ';'))
            break;
    }
    plain->syntax.depth = depth;
    return accept(plain, '}');
}

/* Making it cannot fail and calls nothing. */
static bool read_constant(struct plain *plain)
{
    if (accept(plain, '{'))
        return read_table(plain);
    if (accept(plain, '-'))
        return accept(plain, SOURCE_NUMBER);
    return accept(plain, SOURCE_NUMBER) || accept(plain, SOURCE_STRING) || accept(plain, SOURCE_NIL) ||
           accept(plain, SOURCE_TRUE) || accept(plain, SOURCE_FALSE);
}

/* local function name() … end, local NAME = constant */
static bool read_local(struct plain *plain)
{
    bool function = accept(plain, SOURCE_FUNCTION);
    if (is_header_word(plain) || !source_syntax_local(&plain->syntax))
        return false;
    return function ? source_syntax_body(&plain->syntax) : accept(plain, '=') && read_constant(plain);
}

/* The next one has to begin with what cannot continue the one before. */
static bool read_statement(struct plain *plain)
{
    if (accept(plain, ';'))
        return true;
    if (accept(plain, SOURCE_FUNCTION))
        return read_function(plain);
    if (accept(plain, SOURCE_LOCAL))
        return read_local(plain);
    return at(plain, SOURCE_NAME) && read_assignment(plain);
}

bool plain_read(const char *text, size_t size, struct plain_header *header)
{
    struct plain plain = {.header = header};
    *header = (struct plain_header){0};
    if (size > LONGEST_TEXT || memchr(text, '\0', size) != NULL)
        return false;
    source_syntax_begin(&plain.syntax, text, size);
    while (!at(&plain, SOURCE_END))
        if (!read_statement(&plain))
            return false;
    return header->revision.size > 0;
}
