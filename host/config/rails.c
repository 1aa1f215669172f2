#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"

static const char *origin_of(const struct config *config, const char *key)
{
    const char *origin = setting_of(config, key)->origin;
    return origin != NULL ? origin : "default";
}

bool config_rls(const struct config *config)
{
    bool refused = config_get(config, "enable_rls") != NULL && !config_flag(config, "enable_rls");
    return strcmp(config_isolation(config), "rls") == 0 && !refused && !config_flag(config, "skip_rls_setup");
}

/* What contradicts enable_rls = true, or null. Owned. */
static char *contradiction(const struct config *config)
{
    static const char format[] = "%s = %s (%s) contradicts enable_rls = true (%s)";
    const char *enable = origin_of(config, "enable_rls");
    if (!config_flag(config, "enable_rls"))
        return NULL;
    if (config_flag(config, "skip_rls_setup"))
        return text_format(format, "skip_rls_setup", "true", origin_of(config, "skip_rls_setup"), enable);
    if (strcmp(config_isolation(config), "none") == 0)
        return text_format(format, "isolation", "none", origin_of(config, "isolation"), enable);
    return NULL;
}

static char *unbuilt(const struct config *config, const struct key *key)
{
    const struct setting *setting = &config->settings[key - keys];
    const char *origin = setting->origin != NULL ? setting->origin : "default";
    if (!key_asks(key, setting->value))
        return NULL;
    if (key->type == KEY_URL) /* may hold a password */
        return text_format("%s (%s) asks for %s", key->name, origin, key->unbuilt);
    return text_format("%s = %s (%s) asks for %s", key->name, setting->value, origin, key->unbuilt);
}

/* Why the database's URL cannot be used. Owned; null: it can, or it is not settled whose it is. */
static char *url_problem(const struct config *config)
{
    struct config_connection connection;
    struct error error = {0};
    const char *database;
    char *note;
    if (config_is_local(config, &database) || (config->service == NULL && config->service_count > 0))
        return NULL;
    if (config_connection(config, &connection, &error) == 0) {
        config_connection_free(&connection);
        return NULL;
    }
    note = text_format("%s; %s", error.message, error.hint);
    error_clear(&error);
    return note;
}

char *setting_problem(const struct config *config, const struct key *key)
{
    char *problem = unbuilt(config, key), *note;
    if (strcmp(key->name, "url") == 0)
        return url_problem(config);
    if (problem == NULL)
        return strcmp(key->name, "enable_rls") == 0 ? contradiction(config) : NULL;
    note = text_format("asks for %s, which this version of dmlua does not do", key->unbuilt);
    free(problem);
    return note;
}

int config_check_rails(const struct config *config, enum config_area area, struct error *error)
{
    char *asked = NULL, *clash = area & CONFIG_DATABASE ? contradiction(config) : NULL;
    size_t i;
    if (clash != NULL)
        error_set(error, ERROR_USAGE, "%s", clash);
    free(clash);
    for (i = 0; i < key_count; i++) {
        char *problem = keys[i].area & area ? unbuilt(config, &keys[i]) : NULL;
        if (problem != NULL) {
            text_append(&asked, ";\n", asked != NULL ? 2 : 0);
            text_append(&asked, problem, strlen(problem));
        }
        free(problem);
    }
    if (asked != NULL && error->kind == ERROR_NONE) {
        error_set(error, ERROR_USAGE, "%s, which this version of dmlua does not do", asked);
        error_text(&error->hint,
                   "dmlua passes over no rail in silence: take it out, or run with what can be had "
                   "(`dmlua config` shows every setting and where it stands)");
    }
    free(asked);
    return error->kind == ERROR_NONE ? 0 : -1;
}
