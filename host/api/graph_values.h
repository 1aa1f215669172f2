#ifndef DMLUA_API_GRAPH_VALUES_H
#define DMLUA_API_GRAPH_VALUES_H

#include <lua.h>

#include "host/graph.h"

/* What goes between the graph and Lua. */

/* What a call of the graph may leave to be freed; made before the call, so that no raise can leak it. */
struct answer {
    struct graph_error error;
    struct graph_plan plan;
    bool stamp; /* the plan is one of a stamp */
    struct graph_list list;
};
struct answer *answer_push(lua_State *L); /* [-0, +1] */
/* Raises the answer's error as an error table of dmlua.errors. */
int answer_raise(lua_State *L, const struct answer *answer);
void push_ids(lua_State *L, const struct graph *graph, const unsigned *revisions, size_t count); /* [-0, +1] */
int answer_push_list(lua_State *L, const struct graph *graph, const struct answer *answer); /* [-0, +1] */
int answer_push_numbers(lua_State *L, const struct answer *answer);                         /* [-0, +1] */
/* [-0, +1] An answer whose plan Lua walks; keeps the graph at `index`, which the plan borrows from. */
struct answer *long_plan_push(lua_State *L, int index);

/* A list of texts as C has it. */
struct texts {
    const char *const *at;
    size_t count;
};
/* [-0, +1] The value at `index`, nil, a text or a list of texts, as an array whose memory is pushed. The
   texts stay the table's own. */
struct texts texts_push(lua_State *L, int index, const char *what);

/* [-0, +0] Adds the revision whose table is at the top. */
void revision_add(lua_State *L, struct graph *graph, struct answer *answer);
/* [-0, +1] */
void revision_push(lua_State *L, const struct graph *graph, unsigned revision);
void plan_push(lua_State *L, const struct graph_plan *plan, bool stamp);
/* "stamp", "upgrade" or "downgrade". */
const char *step_direction(const struct graph_step *step, bool stamp);

#endif
