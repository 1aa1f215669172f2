#ifndef DMLUA_SCRIPT_INTERNAL_H
#define DMLUA_SCRIPT_INTERNAL_H

#include "host/graph.h"
#include "host/limit.h"
#include "host/script.h"
#include "host/script/files.h"

struct tree {
    char *root; /* the folders, as a user would type them */
    char *lib;
    char **locations; /* … of revisions */
    size_t location_count;
    struct limits limits;
    bool hashed; /* the scripts' SHA-256 is wanted: a verb that asks a database compares them */
    struct files files; /* of all locations; a path that has been read belongs to its script */
    size_t count;
    struct script *scripts;
    struct graph *graph; /* borrowed: the tree's user value holds it */
};

/* Where the configuration says that scripts are. Borrowed. */
struct tree_places {
    const char *folder;    /* what relative paths are under */
    const char *location;  /* script_location; null: not said */
    char *const *versions; /* version_locations; none: versions/ in the location */
    size_t version_count;
    bool recursive; /* with the folders in them */
};

/* Finds the folders and lists the files of revisions. */
int tree_open(struct tree *tree, const struct tree_places *places, struct error *error);
/* Makes the graph, after the last script has been read. */
int tree_finish(struct tree *tree, struct error *error);
void tree_free(struct tree *tree);
void script_free(struct script *script);

/* settle.c: leaves the files out that another one stands for: of a revision in Lua and in Python, the latter, and
   what a baseline replaces. An error when a Python file that is left cannot be read. */
int tree_settle(struct tree *tree, struct error *error);

/* [-0, +0] The header of a Python file, of that text; 1 is the module dmlua.script. Raises. */
void python_header_read(lua_State *L, struct script *script, const char *text, size_t size);
int script_fault(const struct script *script, struct error *error);
/* A text field of the table at the top, copied; null when it is none. */
char *script_field(lua_State *L, const char *name);

/* comment.c: the script's doc, message and creation date, from the comment that a Lua file begins with, … */
void comment_read(struct script *script, const char *text, size_t size);
/* … or from a text that says them, which it takes over. */
void comment_take(struct script *script, char *doc);

/* [-0, +1] Room for texts, one after the other. */
void chunk_room(lua_State *L);
/* [-0, +0] The text of a file, with a NUL behind it, and unless null its SHA-256. It stays in the room at the stack
   index `room` until that is used again. Raises. */
const char *chunk_text(lua_State *L, int room, const char *path, size_t *size, char sha256[65]);
/* [-0, +1] The same as a string. */
void chunk_read(lua_State *L, const char *path, char sha256[65]);
/* [-2, +1] The text below the environment at the top → the file's main function. Raises. */
void chunk_compile(lua_State *L, const char *path);

/* [-(arguments + 1), +results or 0] Runs a function in `thread`, where it and its arguments stand at the top.
   -1, and the error, if it did not come to its end. */
int chunk_resume(lua_State *L, lua_State *thread, int arguments, int results, struct error *error);

/* Reads the headers of all files into the tree. Raises. */
void tree_read(lua_State *L, struct tree *tree);

#endif
