#include "host/server/data.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/report.h"
#include "host/server/process.h"
#include "host/server/programs.h"

enum { INITDB_LIMIT_MS = 180000, REMOVE_DESCRIPTORS = 16, REMOVE_TRIES = 50, REMOVE_PAUSE_MS = 100 };

int data_major(const struct place *place)
{
    char path[PATH_MAX];
    FILE *file;
    int major = 0;
    snprintf(path, sizeof path, "%s/PG_VERSION", place->data);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &major) != 1)
        major = 0;
    fclose(file);
    return major;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* The postgres that a killed initdb had started ends by itself, and makes and removes files until then: what is there
   at one moment is not there at the next. */
static int remove_tree(const char *path)
{
    const struct timespec pause = {.tv_nsec = REMOVE_PAUSE_MS * 1000000L};
    int tries;
    for (tries = 0; tries < REMOVE_TRIES; tries++) {
        if (nftw(path, remove_one, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS) == 0 || access(path, F_OK) != 0)
            return 0;
        if (errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
            return -1;
        nanosleep(&pause, NULL);
    }
    return -1;
}

/* Removes what an initdb left that was killed. */
static int remove_unready(const struct place *place, struct error *error)
{
    struct stat info;
    char *unready;
    if (lstat(place->unready, &info) != 0)
        return 0;
    if (remove_tree(place->unready) == 0)
        return 0;
    error_set(error, ERROR_CONNECTION, "cannot remove the half-made data folder %s: %s", place->unready,
              strerror(errno));
    unready = place_quote(place->unready);
    error_text(&error->hint, "remove it: rm -r %s", unready);
    free(unready);
    return -1;
}

/* initdb takes a folder that is there if it is empty. Made by us, it lies where the server's user cannot write. */
static int make_unready(const struct place *place, struct error *error)
{
    if (mkdir(place->unready, 0700) == 0
        && (!place->user.other || lchown(place->unready, place->user.uid, place->user.gid) == 0))
        return 0;
    error_set(error, ERROR_CONNECTION, "cannot make the data folder %s: %s", place->unready, strerror(errno));
    error_text(&error->hint, "let dmlua write in %s, or give url = the address of a running server", place->root);
    place_explain_disk(place, error);
    return -1;
}

/* Until the first database is made nothing is synced (prepare_make ends that), as initdb was told: it saves a quarter
   of the first start, and what a crash of the machine costs then is made again in a second. */
static int write_settings(const struct place *place, struct error *error)
{
    static const char settings[] = "\nfsync = off # until there is a database: see postgresql.auto.conf\n";
    char path[PATH_MAX];
    FILE *file;
    int written;
    snprintf(path, sizeof path, "%s/postgresql.conf", place->unready);
    file = fopen(path, "ae");
    written = file != NULL ? fputs(settings, file) : EOF;
    if (file != NULL && fclose(file) != 0)
        written = EOF;
    if (written >= 0)
        return 0;
    error_set(error, ERROR_CONNECTION, "cannot write %s: %s", path, strerror(errno));
    place_explain_disk(place, error);
    return -1;
}

/* The end of a text, where programs say what went wrong. */
static const char *last_lines(const char *text, int count)
{
    const char *start = text + strlen(text);
    while (start > text && (start[-1] != '\n' || --count > 0))
        start--;
    return start;
}

static int run_initdb(const struct place *place, const char *programs, struct error *error)
{
    char *program = NULL, *output = NULL;
    const char *argv[] = {NULL, "-D", place->unready, "-U", "postgres", "--auth-local=trust", "--auth-host=reject",
                          "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", NULL};
    int code;
    error_text(&program, "%s/initdb", programs);
    argv[0] = program;
    code = process_run(&place->user, argv, INITDB_LIMIT_MS, &output, error);
    if (code > 0) {
        error_set(error, ERROR_CONNECTION, "%s could not make the local server's data in %s (exit %d)", program,
                  place->root, code);
        error_text(&error->detail, "%s", last_lines(output, 6));
        place_explain_disk(place, error);
    }
    free(program);
    free(output);
    return code == 0 ? 0 : -1;
}

/* Filled under another name and renamed, so that a folder called "data" is always a whole one. */
static int fill(const struct place *place, const char *programs, struct error *error)
{
    struct error ignored = {0};
    if (remove_unready(place, error) != 0 || make_unready(place, error) != 0)
        return -1;
    report_log(REPORT_INFO, "dmlua.server", "Making a private PostgreSQL in %s", place->root);
    if (run_initdb(place, programs, error) == 0 && write_settings(place, error) == 0) {
        if (rename(place->unready, place->data) == 0)
            return 0;
        error_set(error, ERROR_CONNECTION, "cannot rename %s to %s: %s", place->unready, place->data, strerror(errno));
    }
    remove_unready(place, &ignored);
    error_clear(&ignored);
    return -1;
}

static int unfit(const struct place *place, int major, struct error *error)
{
    char *data = place_quote(place->data);
    if (major == 0) {
        error_set(error, ERROR_CONNECTION, "%s is not a PostgreSQL data folder: it has no PG_VERSION", place->data);
        error_text(&error->hint, "look what it holds and remove it (rm -r %s); a new one is made then", data);
    } else {
        error_set(error, ERROR_CONNECTION, "the local server's data in %s was made by PostgreSQL %d, and there is no "
                  "PostgreSQL %d server on this machine", place->data, major, major);
        error_text(&error->hint, "install it (apt-get install postgresql-%d), or, when its data may go, remove the "
                   "folder (rm -r %s): the next run makes a new one", major, data);
    }
    free(data);
    return -1;
}

int data_make(const struct place *place, char **programs, struct error *error)
{
    struct stat info;
    int major;
    *programs = NULL;
    if (lstat(place->data, &info) != 0) {
        *programs = programs_find(&place->user, 0, error);
        return *programs != NULL ? fill(place, *programs, error) : -1;
    }
    major = data_major(place);
    if (major > 0)
        *programs = programs_find(&place->user, major, error);
    return *programs != NULL ? 0 : unfit(place, major, error);
}
