#include <lauxlib.h>

#include "host/api/api.h"
#include "host/api/graph_values.h"

/* dmlua.engine.graph. It needs nothing of the host but the graph: the specs load it without the program. */

#define GRAPH "dmlua.engine.graph"

static int graph_close(lua_State *L)
{
    struct graph **box = luaL_checkudata(L, 1, GRAPH);
    graph_free(*box);
    *box = NULL;
    return 0;
}

static void push_metatable(lua_State *L);

/* [-0, +1] An empty box. */
static struct graph **box_push(lua_State *L)
{
    struct graph **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    push_metatable(L);
    lua_setmetatable(L, -2);
    return box;
}

static int box_make(lua_State *L)
{
    box_push(L);
    return 1;
}

void graph_push(lua_State *L, struct graph *graph)
{
    lua_pushcfunction(L, box_make);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        graph_free(graph);
        lua_error(L);
    }
    *(struct graph **)lua_touserdata(L, -1) = graph;
}

struct graph *graph_check(lua_State *L, int index)
{
    return *(struct graph **)luaL_checkudata(L, index, GRAPH);
}

/* graph.new(list of {revision=, down_revision=, branch_labels=, depends_on=, path=, message=}) */
static int graph_create(lua_State *L)
{
    struct answer *answer;
    struct graph **box;
    lua_Integer i, count;
    luaL_checktype(L, 1, LUA_TTABLE);
    count = luaL_len(L, 1);
    answer = answer_push(L);
    box = box_push(L);
    *box = graph_new();
    for (i = 1; i <= count; i++) {
        if (lua_geti(L, 1, i) != LUA_TTABLE)
            return luaL_argerror(L, 1, "a list of tables expected");
        revision_add(L, *box, answer);
        lua_pop(L, 1);
    }
    if (graph_finish(*box, &answer->error) != 0)
        return answer_raise(L, answer);
    return 1;
}

/* Methods. */

static unsigned flag(lua_State *L, int index, const char *name, unsigned value)
{
    bool set;
    if (lua_isnoneornil(L, index))
        return 0;
    lua_getfield(L, index, name);
    set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set ? value : 0;
}

/* graph, command, targets, rows, flags → `answer`; raises what is refused. Returns the command. */
static unsigned make_plan(lua_State *L, struct answer *answer)
{
    static const char *const commands[] = {"upgrade", "downgrade", "stamp", NULL};
    const struct graph *graph = graph_check(L, 1);
    unsigned command = (unsigned)luaL_checkoption(L, 2, NULL, commands);
    unsigned flags = flag(L, 5, "sql", GRAPH_OFFLINE) | flag(L, 5, "purge", GRAPH_PURGE);
    struct texts targets = texts_push(L, 3, "targets");
    struct texts rows = texts_push(L, 4, "rows");
    if (graph_plan(graph, command | flags, targets.at, targets.count, rows.at, rows.count, &answer->plan,
                   &answer->error) != 0)
        answer_raise(L, answer);
    return command;
}

/* graph:plan("upgrade"|"downgrade"|"stamp", targets, rows, {sql=, purge=}) → {steps=, heads=} */
static int graph_lua_plan(lua_State *L)
{
    struct answer *answer;
    unsigned command;
    lua_settop(L, 5);
    answer = answer_push(L);
    command = make_plan(L, answer);
    plan_push(L, &answer->plan, command == GRAPH_STAMP);
    return 1;
}

/* The same → #plan, plan:step(i), plan:heads(); no step is a value of Lua before it is asked for */
static int graph_lua_long_plan(lua_State *L)
{
    struct answer *answer;
    int plan = 6;
    lua_settop(L, plan - 1);
    answer = long_plan_push(L, 1);
    answer->stamp = make_plan(L, answer) == GRAPH_STAMP;
    lua_pushvalue(L, plan);
    return 1;
}

static int graph_lua_heads(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    bool resolve_dependencies = lua_toboolean(L, 2);
    struct answer *answer = answer_push(L);
    graph_heads(graph, resolve_dependencies, &answer->list);
    return answer_push_list(L, graph, answer);
}

static int graph_lua_bases(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct answer *answer = answer_push(L);
    graph_bases(graph, &answer->list);
    return answer_push_list(L, graph, answer);
}

static int graph_lua_order(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct answer *answer = answer_push(L);
    graph_order(graph, &answer->list);
    return answer_push_list(L, graph, answer);
}

/* graph:resolve(text[, rows]) → identifiers; without rows there is no `current` */
static int graph_lua_resolve(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    const char *text = luaL_checkstring(L, 2);
    struct texts rows;
    struct answer *answer;
    lua_settop(L, 3);
    rows = texts_push(L, 3, "rows");
    answer = answer_push(L);
    if (graph_resolve(graph, text, lua_isnoneornil(L, 3) ? NULL : rows.at, rows.count, &answer->list,
                      &answer->error) != 0)
        return answer_raise(L, answer);
    return answer_push_list(L, graph, answer);
}

typedef int ask_rows(const struct graph *, const char *const *rows, size_t count, struct graph_list *,
                     struct graph_error *);

/* What `ask` answers of the rows at 2. */
static int answer_of_rows(lua_State *L, ask_rows *ask)
{
    const struct graph *graph = graph_check(L, 1);
    struct texts rows = texts_push(L, 2, "rows");
    struct answer *answer = answer_push(L);
    if (ask(graph, rows.at, rows.count, &answer->list, &answer->error) != 0)
        return answer_raise(L, answer);
    return answer_push_list(L, graph, answer);
}

static int graph_lua_current(lua_State *L)
{
    return answer_of_rows(L, graph_current);
}

/* graph:rows(rows) → the same, with a baseline in the place of those that it replaces */
static int graph_lua_rows(lua_State *L)
{
    return answer_of_rows(L, graph_rows);
}

static int graph_lua_history(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    const char *range = luaL_optstring(L, 2, NULL);
    struct texts rows = texts_push(L, 3, "rows");
    struct answer *answer = answer_push(L);
    if (graph_history(graph, range, rows.at, rows.count, &answer->list, &answer->error) != 0)
        return answer_raise(L, answer);
    return answer_push_list(L, graph, answer);
}

/* graph:numbers(range, rows) → the same history, as numbers for graph:describe: no text before it is asked for */
static int graph_lua_numbers(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    const char *range = luaL_optstring(L, 2, NULL);
    struct texts rows = texts_push(L, 3, "rows");
    struct answer *answer = answer_push(L);
    if (graph_history(graph, range, rows.at, rows.count, &answer->list, &answer->error) != 0)
        return answer_raise(L, answer);
    return answer_push_numbers(L, answer);
}

/* The revision of the identifier or the number at `index`. */
static bool find_revision(lua_State *L, const struct graph *graph, int index, unsigned *revision)
{
    lua_Integer number;
    if (lua_type(L, index) != LUA_TNUMBER)
        return graph_find(graph, luaL_checkstring(L, index), revision);
    number = luaL_checkinteger(L, index);
    luaL_argcheck(L, number >= 0 && (size_t)number < graph_count(graph), index, "no such revision");
    *revision = (unsigned)number;
    return true;
}

/* graph:describe(id or number) → what the lines of `history`, `heads`, `show` … are made of, or nil */
static int graph_lua_describe(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    unsigned revision;
    if (!find_revision(L, graph, 2, &revision))
        return 0;
    revision_push(L, graph, revision);
    return 1;
}

/* graph:parents(id or number) → the identifiers of those that it comes after, in its file's order, or nil */
static int graph_lua_parents(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct graph_revision it;
    unsigned revision;
    if (!find_revision(L, graph, 2, &revision))
        return 0;
    graph_describe(graph, revision, &it);
    push_ids(L, graph, it.parents, it.parent_count);
    return 1;
}

/* graph:message(id) → the message alone, or nil */
static int graph_lua_message(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct graph_revision it;
    unsigned revision;
    if (!graph_find(graph, luaL_checkstring(L, 2), &revision))
        return 0;
    graph_describe(graph, revision, &it);
    lua_pushstring(L, it.message);
    return 1;
}

static int graph_lua_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)graph_count(graph_check(L, 1)));
    return 1;
}

static const luaL_Reg graph_methods[] = {
    {"plan", graph_lua_plan},       {"heads", graph_lua_heads},       {"bases", graph_lua_bases},
    {"order", graph_lua_order},     {"resolve", graph_lua_resolve},   {"current", graph_lua_current},
    {"history", graph_lua_history}, {"describe", graph_lua_describe}, {"rows", graph_lua_rows},
    {"message", graph_lua_message}, {"numbers", graph_lua_numbers},   {"long_plan", graph_lua_long_plan},
    {"parents", graph_lua_parents}, {NULL, NULL},
};

static const luaL_Reg graph_metamethods[] = {{"__gc", graph_close}, {"__len", graph_lua_count}, {NULL, NULL}};

static void push_metatable(lua_State *L)
{
    if (!luaL_newmetatable(L, GRAPH))
        return;
    luaL_setfuncs(L, graph_metamethods, 0);
    luaL_newlib(L, graph_methods);
    lua_setfield(L, -2, "__index");
}

static const luaL_Reg graph_functions[] = {{"new", graph_create}, {NULL, NULL}};

int luaopen_dmlua_engine_graph(lua_State *L)
{
    luaL_newlib(L, graph_functions);
    return 1;
}
