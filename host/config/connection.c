#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"
#include "host/config/url.h"

const char *config_url(const struct config *config)
{
    return config_get(config, "url");
}

bool config_is_local(const struct config *config, const char **database)
{
    const char *name;
    if (!url_is_local(config_url(config), &name))
        return false;
    *database = *name != '\0' ? name : config->service != NULL ? config->service : "dmlua";
    return true;
}

/* The section that sets something for this service in this environment alone. Owned. */
static char *own_section(const struct config *config)
{
    return config->service != NULL ? text_format("%s:%s", config->service, config_environment(config))
                                   : text_copy(config_environment(config));
}

static int url_missing(const struct config *config, struct error *error)
{
    const struct setting *setting = setting_of(config, "url");
    char *variable = config->service != NULL ? url_variable(config->service) : text_copy("DATABASE_URL");
    char *section = own_section(config);
    if (setting->problem != NULL)
        error_set(error, ERROR_USAGE, "the URL of the database (%s) cannot be had: %s", setting->origin,
                  setting->problem);
    else if (setting->value != NULL)
        error_set(error, ERROR_USAGE, "the URL of the database is empty (%s)",
                  setting->origin != NULL ? setting->origin : "default");
    else
        error_set(error, ERROR_USAGE, "no database was named: %s has no url", config->file.shown);
    error_text(&error->hint,
               "give --url URL, set %s%s, or write `url = URL` in [%s] of %s; URL is "
               "postgresql://USER@HOST:PORT/DATABASE, a libpq conninfo, postgresql:// alone (all from PG* "
               "variables), or local: (a private server, for trying out)",
               variable, config->service != NULL ? " or DATABASE_URL" : "", section, config->file.shown);
    free(variable);
    free(section);
    return -1;
}

static const char *option_value(const PQconninfoOption *option, const char *keyword)
{
    for (; option != NULL && option->keyword != NULL; option++)
        if (strcmp(option->keyword, keyword) == 0)
            return option->val != NULL && *option->val != '\0' ? option->val : NULL;
    return NULL;
}

/* user@host:port/database, by the URL and libpq's defaults for what it leaves open. Owned. */
static char *describe(const PQconninfoOption *given)
{
    static const char *const names[] = {"user", "host", "port", "dbname"};
    PQconninfoOption *defaults = PQconndefaults();
    const char *values[4], *service = option_value(given, "service");
    char *text;
    size_t i;
    for (i = 0; i < 4; i++) {
        values[i] = option_value(given, names[i]);
        if (values[i] == NULL && service == NULL)
            values[i] = option_value(defaults, names[i]);
    }
    if (values[1] == NULL)
        values[1] = option_value(given, "hostaddr");
    if (service != NULL && values[1] == NULL)
        text = text_format("service %s", service);
    else
        text = text_format("%s@%s:%s/%s", values[0] != NULL ? values[0] : "",
                           values[1] != NULL ? values[1] : "[local]", values[2] != NULL ? values[2] : "5432",
                           values[3] != NULL   ? values[3]
                           : values[0] != NULL ? values[0]
                                               : "");
    PQconninfoFree(defaults);
    return text;
}

static void connection_put(struct config_connection *connection, size_t at, const char *keyword,
                           const char *value)
{
    connection->keywords[at] = text_copy(keyword);
    connection->values[at] = text_copy(value);
}

/* What dmlua decides itself: scripts are UTF-8, and the name is dmlua's unless somebody gave another. */
static bool is_ours(const char *keyword)
{
    return strcmp(keyword, "fallback_application_name") == 0 || strcmp(keyword, "client_encoding") == 0;
}

/* libpq waits for ever by default. A service file may have a time-out of its own. */
static bool needs_timeout(const PQconninfoOption *options)
{
    return option_value(options, "connect_timeout") == NULL && option_value(options, "service") == NULL &&
           getenv("PGCONNECT_TIMEOUT") == NULL && getenv("PGSERVICE") == NULL;
}

static void connection_fill(struct config_connection *connection, const PQconninfoOption *options)
{
    const PQconninfoOption *option;
    size_t count = 0;
    for (option = options; option->keyword != NULL; option++)
        count++;
    connection->keywords = text_resize(NULL, (count + 4) * sizeof *connection->keywords);
    connection->values = text_resize(NULL, (count + 4) * sizeof *connection->values);
    count = 0;
    for (option = options; option->keyword != NULL; option++)
        if (option->val != NULL && !is_ours(option->keyword))
            connection_put(connection, count++, option->keyword, option->val);
    connection_put(connection, count++, "fallback_application_name", "dmlua");
    connection_put(connection, count++, "client_encoding", "UTF8");
    if (needs_timeout(options))
        connection_put(connection, count++, "connect_timeout", "10");
    connection->keywords[count] = connection->values[count] = NULL;
    connection->shown = describe(options);
}

int config_connection(const struct config *config, struct config_connection *connection, struct error *error)
{
    const struct setting *setting = setting_of(config, "url");
    const char *url = config_url(config);
    PQconninfoOption *options;
    char *origin;
    memset(connection, 0, sizeof *connection);
    if (url == NULL || url[strspn(url, " \t\r\n")] == '\0')
        return url_missing(config, error);
    origin = text_format("the database's URL (%s)", setting->origin != NULL ? setting->origin : "default");
    options = url_options(url, origin, error);
    free(origin);
    if (options == NULL)
        return -1;
    connection_fill(connection, options);
    PQconninfoFree(options);
    return 0;
}

void config_connection_free(struct config_connection *connection)
{
    size_t i;
    for (i = 0; connection->keywords != NULL && connection->keywords[i] != NULL; i++) {
        free((char *)connection->keywords[i]);
        free((char *)connection->values[i]);
    }
    free(connection->keywords);
    free(connection->values);
    free(connection->shown);
    memset(connection, 0, sizeof *connection);
}
