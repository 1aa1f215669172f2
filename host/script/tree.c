/* The folder of a service's scripts. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/script/internal.h"

static char *join(const char *folder, const char *name)
{
    char *path = NULL;
    if (strcmp(folder, ".") == 0)
        error_text(&path, "%s", name);
    else
        error_text(&path, "%s/%s", folder, name);
    return path;
}

/* A path as a user would type it: relative where it lies below the current folder. */
static char *shown_path(const char *folder, const char *location)
{
    char current[PATH_MAX];
    char *path = NULL;
    size_t size;
    while (strncmp(location, "./", 2) == 0)
        location += 2;
    error_text(&path, "%s", location);
    if (*location != '/' && folder != NULL && *folder != '\0' && strcmp(folder, ".") != 0)
        error_text(&path, "%s/%s", folder, location);
    size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
    if (getcwd(current, sizeof current) == NULL)
        return path;
    size = strlen(current);
    while (strlen(path) > 2 && strcmp(path + strlen(path) - 2, "/.") == 0)
        path[strlen(path) - 2] = '\0';
    if (strcmp(path, current) == 0)
        strcpy(path, ".");
    else if (strncmp(path, current, size) == 0 && path[size] == '/')
        memmove(path, path + size + 1, strlen(path + size + 1) + 1);
    return path;
}

/* What an editor leaves behind begins with "." or "#" or does not end in ".lua". */
static int is_script_name(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 4 && *entry->d_name != '.' && *entry->d_name != '#' && strcmp(entry->d_name + size - 4, ".lua") == 0;
}

/* As Alembic sorts them, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Alembic's words. */
static int missing_folder(const char *path, struct error *error)
{
    error_set(error, ERROR_USAGE, "Path doesn't exist: %s.  Please use the 'init' command to create a new scripts folder.",
              path);
    error_text(&error->hint, "`dmlua init` makes one; script_location in the configuration says where it is");
    return -1;
}

static void take_names(struct tree *tree, struct dirent **entries, int count)
{
    int i;
    tree->names = calloc((size_t)count + 1, sizeof *tree->names);
    tree->scripts = calloc((size_t)count + 1, sizeof *tree->scripts);
    if (tree->names == NULL || tree->scripts == NULL)
        abort();
    for (i = 0; i < count; i++) {
        error_text(&tree->names[tree->name_count++], "%s", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

int tree_open(struct tree *tree, const char *folder, const char *location, struct error *error)
{
    struct dirent **entries;
    char *root;
    int count;
    if (location == NULL || *location == '\0') {
        error_set(error, ERROR_USAGE, "No 'script_location' key found in configuration."); /* Alembic's words */
        error_text(&error->hint, "script_location names the folder that holds versions/");
        return -1;
    }
    root = shown_path(folder, location);
    if (!is_folder(root)) {
        missing_folder(root, error);
        free(root);
        return -1;
    }
    tree->versions = join(root, "versions");
    tree->lib = join(root, "lib");
    free(root);
    if (!is_folder(tree->versions))
        return missing_folder(tree->versions, error);
    count = scandir(tree->versions, &entries, is_script_name, by_name);
    if (count < 0) {
        error_set(error, ERROR_USAGE, "%s cannot be read: %m", tree->versions);
        return -1;
    }
    take_names(tree, entries, count);
    return 0;
}

static void set_graph_error(struct graph_error *failure, const char *path, struct error *error)
{
    error_set(error, ERROR_USAGE, "%s", failure->message);
    if (failure->hint != NULL)
        error_text(&error->hint, "%s", failure->hint);
    if (path != NULL)
        error_text(&error->file, "%s", path);
    graph_error_clear(failure);
}

static int add_script(struct graph *graph, const struct script *script, struct error *error)
{
    struct graph_error failure = {0};
    struct graph_source source = {
        .id = script->revision,
        .down = script->down,
        .down_count = script->down_count,
        .labels = script->labels,
        .label_count = script->label_count,
        .depends = script->depends,
        .depends_count = script->depends_count,
        .path = script->path,
        .message = script->message,
    };
    if (graph_add(graph, &source, &failure) == 0)
        return 0;
    set_graph_error(&failure, script->path, error);
    return -1;
}

int tree_finish(struct tree *tree, struct error *error)
{
    struct graph_error failure = {0};
    size_t i;
    for (i = 0; i < tree->count; i++)
        if (add_script(tree->graph, &tree->scripts[i], error) != 0)
            return -1;
    if (graph_finish(tree->graph, &failure) == 0)
        return 0;
    set_graph_error(&failure, NULL, error);
    return -1;
}

void tree_free(struct tree *tree)
{
    size_t i;
    for (i = 0; i < tree->name_count; i++)
        free(tree->names[i]);
    for (i = 0; i < tree->count; i++)
        script_free(&tree->scripts[i]);
    free(tree->names);
    free(tree->scripts);
    free(tree->versions);
    free(tree->lib);
    memset(tree, 0, sizeof *tree);
}

size_t tree_count(const struct tree *tree)
{
    return tree->count;
}

const struct script *tree_at(const struct tree *tree, size_t i)
{
    return &tree->scripts[i];
}

const struct graph *tree_graph(const struct tree *tree)
{
    return tree->graph;
}

const struct script *tree_find(const struct tree *tree, const char *revision)
{
    unsigned number; /* load order, as the scripts */
    return graph_find(tree->graph, revision, &number) ? &tree->scripts[number] : NULL;
}
