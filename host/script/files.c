/* The files of a folder of revisions. */
#include "host/script/files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/report.h"

char *path_join(const char *folder, const char *name)
{
    char *path = NULL;
    if (strcmp(folder, ".") == 0)
        error_text(&path, "%s", name);
    else
        error_text(&path, "%s/%s", folder, name);
    return path;
}

bool path_ends(const char *path, const char *ending)
{
    size_t size = strlen(path), wanted = strlen(ending);
    return size > wanted && strcmp(path + size - wanted, ending) == 0;
}

/* What an editor leaves behind begins with "." or "#" or has another ending. Of Python's files Alembic takes all but
   a package's own. */
static bool is_script_name(const char *name)
{
    if (*name == '.' || *name == '#')
        return false;
    return path_ends(name, ".lua") || (path_ends(name, ".py") && strncmp(name, "__init__", 8) != 0);
}

/* Python's own folder is passed over as Alembic does, and hidden ones. A link is not followed: it could lead back. */
static bool is_subfolder(const char *path, const char *name)
{
    struct stat status;
    if (*name == '.' || strcmp(name, "__pycache__") == 0)
        return false;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int is_visible(const struct dirent *entry)
{
    return *entry->d_name != '.';
}

/* As Alembic sorts them, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Grows by doubling. Takes the text over. */
static void push(char ***list, size_t *count, char *text)
{
    if ((*count & (*count - 1)) == 0) {
        *list = realloc(*list, (*count == 0 ? 1 : 2 * *count) * sizeof **list);
        if (*list == NULL)
            abort();
    }
    (*list)[(*count)++] = text;
}

/* Whether the folder is read for the first time. */
static bool enter(struct files *files, const char *folder)
{
    char *real = realpath(folder, NULL);
    size_t i;
    for (i = 0; real != NULL && i < files->folder_count; i++) {
        if (strcmp(files->folders[i], real) != 0)
            continue;
        free(real);
        report_log(REPORT_WARN, "dmlua", "%s loaded twice! ignoring. Please ensure version_locations is unique.",
                   folder);
        return false;
    }
    if (real != NULL)
        push(&files->folders, &files->folder_count, real);
    return true;
}

/* The folders that are still to be read, the next one last. */
struct waiting {
    char **folders;
    size_t count;
};

static int read_folder(struct files *files, const char *folder, bool recursive, struct waiting *waiting,
                       struct error *error)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_visible, by_name), i;
    if (count < 0) {
        error_set(error, ERROR_USAGE, "%s cannot be read: %m", folder);
        return -1;
    }
    for (i = count - 1; recursive && i >= 0; i--) {
        char *path = path_join(folder, entries[i]->d_name);
        if (is_subfolder(path, entries[i]->d_name))
            push(&waiting->folders, &waiting->count, path);
        else
            free(path);
    }
    for (i = 0; i < count; i++) {
        if (is_script_name(entries[i]->d_name))
            push(&files->paths, &files->count, path_join(folder, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int files_add(struct files *files, const char *folder, bool recursive, struct error *error)
{
    struct waiting waiting = {0};
    char *next = NULL;
    int result = 0;
    error_text(&next, "%s", folder);
    push(&waiting.folders, &waiting.count, next);
    while (waiting.count > 0) {
        next = waiting.folders[--waiting.count];
        if (result == 0 && enter(files, next))
            result = read_folder(files, next, recursive, &waiting, error);
        free(next);
    }
    free(waiting.folders);
    return result;
}

void files_free(struct files *files)
{
    size_t i;
    for (i = 0; i < files->count; i++)
        free(files->paths[i]);
    for (i = 0; i < files->folder_count; i++)
        free(files->folders[i]);
    free(files->paths);
    free(files->folders);
    memset(files, 0, sizeof *files);
}
