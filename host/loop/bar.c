/* How far a loop is, in words and as a bar. */
#include <stdio.h>
#include <string.h>

#include "host/clock.h"
#include "host/loop/show.h"
#include "host/step.h"
#include "host/utf8.h"

enum { LABEL_CHARACTERS = 24, BAR_MOST = 40, BAR_LEAST = 10 };

const char *show_number(char text[SHOW_NUMBER], long long number)
{
    char digits[SHOW_NUMBER];
    int count = snprintf(digits, sizeof digits, "%lld", number), i;
    char *at = text;
    for (i = 0; i < count; i++) {
        *at++ = digits[i];
        if ((count - i) % 3 == 1 && i + 1 < count && digits[i] != '-')
            *at++ = ',';
    }
    *at = '\0';
    return text;
}

static void show_time(char text[SHOW_NUMBER], double seconds)
{
    long long whole = (long long)(seconds + 0.5);
    if (whole < 3600)
        snprintf(text, SHOW_NUMBER, "%lld:%02lld", whole / 60, whole % 60);
    else
        snprintf(text, SHOW_NUMBER, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

/* Appends as much as has room. */
static void put(char *text, size_t size, const char *piece)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", piece);
}

static int finished(const struct show *show)
{
    return show->before + show->done;
}

/* Tenants a second in this run, and what that lets expect. */
static void put_speed(const struct show *show, char *text, size_t size)
{
    char number[SHOW_NUMBER], piece[2 * SHOW_NUMBER];
    double seconds = clock_now() - show->began;
    double rate = seconds > 0 ? (show->done + show->failed) / seconds : 0;
    if (rate <= 0)
        return;
    if (rate < 10)
        snprintf(piece, sizeof piece, ", %.1f/s", rate);
    else
        snprintf(piece, sizeof piece, ", %s/s", show_number(number, (long long)(rate + 0.5)));
    put(text, size, piece);
    show_time(number, (show->tenants - finished(show) - show->failed) / rate);
    snprintf(piece, sizeof piece, ", %s left", number);
    put(text, size, piece);
}

static void put_counts(const struct show *show, char *text, size_t size, const char *noun)
{
    char done[SHOW_NUMBER], tenants[SHOW_NUMBER], rows[SHOW_NUMBER], piece[4 * SHOW_NUMBER];
    snprintf(piece, sizeof piece, "%s of %s%s", show_number(done, finished(show)), show_number(tenants, show->tenants),
             noun);
    put(text, size, piece);
    if (show->rows >= 0) {
        snprintf(piece, sizeof piece, ", %s rows", show_number(rows, show->rows));
        put(text, size, piece);
    }
    put_speed(show, text, size);
}

static void put_failed(const struct show *show, char *text, size_t size, bool colours)
{
    char number[SHOW_NUMBER], piece[3 * SHOW_NUMBER];
    if (show->failed == 0)
        return;
    snprintf(piece, sizeof piece, ", %s%s failed%s", colours ? "\033[31m" : "", show_number(number, show->failed),
             colours ? "\033[m" : "");
    put(text, size, piece);
}

void show_text(const struct show *show, char *text, size_t size)
{
    *text = '\0';
    put_counts(show, text, size, " tenants");
    put_failed(show, text, size, false);
}

static int columns_of(const char *text)
{
    int columns = 0;
    bool colour = false;
    for (; *text != '\0'; text++) {
        colour = colour || *text == '\033';
        columns += !colour && ((unsigned char)*text & 0xc0) != 0x80;
        colour = colour && *text != 'm';
    }
    return columns;
}

/* A revision's id or a fix's name, its first characters; bytes that a terminal might obey are question marks. */
static void put_label(const char *name, char *text, size_t size)
{
    bool valid = utf8_valid(name, strlen(name)) == strlen(name);
    int characters = 0;
    size_t at = 0;
    for (; *name != '\0' && at + 1 < size; name++) {
        unsigned char c = (unsigned char)*name;
        bool c1 = c == 0xc2 && (unsigned char)name[1] < 0xa0;
        if ((c & 0xc0) != 0x80 && characters++ == LABEL_CHARACTERS)
            break;
        text[at++] = c < 0x20 || c == 0x7f || c1 || (c >= 0x80 && !valid) ? '?' : (char)c;
        name += c1 && name[1] != '\0';
    }
    text[at] = '\0';
}

static void put_bar(const struct show *show, char *text, size_t size, int width)
{
    int filled = show->tenants > 0 ? (int)((long long)width * finished(show) / show->tenants) : width, i;
    put(text, size, " [");
    for (i = 0; i < width; i++)
        put(text, size, i < filled ? "#" : ".");
    put(text, size, "]");
}

/* Cuts a text without colours after so many columns. */
static void cut(char *text, int columns)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0xc0) != 0x80 && columns-- == 0)
            break;
    *text = '\0';
}

void show_draw(void *data, char *line, size_t size, int columns, bool colours)
{
    const struct show *show = data;
    char tail[400] = " ";
    int width;
    put_counts(show, tail, sizeof tail, "");
    put_failed(show, tail, sizeof tail, colours);
    put_label(show->step->plan->revision, line, size < 100 ? size : 100);
    width = columns - columns_of(line) - columns_of(tail) - 3;
    if (width >= BAR_LEAST)
        put_bar(show, line, size, width < BAR_MOST ? width : BAR_MOST);
    put(line, size, tail);
    if (columns_of(line) <= columns)
        return;
    if (colours)
        show_draw(data, line, size, columns, false);
    else
        cut(line, columns);
}
