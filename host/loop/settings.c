#include "host/loop/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/first_word.h"

static bool is_one_of(const char *word, size_t size, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strlen(*words) == size && strncasecmp(*words, word, size) == 0)
            return true;
    return false;
}

bool setting_is(const char *sql)
{
    static const char blanks[] = " \t\r\n";
    static const char *const for_now[] = {"LOCAL", "CONSTRAINTS", "TRANSACTION", NULL};
    char word[16];
    first_word(sql, word, sizeof word);
    if (strcmp(word, "SET") != 0 && strcmp(word, "RESET") != 0)
        return false;
    sql = strcasestr(sql, word) + strlen(word);
    sql += strspn(sql, blanks);
    return !is_one_of(sql, strcspn(sql, blanks), for_now);
}

/* Words before a parenthesis that are no call, and functions of PostgreSQL's that set nothing. */
static const char *const harmless[] = {
    "VALUES", "IN", "AND", "OR", "NOT", "EXISTS", "ANY", "ALL", "SOME", "AS", "WHERE", "SELECT", "FROM", "ON", "USING",
    "THEN", "ELSE", "WHEN", "CASE", "BY", "SET", "JOIN", "LATERAL", "OVER", "FILTER", "DISTINCT", "BETWEEN", "LIKE",
    "CONFLICT", "CAST", "COALESCE", "NULLIF", "GREATEST", "LEAST", "ARRAY", "ROW", "EXTRACT", "VARCHAR", "NUMERIC",
    "DECIMAL", "CHAR", "RETURNING", "COUNT", "SUM", "MIN", "MAX", "AVG", "NOW", "LOWER", "UPPER", "LENGTH", "CONCAT",
    "ROUND", "ABS", "FLOOR", "CEIL", "TRIM", "BTRIM", "LTRIM", "RTRIM", "SUBSTRING", "SUBSTR", "REPLACE", "LEFT", "RIGHT",
    "DATE_TRUNC", "UNNEST", "ARRAY_AGG", "STRING_AGG", "GENERATE_SERIES", "ROW_NUMBER", "MD5", "GEN_RANDOM_UUID", NULL};

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$' || (unsigned char)c >= 0x80;
}

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
    static const char *const plain[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "WITH", "TABLE", NULL};
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
    if (!setting_is(statement->sql) && (strcmp(word, "SELECT") != 0 || strcasestr(statement->sql, "set_config") == NULL))
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
