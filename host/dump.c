#include "host/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/signal.h"

enum { NEWER = 10, FIXED = 10, WAIT_MS = 20 };

static const char *const own_tables[] = {"dmlua_ledger", "dmlua_progress", "dmlua_tenants", "dmlua_tables",
                                         "dmlua_database", "dmlua_undo"};
enum { OWN = sizeof own_tables / sizeof *own_tables };

/* The folder of the server's own version, or of a newer one; else whatever the PATH has. Owned. */
static char *find_program(int major)
{
    char *path = NULL;
    int i;
    for (i = 0; i < NEWER; i++) {
        error_text(&path, "/usr/lib/postgresql/%d/bin/pg_dump", major + i);
        if (access(path, X_OK) == 0)
            return path;
    }
    error_text(&path, "pg_dump");
    return path;
}

static void put_quoted(FILE *out, const char *text, char quote, const char *escape)
{
    fputc(quote, out);
    for (; *text != '\0'; text++) {
        if (strchr(escape, *text) != NULL)
            fputc(quote == '"' ? '"' : '\\', out);
        fputc(*text, out);
    }
    fputc(quote, out);
}

/* What the connection was made with, less what is secret: a command line can be seen by everybody. `password`, borrowed
   from `options`, gets the one that goes by the environment. Owned. */
static char *write_conninfo(PGconn *conn, const PQconninfoOption *options, const char **password)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const PQconninfoOption *option;
    if (out == NULL)
        abort();
    *password = "";
    for (option = options; option->keyword != NULL; option++) {
        const char *value = option->val;
        if (strcmp(option->keyword, "host") == 0)
            value = PQhost(conn); /* of several, the one that answered */
        else if (strcmp(option->keyword, "port") == 0)
            value = PQport(conn);
        else if (strcmp(option->keyword, "hostaddr") == 0 && value != NULL && strchr(value, ',') != NULL)
            value = NULL;
        if (strcmp(option->keyword, "password") == 0)
            *password = value != NULL ? value : "";
        if (value == NULL || *value == '\0' || *option->dispchar == '*' || strcmp(option->keyword, "service") == 0)
            continue;
        fprintf(out, "%s=", option->keyword);
        put_quoted(out, value, '\'', "'\\");
        fputc(' ', out);
    }
    fclose(out);
    return text;
}

/* --exclude-table with a pattern that is just this name. Owned. */
static char *exclusion(const char *schema, const char *table)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        abort();
    fputs("--exclude-table=", out);
    put_quoted(out, schema, '"', "\"");
    fputc('.', out);
    put_quoted(out, table, '"', "\"");
    fclose(out);
    return text;
}

/* In the child: never returns. What the connection's parameters say is all of it, so no PG* of the caller's stays. */
static void become(char *const *argv, const char *password, const int *ends)
{
    char **variable, *name;
    for (variable = environ; *variable != NULL;) {
        if (strncmp(*variable, "PG", 2) != 0) {
            variable++;
            continue;
        }
        name = strndup(*variable, strcspn(*variable, "="));
        if (name == NULL || unsetenv(name) != 0)
            _exit(127);
        free(name);
    }
    if (*password != '\0')
        setenv("PGPASSWORD", password, 1);
    signal_default();
    if (dup2(open("/dev/null", O_RDONLY), 0) < 0 || dup2(ends[0], 1) < 0 || dup2(ends[1], 2) < 0)
        _exit(127);
    execvp(argv[0], argv);
    dprintf(2, "cannot run %s: %s", argv[0], strerror(errno));
    _exit(127);
}

/* The whole of what was written to a file in memory. Owned. */
static char *take_text(int file)
{
    off_t size = lseek(file, 0, SEEK_END);
    char *text = calloc((size_t)size + 1, 1);
    ssize_t got;
    off_t at = 0;
    if (text == NULL)
        abort();
    while (at < size && (got = pread(file, text + at, (size_t)(size - at), at)) > 0)
        at += got;
    return text;
}

static int fail(const char *program, int status, int file, struct error *error)
{
    char *text = take_text(file);
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == '\n')
        text[--size] = '\0';
    if (signal_interrupted)
        error_set(error, ERROR_INTERRUPTED, "interrupted while %s ran", program);
    else
        error_set(error, ERROR_CONNECTION, "%s failed (%d): %s", program, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                  text);
    error_text(&error->hint,
               "baseline needs PostgreSQL's pg_dump of the server's version or a newer one: apt-get install "
               "postgresql-client");
    free(text);
    return -1;
}

/* Its wait status. A signal restarts waitpid, so it is asked now and then; an interrupt ends the program, which cancels
   what it has asked of the server. */
static int wait_for(pid_t pid)
{
    struct pollfd fd = {.fd = signal_fd(), .events = POLLIN};
    int status = -1;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && !signal_interrupted)
        poll(&fd, 1, WAIT_MS);
    if (ended == 0) {
        signal_noticed();
        kill(pid, SIGTERM);
        waitpid(pid, &status, 0);
    }
    return status;
}

/* Runs the program; its output goes into ends[0], its complaints into ends[1]. */
static int run(char *const *argv, const char *password, const int *ends, struct error *error)
{
    pid_t pid = fork();
    int status;
    if (pid == 0)
        become(argv, password, ends);
    if (pid < 0) {
        error_set(error, ERROR_CONNECTION, "cannot start %s: %m", argv[0]);
        return -1;
    }
    status = wait_for(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : fail(argv[0], status, ends[1], error);
}

static char *run_for_text(char *const *argv, const char *password, struct error *error)
{
    int ends[2] = {memfd_create("dump", MFD_CLOEXEC), memfd_create("complaints", MFD_CLOEXEC)};
    char *text = NULL;
    if (ends[0] < 0 || ends[1] < 0)
        error_set(error, ERROR_CONNECTION, "no room for a dump: %m");
    else if (run(argv, password, ends, error) == 0)
        text = take_text(ends[0]);
    close(ends[0]);
    close(ends[1]);
    return text;
}

char *dump_schema(struct ledger *ledger, struct error *error)
{
    PGconn *conn = db_connection(ledger->db);
    PQconninfoOption *options = PQconninfo(conn);
    char *program = find_program(db_server_version(ledger->db) / 10000), *conninfo, *text;
    char *argv[FIXED + OWN + 1] = {program, "--schema-only", "--no-password", "--encoding=UTF8", "--no-publications",
                                   "--no-subscriptions", "--dbname"};
    const char *password;
    size_t count = 7, first, i;
    if (options == NULL)
        abort();
    conninfo = write_conninfo(conn, options, &password);
    argv[count++] = conninfo;
    first = count;
    argv[count++] = exclusion(ledger->schema, ledger->table);
    for (i = 0; i < OWN; i++)
        argv[count++] = exclusion(ledger->schema, own_tables[i]);
    text = run_for_text(argv, password, error);
    for (i = first; i < count; i++)
        free(argv[i]);
    PQconninfoFree(options);
    free(conninfo);
    free(program);
    return text;
}
