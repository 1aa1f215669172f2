#ifndef DMLUA_CONFIG_INTERNAL_H
#define DMLUA_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "host/config.h"
#include "host/config/inifile.h"
#include "host/config/keys.h"

/* An effective setting: the slot of one row of `keys`. */
struct setting {
    char *value;         /* null: nothing sets it, and it has no default */
    char *origin;        /* null: the default */
    const char *problem; /* why there is no value, though the file sets one; borrowed, or null */
};

struct config {
    struct inifile file;
    char *folder;     /* absolute */
    bool dmlua;       /* the file has a [dmlua] section */
    bool alembic;     /* … an [alembic] section, so that what only Python needs may stand in it */
    char **texts;     /* by entry: its value with %(…)s replaced; null until asked for */
    char **problems;  /* by entry: why its value cannot be had, where that matters only if it is used */
    bool *referenced; /* by entry: another value names it */
    char **services;
    size_t service_count;
    char *service;
    char *service_origin;
    struct setting *settings; /* by key */
    char **secrets;
    size_t secret_count;
    struct config_row *rows;
    size_t row_count;
};

/* locate.c: the file to read, absolute, and as a user would type it. Both owned. */
int locate_file(const char *given, char **path, char **shown, struct error *error);

/* interpolate.c: the value of an entry as configparser's BasicInterpolation makes it; null with an error.
 * Borrowed. */
const char *entry_text(struct config *config, size_t entry, struct error *error);

/* sections.c */
/* Settles which services and sections there are, and refuses what no one reads. */
int sections_check(struct config *config, struct error *error);
/* The key that an entry of that section sets; null: none. */
const struct key *entry_key(const struct inifile_entry *entry);
bool section_is_main(const char *section);
/* Text of the one notice about what only Python needs; null: nothing. Owned. */
char *sections_notice(const struct config *config);

/* merge.c: fills services, service, settings. */
int services_read(struct config *config, struct error *error);
int settings_merge(struct config *config, const struct config_options *options, struct error *error);
/* "DMLUA_URL_" and the service's name in capitals; what is no letter or digit is _. Owned. */
char *url_variable(const char *service);
struct setting *setting_of(const struct config *config, const char *key);

/* package.c: a script_location that names a Python package's folder becomes that folder, where it is found. */
void package_resolve(struct config *config);

/* rails.c: why config_check_rails would refuse a setting. Owned; null: it would not. */
char *setting_problem(const struct config *config, const struct key *key);

/* mask.c */
void secrets_collect(struct config *config);

#endif
