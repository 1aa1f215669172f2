#include "host/first_word.h"

#include <ctype.h>
#include <string.h>

const char *skip_blanks(const char *sql)
{
    for (;;) {
        sql += strspn(sql, " \t\n\r\f\v");
        if (strncmp(sql, "--", 2) == 0)
            sql += strcspn(sql, "\n");
        else if (strncmp(sql, "/*", 2) == 0 && strstr(sql + 2, "*/") != NULL)
            sql = strstr(sql + 2, "*/") + 2;
        else
            return sql;
    }
}

void first_word(const char *statement, char *word, size_t room)
{
    size_t i;
    for (statement = skip_blanks(statement); *statement == '('; statement = skip_blanks(statement + 1))
        ;
    for (i = 0; i + 1 < room && isalpha((unsigned char)statement[i]); i++)
        word[i] = (char)toupper((unsigned char)statement[i]);
    word[i] = '\0';
}
