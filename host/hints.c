#include "host/hints.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/first_word.h"

enum { NAMEDATALEN = 64 }; /* the server's */

enum when { ALWAYS, WITH_PARAMETERS };

static const struct {
    const char *sqlstate;
    enum when when;
    const char *hint;
} hints[] = {
    /* indeterminate_datatype, ambiguous_parameter: dmlua sends parameters without a type */
    {"42P18", WITH_PARAMETERS,
     "write a cast, so that the server knows the parameter's type: CAST(:name AS text)"},
    {"42P08", WITH_PARAMETERS,
     "write a cast, so that the server knows the parameter's type: CAST(:name AS text)"},
    /* protocol_violation: "bind message supplies 1 parameters, but prepared statement requires 0" */
    {"08P01", WITH_PARAMETERS,
     "DDL and other utility statements take no parameters: write the value into the text"},
    /* undefined_parameter, and syntax_error at a `$1` where the grammar has no expression */
    {"42P02", WITH_PARAMETERS,
     "DDL and other utility statements take no parameters: write the value into the text"},
    {"42601", WITH_PARAMETERS,
     "a parameter stands only where a value may: not for a name, a type or a keyword, and not in DDL"},
    /* active_sql_transaction */
    {"25001", ALWAYS, "put it into op.get_context():autocommit_block(fn)"},
    /* invalid_transaction_termination: a DO block or procedure that commits */
    {"2D000", ALWAYS,
     "a migration's transaction is dmlua's: no COMMIT or ROLLBACK in DO blocks and procedures"},
    /* unsafe_new_enum_value_usage */
    {"55P04", ALWAYS,
     "add the value in a revision of its own, or in op.get_context():autocommit_block(fn): it "
     "can be "
     "used once it is committed"},
    {"55P03", ALWAYS, "another session holds the lock; run the same command again when it is free"},
    {"40P01", ALWAYS,
     "another session waited for what this one holds, and this one for it; run the same command again"},
    {"40001", ALWAYS, "another session changed the same rows meanwhile; run the same command again"},
};

const char hint_tenant[] = "put it into tenants.each(fn); what has to see every tenant's rows goes "
                           "into op.across_tenants({ tables }, fn)";

const char *hint_for(const char *sqlstate, bool parameters)
{
    size_t i;
    for (i = 0; sqlstate != NULL && i < sizeof hints / sizeof *hints; i++)
        if (strcmp(hints[i].sqlstate, sqlstate) == 0 && (parameters || hints[i].when == ALWAYS))
            return hints[i].hint;
    return NULL;
}

/* A piece of a text. */
struct piece {
    const char *start;
    size_t size;
};

static struct piece between(const char *message, const char *open, const char *close)
{
    struct piece piece = {strstr(message, open), 0};
    const char *end = NULL, *next;
    if (piece.start == NULL)
        return piece;
    piece.start += strlen(open);
    for (next = strstr(piece.start, close); next != NULL; next = strstr(next + 1, close))
        end = next;
    if (end == NULL)
        piece.start = NULL;
    else
        piece.size = (size_t)(end - piece.start);
    return piece;
}

/* The one name in the server's message. A server speaks its own language (lc_messages is not ours to set),
   but every translation of this message puts the name between the quotation marks of that language. French
   sets blanks inside. */
static struct piece quoted_name(const char *message)
{
    static const char *const marks[][2] = {
        {"\"", "\""}, {"«\u00a0", "\u00a0»"}, {"« ", " »"}, {"«", "»"}, {"»", "«"}, {"„", "“"}, {"“", "”"},
        {"「", "」"}};
    size_t i;
    struct piece name = {NULL, 0};
    for (i = 0; i < sizeof marks / sizeof *marks && name.start == NULL; i++)
        name = between(message, marks[i][0], marks[i][1]);
    return name;
}

/* Does a statement with this first word read or write rows, as a tenant's own step would? Else it is DDL that
   looks at all rows: a foreign key, a CREATE TABLE AS. */
static bool is_dml(const char *word)
{
    static const char *const words[] = {"SELECT", "INSERT", "UPDATE", "DELETE",
                                        "MERGE",  "WITH",   "COPY",   "TABLE"};
    size_t i;
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

char *hint_tenant_message(const char *sqlstate, const char *function, const char *message,
                          const char *statement)
{
    struct piece table;
    char word[16];
    char *text = NULL;
    /* 42501 is any missing privilege; check_enable_rls() of rls.c, PostgreSQL 13 to 18, raises this one
       alone. The error has no table field. */
    if (sqlstate == NULL || function == NULL || strcmp(sqlstate, "42501") != 0 ||
        strcmp(function, "check_enable_rls") != 0)
        return NULL;
    first_word(statement == NULL ? "" : statement, word, sizeof word);
    table = quoted_name(message == NULL ? "" : message);
    if (table.start == NULL)
        table = (struct piece){"a table", strlen("a table")};
    if (asprintf(&text, "TenantIsolationError: No tenant context set: %s %s%.*s outside %s", word,
                 is_dml(word) ? "" : "reads ", (int)table.size, table.start,
                 is_dml(word) ? "tenants.each" : "op.across_tenants") < 0)
        return NULL;
    return text;
}

/* What is denied, by the server's message (aclcheck_error() of aclchk.c): which word stands before the name, and which
   privilege there is but one of. */
static const struct {
    const char *message;
    const char *object;
    const char *privilege; /* null: the statement's first word says */
} denials[] = {
    {"permission denied for table ", "", NULL},
    {"permission denied for view ", "", NULL},
    {"permission denied for sequence ", "SEQUENCE ", "USAGE"},
    {"permission denied for schema ", "SCHEMA ", NULL},
    {"permission denied for function ", "FUNCTION ", "EXECUTE"},
};

static bool is_letter(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_' || (unsigned char)letter >= 0x80;
}

/* The last part of the name that begins at `text`, as the server folds it. */
static void name_at(const char *text, char *name, size_t room)
{
    size_t size;
    do {
        bool quotes = *text == '"';
        size = 0;
        text += quotes;
        while (*text != '\0' &&
               (quotes ? *text != '"' || text[1] == '"'
                       : isalnum((unsigned char)*text) || *text == '_' || (unsigned char)*text >= 0x80)) {
            text += quotes && *text == '"';
            if (size + 1 < room)
                name[size++] = (char)(quotes ? *text : tolower((unsigned char)*text));
            text++;
        }
        text += quotes && *text == '"';
    } while (*text++ == '.');
    name[size] = '\0';
}

/* Is `name` what the statement writes to? What it only reads asks for less. */
static bool is_target(const char *statement, const char *word, const char *name)
{
    static const char blanks[] = " \t\r\n";
    const char *before = strcmp(word, "DELETE") == 0 ? "FROM" : strcmp(word, "UPDATE") == 0 ? word : "INTO";
    const char *at = strcasestr(statement, before);
    char found[NAMEDATALEN];
    if (at == NULL)
        return true;
    at += strlen(before);
    at += strspn(at, blanks);
    if (strncasecmp(at, "ONLY", 4) == 0 && strchr(blanks, at[4]) != NULL)
        at += 4 + strspn(at + 4, blanks);
    name_at(at, found, sizeof found);
    return strcmp(found, name) == 0;
}

static bool writes(const char *word)
{
    return strcmp(word, "INSERT") == 0 || strcmp(word, "UPDATE") == 0 || strcmp(word, "DELETE") == 0 ||
           strcmp(word, "MERGE") == 0;
}

static const char *privilege_of(const char *statement, const char *word, const char *object, const char *name)
{
    static const char *const words[][2] = {{"SELECT", "SELECT"},         {"TABLE", "SELECT"},
                                           {"INSERT", "INSERT"},         {"UPDATE", "SELECT, UPDATE"},
                                           {"DELETE", "SELECT, DELETE"}, {"TRUNCATE", "TRUNCATE"},
                                           {"LOCK", "UPDATE"},           {"ALTER", "REFERENCES"}};
    size_t i;
    if (*object != '\0')
        return strcmp(word, "CREATE") == 0 ? "CREATE" : "USAGE";
    if (writes(word) && !is_target(statement, word, name))
        return "SELECT";
    if (strcmp(word, "CREATE") == 0)
        return strcasestr(statement, "REFERENCES") != NULL ? "REFERENCES"
               : strcasestr(statement, "TRIGGER") != NULL  ? "TRIGGER"
                                                           : "SELECT";
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], word) == 0)
            return words[i][1];
    return "SELECT, INSERT, UPDATE, DELETE";
}

/* A name as PostgreSQL's quote_ident() would write it, but for key words. Owned. */
static char *quoted(const char *name)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream;
    if (!isdigit((unsigned char)*name) && name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0')
        return strdup(name);
    stream = open_memstream(&out, &size);
    if (stream == NULL)
        return NULL;
    fputc('"', stream);
    for (; *name != '\0'; name++)
        fputs(*name == '"' ? "\"\"" : (char[]){*name, '\0'}, stream);
    fputc('"', stream);
    fclose(stream);
    return out;
}

/* Does a table's name begin at `at`? What stands before it says so; else it may be a column's. */
static bool is_table_place(const char *statement, const char *at)
{
    static const char *const words[] = {"FROM", "JOIN", "INTO", "UPDATE", "ONLY", "TABLE", "USING", "REFERENCES", "ON", ","};
    size_t i, size;
    while (at > statement && isspace((unsigned char)at[-1]))
        at--;
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        size = strlen(words[i]);
        if ((size_t)(at - statement) >= size && strncasecmp(at - size, words[i], size) == 0)
            return true;
    }
    return false;
}

/* A name, as SQL, with the schema that the statement gives it, if any. Owned. */
static char *with_schema(const char *statement, const char *name)
{
    const char *at, *start;
    for (at = strcasestr(statement, name); at != NULL; at = strcasestr(at + 1, name)) {
        if (at < statement + 3 || at[-1] != '.')
            continue;
        start = at - 1;
        if (start[-1] == '"')
            for (start -= 2; start > statement && *start != '"'; start--)
                ;
        else
            while (start > statement && is_letter(start[-1]))
                start--;
        if (start < at - 1 && is_table_place(statement, start))
            return strndup(start, (size_t)(at - start) + strlen(name));
    }
    return strdup(name);
}

char *hint_denied(const char *sqlstate, const char *function, const char *message, const char *statement,
                  const char *role)
{
    char word[16], *text = NULL, *bare, *name, *grantee;
    const char *privilege;
    size_t i;
    if (role == NULL || sqlstate == NULL || function == NULL || strcmp(sqlstate, "42501") != 0 ||
        strcmp(function, "aclcheck_error") != 0)
        return NULL;
    for (i = 0; i < sizeof denials / sizeof *denials; i++)
        if (strncmp(message, denials[i].message, strlen(denials[i].message)) == 0)
            break;
    if (i == sizeof denials / sizeof *denials)
        return NULL;
    if (statement == NULL)
        statement = "";
    first_word(statement, word, sizeof word);
    privilege = denials[i].privilege;
    if (privilege == NULL)
        privilege = privilege_of(statement, word, denials[i].object, message + strlen(denials[i].message));
    bare = quoted(message + strlen(denials[i].message));
    name = bare != NULL ? with_schema(statement, bare) : NULL;
    grantee = quoted(role);
    if (name == NULL || grantee == NULL ||
        asprintf(&text, "role %s has not the privilege %s: let the owner say GRANT %s ON %s%s TO %s", role, privilege,
                 privilege, denials[i].object, name, grantee) < 0)
        text = NULL;
    free(bare);
    free(name);
    free(grantee);
    return text;
}
