#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"

enum { DEPTH_LIMIT = 10 /* configparser's MAX_INTERPOLATION_DEPTH */, SIZE_LIMIT = 1 << 16 };

bool section_is_main(const char *section)
{
    return strcmp(section, "dmlua") == 0 || strcmp(section, "alembic") == 0;
}

static size_t entry_index(const struct config *config, const struct inifile_entry *entry)
{
    return (size_t)(entry - config->file.entries);
}

/* configparser looks in the value's own section, then in [DEFAULT]; an environment's or a service's section
   refines the main one here, so that one is looked in too. */
static const struct inifile_entry *find_name(const struct config *config, const char *section,
                                             const char *name)
{
    const char *const sections[] = {section, "dmlua", "alembic", "DEFAULT"};
    const struct inifile_entry *entry = NULL;
    size_t i;
    for (i = 0; i < 4 && entry == NULL; i++)
        entry = inifile_find(&config->file, sections[i], name);
    return entry;
}

static const char *expand(struct config *config, size_t index, int depth, struct error *error);

/* What stands for %(name)s; null with an error. */
static const char *name_value(struct config *config, const struct inifile_entry *user, const char *name,
                              int depth, struct error *error)
{
    char *folded = text_copy(name);
    const struct inifile_entry *found;
    text_lower(folded);
    found = find_name(config, user->section, folded);
    if (found == NULL && strcmp(folded, "here") == 0) {
        free(folded);
        return config->folder;
    }
    free(folded);
    if (found == NULL) {
        inifile_error(&config->file, user->line, error,
                      "%s names %%(%s)s, which is no key of [%s] or [DEFAULT]", user->key, name,
                      user->section);
        error_text(&error->hint, "write %%%%(%s)s where the text itself is meant", name);
        return NULL;
    }
    if (depth >= DEPTH_LIMIT) {
        inifile_error(&config->file, user->line, error,
                      "%s names itself through %%(%s)s, or is nested over %d deep", user->key, name,
                      DEPTH_LIMIT);
        return NULL;
    }
    config->referenced[entry_index(config, found)] = true;
    return expand(config, entry_index(config, found), depth + 1, error);
}

/* Replaces the %-form at `at`; answers what follows it, null with an error. */
static const char *expand_percent(struct config *config, const struct inifile_entry *entry, const char *at,
                                  int depth, char **text, struct error *error)
{
    const char *end = at[1] == '(' ? strchr(at, ')') : NULL, *value;
    char *name;
    if (at[1] == '%') {
        text_append(text, "%", 1);
        return at + 2;
    }
    if (end == NULL || end[1] != 's' || end == at + 2) {
        inifile_error(&config->file, entry->line, error, "%s has a %% that is neither %%%% nor %%(key)s",
                      entry->key);
        error_text(&error->hint, "in an ini file write %%%% for a percent sign: a %%40 of a URL is %%%%40");
        return NULL;
    }
    name = text_slice(at + 2, (size_t)(end - at) - 2);
    value = name_value(config, entry, name, depth, error);
    free(name);
    if (value == NULL)
        return NULL;
    text_append(text, value, strlen(value));
    return end + 2;
}

/* Alembic 1.7 to 1.15 begin a project with `version_path_separator = os  # Use os.pathsep. …`. */
static void cut_comment(const struct inifile_entry *entry, char *text)
{
    const struct key *key = entry_key(entry);
    size_t size = strcspn(text, "#");
    if (key == NULL || !key->commented || text[size] == '\0')
        return;
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    text[size] = '\0';
}

static const char *expand(struct config *config, size_t index, int depth, struct error *error)
{
    const struct inifile_entry *entry = &config->file.entries[index];
    const char *at = entry->value;
    char *text = NULL;
    if (config->texts[index] != NULL)
        return config->texts[index];
    text_append(&text, "", 0);
    while (at != NULL && *at != '\0') {
        size_t plain = strcspn(at, "%");
        text_append(&text, at, plain);
        at += plain;
        if (*at == '%')
            at = expand_percent(config, entry, at, depth, &text, error);
        if (strlen(text) > SIZE_LIMIT) {
            inifile_error(&config->file, entry->line, error, "the value of %s is longer than 64 kB",
                          entry->key);
            at = NULL;
        }
    }
    if (at == NULL) {
        free(text);
        return NULL;
    }
    cut_comment(entry, text);
    return config->texts[index] = text;
}

const char *entry_text(struct config *config, size_t entry, struct error *error)
{
    return expand(config, entry, 0, error);
}
