#include "host/config/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/config/text.h"

static const char *const environments[] = {"development", "staging", "production", NULL};
static const char *const isolations[] = {"rls", "schema", "none", NULL};
static const char *const separators[] = {"os", "space", "newline", ":", ";", NULL};

const struct key keys[] = {
    /* which database */
    {.name = "url", .alias = "sqlalchemy.url", .type = KEY_URL},
    {.name = "direct_url",
     .type = KEY_URL,
     .unbuilt = "a second connection that passes by a pooler",
     .area = CONFIG_DATABASE},
    {.name = "environment",
     .type = KEY_CHOICE,
     .place = KEY_MAIN,
     .initial = "production",
     .choices = environments},
    {.name = "services", .type = KEY_LIST, .place = KEY_MAIN},
    {.name = "requires",
     .services = true,
     .type = KEY_LIST,
     .unbuilt = "a check that the services it needs are at their heads",
     .area = CONFIG_DATABASE},
    /* which scripts */
    {.name = "script_location"},
    {.name = "version_locations"},
    {.name = "path_separator", .commented = true, .type = KEY_CHOICE, .choices = separators},
    {.name = "version_path_separator", .commented = true, .type = KEY_CHOICE, .choices = separators},
    {.name = "recursive_version_locations", .type = KEY_BOOLEAN, .initial = "false"},
    {.name = "file_template", .initial = "%(rev)s_%(slug)s"},
    {.name = "truncate_slug_length", .type = KEY_NUMBER, .initial = "40"},
    {.name = "timezone"},
    {.name = "naming_convention.ix", .own = true},
    {.name = "naming_convention.uq", .own = true},
    {.name = "naming_convention.ck", .own = true},
    {.name = "naming_convention.fk", .own = true},
    {.name = "naming_convention.pk", .own = true},
    {.name = "post_write_hooks.hooks", .type = KEY_LIST, .place = KEY_HOOKS},
    {.name = "version_table", .initial = "alembic_version"},
    {.name = "version_table_schema"},
    {.name = "transaction_per_migration", .type = KEY_BOOLEAN, .initial = "true"},
    /* tenants */
    {.name = "isolation",
     .own = true,
     .type = KEY_CHOICE,
     .choices = isolations,
     .unbuilt = "a schema for each tenant",
     .unbuilt_value = "schema",
     .area = CONFIG_DATABASE},
    {.name = "tenant_column", .own = true, .initial = "tenant_id"},
    {.name = "tenant_setting", .own = true, .initial = "app.current_tenant_id"},
    {.name = "tenant_type", .own = true},
    {.name = "app_role", .own = true},
    {.name = "tenant_role", .own = true},
    {.name = "tenants_query", .own = true},
    {.name = "tenants_service", .services = true, .own = true},
    {.name = "global_tables", .own = true, .type = KEY_LIST},
    /* what a script may use */
    {.name = "script_memory_mb", .own = true, .type = KEY_NUMBER, .initial = "512"},
    {.name = "script_seconds", .own = true, .type = KEY_NUMBER, .initial = "300"},
    /* how strict */
    {.name = "enable_rls", .own = true, .type = KEY_BOOLEAN},
    {.name = "skip_rls_setup", .own = true, .type = KEY_BOOLEAN, .initial = "false"},
    {.name = "allow_unsafe_migrations", .own = true, .type = KEY_BOOLEAN, .initial = "false"},
    {.name = "require_migration_validation",
     .own = true,
     .type = KEY_BOOLEAN,
     .initial = "false",
     .unbuilt = "a validation that can abort each step",
     .area = CONFIG_DATABASE},
    {.name = "require_backup_before_migration",
     .own = true,
     .type = KEY_BOOLEAN,
     .initial = "false",
     .unbuilt = "a backup before the first step",
     .area = CONFIG_DATABASE},
    {.name = "require_approval",
     .own = true,
     .type = KEY_NUMBER,
     .initial = "0",
     .unbuilt = "plans that people have signed",
     .area = CONFIG_DATABASE},
    {.name = "enable_audit_triggers", .own = true, .type = KEY_BOOLEAN, .initial = "false"},
    /* the connection */
    {.name = "sqlalchemy.echo", .alias = "echo", .type = KEY_BOOLEAN, .initial = "false"},
    {.name = "sqlalchemy.pool_size", .alias = "pool_size", .type = KEY_NUMBER},
    {.name = "sqlalchemy.max_overflow", .alias = "max_overflow", .type = KEY_NUMBER},
    /* Alembic's, for Python's sake */
    {.name = "prepend_sys_path", .place = KEY_PYTHON},
    {.name = "revision_environment", .type = KEY_BOOLEAN, .place = KEY_PYTHON},
    {.name = "sourceless", .type = KEY_BOOLEAN, .place = KEY_PYTHON},
    {.name = "output_encoding", .place = KEY_PYTHON},
    {.name = "databases", .type = KEY_LIST, .place = KEY_PYTHON},
};
const size_t key_count = sizeof keys / sizeof *keys;

/* Keyword arguments of SQLAlchemy's create_engine (1.4 and 2.0, with psycopg2's), which engine_from_config
   takes from an ini under "sqlalchemy.". */
static const char *const sqlalchemy_options[] = {"connect_args",
                                                 "convert_unicode",
                                                 "echo_pool",
                                                 "enable_from_linting",
                                                 "encoding",
                                                 "execution_options",
                                                 "executemany_batch_page_size",
                                                 "executemany_mode",
                                                 "executemany_values_page_size",
                                                 "client_encoding",
                                                 "future",
                                                 "hide_parameters",
                                                 "implicit_returning",
                                                 "insertmanyvalues_page_size",
                                                 "isolation_level",
                                                 "json_deserializer",
                                                 "json_serializer",
                                                 "label_length",
                                                 "logging_name",
                                                 "max_identifier_length",
                                                 "module",
                                                 "paramstyle",
                                                 "plugins",
                                                 "pool",
                                                 "poolclass",
                                                 "pool_logging_name",
                                                 "pool_pre_ping",
                                                 "pool_recycle",
                                                 "pool_reset_on_return",
                                                 "pool_timeout",
                                                 "pool_use_lifo",
                                                 "query_cache_size",
                                                 "server_side_cursors",
                                                 "strategy",
                                                 "use_insertmanyvalues",
                                                 "use_native_unicode",
                                                 "use_native_uuid"};

const struct key *key_find(const char *name)
{
    size_t i;
    for (i = 0; i < key_count; i++)
        if (strcmp(keys[i].name, name) == 0 || (keys[i].alias != NULL && strcmp(keys[i].alias, name) == 0))
            return &keys[i];
    return NULL;
}

bool key_is_own(const char *name)
{
    const struct key *key = key_find(name);
    return key != NULL && key->own;
}

bool key_of_sqlalchemy(const char *name)
{
    static const char prefix[] = "sqlalchemy.";
    size_t i;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    for (i = 0; i < sizeof sqlalchemy_options / sizeof *sqlalchemy_options; i++)
        if (strcmp(sqlalchemy_options[i], name + sizeof prefix - 1) == 0)
            return true;
    return false;
}

const char *key_nearest(const char *name)
{
    const char **names = text_resize(NULL, 2 * key_count * sizeof *names), *nearest;
    size_t count = 0, i;
    for (i = 0; i < key_count; i++) {
        names[count++] = keys[i].name;
        if (keys[i].alias != NULL)
            names[count++] = keys[i].alias;
    }
    nearest = text_nearest(name, names, count);
    free(names);
    return nearest;
}

int boolean_value(const char *text)
{
    static const char *const words[2][4] = {{"0", "no", "false", "off"}, {"1", "yes", "true", "on"}};
    size_t i;
    for (i = 0; i < 8; i++)
        if (strcasecmp(text, words[i / 4][i % 4]) == 0)
            return i >= 4;
    return -1;
}

static bool number_valid(const char *text)
{
    size_t size = strlen(text);
    return size >= 1 && size <= 9 && text[strspn(text, "0123456789")] == '\0';
}

static char *choices_expected(const struct key *key, const char *value)
{
    char *text = NULL;
    const char *const *choice;
    for (choice = key->choices; *choice != NULL; choice++) {
        if (strcmp(*choice, value) == 0) {
            free(text);
            return NULL;
        }
        text_append(&text, choice[1] == NULL ? " or " : ", ", text == NULL ? 0 : choice[1] == NULL ? 4 : 2);
        text_append(&text, *choice, strlen(*choice));
    }
    return text;
}

char *key_expected(const struct key *key, const char *value)
{
    switch (key->type) {
    case KEY_BOOLEAN:
        return boolean_value(value) >= 0 ? NULL : text_copy("true or false");
    case KEY_NUMBER:
        return number_valid(value) ? NULL : text_copy("a whole number of at most nine digits");
    case KEY_CHOICE:
        return *value == '\0' && key->initial == NULL ? NULL : choices_expected(key, value);
    default:
        return NULL;
    }
}

bool key_asks(const struct key *key, const char *value)
{
    const char *initial = key->initial != NULL ? key->initial : "";
    if (key->unbuilt == NULL || value == NULL || *value == '\0')
        return false;
    if (key->unbuilt_value != NULL)
        return strcmp(value, key->unbuilt_value) == 0;
    if (key->type == KEY_BOOLEAN)
        return boolean_value(value) != boolean_value(initial);
    if (key->type == KEY_NUMBER)
        return strtol(value, NULL, 10) != strtol(initial, NULL, 10);
    return strcmp(value, initial) != 0;
}
