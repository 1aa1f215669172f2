#include "host/hide.h"

#include <string.h>

static void cover(char *text, size_t size)
{
    memset(text, '*', size);
}

/* From the first : to the last @ of the word that begins behind "://": a password may hold an @ that was not
 * encoded. */
static void hide_in_urls(char *text)
{
    char *at;
    for (at = strstr(text, "://"); at != NULL; at = strstr(at, "://")) {
        char *colon, *end;
        size_t size;
        at += 3;
        size = strcspn(at, " \t\r\n'\"");
        colon = memchr(at, ':', size);
        end = memrchr(at, '@', size);
        if (colon != NULL && end != NULL && colon < end)
            cover(colon + 1, (size_t)(end - colon) - 1);
    }
}

/* A value of libpq's conninfo: a word, or in single quotes, where \ takes the next character as it is. */
static size_t value_size(const char *value)
{
    size_t size = 1;
    if (*value != '\'')
        return strcspn(value, " \t\r\n&");
    while (value[size] != '\0' && value[size] != '\'')
        size += value[size] == '\\' && value[size + 1] != '\0' ? 2 : 1;
    return size;
}

static void hide_in_conninfos(char *text)
{
    static const char key[] = "password";
    char *at;
    for (at = strcasestr(text, key); at != NULL; at = strcasestr(at, key)) {
        at += sizeof key - 1;
        at += strspn(at, " \t");
        if (*at == '=') {
            at++;
            at += strspn(at, " \t");
            cover(at, value_size(at));
        }
    }
}

void hide_passwords(char *text)
{
    if (text == NULL)
        return;
    hide_in_urls(text);
    hide_in_conninfos(text);
}

void hide_arguments(int argc, char **argv)
{
    static const char option[] = "--url";
    const size_t size = sizeof option - 1;
    int i;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], option) == 0 && i + 1 < argc) {
            i++;
            cover(argv[i], strlen(argv[i]));
        } else if (strncmp(argv[i], option, size) == 0 && argv[i][size] == '=') {
            cover(argv[i] + size + 1, strlen(argv[i] + size + 1));
        } else {
            hide_passwords(argv[i]);
        }
    }
}
