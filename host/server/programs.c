#include "host/server/programs.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/server/process.h"

#define DEBIAN_FOLDER "/usr/lib/postgresql"

enum { VERSION_LIMIT_MS = 10000 };

static bool has_program(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, X_OK) == 0;
}

/* initdb and postgres come with the server's package; a folder of psql and pg_dump alone is the client's. */
static bool has_server(const char *folder)
{
    return folder[0] == '/' && has_program(folder, "initdb") && has_program(folder, "postgres");
}

char *programs_version(const struct place_user *user, const char *folder, struct error *error)
{
    char *program = NULL, *text = NULL, *version = NULL, number[32];
    const char *argv[] = {NULL, "-V", NULL};
    error_text(&program, "%s/postgres", folder);
    argv[0] = program;
    if (process_run(user, argv, VERSION_LIMIT_MS, &text, error) == 0
        && sscanf(text, "postgres (PostgreSQL) %31[0-9.]", number) == 1)
        error_text(&version, "%s", number);
    else
        error_set(error, ERROR_CONNECTION, "%s -V does not tell its version: %s", program, text != NULL ? text : "");
    free(program);
    free(text);
    return version;
}

static bool is_major(const struct place_user *user, const char *folder, int major)
{
    struct error error = {0};
    char *version = programs_version(user, folder, &error);
    bool same = version != NULL && atoi(version) == major;
    free(version);
    error_clear(&error);
    return same;
}

static char *find_in_debian(int major)
{
    DIR *folder = opendir(DEBIAN_FOLDER);
    struct dirent *entry;
    char path[PATH_MAX], *found = NULL;
    long newest = 0;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (*end != '\0' || number <= newest || (major != 0 && number != major))
            continue;
        snprintf(path, sizeof path, DEBIAN_FOLDER "/%ld/bin", number);
        if (has_server(path)) {
            newest = number;
            error_text(&found, "%s", path);
        }
    }
    if (folder != NULL)
        closedir(folder);
    return found;
}

/* The folder itself where it has a server of this version, or null. Owned. */
static char *take_folder(const struct place_user *user, int major, const char *folder)
{
    char *real = realpath(folder, NULL);
    if (real != NULL && has_server(real) && (major == 0 || is_major(user, real, major)))
        return real;
    free(real);
    return NULL;
}

static char *ask_pg_config(const struct place_user *user, int major, const char *folder)
{
    struct error error = {0};
    char *program = NULL, *text = NULL, *found = NULL;
    const char *argv[] = {NULL, "--bindir", NULL};
    error_text(&program, "%s/pg_config", folder);
    argv[0] = program;
    if (access(program, X_OK) == 0 && process_run(user, argv, VERSION_LIMIT_MS, &text, &error) == 0)
        found = take_folder(user, major, text);
    free(program);
    free(text);
    error_clear(&error);
    return found;
}

/* Goes through PATH with one of the two questions above. */
static char *find_on_path(const struct place_user *user, int major,
                          char *(*ask)(const struct place_user *, int, const char *))
{
    const char *path = getenv("PATH");
    char *copy = NULL, *folder, *rest, *found = NULL;
    error_text(&copy, "%s", path != NULL ? path : "");
    for (folder = strtok_r(copy, ":", &rest); folder != NULL && found == NULL; folder = strtok_r(NULL, ":", &rest))
        if (folder[0] == '/')
            found = ask(user, major, folder);
    free(copy);
    return found;
}

char *programs_find(const struct place_user *user, int major, struct error *error)
{
    char *found = find_in_debian(major);
    if (found == NULL)
        found = find_on_path(user, major, ask_pg_config);
    if (found == NULL)
        found = find_on_path(user, major, take_folder);
    if (found == NULL && major == 0) {
        error_set(error, ERROR_CONNECTION, "there is no PostgreSQL server on this machine to make a local one with: "
                  "initdb is neither in " DEBIAN_FOLDER "/*/bin, nor where pg_config says, nor on the PATH");
        error_text(&error->hint, "install Debian's package postgresql (apt-get install postgresql), or give url = the "
                   "address of a running server in place of local:");
    }
    return found;
}
