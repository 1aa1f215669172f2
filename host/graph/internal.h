#ifndef DMLUA_GRAPH_INTERNAL_H
#define DMLUA_GRAPH_INTERNAL_H

#include <stdint.h>

#include "host/graph.h"

/* memory.c: there is no way on without memory, so these abort, as error.c does; what they return is never
 * null. */
void *memory_take(size_t count, size_t size); /* zeroed; owned: free */
void *memory_grow(void *block, size_t count, size_t size);

/* Many small things that are freed together. */
struct pool {
    struct pool_chunk *chunk;
};
void *pool_take(struct pool *pool, size_t count, size_t size);
const char *pool_text(struct pool *pool, const char *text); /* null stays null */
void pool_free(struct pool *pool);

/* A text that grows. */
struct text {
    char *at;
    size_t length, capacity;
};
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Both keep what is already set, and graph_fail returns -1. */
int graph_fail(struct graph_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
void graph_hint(struct graph_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct node {
    const char *id, *path, *message;
    const char *const *down, *const *labels, *const *depends;
    uint32_t down_count, label_count, depends_count;
    const char *const *replaces, *const *replaced_heads;
    uint32_t replaces_count, replaced_head_count;
};

struct name {
    const char *text;
    uint32_t hash;
    uint32_t node : 31;
    uint32_t label : 1;
};

/* The neighbours of node n are items[start[n]] to items[start[n + 1] - 1], each once. */
struct links {
    uint32_t *start, *items;
};
#define LINKS_EACH(links, n, i)                                                                              \
    uint32_t i = (links)->start[n];                                                                          \
    i < (links)->start[(n) + 1];                                                                             \
    i++
static inline uint32_t links_count(const struct links *links, uint32_t n)
{
    return links->start[n + 1] - links->start[n];
}

struct graph {
    struct pool pool;
    struct node *nodes;
    uint32_t count, capacity;
    struct name *names; /* ids in load order, then labels */
    uint32_t name_count, name_capacity;
    uint32_t *table; /* hash table: number of a name + 1, or 0 */
    uint32_t table_size;
    uint32_t *doubles; /* nodes whose id was taken already */
    uint32_t double_count;
    struct links down, children;   /* by down_revision */
    struct links needs, needed_by; /* by down_revision and depends_on */
    uint32_t *order;               /* parents and dependencies first */
    struct labels *labels;
    struct replaced *replaced; /* sorted by id */
    size_t replaced_count;
};

struct set;

/* names.c */
bool name_put(struct graph *graph, const char *text, uint32_t node, bool label); /* false: taken already */
const struct name *name_find(const struct graph *graph, const char *text);
/* Appends to `text`, if anything is near enough, "did you mean …" with the nearest names first. */
void name_suggest(const struct graph *graph, const char *wanted, struct text *text);

/* links.c and check.c, the two halves of graph_finish */
int graph_link(struct graph *graph, struct graph_error *error);
int graph_check_cycles(struct graph *graph, struct graph_error *error);      /* fills graph->order */
void node_show(const struct graph *graph, uint32_t node, struct text *text); /* "id (path)" */

/* replaced.c: an id that is no longer in the graph, because a baseline stands for it. */
struct replaced {
    const char *id;
    uint32_t node; /* the baseline */
    bool head;     /* nothing that is replaced came after it */
    bool last;     /* … and it is the only such one: whoever has it has all that is replaced */
};
int replaced_collect(struct graph *graph, struct graph_error *error); /* a part of graph_finish */
const struct replaced *replaced_find(const struct graph *graph, const char *id);
/* Adds to `set` the baselines for which all heads that they replace are among the rows, unless another row has them
   already; refuses rows from the middle of what is replaced. */
int replaced_rows(const struct graph *graph, const char *const *rows, size_t count, struct set *set,
                  struct graph_error *error);

/* labels.c: the branch names of every revision, found when they are first asked for. */
struct label_set {
    uint32_t count;
    const char *names[]; /* sorted */
};
struct labels *labels_new(void);
void labels_free(struct labels *labels);
const struct label_set *labels_of(const struct graph *graph, uint32_t node); /* null for none */

/* set.c: a set of nodes that keeps the order in which they came. */
struct set {
    bool *has;
    uint32_t *items;
    size_t count;
};
void set_open(struct set *set, const struct graph *graph);
void set_close(struct set *set); /* frees; a zeroed set may be closed too */
void set_add(struct set *set, uint32_t node);
void set_copy(struct set *to, const struct set *from);
void set_follow(struct set *set, const struct links *links); /* adds all that can be reached */
void set_list(struct set *set, struct graph_list *list);     /* empties the set */

/* identifier.c */
#define NODE_BASE UINT32_MAX /* below every base */

/* The revisions on the line of one: its ancestors, itself and its descendants by down_revision. */
struct branch {
    const char *label;
    uint32_t node;
    struct set kin;
};
int branch_open(const struct graph *graph, const char *label, struct branch *branch,
                struct graph_error *error);
void branch_close(struct branch *branch);

/* [LABEL@][SYMBOL][+N|-N]; absent parts are null. Owned: identifier_free. */
struct identifier {
    char *memory;
    const char *label, *symbol, *relative; /* `relative` as typed, with its sign */
    long steps;
};
void identifier_parse(struct identifier *identifier, const struct graph *graph, const char *text);
void identifier_free(struct identifier *identifier);

bool labels_known(const struct graph *graph); /* is there any? */

/* resolve.c */
/* An id or a prefix, on `branch` unless that is null. */
int resolve_name(const struct graph *graph, const char *text, const struct branch *branch, uint32_t *node,
                 struct graph_error *error);
/* [LABEL@]NAME, where NAME may be head, heads or base; adds to `set`. `shown` is the argument as the user
   typed it; null for stamp, which has words of its own for several heads. */
int resolve_all(const struct graph *graph, const char *text, const char *shown, struct set *set,
                struct graph_error *error);
/* The same for at most one; NODE_BASE for none. */
int resolve_one(const struct graph *graph, const char *text, const char *shown, uint32_t *node,
                struct graph_error *error);

/* rows.c */
/* Rows are whole ids; one that no file has is refused. */
int resolve_rows(const struct graph *graph, const char *const *rows, size_t count, struct set *set,
                 struct graph_error *error);
/* Refuses a set (of rows, or of targets) in which one revision is an ancestor of another one. */
int check_overlap(const struct graph *graph, const struct set *set, bool rows, struct graph_error *error);

/* walk.c */
/* Goes `steps` up (> 0, on `branch` unless that is null) or down from `from`, which may be NODE_BASE. Where
   the tree ends too early: stays there if `stop_at_end`, else `too_far`. */
struct walk {
    uint32_t from;
    long steps;
    const struct branch *branch;
    bool stop_at_end;
    uint32_t end;
    bool too_far;
    long done; /* steps */
};
void walk_bases(const struct graph *graph, struct set *set); /* adds those without parents */
int walk_run(const struct graph *graph, struct walk *walk, struct graph_error *error);
/* Says how far one could have gone. */
void walk_hint(const struct graph *graph, const struct walk *walk, struct graph_error *error);

/* target.c */
int fail_relative(const struct identifier *id, struct graph_error *error);
/* Adds what a target names where no database says where +N and -N begin: any identifier but these. `shown` is for
   errors, null those of stamp. */
int target_given(const struct graph *graph, const char *target, const char *shown, struct set *targets,
                 struct graph_error *error);
int target_upgrade(const struct graph *graph, const char *target, const struct set *rows, bool stop_at_end,
                   struct set *targets, struct graph_error *error);
/* Fills the revision to go down to, and the name of the branch to stay on (left empty for none). */
int target_downgrade(const struct graph *graph, const char *target, const struct set *rows, uint32_t *node,
                     struct text *label, struct graph_error *error);

/* listing.c: the applied revisions that no other applied one comes after by down_revision. */
void current_nodes(const struct graph *graph, const struct set *rows, struct set *current);

/* order.c: puts `set` in newest first order. */
void set_sort_newest(const struct graph *graph, struct set *set);

/* plan.c */
struct planning {
    const struct graph *graph;
    struct graph_plan *plan;
    struct pool *pool; /* of the plan */
    bool *present;     /* the version rows at this moment */
    struct set seen;   /* all that ever was a row */
    size_t capacity;   /* of plan->steps */
};
/* A new step with room for so many changes. */
struct graph_step *plan_add(struct planning *planning, const char *revision, bool up, size_t deletes,
                            size_t inserts);
void plan_delete(struct planning *planning, struct graph_step *step, uint32_t node);
void plan_insert(struct planning *planning, struct graph_step *step, uint32_t node);
const char *plan_join(struct planning *planning, const char *const *names, size_t count);

/* replaced.c: the steps that make rows which are replaced the baseline's own, before any other. */
void plan_adopt(struct planning *planning, const struct set *rows, const char *const *names, size_t count);

/* upgrade.c, downgrade.c, stamp.c */
int plan_upgrade(struct planning *planning, const char *const *targets, size_t count, const struct set *rows,
                 struct graph_error *error);
int plan_downgrade(struct planning *planning, const char *const *targets, size_t count,
                   const struct set *rows, struct graph_error *error);
/* `purged`: the rows that --purge takes away, whatever they are; `rows` is empty then. */
int plan_stamp(struct planning *planning, const char *const *targets, size_t count, const struct set *rows,
               const char *const *purged, size_t purged_count, struct graph_error *error);

#endif
