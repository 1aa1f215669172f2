/* The folder of a service's scripts. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/script/internal.h"

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

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Alembic's words. */
static int missing_folder(const char *path, struct error *error)
{
    error_set(error, ERROR_USAGE,
              "Path doesn't exist: %s.  Please use the 'init' command to create a new scripts folder.", path);
    if (strchr(path, ':') != NULL)
        error_text(&error->hint, "of PACKAGE:FOLDER the package is looked for beside the configuration and in src/; "
                                 "write the folder itself as script_location");
    else
        error_text(&error->hint, "`dmlua init` makes one; script_location in the configuration says where it is");
    return -1;
}

/* A folder of `version_locations`. Alembic passes over one that is not there; a volume that was not mounted
   would then look like a database that needs nothing. */
static int missing_location(const char *path, struct error *error)
{
    error_set(error, ERROR_USAGE, "Path doesn't exist: %s (named by version_locations)", path);
    error_text(&error->hint, "make the folder, or take it out of version_locations%s",
               strpbrk(path, ":;") != NULL
                   ? "; of several folders path_separator (os, newline, : or ;) says what stands between them"
                   : "");
    return -1;
}

/* The folders of revisions, as a user would type them. */
static void take_locations(struct tree *tree, const struct tree_places *places)
{
    size_t i;
    tree->location_count = places->version_count > 0 ? places->version_count : 1;
    tree->locations = calloc(tree->location_count, sizeof *tree->locations);
    if (tree->locations == NULL)
        abort();
    for (i = 0; i < places->version_count; i++)
        tree->locations[i] = shown_path(places->folder, places->versions[i]);
    if (places->version_count == 0)
        tree->locations[0] = path_join(tree->root, "versions");
}

static int take_files(struct tree *tree, const struct tree_places *places, struct error *error)
{
    size_t i;
    for (i = 0; i < tree->location_count; i++) {
        const char *path = tree->locations[i];
        if (!is_folder(path))
            return places->version_count > 0 ? missing_location(path, error) : missing_folder(path, error);
        if (files_add(&tree->files, path, places->recursive, error) != 0)
            return -1;
    }
    tree->scripts = calloc(tree->files.count + 1, sizeof *tree->scripts);
    if (tree->scripts == NULL)
        abort();
    return 0;
}

int tree_open(struct tree *tree, const struct tree_places *places, struct error *error)
{
    if (places->location == NULL || *places->location == '\0') {
        /* Alembic's words */
        error_set(error, ERROR_USAGE, "No 'script_location' key found in configuration.");
        error_text(&error->hint, "script_location names the folder that holds versions/");
        return -1;
    }
    tree->root = shown_path(places->folder, places->location);
    if (!is_folder(tree->root))
        return missing_folder(tree->root, error);
    tree->lib = path_join(tree->root, "lib");
    take_locations(tree, places);
    return take_files(tree, places, error);
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
        .replaces = script->replaces,
        .replaces_count = script->replaces_count,
        .replaced_heads = script->replaced_heads,
        .replaced_head_count = script->replaced_head_count,
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
    if (tree_settle(tree, error) != 0)
        return -1;
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
    for (i = 0; i < tree->location_count; i++)
        free(tree->locations[i]);
    for (i = 0; i < tree->count; i++)
        script_free(&tree->scripts[i]);
    files_free(&tree->files);
    free(tree->locations);
    free(tree->scripts);
    free(tree->root);
    free(tree->lib);
    memset(tree, 0, sizeof *tree);
}

size_t tree_locations(const struct tree *tree, char *const **locations)
{
    *locations = tree->locations;
    return tree->location_count;
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
