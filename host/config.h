#ifndef DMLUA_CONFIG_H
#define DMLUA_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "host/error.h"

/* The settings of one run: dmlua.ini or alembic.ini, the environment and the command line, merged. Every
   string that it answers is borrowed and lives as long as the config. All its errors are usage errors (exit
   2). */
struct config;

/* What the command line said; a null is not said. */
struct config_options {
    const char *file;
    const char *service;
    const char *environment;
    const char *url;
    bool sibling; /* a service beside the one that was asked for: DATABASE_URL is not its */
};

/* Finds the file (options->file, DMLUA_CONFIG, else dmlua.ini or alembic.ini in the current folder or one
   above it), reads and checks all of it, and merges: [dmlua] (or [alembic]), the environment's section, the
   service's section, [service:environment], environment variables, command line; later ones win. Owned:
   config_free. */
int config_load(const struct config_options *options, struct config **config, struct error *error);
/* The settings of another service of the same file and environment. Its URL is its own: neither --url nor DATABASE_URL.
   Owned: config_free. */
int config_load_sibling(const struct config *config, const char *service, struct config **sibling, struct error *error);
void config_free(struct config *config);

/* The effective text of a key, its default when nothing sets it; null when it has none or was set to nothing.
   Either name of a key that has two will do: url, sqlalchemy.url. A post-write hook's key is
   post_write_hooks.KEY. */
const char *config_get(const struct config *config, const char *key);
/* Why a value that the file sets cannot be had, or null. */
const char *config_problem(const struct config *config, const char *key);
bool config_flag(const struct config *config, const char *key);
/* Does anything set the key? A default does not count. */
bool config_says(const struct config *config, const char *key);
/* A number that was checked when the file was read; 0 when unset. */
long config_number(const struct config *config, const char *key);

/* The folders that version_locations names, cut as path_separator says, as they are written; 0 when it names
   none. Owned by the caller: each text, and the array (text_list_free). */
size_t config_version_locations(const struct config *config, char ***locations);

bool config_is_alembic(const struct config *config);  /* an alembic.ini: it has no [dmlua] */
const char *config_file(const struct config *config); /* as a user would type it */
const char *
config_folder(const struct config *config); /* the file's, absolute; relative paths are under it */
const char *config_service(const struct config *config);     /* null: none named, or the file has none */
const char *config_environment(const struct config *config); /* development, staging or production */
size_t config_services(const struct config *config, const char *const **names); /* in the file's order */

/* Fails when the file has several services and none was named; the error lists them. */
int config_require_service(const struct config *config, struct error *error);

/* What a verb is about to do, for config_check_rails. */
enum config_area {
    CONFIG_DATABASE = 1 /* connects */
};
/* Fails when an effective setting asks for something that this version does not do, or two of them contradict
   each other; names the keys and where they stand. A rail is never ignored. */
int config_check_rails(const struct config *config, enum config_area area, struct error *error);

/* Whether guards set up row security: isolation is rls, and neither enable_rls nor skip_rls_setup says no. */
bool config_rls(const struct config *config);
/* "rls", "schema" or "none". Unset: rls in a dmlua.ini; in an alembic.ini rls if enable_rls is true, else
 * none. */
const char *config_isolation(const struct config *config);

/* The URL as it was given, secrets included; null when there is none. */
const char *config_url(const struct config *config);
/* Whether the URL is local: or local:NAME; `database` becomes NAME, else the service's name, else "dmlua". */
bool config_is_local(const struct config *config, const char **database);

/* For PQconnectdbParams(keywords, values, 0). `shown` is user@host:port/database, without a secret. */
struct config_connection {
    const char **keywords; /* ended by a null */
    const char **values;
    char *shown;
};
/* Reads the URL: a libpq URI (postgresql+driver:// loses the driver) or conninfo; what it leaves open libpq
   takes from PG* variables, the service file and .pgpass. Fails for no URL and an empty one, naming the ways
   to give one. Not for local:. Owned: config_connection_free. */
int config_connection(const struct config *config, struct config_connection *connection, struct error *error);
void config_connection_free(struct config_connection *connection);

/* A copy of `text` (libpq's or the server's) in which every password that dmlua was given, as written,
   decoded or percent-encoded, is ***. Owned by the caller. */
char *config_mask(const struct config *config, const char *text);

/* One effective setting for a person to read; secrets masked. */
struct config_row {
    const char *key;
    const char *value;  /* null: set to nothing */
    const char *origin; /* "dmlua.ini:12 [production]", "DATABASE_URL", "--url", "default" */
    const char *note;   /* why config_check_rails would refuse it, or null */
};
/* All that are set or have a default, ordered by key table. Borrowed. */
size_t config_rows(struct config *config, const struct config_row **rows);

#endif
