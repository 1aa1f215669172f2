#include "host/first_word.h"

#include <ctype.h>
#include <string.h>

void first_word(const char *statement, char *word, size_t room)
{
    size_t i;
    for (;;) {
        statement += strspn(statement, " \t\n\r\f\v(");
        if (strncmp(statement, "--", 2) == 0)
            statement += strcspn(statement, "\n");
        else if (strncmp(statement, "/*", 2) == 0 && strstr(statement + 2, "*/") != NULL)
            statement = strstr(statement + 2, "*/") + 2;
        else
            break;
    }
    for (i = 0; i + 1 < room && isalpha((unsigned char)statement[i]); i++)
        word[i] = (char)toupper((unsigned char)statement[i]);
    word[i] = '\0';
}
