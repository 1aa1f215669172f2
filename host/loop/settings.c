#include "host/loop/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/first_word.h"

enum { NAME_SIZE = 256 }; /* of a setting; nobody's is longer */

static bool is_one_of(const char *word, size_t size, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strlen(*words) == size && strncasecmp(*words, word, size) == 0)
            return true;
    return false;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$' || (unsigned char)c >= 0x80;
}

/* Is this the next word? Then *at is moved behind it. */
static bool accept(const char **at, const char *word)
{
    const char *from = skip_blanks(*at);
    size_t size = strlen(word);
    if (strncasecmp(from, word, size) != 0 || is_name(from[size]))
        return false;
    *at = from + size;
    return true;
}

bool setting_is(const char *sql)
{
    if (!accept(&sql, "SET") && !accept(&sql, "RESET"))
        return false;
    return !accept(&sql, "LOCAL") && !accept(&sql, "CONSTRAINTS") && !accept(&sql, "TRANSACTION");
}

/* What stands behind SET or RESET: PostgreSQL's grammar has words of its own for some settings. Null: nothing that has
   a name, or what the end of a visit looks at anyway. `name` has NAME_SIZE bytes. */
static const char *read_set(const char *at, char *name)
{
    static const char *const nameless[] = {"CONSTRAINTS",   "TRANSACTION",     "ROLE",
                                           "AUTHORIZATION", "CHARACTERISTICS", "ALL"};
    static const struct {
        const char *word, *name;
    } others[] = {{"TIME", "TimeZone"}, {"SCHEMA", "search_path"}, {"NAMES", "client_encoding"}, {"XML", "xmloption"}};
    size_t i, size = 0;
    if (!accept(&at, "LOCAL"))
        accept(&at, "SESSION");
    for (i = 0; i < sizeof nameless / sizeof *nameless; i++)
        if (accept(&at, nameless[i]))
            return NULL;
    for (i = 0; i < sizeof others / sizeof *others; i++)
        if (accept(&at, others[i].word))
            return others[i].name;
    for (at = skip_blanks(at); is_name(*at) || *at == '"'; at++)
        if (*at != '"' && size + 1 < NAME_SIZE)
            name[size++] = *at;
    name[size] = '\0';
    return size > 0 ? name : NULL;
}

/* The first argument of a call of set_config, from its parenthesis on. */
static const char *read_argument(const char *at, const struct db_statement *statement, char *name)
{
    int number;
    at = skip_blanks(at);
    if (*at++ != '(')
        return NULL;
    at = skip_blanks(at);
    if (*at == '\'' && strcspn(at + 1, "'") < NAME_SIZE) {
        size_t size = strcspn(at + 1, "'");
        memcpy(name, at + 1, size);
        name[size] = '\0';
        return name;
    }
    number = *at == '$' ? atoi(at + 1) : 0;
    return number >= 1 && number <= statement->count ? statement->values[number - 1] : NULL;
}

void setting_names(const struct db_statement *statement, void (*each)(void *, const char *name), void *data)
{
    static const char call[] = "set_config";
    const char *at = statement->sql, *found;
    char name[NAME_SIZE];
    if (accept(&at, "SET") || accept(&at, "RESET")) {
        found = read_set(at, name);
        if (found != NULL)
            each(data, found);
        return;
    }
    for (at = strcasestr(at, call); at != NULL; at = strcasestr(at, call)) {
        at += sizeof call - 1;
        found = read_argument(at, statement, name);
        if (found != NULL)
            each(data, found);
    }
}

/* Words before a parenthesis that are no call, and functions of PostgreSQL's that set nothing. */
static const char *const harmless[] = {
    "VALUES", "IN", "AND", "OR", "NOT", "EXISTS", "ANY", "ALL", "SOME", "AS", "WHERE", "SELECT", "FROM", "ON", "USING",
    "THEN", "ELSE", "WHEN", "CASE", "BY", "SET", "JOIN", "LATERAL", "OVER", "FILTER", "DISTINCT", "BETWEEN", "LIKE",
    "CONFLICT", "CAST", "COALESCE", "NULLIF", "GREATEST", "LEAST", "ARRAY", "ROW", "EXTRACT", "VARCHAR", "NUMERIC",
    "DECIMAL", "CHAR", "RETURNING", "COUNT", "SUM", "MIN", "MAX", "AVG", "NOW", "LOWER", "UPPER", "LENGTH", "CONCAT",
    "ROUND", "ABS", "FLOOR", "CEIL", "TRIM", "BTRIM", "LTRIM", "RTRIM", "SUBSTRING", "SUBSTR", "REPLACE", "LEFT",
    "RIGHT", "DATE_TRUNC", "UNNEST", "ARRAY_AGG", "STRING_AGG", "GENERATE_SERIES", "ROW_NUMBER", "MD5",
    "GEN_RANDOM_UUID", NULL};

/* The word that ends before `end`, blanks left out: where it begins; `end` is moved to its end. */
static const char *word_before(const char *sql, const char **end)
{
    const char *start;
    while (*end > sql && isspace((unsigned char)(*end)[-1]))
        (*end)--;
    start = *end;
    while (start > sql && is_name(start[-1]))
        start--;
    return start;
}

/* Is the parenthesis a call's? INSERT INTO t (…) has a name before it, too. */
static bool is_call(const char *sql, const char *parenthesis)
{
    static const char *const into[] = {"INTO", NULL};
    const char *end = parenthesis, *before;
    const char *word = word_before(sql, &end);
    if (word == end)
        return end > sql && end[-1] == '"';
    if (is_one_of(word, (size_t)(end - word), harmless))
        return false;
    before = word;
    word = word_before(sql, &before);
    return !is_one_of(word, (size_t)(before - word), into);
}

bool setting_is_possible(const char *sql)
{
    static const char *const plain[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE",
                                        "VALUES", "WITH",   "TABLE",  NULL};
    const char *at;
    char word[16];
    first_word(sql, word, sizeof word);
    if (!is_one_of(word, strlen(word), plain))
        return true;
    at = strchr(sql, '(');
    if (at != NULL && (strstr(sql, "--") != NULL || strstr(sql, "/*") != NULL)) /* may stand before the parenthesis */
        return true;
    for (; at != NULL; at = strchr(at + 1, '('))
        if (is_call(sql, at))
            return true;
    return false;
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    return copy;
}

void setting_keep(struct step_setting **list, const struct db_statement *statement)
{
    struct step_setting *setting;
    char word[16];
    int i;
    first_word(statement->sql, word, sizeof word);
    if (!setting_is(statement->sql) &&
        (strcmp(word, "SELECT") != 0 || strcasestr(statement->sql, "set_config") == NULL))
        return;
    while (*list != NULL)
        list = &(*list)->next;
    setting = calloc(1, sizeof *setting);
    if (setting == NULL || (setting->values = calloc((size_t)statement->count + 1, sizeof *setting->values)) == NULL)
        abort();
    setting->sql = copy_text(statement->sql);
    setting->count = statement->count;
    for (i = 0; i < statement->count; i++)
        setting->values[i] = statement->values[i] != NULL ? copy_text(statement->values[i]) : NULL;
    *list = setting;
}

void settings_free(struct step_setting *list)
{
    while (list != NULL) {
        struct step_setting *setting = list;
        int i;
        list = setting->next;
        for (i = 0; i < setting->count; i++)
            free((char *)setting->values[i]);
        free(setting->values);
        free(setting->sql);
        free(setting);
    }
}
