#include "host/config/inifile.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/text.h"
#include "host/utf8.h"

enum {
    FILE_LIMIT = 1 << 18,
    SECTION_LIMIT = 49 /* libinih keeps that many characters of a section's name */
};

static const char expected[] = "expected `key = value`, `[section]`, or a comment that begins with # or ;";

/* libinih cuts a line into section, key and value, and joins continuation lines. What it does unlike
   configparser is put right in the lines it is given: a line that is indented, but no deeper than its key, is
   a key of its own. The lines also carry the numbers, which its handler does not. */
struct feed {
    struct inifile *ini;
    const char *next;
    int line;       /* the line that libinih holds */
    size_t indent;  /* of the last key or section */
    bool key_open;  /* the last line that said something was a key or went on with one */
    bool continues; /* the line that libinih holds goes on with the last key's value */
    struct error *error;
};

void inifile_error(const struct inifile *ini, int line, struct error *error, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    if (error->kind != ERROR_NONE)
        return;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    error_set(error, ERROR_USAGE, "%s", text);
    free(text);
    error_text(&error->file, "%s", ini->shown);
    error->line = line;
}

static void section_add(struct feed *feed, const char *line)
{
    struct inifile *ini = feed->ini;
    size_t size = strcspn(line + 1, "]");
    if (line[1 + size] == ']' && (size == 0 || size > SECTION_LIMIT)) {
        inifile_error(ini, feed->line, feed->error, "a section's name has 1 to %d characters", SECTION_LIMIT);
        return;
    }
    ini->sections = text_resize(ini->sections, (ini->section_count + 1) * sizeof *ini->sections);
    ini->sections[ini->section_count].name = text_slice(line + 1, size);
    ini->sections[ini->section_count++].line = feed->line;
}

/* Notes what the line is, by configparser's rule of indentation, and answers how it is to be given to
 * libinih. */
static void feed_note(struct feed *feed, const char *text, size_t indent, size_t size)
{
    feed->continues = false;
    if (size == 0 || *text == '#' || *text == ';')
        return;
    if (feed->key_open && indent > feed->indent) {
        feed->continues = true;
        return;
    }
    feed->indent = indent;
    feed->key_open = *text != '[';
    if (*text == '[')
        section_add(feed, text);
}

/* ini_reader: the next line, or null at the end. */
static char *feed_read(char *line, int room, void *user)
{
    static const char blank[] = " \t\r\v\f";
    struct feed *feed = user;
    const char *text = feed->next;
    size_t length, indent, size;
    if (*text == '\0' || feed->error->kind != ERROR_NONE)
        return NULL;
    length = strcspn(text, "\n");
    feed->next += length + (text[length] == '\n');
    feed->line++;
    indent = strspn(text, blank);
    if (indent > length)
        indent = length;
    for (size = length - indent; size > 0 && strchr(blank, text[indent + size - 1]) != NULL;)
        size--;
    feed_note(feed, text + indent, indent, size);
    snprintf(line, (size_t)room, "%s%.*s\n", feed->continues ? " " : "", (int)size, text + indent);
    return line;
}

/* A key is printed in messages, so it may not be the half of a broken line that holds a password. */
static bool key_valid(const char *key)
{
    return *key != '\0' && key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.-")] == '\0';
}

static void entry_add(struct feed *feed, const char *section, const char *name, const char *value)
{
    struct inifile *ini = feed->ini;
    const struct inifile_entry *other;
    struct inifile_entry entry = {.line = feed->line};
    entry.key = text_copy(name);
    text_lower(entry.key);
    if (*section == '\0')
        inifile_error(ini, feed->line, feed->error, "expected a [section] before the first key");
    else if (!key_valid(entry.key))
        inifile_error(ini, feed->line, feed->error, "%s; a key is made of letters, digits, _ . and -",
                      expected);
    else if ((other = inifile_find(ini, section, entry.key)) != NULL)
        inifile_error(ini, feed->line, feed->error, "%s is set twice in [%s], in lines %d and %d", entry.key,
                      section, other->line, feed->line);
    if (feed->error->kind != ERROR_NONE) {
        free(entry.key);
        return;
    }
    entry.section = text_copy(section);
    entry.value = text_copy(value);
    ini->entries = text_resize(ini->entries, (ini->entry_count + 1) * sizeof *ini->entries);
    ini->entries[ini->entry_count++] = entry;
}

/* ini_handler: nonzero goes on. */
static int feed_handle(void *user, const char *section, const char *name, const char *value)
{
    struct feed *feed = user;
    if (feed->continues) {
        struct inifile_entry *entry = &feed->ini->entries[feed->ini->entry_count - 1];
        if (*entry->value != '\0')
            text_append(&entry->value, "\n", 1);
        text_append(&entry->value, value, strlen(value));
    } else {
        entry_add(feed, section, name, value);
    }
    return feed->error->kind == ERROR_NONE;
}

static int inifile_parse(struct inifile *ini, const char *text, struct error *error)
{
    struct feed feed = {.ini = ini, .next = text, .error = error};
    ini_allow_multiline = true;
    ini_allow_inline_comments = false; /* a URL or a policy may hold ; and # */
    ini_allow_no_value = false;
    ini_stop_on_first_error = true;
    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_initial_alloc = (int)strlen(text) + 8; /* no line is longer than the file */
    ini_max_line = ini_initial_alloc;
    if (ini_parse_stream(feed_read, &feed, feed_handle, &feed) != 0)
        inifile_error(ini, feed.line, error, "%s", expected);
    return error->kind == ERROR_NONE ? 0 : -1;
}

/* All of the stream, ended by a NUL; null with errno. Owned. */
static char *stream_read(FILE *stream, size_t *size)
{
    char *text = text_resize(NULL, FILE_LIMIT + 2);
    *size = fread(text, 1, FILE_LIMIT + 1, stream);
    text[*size] = '\0';
    if (ferror(stream) == 0)
        return text;
    free(text);
    return NULL;
}

static int line_of(const char *text, size_t offset)
{
    int line = 1;
    size_t i;
    for (i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

static int bytes_check(const struct inifile *ini, const char *text, size_t size, struct error *error)
{
    size_t good;
    if (size > FILE_LIMIT)
        inifile_error(ini, 0, error, "the file is larger than 256 kB; is it a configuration?");
    else if (memchr(text, '\0', size) != NULL)
        inifile_error(ini, line_of(text, strlen(text)), error,
                      "the line holds a NUL byte; the file must be UTF-8 text");
    else if ((good = utf8_valid(text, size)) < size)
        inifile_error(ini, line_of(text, good), error, "the line is not valid UTF-8; save the file as UTF-8");
    return error->kind == ERROR_NONE ? 0 : -1;
}

int inifile_load(const char *path, const char *shown, struct inifile *ini, struct error *error)
{
    FILE *stream = fopen(path, "rbe");
    char *text = NULL;
    size_t size = 0;
    int status = -1;
    memset(ini, 0, sizeof *ini);
    ini->shown = text_copy(shown);
    if (stream == NULL || (text = stream_read(stream, &size)) == NULL) {
        error_set(error, ERROR_USAGE, "cannot read the configuration %s: %s", shown, strerror(errno));
    } else if (bytes_check(ini, text, size, error) == 0) {
        bool bom = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
        status = inifile_parse(ini, text + (bom ? 3 : 0), error);
    }
    free(text);
    if (stream != NULL)
        fclose(stream);
    if (status != 0)
        inifile_free(ini);
    return status;
}

void inifile_free(struct inifile *ini)
{
    size_t i;
    for (i = 0; i < ini->entry_count; i++) {
        free(ini->entries[i].section);
        free(ini->entries[i].key);
        free(ini->entries[i].value);
    }
    for (i = 0; i < ini->section_count; i++)
        free(ini->sections[i].name);
    free(ini->entries);
    free(ini->sections);
    free(ini->shown);
    memset(ini, 0, sizeof *ini);
}

const struct inifile_entry *inifile_find(const struct inifile *ini, const char *section, const char *key)
{
    size_t i;
    for (i = 0; i < ini->entry_count; i++)
        if (strcmp(ini->entries[i].key, key) == 0 && strcmp(ini->entries[i].section, section) == 0)
            return &ini->entries[i];
    return NULL;
}

int inifile_section_line(const struct inifile *ini, const char *section)
{
    size_t i;
    for (i = 0; i < ini->section_count; i++)
        if (strcmp(ini->sections[i].name, section) == 0)
            return ini->sections[i].line;
    return 0;
}
