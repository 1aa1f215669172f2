#include "host/config.h"

#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"
#include "host/report.h"

/* Which kind of file it is: the sections that it has say so, not its name. */
static int kind_find(struct config *config, struct error *error)
{
    config->dmlua = inifile_section_line(&config->file, "dmlua") > 0;
    config->alembic = inifile_section_line(&config->file, "alembic") > 0;
    if (config->dmlua || config->alembic)
        return 0;
    error_set(error, ERROR_USAGE,
              "No config file '%s' found, or file has no '[alembic]' section: it has no [dmlua] either",
              config->file.shown);
    error_text(&error->hint, "the settings of every service and environment stand below a line [dmlua]");
    return -1;
}

static int file_read(struct config *config, const char *given, struct error *error)
{
    char *path, *shown;
    int status = locate_file(given, &path, &shown, error);
    if (status == 0) {
        const char *slash = strrchr(path, '/');
        config->folder = slash == path ? text_copy("/") : text_slice(path, (size_t)(slash - path));
        status = inifile_load(path, shown, &config->file, error);
    }
    free(path);
    free(shown);
    return status;
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

static int config_read(struct config *config, const struct config_options *options, struct error *error)
{
    char *notice;
    if (file_read(config, options->file, error) != 0 || kind_find(config, error) != 0)
        return -1;
    config->texts = zeroed(config->file.entry_count, sizeof *config->texts);
    config->problems = zeroed(config->file.entry_count, sizeof *config->problems);
    config->referenced = zeroed(config->file.entry_count, sizeof *config->referenced);
    config->settings = zeroed(key_count, sizeof *config->settings);
    if (services_read(config, error) != 0 || sections_check(config, error) != 0 ||
        settings_merge(config, options, error) != 0)
        return -1;
    secrets_collect(config);
    notice = options->sibling ? NULL : sections_notice(config);
    if (notice != NULL)
        report_log(REPORT_INFO, "dmlua.config", "%s", notice);
    free(notice);
    return 0;
}

int config_load(const struct config_options *options, struct config **config, struct error *error)
{
    *config = zeroed(1, sizeof **config);
    if (config_read(*config, options, error) == 0)
        return 0;
    config_free(*config);
    *config = NULL;
    return -1;
}

int config_load_sibling(const struct config *config, const char *service, struct config **sibling,
                        struct error *error)
{
    struct config_options options = {.file = config->file.shown, .service = service, .sibling = true};
    options.environment = config_environment(config);
    return config_load(&options, sibling, error);
}

static void settings_free(struct config *config)
{
    size_t i;
    for (i = 0; config->settings != NULL && i < key_count; i++) {
        free(config->settings[i].value);
        free(config->settings[i].origin);
    }
    free(config->settings);
}

static void rows_free(struct config *config)
{
    size_t i;
    for (i = 0; i < config->row_count; i++) {
        free((char *)config->rows[i].value);
        free((char *)config->rows[i].origin);
        free((char *)config->rows[i].note);
    }
    free(config->rows);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    settings_free(config);
    rows_free(config);
    if (config->texts != NULL)
        text_list_free(config->texts, config->file.entry_count);
    if (config->problems != NULL)
        text_list_free(config->problems, config->file.entry_count);
    text_list_free(config->services, config->service_count);
    text_list_free(config->secrets, config->secret_count);
    inifile_free(&config->file);
    free(config->referenced);
    free(config->folder);
    free(config->service);
    free(config->service_origin);
    free(config);
}

/* A post-write hook's own key, which no table lists; null: the file has none. */
static const struct inifile_entry *hook_entry(const struct config *config, const char *key)
{
    static const char prefix[] = "post_write_hooks.";
    if (strncmp(key, prefix, sizeof prefix - 1) != 0)
        return NULL;
    return inifile_find(&config->file, "post_write_hooks", key + sizeof prefix - 1);
}

static const char *hook_value(const struct config *config, const char *key)
{
    const struct inifile_entry *entry = hook_entry(config, key);
    return entry != NULL ? config->texts[entry - config->file.entries] : NULL;
}

const char *config_problem(const struct config *config, const char *key)
{
    const struct setting *setting = setting_of(config, key);
    const struct inifile_entry *entry = setting == NULL ? hook_entry(config, key) : NULL;
    if (setting != NULL)
        return setting->problem;
    return entry != NULL ? config->problems[entry - config->file.entries] : NULL;
}

const char *config_get(const struct config *config, const char *key)
{
    const struct setting *setting = setting_of(config, key);
    if (setting == NULL)
        return hook_value(config, key);
    if (setting->value != NULL && *setting->value != '\0')
        return setting->value;
    return keys[setting - config->settings].initial; /* an empty value is none */
}

bool config_says(const struct config *config, const char *key)
{
    const struct setting *setting = setting_of(config, key);
    return setting != NULL && setting->origin != NULL;
}

bool config_flag(const struct config *config, const char *key)
{
    const char *value = config_get(config, key);
    return value != NULL && boolean_value(value) == 1;
}

long config_number(const struct config *config, const char *key)
{
    const char *value = config_get(config, key);
    return value != NULL ? strtol(value, NULL, 10) : 0;
}

bool config_is_alembic(const struct config *config)
{
    return !config->dmlua;
}

const char *config_file(const struct config *config)
{
    return config->file.shown;
}

const char *config_folder(const struct config *config)
{
    return config->folder;
}

const char *config_service(const struct config *config)
{
    return config->service;
}

const char *config_environment(const struct config *config)
{
    const char *name = config_get(config, "environment");
    return name != NULL ? name : key_find("environment")->initial;
}

size_t config_services(const struct config *config, const char *const **names)
{
    *names = (const char *const *)config->services;
    return config->service_count;
}

const char *config_isolation(const struct config *config)
{
    return config_get(config, "isolation");
}
