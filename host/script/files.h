#ifndef DMLUA_SCRIPT_FILES_H
#define DMLUA_SCRIPT_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "host/error.h"

/* Paths of migration files, Lua's and Python's, in load order. Each path is owned. */
struct files {
    char **paths;
    size_t count;
    char **folders; /* the folders they were found in: real paths, each read once */
    size_t folder_count;
};

/* Adds the migration files of a folder, by name, and with `recursive` those of the folders in it, after its own. A
   folder that was read before is passed over with Alembic's warning. */
int files_add(struct files *files, const char *folder, bool recursive, struct error *error);
void files_free(struct files *files);

bool path_ends(const char *path, const char *ending);
/* Owned. A name in "." is the name. */
char *path_join(const char *folder, const char *name);

#endif
