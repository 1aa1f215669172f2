#ifndef DMLUA_CONFIG_URL_H
#define DMLUA_CONFIG_URL_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "host/error.h"

/* "local:" and "local:NAME"; NAME is borrowed, "" when there is none. */
bool url_is_local(const char *url, const char **name);

/* The options in a libpq URI (postgresql+driver:// and postgres+driver:// too) or conninfo. Null with an
   error that names `origin` and prints no part of the text that could be a secret. Owned: PQconninfoFree. */
PQconninfoOption *url_options(const char *url, const char *origin, struct error *error);

/* A URI with the parameters of Python's drivers as libpq's, or left out (url_query.c). Owned. */
char *url_plain_query(const char *url);

/* Whether libpq hides the option's value: a password. */
bool url_option_secret(const PQconninfoOption *option);

/* The URL for a person to read, passwords as ***; a URL that cannot be read is not shown at all. Owned. */
char *url_masked(const char *url);

/* The password of a URI as it is written, percent-encoded or not; null: none. Owned. */
char *url_written_password(const char *url);

#endif
