#include "host/server/postmaster.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/report.h"
#include "host/server/process.h"
#include "host/server/wait.h"

enum {
    START_LIMIT_MS = 120000, /* after a crash there may be much to recover */
    STOP_LIMIT_MS = 60000,
    ORPHANS_LIMIT_MS = 10000,
    PID_FILE_BYTES = 4 * PATH_MAX
};

/* The lines of postmaster.pid that matter (PostgreSQL's src/include/utils/pidfile.h); since version 10 the last is the
   state. */
enum { LINE_PID = 1, LINE_DATA = 2, LINE_SOCKETS = 5, LINE_STATE = 8 };

static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t count = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (count < 0)
        return false;
    text[count] = '\0';
    return true;
}

/* Copies line `number` of `text`, without its line feed and trailing blanks; empty when there are fewer. */
static void copy_line(const char *text, int number, char *line, size_t size)
{
    size_t length;
    while (text != NULL && --number > 0) {
        text = strchr(text, '\n');
        text = text != NULL ? text + 1 : NULL;
    }
    length = text != NULL ? strcspn(text, "\n") : 0;
    while (length > 0 && text[length - 1] == ' ')
        length--;
    snprintf(line, size, "%.*s", (int)length, text != NULL ? text : "");
}

/* Is this process a postmaster that was started as "postgres -D data"? Pids are used again: after a restart of the
   machine the file's may be anybody's. Its backends have another command line. */
static bool is_postmaster_of(pid_t pid, const char *data)
{
    size_t size;
    char *text = process_arguments(pid, &size), *argument;
    bool found = false;
    if (text == NULL)
        return false;
    for (argument = text; argument < text + size && !found; argument += strlen(argument) + 1)
        if (strcmp(argument, "-D") == 0 && argument + 3 < text + size)
            found = strcmp(argument + 3, data) == 0;
    free(text);
    return found;
}

static enum postmaster_state state_named(const char *name)
{
    if (strcmp(name, "ready") == 0)
        return POSTMASTER_READY;
    return strcmp(name, "stopping") == 0 ? POSTMASTER_STOPPING : POSTMASTER_STARTING;
}

void postmaster_look(const struct place *place, struct postmaster *found)
{
    char path[PATH_MAX], text[PID_FILE_BYTES], line[PATH_MAX];
    memset(found, 0, sizeof *found);
    snprintf(path, sizeof path, "%s/postmaster.pid", place->data);
    if (!read_file(path, text, sizeof text))
        return;
    copy_line(text, LINE_PID, line, sizeof line);
    found->pid = (pid_t)atol(line);
    copy_line(text, LINE_DATA, line, sizeof line);
    found->stale = found->pid <= 1 || !is_postmaster_of(found->pid, line)
                   /* a copy made while the original ran: the file is the original's */
                   || (strcmp(line, place->data) != 0 && access(line, F_OK) == 0);
    if (found->stale)
        return;
    copy_line(text, LINE_SOCKETS, line, sizeof line);
    found->here = line[0] == '\0' || strcmp(line, place->sockets) == 0;
    copy_line(text, LINE_STATE, line, sizeof line);
    found->state = state_named(line);
}

static int waiting_failed(const struct place *place, enum wait_result result, const char *doing, struct error *error)
{
    char *tail = place_file_tail(place->log);
    if (result == WAIT_INTERRUPTED) {
        error_set(error, ERROR_INTERRUPTED, "interrupted while the local server %s", doing);
    } else {
        error_set(error, ERROR_CONNECTION, "the local server %s for too long (its log is %s)", doing, place->log);
        error_text(&error->detail, "%s", tail);
    }
    free(tail);
    return -1;
}

int postmaster_await(const struct place *place, struct postmaster *found, struct error *error)
{
    struct wait wait;
    enum wait_result result = WAIT_MORE;
    wait_begin(&wait, START_LIMIT_MS);
    while (found->state == POSTMASTER_STARTING && result == WAIT_MORE) {
        result = wait_pause(&wait);
        postmaster_look(place, found);
    }
    if (found->state != POSTMASTER_STARTING)
        return 0;
    waiting_failed(place, result, "was starting", error);
    error_text(&error->hint, "it goes on starting, perhaps to recover from a crash: see its log, and run this again");
    return -1;
}

static int cannot_start(const struct place *place, const char *why, struct error *error)
{
    char *tail = place_file_tail(place->log), *data = place_quote(place->data);
    error_set(error, ERROR_CONNECTION, "the local server in %s does not start: %s", place->data, why);
    if (tail[0] != '\0')
        error_text(&error->detail, "%s", tail);
    error_text(&error->hint, "its log is %s; when its data may go, remove the folder (rm -r %s) and it is made anew",
               place->log, data);
    place_explain_disk(place, error);
    free(data);
    free(tail);
    return -1;
}

/* Removes a lock file of PostgreSQL's whose pid is alive and somebody else's: PostgreSQL itself would take that process
   for its own server and not start. (Where no process has the pid, it removes the file itself.) What may be left of a
   killed server is found by PostgreSQL all the same, by its shared memory. */
static void remove_stale(const char *path)
{
    if (unlink(path) == 0)
        report_log(REPORT_DEBUG, "dmlua.server", "Removed the stale file %s", path);
}

/* The socket's lock file may be of a server whose data folder was removed or moved away while it ran: nobody reaches it
   by its folder any more, and it is ours to end. SIGQUIT, because a shutdown in order ends with a checkpoint, which
   PostgreSQL writes to pg_control by its absolute path: that of the folder that is about to take its place. */
int postmaster_end_orphan(const struct place *place, struct error *error)
{
    char path[PATH_MAX], text[PID_FILE_BYTES], line[PATH_MAX];
    struct wait wait;
    enum wait_result result = WAIT_MORE;
    pid_t pid;
    snprintf(path, sizeof path, "%s/.s.PGSQL." POSTMASTER_PORT ".lock", place->sockets);
    if (!read_file(path, text, sizeof text))
        return 0;
    copy_line(text, LINE_PID, line, sizeof line);
    pid = (pid_t)atol(line);
    copy_line(text, LINE_DATA, line, sizeof line);
    wait_begin(&wait, STOP_LIMIT_MS);
    if (pid > 1 && is_postmaster_of(pid, line))
        kill(pid, SIGQUIT);
    while (pid > 1 && is_postmaster_of(pid, line) && result == WAIT_MORE)
        result = wait_pause(&wait);
    if (result != WAIT_MORE)
        return waiting_failed(place, result, "of a data folder that is gone was stopping", error);
    remove_stale(path);
    return 0;
}

/* Starts the program with its output in the log. What stands in the arguments cannot be undone by ALTER SYSTEM. */
static pid_t spawn(const struct place *place, const char *programs, struct error *error)
{
    char *program = NULL, *cluster = NULL;
    pid_t pid = -1;
    int log = open(place->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0)
        return cannot_start(place, strerror(errno), error);
    error_text(&program, "%s/postgres", programs);
    error_text(&cluster, "cluster_name=%s", place->name);
    {
        const char *const argv[] = {
            program, "-D", place->data, "-k", place->sockets, "-p", POSTMASTER_PORT, "-c", "listen_addresses=", "-c",
            "unix_socket_permissions=0700", "-c", cluster, "-c", "logging_collector=off", "-c",
            "log_destination=stderr", NULL};
        pid = process_start(&place->user, argv, log, error);
    }
    close(log);
    free(program);
    free(cluster);
    return pid;
}

/* One attempt. Returns 1 when the server is ready, 0 when it ended at once, -1 on an error. */
static int launch(const struct place *place, const char *programs, struct error *error)
{
    struct postmaster found;
    struct wait wait;
    enum wait_result result = WAIT_MORE;
    pid_t pid = spawn(place, programs, error);
    if (pid < 0)
        return -1;
    wait_begin(&wait, START_LIMIT_MS);
    while (result == WAIT_MORE) {
        if (process_ended(pid))
            return 0;
        postmaster_look(place, &found);
        if (found.pid == pid && found.state == POSTMASTER_READY)
            return 1;
        result = wait_pause(&wait);
    }
    return waiting_failed(place, result, "was starting", error);
}

int postmaster_start(const struct place *place, const char *programs, struct error *error)
{
    char path[PATH_MAX];
    struct postmaster before;
    struct wait wait;
    int ready;
    if (place_make_sockets(place, error) != 0)
        return -1;
    postmaster_look(place, &before);
    snprintf(path, sizeof path, "%s/postmaster.pid", place->data);
    if (before.stale && before.pid > 1 && kill(before.pid, 0) == 0)
        remove_stale(path);
    rename(place->log, place->log_before);
    unlink(place->known);
    /* The backends of a postmaster that was killed take a moment to notice, and hold its shared memory as long. */
    wait_begin(&wait, before.stale ? ORPHANS_LIMIT_MS : 0);
    do
        ready = launch(place, programs, error);
    while (ready == 0 && wait_pause(&wait) == WAIT_MORE);
    if (ready == 0)
        return cannot_start(place, "it ended at once", error);
    return ready > 0 ? 0 : -1;
}

int postmaster_stop(const struct place *place, const struct postmaster *found, struct error *error)
{
    /* One whose folder was moved cannot write its last checkpoint (see postmaster_end_orphan); the next start
       recovers */
    int number = found->here ? SIGINT : SIGQUIT;
    struct postmaster now = *found;
    struct wait wait;
    enum wait_result result = WAIT_MORE;
    if (found->state != POSTMASTER_STOPPING && kill(found->pid, number) != 0 && errno != ESRCH) {
        error_set(error, ERROR_CONNECTION, "cannot stop the local server, process %ld: %s", (long)found->pid,
                  strerror(errno));
        return -1;
    }
    wait_begin(&wait, STOP_LIMIT_MS);
    while (now.state != POSTMASTER_NONE && now.pid == found->pid && result == WAIT_MORE) {
        result = wait_pause(&wait);
        postmaster_look(place, &now);
    }
    if (result == WAIT_MORE || now.state == POSTMASTER_NONE)
        return 0;
    waiting_failed(place, result, "was stopping", error);
    error_text(&error->hint, "its process is %ld; kill -QUIT %ld ends it at once, and the next start recovers",
               (long)found->pid, (long)found->pid);
    return -1;
}
