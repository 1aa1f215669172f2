#ifndef DMLUA_GRAPH_H
#define DMLUA_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

/* Revisions in, resolved identifiers and ordered plans out. Knows no database, no file and no Lua; every
   answer costs time linear in revisions and links, and nothing recurses, so that neither a long chain nor
   many paths hurt. */
struct graph;

/* What a migration file says about itself. `path` and `message` may be null. */
struct graph_source {
    const char *id;
    const char *const *down;
    size_t down_count;
    const char *const *labels;
    size_t label_count;
    const char *const *depends; /* ids or labels */
    size_t depends_count;
    const char *path;
    const char *message;
    const char *const *replaces; /* a baseline: the ids that it stands for; no revision of the graph has one of them */
    size_t replaces_count;
    const char *const *replaced_heads; /* those of them that nothing came after: the rows of who has them all */
    size_t replaced_head_count;
};

/* Every error of the graph is a usage error. Both strings are owned; graph_error_clear frees them. `message`
   holds Alembic's own words where Alembic has words for it, so that scripts which look for them still find
   them. */
struct graph_error {
    char *message;
    char *hint; /* the way out; may be null */
};
void graph_error_clear(struct graph_error *error);

struct graph *graph_new(void); /* owned: graph_free */
void graph_free(struct graph *graph);

/* Copies what it is given. The order of the calls is the load order, which decides ties. */
int graph_add(struct graph *graph, const struct graph_source *source, struct graph_error *error);
/* Once, after the last graph_add: resolves every name and refuses what is missing, double or cyclic. */
int graph_finish(struct graph *graph, struct graph_error *error);

enum graph_command {
    GRAPH_UPGRADE,
    GRAPH_DOWNGRADE,
    GRAPH_STAMP,
    /* Flags, or-ed to the command. */
    GRAPH_OFFLINE = 8, /* for --sql: a target may be START:END, and START takes the place of the rows */
    GRAPH_PURGE = 16   /* for stamp: the rows are deleted first, whatever they are */
};

/* One revision in one direction; its changes of the version table are exact: when every step deletes and
   inserts what it says, the table holds after each step the applied revisions that no other applied one names
   in down_revision or depends_on. Strings are borrowed from the graph or belong to the plan. */
struct graph_step {
    const char *revision; /* of stamp: the one that is stamped, "" when rows are only removed */
    bool up;
    bool adopts; /* rows that `revision`, a baseline, replaces become its own; nothing is to be run */
    const char *from, *to; /* as in Alembic's "Running upgrade FROM -> TO": joined by ", "; base is "" */
    size_t delete_count;
    const char **deletes;
    size_t insert_count;
    const char **inserts;
};

struct graph_plan {
    size_t step_count;
    struct graph_step *steps;
    size_t head_count;
    const char **heads; /* the rows afterwards, sorted */
    void *memory;
};

/* Plans `command` (an enum graph_command, flags or-ed to it) for the targets, from the rows of the version
   table. The plan is owned (graph_plan_free) and lives no longer than the graph. */
int graph_plan(const struct graph *graph, unsigned command, const char *const *targets, size_t target_count,
               const char *const *rows, size_t row_count, struct graph_plan *plan, struct graph_error *error);
void graph_plan_free(struct graph_plan *plan);

/* Lists of revisions, as numbers below graph_count in load order. */
struct graph_list {
    size_t count;
    unsigned *revisions; /* owned: graph_list_free */
};
void graph_list_free(struct graph_list *list);

size_t graph_count(const struct graph *graph);
const char *graph_id(const struct graph *graph, unsigned revision);             /* borrowed */
bool graph_find(const struct graph *graph, const char *id, unsigned *revision); /* an exact id */

/* What one revision is and where it stands. All is borrowed from the graph. */
struct graph_revision {
    const char *id, *path, *message;
    const char *const *down, *const *depends, *const *own_labels; /* as the file has them */
    size_t down_count, depends_count, own_label_count;
    const char *const *labels; /* the names of the branches it lies on, sorted */
    size_t label_count;
    const unsigned *parents, *children, *dependents; /* by down_revision; by down_revision or depends_on */
    size_t parent_count, child_count, dependent_count;
};
void graph_describe(const struct graph *graph, unsigned revision, struct graph_revision *description);

void graph_heads(const struct graph *graph, bool resolve_dependencies, struct graph_list *list);
void graph_bases(const struct graph *graph, struct graph_list *list);
/* Parents and dependencies first. */
void graph_order(const struct graph *graph, struct graph_list *list);
/* An identifier as `show` takes it: id, prefix, head, heads, base, LABEL@…, and, unless `rows` is null, current. */
int graph_resolve(const struct graph *graph, const char *text, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error);
/* The rows' revisions and all that they stand upon, by down_revision or depends_on. */
int graph_applied(const struct graph *graph, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error);
/* What `current` lists: the rows, and the branch heads that the rows' dependencies imply. */
int graph_current(const struct graph *graph, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error);
/* The rows as the graph has them: those that a baseline replaces are the baseline. */
int graph_rows(const struct graph *graph, const char *const *rows, size_t row_count, struct graph_list *list,
               struct graph_error *error);
/* Newest first. `range` is null, or Alembic's START:END where each side may be empty; `current` needs rows.
 */
int graph_history(const struct graph *graph, const char *range, const char *const *rows, size_t row_count,
                  struct graph_list *list, struct graph_error *error);

#endif
