#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"

struct setting *setting_of(const struct config *config, const char *key)
{
    const struct key *found = key_find(key);
    return found != NULL ? &config->settings[found - keys] : NULL;
}

static void setting_put(struct config *config, const struct key *key, const char *value, char *origin)
{
    struct setting *setting = &config->settings[key - keys];
    free(setting->value);
    free(setting->origin);
    setting->value = text_copy(value);
    setting->origin = origin;
    setting->problem = NULL;
}

char *url_variable(const char *service)
{
    char *name = text_format("DMLUA_URL_%s", service), *at;
    for (at = name; *at != '\0'; at++)
        *at = isalnum((unsigned char)*at) ? (char)toupper((unsigned char)*at) : '_';
    return name;
}

static bool service_name_valid(const char *name)
{
    static const char *const reserved[] = {"dmlua", "alembic", "DEFAULT", "post_write_hooks"};
    const char *const *environment = key_find("environment")->choices;
    size_t i;
    for (i = 0; i < 4; i++)
        if (strcmp(name, reserved[i]) == 0)
            return false;
    for (; *environment != NULL; environment++)
        if (strcmp(name, *environment) == 0)
            return false;
    return strlen(name) <= 30 && isalpha((unsigned char)*name) &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

/* Two services would share a variable, or a section. */
static bool service_clashes(const struct config *config, size_t index)
{
    char *variable = url_variable(config->services[index]);
    bool clashes = false;
    size_t i;
    for (i = 0; i < index && !clashes; i++) {
        char *other = url_variable(config->services[i]);
        clashes = strcmp(variable, other) == 0;
        free(other);
    }
    free(variable);
    return clashes;
}

static int services_check(const struct config *config, const struct inifile_entry *entry, struct error *error)
{
    size_t i;
    for (i = 0; i < config->service_count; i++) {
        if (!service_name_valid(config->services[i])) {
            inifile_error(&config->file, entry->line, error, "'%s' cannot be the name of a service",
                          config->services[i]);
            error_text(&error->hint,
                       "it begins with a letter, has at most 30 letters, digits, _ and -, and is "
                       "neither an environment nor another section's name");
            return -1;
        }
        if (service_clashes(config, i)) {
            inifile_error(&config->file, entry->line, error,
                          "services names '%s' twice, or another one like it", config->services[i]);
            return -1;
        }
    }
    return 0;
}

int services_read(struct config *config, struct error *error)
{
    const struct inifile_entry *entry = inifile_find(&config->file, "dmlua", "services");
    const char *text;
    if (entry == NULL)
        entry = inifile_find(&config->file, "alembic", "services");
    if (entry == NULL)
        return 0;
    text = entry_text(config, (size_t)(entry - config->file.entries), error);
    if (text == NULL)
        return -1;
    config->service_count = text_list(text, &config->services);
    return services_check(config, entry, error);
}

static void merge_section(struct config *config, const char *section)
{
    size_t i;
    for (i = 0; i < config->file.entry_count; i++) {
        const struct inifile_entry *entry = &config->file.entries[i];
        const struct key *key = entry_key(entry);
        if (key == NULL || key->place == KEY_PYTHON || strcmp(entry->section, section) != 0)
            continue;
        setting_put(config, key, config->texts[i],
                    text_format("%s:%d [%s]", config->file.shown, entry->line, section));
        config->settings[key - keys].problem = config->problems[i];
    }
}

static int choose_environment(struct config *config, const char *given, struct error *error)
{
    const struct key *key = key_find("environment");
    const char *variable = getenv("DMLUA_ENV"), *origin = given != NULL ? "--env" : "DMLUA_ENV";
    const char *name = given != NULL ? given : variable != NULL && *variable != '\0' ? variable : NULL;
    char *wanted;
    if (name == NULL)
        return 0;
    wanted = key_expected(key, name);
    if (wanted == NULL) {
        setting_put(config, key, name, text_copy(origin));
        return 0;
    }
    error_set(error, ERROR_USAGE, "unknown environment '%s' (%s); it is %s", name, origin, wanted);
    free(wanted);
    return -1;
}

static char *services_list(const struct config *config)
{
    char *list = NULL;
    size_t i;
    for (i = 0; i < config->service_count; i++) {
        text_append(&list, ", ", i > 0 ? 2 : 0);
        text_append(&list, config->services[i], strlen(config->services[i]));
    }
    return list;
}

static int service_unknown(const struct config *config, const char *name, const char *origin,
                           struct error *error)
{
    const char *nearest = text_nearest(name, (const char *const *)config->services, config->service_count);
    char *list = services_list(config);
    if (nearest != NULL)
        error_set(error, ERROR_USAGE, "unknown service '%s' (%s; did you mean %s?)", name, origin, nearest);
    else
        error_set(error, ERROR_USAGE, "unknown service '%s' (%s)", name, origin);
    if (list != NULL)
        error_text(&error->hint, "the services of %s are %s", config->file.shown, list);
    else
        error_text(&error->hint, "%s names no services; write `services = NAME…` in [%s]", config->file.shown,
                   config->dmlua ? "dmlua" : "alembic");
    free(list);
    return -1;
}

static int choose_service(struct config *config, const char *given, struct error *error)
{
    const char *variable = getenv("SERVICE_TYPE"), *origin = given != NULL ? "--service" : "SERVICE_TYPE";
    const char *name = given != NULL ? given : variable != NULL && *variable != '\0' ? variable : NULL;
    if (name != NULL && !text_in_list(name, config->services, config->service_count))
        return service_unknown(config, name, origin, error);
    if (name == NULL && config->service_count == 1) {
        config->service = text_copy(config->services[0]);
        config->service_origin = text_copy("the only one");
    } else if (name != NULL) {
        config->service = text_copy(name);
        config->service_origin = text_copy(origin);
    }
    return 0;
}

int config_require_service(const struct config *config, struct error *error)
{
    char *list;
    if (config->service != NULL || config->service_count == 0)
        return 0;
    list = services_list(config);
    error_set(error, ERROR_USAGE, "%s has several services (%s), and none was named", config->file.shown,
              list);
    error_text(&error->hint, "name one with --service or SERVICE_TYPE: --service %s", config->services[0]);
    free(list);
    return -1;
}

/* DATABASE_URL, then the service's own variable; one that is set to nothing counts, and is refused when it is
 * used. */
static void merge_variables(struct config *config, bool sibling)
{
    const char *url = sibling ? NULL : getenv("DATABASE_URL");
    char *name;
    if (url != NULL)
        setting_put(config, key_find("url"), url, text_copy("DATABASE_URL"));
    if (config->service == NULL)
        return;
    name = url_variable(config->service);
    url = getenv(name);
    if (url != NULL)
        setting_put(config, key_find("url"), url, text_copy(name));
    free(name);
}

static void merge_defaults(struct config *config)
{
    struct setting *app = setting_of(config, "app_role"), *tenant = setting_of(config, "tenant_role");
    struct setting *isolation = setting_of(config, "isolation");
    size_t i;
    for (i = 0; i < key_count; i++)
        if (config->settings[i].value == NULL)
            config->settings[i].value = text_copy(keys[i].initial);
    if (tenant->value == NULL && app->value != NULL) {
        tenant->value = text_copy(app->value);
        tenant->origin = text_copy("app_role");
    }
    if (isolation->value == NULL || *isolation->value == '\0') {
        free(isolation->value);
        free(isolation->origin);
        isolation->value = text_copy(config->dmlua || config_flag(config, "enable_rls") ? "rls" : "none");
        isolation->origin =
            config->dmlua || !config_flag(config, "enable_rls") ? NULL : text_copy("enable_rls");
    }
}

int settings_merge(struct config *config, const struct config_options *options, struct error *error)
{
    const char *environment;
    char *both;
    merge_section(config, "DEFAULT");
    merge_section(config, "alembic");
    merge_section(config, "dmlua");
    merge_section(config, "post_write_hooks");
    if (choose_environment(config, options->environment, error) != 0 ||
        choose_service(config, options->service, error) != 0)
        return -1;
    environment = config_environment(config);
    merge_section(config, environment);
    if (config->service != NULL) {
        merge_section(config, config->service);
        both = text_format("%s:%s", config->service, environment);
        merge_section(config, both);
        free(both);
    }
    merge_variables(config, options->sibling);
    if (options->url != NULL)
        setting_put(config, key_find("url"), options->url, text_copy("--url"));
    merge_defaults(config);
    package_resolve(config);
    return 0;
}
