#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/server.h"
#include "host/server/data.h"
#include "host/server/place.h"
#include "host/server/programs.h"

/* Appends keyword='value' to a conninfo text: a database may be called "a=b" or "postgresql://x", which psql -d would
   take for a whole address. */
static void append(char **conninfo, const char *keyword, const char *value)
{
    size_t length = 0;
    char *quoted = malloc(2 * strlen(value) + 1);
    if (quoted == NULL)
        abort();
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            quoted[length++] = '\\';
        quoted[length++] = *value;
    }
    quoted[length] = '\0';
    error_text(conninfo, "%s %s='%s'", *conninfo != NULL ? *conninfo : "", keyword, quoted);
    free(quoted);
}

/* Debian's /usr/bin/psql is a wrapper in Perl that has its own mind about clusters; this is the program itself. */
static char *find_psql(const struct place *place, struct error *error)
{
    char *folder = programs_find(&place->user, data_major(place), error), *psql = NULL;
    error_text(&psql, "%s/psql", folder != NULL ? folder : "/usr/bin");
    if (access(psql, X_OK) == 0) {
        error_clear(error);
    } else {
        error_set(error, ERROR_CONNECTION, "there is no %s", psql);
        error_text(&error->hint, "install Debian's package postgresql-client");
        free(psql);
        psql = NULL;
    }
    free(folder);
    return psql;
}

static void run_psql(const char *psql, const struct server_address *address, const char *role,
                     const char *const *arguments, struct error *error)
{
    const char **argv, **at;
    char *conninfo = NULL;
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    append(&conninfo, "host", address->host);
    append(&conninfo, "port", address->port);
    append(&conninfo, "user", role != NULL ? role : address->user);
    append(&conninfo, "dbname", address->database);
    argv = calloc(count + 4, sizeof *argv);
    if (argv == NULL)
        abort();
    at = argv;
    *at++ = psql;
    *at++ = "-d";
    *at++ = conninfo;
    memcpy(at, arguments, count * sizeof *at);
    fflush(NULL);
    execv(psql, (char *const *)argv);
    error_set(error, ERROR_CONNECTION, "cannot run %s: %s", psql, strerror(errno));
    free(argv);
    free(conninfo);
}

int server_psql(const struct config *config, const char *role, const char *const *arguments, struct error *error)
{
    struct server_address address;
    struct place place = {0};
    char *psql = NULL, **saved;
    if (server_ensure(config, NULL, &address, error) != 0)
        return -1;
    if (place_find(config_folder(config), &place, error) == 0)
        psql = find_psql(&place, error);
    place_free(&place);
    if (psql != NULL) {
        saved = server_environment_enter();
        run_psql(psql, &address, role, arguments, error);
        server_environment_leave(saved);
    }
    free(psql);
    server_address_free(&address);
    return -1;
}
