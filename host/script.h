#ifndef DMLUA_SCRIPT_H
#define DMLUA_SCRIPT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/error.h"

/* A migration file, as its header and its leading comment describe it. Borrowed from the tree. */
struct script {
    const char *revision; /* of a fix its name */
    const char *const *down;
    size_t down_count;
    const char *const *labels;
    size_t label_count;
    const char *const *depends;
    size_t depends_count;
    const char *const *replaces; /* a baseline: the ids that it stands for, and the heads among them */
    size_t replaces_count;
    const char *const *replaced_heads;
    size_t replaced_head_count;
    const char *message;         /* first paragraph of the comment, on one line; "" if there is none */
    const char *doc;             /* the whole comment */
    const char *create_date;     /* as written there; null: not said */
    const char *path;            /* as a user would type it */
    const char *lib;             /* the folder that `require` looks in */
    const struct limits *limits; /* what it may use */
    char sha256[65];             /* of the file as it was read, lower-case hex */
    bool has_upgrade;
    bool has_downgrade;
    bool fix;          /* an ad-hoc fix: run(tenant), and no place in a tree's history */
    bool python;       /* written for Alembic: its header is known, and it is never run */
    const char *fault; /* what in the header of a Python file cannot be read; null: nothing */
    int fault_line;
};

/* The scripts of one service in load order: sorted file names, one folder of revisions after the other. */
struct tree;
struct graph;

/* The folders of revisions, as a user would type them. Borrowed. */
size_t tree_locations(const struct tree *tree, char *const **locations);

size_t tree_count(const struct tree *tree);
const struct script *tree_at(const struct tree *tree, size_t i);
/* Null when there is none. `revision` is a whole id. */
const struct script *tree_find(const struct tree *tree, const char *revision);
/* Borrowed. */
const struct graph *tree_graph(const struct tree *tree);

/* Is it a Lua file that has a function `entry` ("upgrade", "downgrade")? An error that says what to do if not;
   asked when a plan is made, before its first step runs. */
int script_check(const struct script *script, const char *entry, struct error *error);

/* Fills a fix's script: the file at `path`, found as a user typed it. Its header goes to the top of the stack, as
   lua/dmlua/fix.lua reads it. Raises what is wrong with it. [-0, +1] */
void fix_read(lua_State *L, struct script *script);

/* [-1, +0] Compiles the file anew, in a fresh environment over the vocabulary made from the bind table at the
   top, checks that it is the file that was read, runs its top level and calls `entry` (of a fix, what drives it); all
   of it under the limits of host/limit.h. Never raises. An error table that was raised passes through as it is; every
   error has the author's place. */
int script_run(lua_State *L, const struct script *script, const char *entry, struct error *error);

#endif
