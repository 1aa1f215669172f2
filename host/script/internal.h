#ifndef DMLUA_SCRIPT_INTERNAL_H
#define DMLUA_SCRIPT_INTERNAL_H

#include "host/graph.h"
#include "host/limit.h"
#include "host/script.h"

struct tree {
    char *versions; /* the folders, as a user would type them */
    char *lib;
    struct limits limits;
    size_t name_count;
    char **names; /* the files of `versions`, sorted */
    size_t count;
    struct script *scripts;
    struct graph *graph; /* borrowed: the tree's user value holds it */
};

/* Finds the folders and lists the files of versions/. */
int tree_open(struct tree *tree, const char *folder, const char *location, struct error *error);
/* Makes the graph, after the last script has been read. */
int tree_finish(struct tree *tree, struct error *error);
void tree_free(struct tree *tree);
void script_free(struct script *script);

/* [-0, +1] The text of a file and, unless null, its SHA-256. Raises. */
void chunk_read(lua_State *L, const char *path, char sha256[65]);
/* [-2, +1] The text below the environment at the top → the file's main function. Raises. */
void chunk_compile(lua_State *L, const char *path);

/* [-(arguments + 1), +results or 0] Runs a function in `thread`, where it and its arguments stand at the top. -1, and the
   error, if it did not come to its end. */
int chunk_resume(lua_State *L, lua_State *thread, int arguments, int results, struct error *error);

/* Reads the headers of all files into the tree. Raises. */
void tree_read(lua_State *L, struct tree *tree);

#endif
