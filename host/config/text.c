#include "host/config/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/distance.h"

void *text_resize(void *memory, size_t size)
{
    void *resized = realloc(memory, size > 0 ? size : 1);
    if (resized == NULL)
        abort();
    return resized;
}

char *text_slice(const char *text, size_t size)
{
    char *copy = text_resize(NULL, size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

char *text_copy(const char *text)
{
    return text != NULL ? text_slice(text, strlen(text)) : NULL;
}

char *text_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int size;
    va_start(args, format);
    size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        abort();
    return text;
}

void text_append(char **text, const char *more, size_t size)
{
    size_t length = *text != NULL ? strlen(*text) : 0;
    *text = text_resize(*text, length + size + 1);
    memcpy(*text + length, more, size);
    (*text)[length + size] = '\0';
}

void text_lower(char *text)
{
    for (; *text != '\0'; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
}

size_t text_list(const char *text, char ***items)
{
    static const char separators[] = ", \t\r\n";
    size_t count = 0;
    *items = NULL;
    while (text != NULL && *(text += strspn(text, separators)) != '\0') {
        size_t size = strcspn(text, separators);
        *items = text_resize(*items, (count + 1) * sizeof **items);
        (*items)[count++] = text_slice(text, size);
        text += size;
    }
    return count;
}

void text_list_free(char **items, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        free(items[i]);
    free(items);
}

bool text_in_list(const char *text, char *const *items, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (strcmp(text, items[i]) == 0)
            return true;
    return false;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

const char *text_nearest(const char *name, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t size = strlen(name), best = smaller(size / 3, 3), i;
    if (size == 0)
        return NULL;
    best = best > 0 ? best + 1 : 2; /* the first that is too far */
    for (i = 0; i < count; i++) {
        size_t cost = distance(name, size, candidates[i], strlen(candidates[i]), best);
        if (size >= 3 && strncmp(candidates[i], name, size) == 0)
            cost = smaller(cost, 1);
        if (cost < best) {
            best = cost;
            nearest = candidates[i];
        }
    }
    return nearest;
}
