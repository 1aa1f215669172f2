#include "host/utf8.h"

#include <stdbool.h>

static bool tail(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* The bytes of the character that begins here; 0 when it is malformed. */
static size_t character(const unsigned char *text, size_t left)
{
    if (text[0] < 0x80)
        return 1;
    if (text[0] >= 0xC2 && text[0] <= 0xDF)
        return left >= 2 && tail(text[1]) ? 2 : 0;
    if (text[0] >= 0xE0 && text[0] <= 0xEF) {
        bool good = left >= 3 && tail(text[1]) && tail(text[2]);
        bool overlong = text[0] == 0xE0 && text[1] < 0xA0;
        bool surrogate = text[0] == 0xED && text[1] > 0x9F;
        return good && !overlong && !surrogate ? 3 : 0;
    }
    if (text[0] >= 0xF0 && text[0] <= 0xF4) {
        bool good = left >= 4 && tail(text[1]) && tail(text[2]) && tail(text[3]);
        bool overlong = text[0] == 0xF0 && text[1] < 0x90;
        bool beyond = text[0] == 0xF4 && text[1] > 0x8F;
        return good && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

size_t utf8_valid(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t at = 0, step;
    while (at < size && (step = character(bytes + at, size - at)) > 0)
        at += step;
    return at;
}
