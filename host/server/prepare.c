#include "host/server/prepare.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/server/session.h"

enum { NAME_BYTES = 63, KNOWN_BYTES = 16384 }; /* NAMEDATALEN - 1 */

/* A line of the file `known`: FNV-1a of all that is wanted, and the database's oid, whose folder says that it was not
   dropped since. The file goes whenever the server starts. */
static uint64_t wanted_hash(const struct prepare *wanted)
{
    const char *texts[] = {wanted->database, wanted->app_role, wanted->tenant_role};
    uint64_t hash = 0xcbf29ce484222325u;
    size_t i;
    for (i = 0; i < 3; i++) {
        const char *c = texts[i] != NULL ? texts[i] : "";
        for (; *c != '\0'; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
        hash = (hash ^ 0xff) * 0x100000001b3u;
    }
    return hash;
}

static bool database_exists(const struct place *place, unsigned long oid)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/base/%lu/PG_VERSION", place->data, oid);
    return access(path, F_OK) == 0;
}

bool prepare_known(const struct place *place, const struct prepare *wanted)
{
    FILE *file = fopen(place->known, "re");
    uint64_t hash;
    unsigned long oid;
    bool known = false;
    while (file != NULL && !known && fscanf(file, "%" SCNx64 " %lu", &hash, &oid) == 2)
        known = hash == wanted_hash(wanted) && database_exists(place, oid);
    if (file != NULL)
        fclose(file);
    return known;
}

/* One write of a short line to a file opened for appending: a reader sees it whole or not at all. */
static void write_known(const struct place *place, const struct prepare *wanted, const char *oid)
{
    char line[64];
    int size = snprintf(line, sizeof line, "%016" PRIx64 " %s\n", wanted_hash(wanted), oid);
    struct stat info;
    int fd = open(place->known, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return; /* nothing is lost but time */
    if (fstat(fd, &info) == 0 && info.st_size > KNOWN_BYTES && ftruncate(fd, 0) != 0)
        size = 0;
    if (size > 0 && write(fd, line, (size_t)size) < 0)
        unlink(place->known);
    close(fd);
}

/* Sends `before "name" after` with both names quoted by libpq. The one place here where a name enters SQL's text. */
static int command(PGconn *session, const char *before, const char *name, const char *middle, const char *other,
                   struct error *error)
{
    char *quoted = PQescapeIdentifier(session, name, strlen(name));
    char *second = PQescapeIdentifier(session, other, strlen(other));
    char *sql = NULL;
    PGresult *rows = NULL;
    if (quoted != NULL && second != NULL) {
        error_text(&sql, "%s%s%s%s", before, quoted, middle, *middle != '\0' && other[0] != '\0' ? second : "");
        rows = session_query(session, sql, 0, NULL, error);
    } else {
        error_set(error, ERROR_USAGE, "'%s' cannot be a name on the server: %s", name, PQerrorMessage(session));
    }
    PQfreemem(quoted);
    PQfreemem(second);
    free(sql);
    PQclear(rows);
    return rows != NULL ? 0 : -1;
}

/* The first column of the only row, or "" when there is none; owned. Null with `error` set. */
static char *ask(PGconn *session, const char *sql, const char *value, struct error *error)
{
    const char *values[] = {value};
    PGresult *rows = session_query(session, sql, 1, values, error);
    char *answer = NULL;
    if (rows != NULL)
        error_text(&answer, "%s", PQntuples(rows) > 0 ? PQgetvalue(rows, 0, 0) : "");
    PQclear(rows);
    return answer;
}

static int make_migrator(PGconn *session, struct error *error)
{
    char *found = ask(session, "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1", PREPARE_MIGRATOR, error);
    int status = found == NULL ? -1 : 0;
    if (status == 0 && found[0] == '\0')
        status = command(session, "CREATE ROLE ", PREPARE_MIGRATOR, " LOGIN", "", error);
    free(found);
    return status;
}

/* A role that the migrator can become, and a user can try. */
static int make_role(PGconn *session, const char *key, const char *role, struct error *error)
{
    char *found;
    int status;
    if (role == NULL || role[0] == '\0' || strcmp(role, PREPARE_MIGRATOR) == 0)
        return 0;
    found = ask(session, "SELECT CASE WHEN rolsuper THEN 'superuser'"
                " WHEN pg_catalog.pg_has_role('" PREPARE_MIGRATOR "', oid, 'MEMBER') THEN 'member' ELSE 'stranger' END"
                " FROM pg_catalog.pg_roles WHERE rolname = $1", role, error);
    status = found == NULL ? -1 : 0;
    if (status == 0 && strcmp(found, "superuser") == 0) {
        error_set(error, ERROR_USAGE, "%s = %s names a superuser of the local server, whom no row security holds", key,
                  role);
        error_text(&error->hint, "name a plain role; it is made when it is missing");
        status = -1;
    }
    if (status == 0 && found[0] == '\0')
        status = command(session, "CREATE ROLE ", role, " LOGIN", "", error);
    if (status == 0 && strcmp(found, "member") != 0)
        status = command(session, "GRANT ", role, " TO ", PREPARE_MIGRATOR, error);
    free(found);
    return status;
}

static const char database_oid[] = "SELECT oid FROM pg_catalog.pg_database WHERE datname = $1";

static int make_database(PGconn *session, const struct place *place, const struct prepare *wanted, struct error *error)
{
    char *oid = ask(session, database_oid, wanted->database, error);
    int status = oid == NULL ? -1 : 0;
    if (status == 0 && oid[0] == '\0') {
        status = command(session, "CREATE DATABASE ", wanted->database, " OWNER ", PREPARE_MIGRATOR, error);
        free(oid);
        oid = status == 0 ? ask(session, database_oid, wanted->database, error) : NULL;
        status = oid == NULL ? -1 : 0;
    }
    if (status == 0)
        write_known(place, wanted, oid);
    free(oid);
    return status;
}

/* Once there is something to lose, what is written is synced. A user's own setting, by ALTER SYSTEM, stays. */
static int sync_from_now(PGconn *session, struct error *error)
{
    char *unsynced = ask(session, "SELECT name FROM pg_catalog.pg_settings WHERE name = $1 AND setting = 'off'"
                         " AND sourcefile LIKE '%/postgresql.conf'", "fsync", error);
    int status = unsynced == NULL ? -1 : 0;
    if (status == 0 && unsynced[0] != '\0') {
        PQclear(session_query(session, "ALTER SYSTEM SET fsync = on", 0, NULL, error));
        PQclear(session_query(session, "SELECT pg_catalog.pg_reload_conf()", 0, NULL, error));
        status = error->kind == ERROR_NONE ? 0 : -1;
    }
    free(unsynced);
    return status;
}

static int check_name(const char *what, const char *name, struct error *error)
{
    if (name == NULL || strlen(name) <= NAME_BYTES)
        return 0;
    error_set(error, ERROR_USAGE, "%s '%s' is longer than the %d bytes that PostgreSQL keeps of a name", what, name,
              NAME_BYTES);
    return -1;
}

static int check_names(const struct prepare *wanted, struct error *error)
{
    static const char *const own[] = {"postgres", "template0", "template1"};
    size_t i;
    for (i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(wanted->database, own[i]) == 0) {
            error_set(error, ERROR_USAGE, "database %s of the local server is the server's own", wanted->database);
            error_text(&error->hint, "write url = local:NAME with another name, or url = local: for the service's");
            return -1;
        }
    if (check_name("the database's name", wanted->database, error) != 0
        || check_name("app_role", wanted->app_role, error) != 0)
        return -1;
    return check_name("tenant_role", wanted->tenant_role, error);
}

int prepare_make(const struct place *place, const struct prepare *wanted, struct error *error)
{
    PGconn *session;
    int status;
    if (check_names(wanted, error) != 0)
        return -1;
    session = session_open(place, "postgres", error);
    if (session == NULL)
        return -1;
    status = make_migrator(session, error);
    if (status == 0)
        status = make_role(session, "app_role", wanted->app_role, error);
    if (status == 0)
        status = make_role(session, "tenant_role", wanted->tenant_role, error);
    if (status == 0)
        status = make_database(session, place, wanted, error);
    if (status == 0)
        status = sync_from_now(session, error);
    PQfinish(session);
    return status;
}

int prepare_list(const struct place *place, char **version, char ***databases, struct error *error)
{
    PGconn *session = session_open(place, "postgres", error);
    PGresult *rows = NULL;
    const char *server;
    int i, count;
    if (session != NULL)
        rows = session_query(session, "SELECT datname FROM pg_catalog.pg_database"
                             " WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY datname", 0, NULL, error);
    if (rows == NULL) {
        PQfinish(session);
        return -1;
    }
    count = PQntuples(rows);
    *databases = calloc((size_t)count + 1, sizeof **databases);
    if (*databases == NULL)
        abort();
    for (i = 0; i < count; i++)
        error_text(&(*databases)[i], "%s", PQgetvalue(rows, i, 0));
    server = PQparameterStatus(session, "server_version");
    error_text(version, "%.*s", (int)strcspn(server, " "), server); /* Debian adds its own in parentheses */
    PQclear(rows);
    PQfinish(session);
    return 0;
}
