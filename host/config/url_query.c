/* What Python's drivers have in a URL's query and libpq has not, or calls otherwise. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/text.h"
#include "host/config/url.h"

/* asyncpg's `ssl` has the values of libpq's `sslmode`, or says yes or no. */
static const struct {
    const char *ssl, *sslmode;
} modes[] = {
    {"disable", "disable"}, {"allow", "allow"},   {"prefer", "prefer"}, {"require", "require"},
    {"verify-ca", "verify-ca"}, {"verify-full", "verify-full"}, {"true", "require"}, {"false", "disable"},
    {"True", "require"},    {"False", "disable"}, {"1", "require"},     {"0", "disable"},
};

/* How the driver works inside Python; nothing of it concerns the connection. */
static const char *const of_python[] = {"async_fallback", "prepared_statement_cache_size",
                                        "prepared_statement_name_func", "statement_cache_size"};

static const char *sslmode_of(const char *parameter)
{
    size_t i;
    if (strncmp(parameter, "ssl=", 4) != 0)
        return NULL;
    for (i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(parameter + 4, modes[i].ssl) == 0)
            return modes[i].sslmode;
    return NULL;
}

static bool is_of_python(const char *parameter)
{
    size_t size = strcspn(parameter, "="), i;
    for (i = 0; i < sizeof of_python / sizeof *of_python; i++)
        if (strlen(of_python[i]) == size && strncmp(parameter, of_python[i], size) == 0)
            return true;
    return false;
}

static void append_parameter(char **out, const char *parameter, bool *first)
{
    const char *sslmode = sslmode_of(parameter);
    if (is_of_python(parameter))
        return;
    text_append(out, *first ? "?" : "&", 1);
    *first = false;
    if (sslmode != NULL)
        text_append(out, "sslmode=", strlen("sslmode="));
    text_append(out, sslmode != NULL ? sslmode : parameter, strlen(sslmode != NULL ? sslmode : parameter));
}

char *url_plain_query(const char *url)
{
    const char *at = strchr(url, '?');
    char *out = NULL;
    bool first = true;
    if (at == NULL)
        return text_copy(url);
    text_append(&out, url, (size_t)(at - url));
    while (*at != '\0') {
        size_t size = strcspn(at + 1, "&");
        char *parameter = text_slice(at + 1, size);
        append_parameter(&out, parameter, &first);
        free(parameter);
        at += 1 + size;
    }
    return out;
}
