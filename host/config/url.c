#include "host/config/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/text.h"

bool url_is_local(const char *url, const char **name)
{
    static const char prefix[] = "local:";
    if (url == NULL || strncmp(url, prefix, sizeof prefix - 1) != 0)
        return false;
    *name = url + sizeof prefix - 1;
    return true;
}

/* The length of a URI's scheme; 0: not a URI. */
static size_t scheme_size(const char *url)
{
    size_t size = 0;
    while (isalnum((unsigned char)url[size]) ||
           (size > 0 && strchr("+.-_", url[size]) != NULL && url[size] != '\0'))
        size++;
    return size > 0 && strncmp(url + size, "://", 3) == 0 ? size : 0;
}

/* The length of "postgresql" or "postgres" where a scheme is that, maybe followed by +driver; else 0. */
static size_t postgres_size(const char *url, size_t scheme)
{
    size_t size = strcspn(url, "+:");
    bool known = (size == 10 && strncmp(url, "postgresql", 10) == 0) ||
                 (size == 8 && strncmp(url, "postgres", 8) == 0);
    return known && size <= scheme ? size : 0;
}

/* SQLAlchemy's +driver is not libpq's: postgresql+psycopg2:// becomes postgresql://. Owned. */
static char *without_driver(const char *url)
{
    size_t scheme = scheme_size(url), size = scheme > 0 ? postgres_size(url, scheme) : 0;
    char *plain, *text;
    if (size == 0)
        return text_copy(url);
    plain = text_format("%.*s%s", (int)size, url, url + scheme);
    text = url_plain_query(plain);
    free(plain);
    return text;
}

static int scheme_check(const char *url, const char *origin, struct error *error)
{
    size_t scheme = scheme_size(url);
    if (scheme == 0 || postgres_size(url, scheme) > 0)
        return 0;
    error_set(error, ERROR_USAGE, "%s names a database of the kind %.*s; dmlua speaks to PostgreSQL", origin,
              (int)scheme, url);
    error_text(&error->hint, "write postgresql://USER@HOST:PORT/DATABASE");
    return -1;
}

/* libpq ends a user name or password at the first @, / or ?, and would print the rest of one that holds them
   as a host, a port or a parameter. So one @ at most may stand in a URI, and before the first / and ?. */
static int authority_check(const char *url, const char *origin, struct error *error)
{
    size_t scheme = scheme_size(url), first, end;
    const char *authority = url + scheme + 3;
    if (scheme == 0)
        return 0;
    first = strcspn(authority, "@");
    end = strcspn(authority, "/?");
    if (authority[first] == '\0' ||
        (first < end && strcspn(authority + first + 1, "@") >= strcspn(authority + first + 1, "?")))
        return 0;
    error_set(error, ERROR_USAGE, "%s holds an @ where none may stand", origin);
    error_text(&error->hint,
               "in a URL's user name and password write @ as %%40, / as %%2F, ? as %%3F and : as %%3A");
    return -1;
}

/* What other drivers call something of libpq's. */
static const struct {
    const char *name;
    const char *libpq;
} foreign[] = {
    {"ssl", "sslmode"},
    {"ssl_mode", "sslmode"},
    {"timeout", "connect_timeout"},
    {"charset", "client_encoding"},
    {"encoding", "client_encoding"},
    {"ssl_ca", "sslrootcert"},
    {"ssl_cert", "sslcert"},
    {"ssl_key", "sslkey"},
    {"username", "user"},
    {"database", "dbname"},
};

static const char *foreign_name(const char *name)
{
    size_t i;
    for (i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strcmp(foreign[i].name, name) == 0)
            return foreign[i].libpq;
    return NULL;
}

/* The libpq parameter of that name, or the nearest; null: none is near. */
static const char *libpq_name(const char *name, const PQconninfoOption *known)
{
    const char *names[128];
    size_t count = 0;
    for (; known->keyword != NULL && count < sizeof names / sizeof *names; known++)
        names[count++] = known->keyword;
    return text_nearest(name, names, count);
}

static bool libpq_knows(const char *name, const PQconninfoOption *known)
{
    for (; known->keyword != NULL; known++)
        if (strcmp(known->keyword, name) == 0)
            return true;
    return false;
}

static int parameter_check(const char *name, const PQconninfoOption *known, const char *origin,
                           struct error *error)
{
    const char *libpq = foreign_name(name), *near = libpq_name(name, known);
    if (libpq_knows(name, known))
        return 0;
    error_set(error, ERROR_USAGE, "%s has a parameter that libpq does not know: %s", origin, name);
    if (libpq != NULL || near != NULL)
        error_text(&error->hint, "libpq calls it %s%s", libpq != NULL ? libpq : near,
                   strcmp(name, "ssl") == 0 ? ": ?sslmode=require" : "");
    else
        error_text(&error->hint, "take it out: it is for a driver of Python's");
    return -1;
}

/* The names in a URI's query. Its authority was checked: it is no part of a password. */
static int query_check(const char *url, const char *origin, struct error *error)
{
    const char *at = scheme_size(url) > 0 ? strchr(url, '?') : NULL;
    PQconninfoOption *known = at != NULL ? PQconndefaults() : NULL;
    while (known != NULL && at != NULL && error->kind == ERROR_NONE) {
        char *name = text_slice(at + 1, strcspn(at + 1, "=&"));
        if (*name != '\0' &&
            name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0')
            parameter_check(name, known, origin, error);
        free(name);
        at = strchr(at + 1, '&');
    }
    PQconninfoFree(known);
    return error->kind == ERROR_NONE ? 0 : -1;
}

/* libpq's own words, but for what it quotes: that may be a piece of a password. Owned. */
static char *without_quoted(const char *message)
{
    static const char no_value[] = "missing \"=\" after";
    char *text = NULL;
    if (message != NULL && strncmp(message, no_value, sizeof no_value - 1) == 0)
        return text_copy("a word in it has no = behind it");
    while (message != NULL && *message != '\0') {
        size_t plain = strcspn(message, "\"");
        const char *end = message[plain] == '"' ? strrchr(message + plain + 1, '"') : NULL;
        text_append(&text, message, plain);
        if (message[plain] == '\0')
            break;
        text_append(&text, "…", strlen("…"));
        message = end != NULL ? end + 1 : "";
    }
    while (text != NULL && *text != '\0' && text[strlen(text) - 1] == '\n')
        text[strlen(text) - 1] = '\0';
    return text;
}

static int port_check(const PQconninfoOption *option, const char *origin, struct error *error)
{
    for (; option->keyword != NULL; option++)
        if (strcmp(option->keyword, "port") == 0 && option->val != NULL &&
            option->val[strspn(option->val, "0123456789, ")] != '\0') {
            error_set(error, ERROR_USAGE, "%s has a port that is no number", origin);
            error_text(&error->hint,
                       "it is postgresql://USER:PASSWORD@HOST:PORT/DATABASE; is the @ missing, or a / or "
                       "? in the password not written %%2F or %%3F?");
            return -1;
        }
    return 0;
}

PQconninfoOption *url_options(const char *url, const char *origin, struct error *error)
{
    PQconninfoOption *options = NULL;
    char *plain = without_driver(url), *message = NULL, *said;
    if (scheme_check(plain, origin, error) == 0 && authority_check(plain, origin, error) == 0 &&
        query_check(plain, origin, error) == 0 && (options = PQconninfoParse(plain, &message)) == NULL) {
        said = without_quoted(message);
        error_set(error, ERROR_USAGE, "%s is neither a URL nor a conninfo that libpq understands: %s", origin,
                  said != NULL ? said : "out of memory");
        error_text(&error->hint,
                   "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (with %% and @ in a password written "
                   "%%25 and %%40), or host=HOST port=PORT dbname=DATABASE user=USER password='PASSWORD'");
        free(said);
    }
    if (options != NULL && port_check(options, origin, error) != 0) {
        PQconninfoFree(options);
        options = NULL;
    }
    PQfreemem(message);
    free(plain);
    return options;
}

bool url_option_secret(const PQconninfoOption *option)
{
    return option->dispchar != NULL && *option->dispchar == '*';
}

char *url_written_password(const char *url)
{
    size_t scheme = scheme_size(url), at, colon;
    const char *authority = url + scheme + 3;
    if (scheme == 0)
        return NULL;
    at = strcspn(authority, "@");
    colon = strcspn(authority, ":");
    if (authority[at] == '\0' || colon >= at)
        return NULL;
    return text_slice(authority + colon + 1, at - colon - 1);
}

/* A conninfo with the passwords hidden. Owned. */
static char *conninfo_masked(const PQconninfoOption *option)
{
    char *text = NULL, *item;
    for (; option->keyword != NULL; option++) {
        if (option->val == NULL)
            continue;
        item = text_format("%s%s=%s", text != NULL ? " " : "", option->keyword,
                           url_option_secret(option) ? "***" : option->val);
        text_append(&text, item, strlen(item));
        free(item);
    }
    return text;
}

/* A URI with the password hidden, and the whole query where it holds one. Owned. */
static char *uri_masked(const char *url, const PQconninfoOption *option)
{
    char *password = url_written_password(url), *text = NULL;
    const char *rest = password != NULL ? strchr(url, '@') : url;
    bool hide_query = false;
    for (; option->keyword != NULL; option++)
        if (url_option_secret(option) && option->val != NULL)
            hide_query = hide_query || password == NULL || strcmp(option->keyword, "password") != 0;
    if (password != NULL) {
        text_append(&text, url, (size_t)(rest - url) - strlen(password));
        text_append(&text, "***", 3);
    }
    text_append(&text, rest, hide_query ? strcspn(rest, "?") : strlen(rest));
    if (hide_query)
        text_append(&text, "?***", 4);
    free(password);
    return text;
}

char *url_masked(const char *url)
{
    struct error error = {0};
    PQconninfoOption *options;
    const char *name;
    char *text;
    if (url_is_local(url, &name))
        return text_copy(url);
    options = url_options(url, "url", &error);
    if (options == NULL)
        text = text_copy("(cannot be read, and may hold a password: not shown)");
    else
        text = scheme_size(url) > 0 ? uri_masked(url, options) : conninfo_masked(options);
    PQconninfoFree(options);
    error_clear(&error);
    return text;
}
