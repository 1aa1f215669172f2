#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/config/internal.h"
#include "host/config/text.h"

/* A variable that is empty is not set. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* The path as a user would type it: from the current folder where it lies below that. */
static char *path_shown(const char *path, const char *current)
{
    size_t size = strcmp(current, "/") == 0 ? 0 : strlen(current);
    if (strncmp(path, current, size) == 0 && path[size] == '/' && path[size + 1] != '\0')
        return text_copy(path + size + 1);
    return text_copy(path);
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

static char *path_join(const char *folder, const char *name)
{
    return text_format("%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", name);
}

/* dmlua.ini, then alembic.ini, in `current` and then in each folder above it. Owned; null: there is none. */
static char *find_upwards(const char *current)
{
    static const char *const names[] = {"dmlua.ini", "alembic.ini"};
    char *folder = text_copy(current), *path = NULL;
    for (;;) {
        char *slash = strrchr(folder, '/');
        size_t i;
        for (i = 0; i < 2 && path == NULL; i++) {
            path = path_join(*folder != '\0' ? folder : "/", names[i]);
            if (!is_file(path)) {
                free(path);
                path = NULL;
            }
        }
        if (path != NULL || slash == NULL || *folder == '\0')
            break;
        *slash = '\0';
    }
    free(folder);
    return path;
}

/* A file that was named must be there. */
static char *find_named(const char *name, const char *current, const char *origin, struct error *error)
{
    char *path = *name == '/' ? text_copy(name) : path_join(current, name);
    struct stat info;
    if (stat(path, &info) != 0) {
        /* Alembic's words stand first: scripts look for them. */
        error_set(error, ERROR_USAGE, "No config file '%s' found (%s): %s", name, origin, strerror(errno));
    } else if (S_ISDIR(info.st_mode)) {
        error_set(error, ERROR_USAGE, "No config file '%s' found (%s): it is a folder", name, origin);
        error_text(&error->hint, "name the file in it: %s/dmlua.ini", name);
    } else {
        return path;
    }
    free(path);
    return NULL;
}

int locate_file(const char *given, char **path, char **shown, struct error *error)
{
    const char *name = given != NULL ? given : variable("DMLUA_CONFIG");
    char *current = getcwd(NULL, 0);
    *path = *shown = NULL;
    if (current == NULL) {
        error_set(error, ERROR_USAGE, "cannot tell the current folder: %s", strerror(errno));
        return -1;
    }
    if (name != NULL) {
        *path = find_named(name, current, given != NULL ? "-c" : "DMLUA_CONFIG", error);
    } else if ((*path = find_upwards(current)) == NULL) {
        error_set(error, ERROR_USAGE, "there is no dmlua.ini or alembic.ini in this folder or one above it");
        error_text(&error->hint, "`dmlua init` makes one; -c FILE or DMLUA_CONFIG names one elsewhere");
    }
    if (*path != NULL)
        *shown = path_shown(*path, current);
    free(current);
    return *path != NULL ? 0 : -1;
}
