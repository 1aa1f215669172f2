#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"

/* The character that divides version_locations; 0: as Alembic before it had path_separator, commas and blanks. */
static char separator(const struct config *config)
{
    static const struct {
        const char *word;
        char sign;
    } words[] = {{"os", ':'}, {"space", ' '}, {"newline", '\n'}, {":", ':'}, {";", ';'}};
    const char *said = config_get(config, "path_separator");
    size_t i;
    if (said == NULL || *said == '\0')
        said = config_get(config, "version_path_separator");
    for (i = 0; said != NULL && i < sizeof words / sizeof *words; i++)
        if (strcmp(said, words[i].word) == 0)
            return words[i].sign;
    return 0;
}

static char *trimmed(const char *text, size_t size)
{
    while (size > 0 && isspace((unsigned char)*text))
        text++, size--;
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    return size > 0 ? text_slice(text, size) : NULL;
}

size_t config_version_locations(const struct config *config, char ***locations)
{
    const char *text = config_get(config, "version_locations"), *end;
    char sign = separator(config);
    size_t count = 0;
    if (text == NULL || sign == 0)
        return text_list(text != NULL ? text : "", locations);
    *locations = text_resize(NULL, (strlen(text) / 2 + 2) * sizeof **locations);
    for (;; text = end + 1) {
        char *location;
        end = strchr(text, sign);
        location = trimmed(text, end != NULL ? (size_t)(end - text) : strlen(text));
        if (location != NULL)
            (*locations)[count++] = location;
        if (end == NULL)
            return count;
    }
}
