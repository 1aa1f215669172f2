#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"

static const char hooks_prefix[] = "post_write_hooks.";

static const struct key *environment_key(void)
{
    return key_find("environment");
}

static bool is_environment(const char *name)
{
    const char *const *choice;
    for (choice = environment_key()->choices; *choice != NULL; choice++)
        if (strcmp(*choice, name) == 0)
            return true;
    return false;
}

static bool is_service(const struct config *config, const char *name, size_t size)
{
    size_t i;
    for (i = 0; i < config->service_count; i++)
        if (strlen(config->services[i]) == size && strncmp(config->services[i], name, size) == 0)
            return true;
    return false;
}

/* A section that refines the main one: [production], [isp], [isp:production]. */
static bool is_layer(const struct config *config, const char *section)
{
    const char *colon = strchr(section, ':');
    if (colon == NULL)
        return is_environment(section) || is_service(config, section, strlen(section));
    return is_service(config, section, (size_t)(colon - section)) && is_environment(colon + 1);
}

/* Sections of Python's logging (logging.config.fileConfig). */
static bool is_logging(const char *section)
{
    static const char *const prefixes[] = {"logger_", "handler_", "formatter_"};
    size_t i;
    for (i = 0; i < 3; i++)
        if (strncmp(section, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return strcmp(section, "loggers") == 0 || strcmp(section, "handlers") == 0 ||
           strcmp(section, "formatters") == 0;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_read(const struct config *config, const char *section)
{
    return section_is_main(section) || strcmp(section, "DEFAULT") == 0 ||
           strcmp(section, "post_write_hooks") == 0 || is_layer(config, section);
}

/* The section's name that a misspelt one most likely meant. Owned; null: none is near. */
static char *section_nearest(const struct config *config, const char *section)
{
    static const char *const fixed[] = {"dmlua", "alembic", "post_write_hooks"};
    size_t environments = 0, count = 0, i, j;
    char **names, *nearest;
    while (environment_key()->choices[environments] != NULL)
        environments++;
    names =
        text_resize(NULL, (3 + environments + config->service_count * (1 + environments)) * sizeof *names);
    for (i = 0; i < 3; i++)
        names[count++] = text_copy(fixed[i]);
    for (i = 0; i < environments; i++)
        names[count++] = text_copy(environment_key()->choices[i]);
    for (i = 0; i < config->service_count; i++) {
        names[count++] = text_copy(config->services[i]);
        for (j = 0; j < environments; j++)
            names[count++] = text_format("%s:%s", config->services[i], environment_key()->choices[j]);
    }
    nearest = text_copy(text_nearest(section, (const char *const *)names, count));
    text_list_free(names, count);
    return nearest;
}

/* Whether a section that is not read sets a key that only dmlua knows: then its name is wrong. */
static bool holds_own_key(const struct config *config, const char *section)
{
    size_t i;
    for (i = 0; i < config->file.entry_count; i++) {
        const struct inifile_entry *entry = &config->file.entries[i];
        if (strcmp(entry->section, section) == 0 && key_is_own(entry->key))
            return true;
    }
    return false;
}

/* Other sections of an alembic.ini are for env.py, unless they look like ours misspelt. */
static bool is_python(const struct config *config, const char *section)
{
    char *nearest;
    bool near;
    if (!config->alembic || holds_own_key(config, section))
        return false;
    if (is_logging(section) || starts(section, "alembic:"))
        return true;
    nearest = section_nearest(config, section);
    near = nearest != NULL;
    free(nearest);
    return !near;
}

static int section_unknown(const struct config *config, const struct inifile_section *section,
                           struct error *error)
{
    char *nearest = section_nearest(config, section->name);
    if (nearest != NULL)
        inifile_error(&config->file, section->line, error, "unknown section [%s] (did you mean [%s]?)",
                      section->name, nearest);
    else
        inifile_error(&config->file, section->line, error, "unknown section [%s]", section->name);
    if (is_logging(section->name))
        error_text(&error->hint, "dmlua needs no logging sections; Python's may stand in an alembic.ini");
    else
        error_text(&error->hint,
                   "a section is [dmlua], an environment (development, staging, production), a service that "
                   "`services =` in [dmlua] names, or SERVICE:ENVIRONMENT");
    free(nearest);
    return -1;
}

const struct key *entry_key(const struct inifile_entry *entry)
{
    const struct key *key;
    char *name;
    if (strcmp(entry->section, "post_write_hooks") != 0) {
        key = key_find(entry->key);
        return key != NULL && key->place != KEY_HOOKS ? key : NULL;
    }
    name = text_format("%s%s", hooks_prefix, entry->key);
    key = key_find(name);
    free(name);
    return key;
}

/* A hook's own keys: black.type = console_scripts. */
static bool is_hook_key(const struct inifile_entry *entry)
{
    static const char *const fields[] = {".type",       ".entrypoint", ".module",
                                         ".executable", ".options",    ".cwd"};
    const char *dot = strrchr(entry->key, '.');
    size_t i;
    for (i = 0; dot != NULL && dot != entry->key && i < 6; i++)
        if (strcmp(dot, fields[i]) == 0)
            return true;
    return false;
}

/* Whether dmlua may read it: a key's or a hook's. */
static bool is_setting(const struct inifile_entry *entry)
{
    return entry_key(entry) != NULL || (strcmp(entry->section, "post_write_hooks") == 0 && is_hook_key(entry));
}

static bool entry_is_python(const struct config *config, const struct inifile_entry *entry)
{
    const struct key *key = entry_key(entry);
    return config->alembic && ((key != NULL && key->place == KEY_PYTHON) || key_of_sqlalchemy(entry->key));
}

static int entry_unknown(const struct config *config, const struct inifile_entry *entry, struct error *error)
{
    const char *nearest = key_nearest(entry->key);
    if (nearest != NULL)
        inifile_error(&config->file, entry->line, error, "unknown key %s in [%s] (did you mean %s?)",
                      entry->key, entry->section, nearest);
    else
        inifile_error(&config->file, entry->line, error, "unknown key %s in [%s]", entry->key,
                      entry->section);
    error_text(&error->hint, "a value that others name as %%(%s)s may stand in [DEFAULT]", entry->key);
    return -1;
}

static int entry_misplaced(const struct config *config, const struct inifile_entry *entry,
                           const struct key *key, struct error *error)
{
    if (key->place == KEY_PYTHON)
        inifile_error(&config->file, entry->line, error,
                      "%s is read by Python only; it does nothing in a dmlua.ini", entry->key);
    else
        inifile_error(&config->file, entry->line, error, "%s belongs in [%s], not in [%s]", entry->key,
                      config->dmlua ? "dmlua" : "alembic", entry->section);
    return -1;
}

/* One section may not set a key by both of its names. */
static int entry_alone(const struct config *config, const struct inifile_entry *entry, const struct key *key,
                       struct error *error)
{
    const char *name = strcmp(entry->key, key->name) == 0 ? key->alias : key->name;
    const struct inifile_entry *other =
        name != NULL ? inifile_find(&config->file, entry->section, name) : NULL;
    if (other == NULL || other->line > entry->line)
        return 0;
    inifile_error(&config->file, entry->line, error,
                  "%s and %s name the same setting, and both stand in [%s], in lines %d and %d", other->key,
                  entry->key, entry->section, other->line, entry->line);
    return -1;
}

/* A key that names services may name those of the file. */
static int entry_services_check(const struct config *config, const struct inifile_entry *entry,
                                const char *text, struct error *error)
{
    char **names;
    size_t count = text_list(text, &names), i;
    for (i = 0; i < count && error->kind == ERROR_NONE; i++) {
        const char *nearest;
        if (text_in_list(names[i], config->services, config->service_count))
            continue;
        nearest = text_nearest(names[i], (const char *const *)config->services, config->service_count);
        if (nearest != NULL)
            inifile_error(&config->file, entry->line, error,
                          "%s names an unknown service '%s' (did you mean %s?)", entry->key, names[i],
                          nearest);
        else
            inifile_error(&config->file, entry->line, error, "%s names an unknown service '%s'", entry->key,
                          names[i]);
        error_text(&error->hint, "`services =` in [%s] names the services",
                   config->dmlua ? "dmlua" : "alembic");
    }
    text_list_free(names, count);
    return error->kind == ERROR_NONE ? 0 : -1;
}

static int entry_value_check(struct config *config, size_t index, const struct key *key, struct error *error)
{
    const struct inifile_entry *entry = &config->file.entries[index];
    const char *text = config->texts[index];
    char *wanted;
    if (text == NULL) /* postponed */
        return 0;
    wanted = key_expected(key, text);
    if (wanted == NULL)
        return key->services ? entry_services_check(config, entry, text, error) : 0;
    inifile_error(&config->file, entry->line, error, "%s expects %s", entry->key, wanted);
    free(wanted);
    return -1;
}

/* A key that is only there for %(key)s of others. In [DEFAULT] it may wait for its use, unless it is a key
 * misspelt. */
static bool is_variable(const struct config *config, size_t index)
{
    const struct inifile_entry *entry = &config->file.entries[index];
    return config->referenced[index] ||
           (strcmp(entry->section, "DEFAULT") == 0 && key_nearest(entry->key) == NULL);
}

static int entry_check(struct config *config, size_t index, struct error *error)
{
    const struct inifile_entry *entry = &config->file.entries[index];
    const struct key *key = entry_key(entry);
    bool hooks = strcmp(entry->section, "post_write_hooks") == 0;
    if (!is_read(config, entry->section) || entry_is_python(config, entry) || (hooks && is_hook_key(entry)))
        return 0;
    if (key == NULL)
        return is_variable(config, index) ? 0 : entry_unknown(config, entry, error);
    if (key->place == KEY_PYTHON || (key->place == KEY_MAIN && !section_is_main(entry->section)))
        return entry_misplaced(config, entry, key, error);
    if (entry_alone(config, entry, key, error) != 0)
        return -1;
    return entry_value_check(config, index, key, error);
}

/* env.py may fill the names in an alembic.ini's URL itself, and Alembic reads a hook only when it runs: that such a
   value cannot be had is said when it is used. */
static bool postpone(struct config *config, size_t index, struct error *error)
{
    const struct key *key = entry_key(&config->file.entries[index]);
    if (!config->alembic || (key != NULL && key->type != KEY_URL))
        return false;
    config->problems[index] = text_copy(error->message);
    error_clear(error);
    return true;
}

/* Every value that is read is expanded once, so that `referenced` is known before keys are judged. */
static int expand_all(struct config *config, struct error *error)
{
    size_t i;
    for (i = 0; i < config->file.entry_count; i++)
        if (is_read(config, config->file.entries[i].section) && is_setting(&config->file.entries[i]) &&
            entry_text(config, i, error) == NULL && !postpone(config, i, error))
            return -1;
    return 0;
}

int sections_check(struct config *config, struct error *error)
{
    size_t i;
    for (i = 0; i < config->file.section_count; i++) {
        const struct inifile_section *section = &config->file.sections[i];
        if (!is_read(config, section->name) && !is_python(config, section->name))
            return section_unknown(config, section, error);
    }
    if (expand_all(config, error) != 0)
        return -1;
    for (i = 0; i < config->file.entry_count; i++)
        if (entry_check(config, i, error) != 0)
            return -1;
    return 0;
}

static void notice_add(char **text, const char *format, const char *name)
{
    char *item = text_format(format, name);
    text_append(text, ", ", *text != NULL ? 2 : 0);
    text_append(text, item, strlen(item));
    free(item);
}

char *sections_notice(const struct config *config)
{
    char *passed = NULL, *notice;
    size_t i;
    for (i = 0; i < config->file.entry_count; i++)
        if (is_read(config, config->file.entries[i].section) &&
            entry_is_python(config, &config->file.entries[i]))
            notice_add(&passed, "%s", config->file.entries[i].key);
    for (i = 0; i < config->file.section_count; i++)
        if (!is_read(config, config->file.sections[i].name))
            notice_add(&passed, "[%s]", config->file.sections[i].name);
    if (passed == NULL)
        return NULL;
    notice = text_format("%s: passed over what only Python needs: %s", config->file.shown, passed);
    free(passed);
    return notice;
}
