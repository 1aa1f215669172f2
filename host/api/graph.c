#include <lauxlib.h>
#include <string.h>

#include "host/api/api.h"
#include "host/graph.h"

/* dmlua.engine.graph. It needs nothing of the host but the graph, so that the specs load it without the program. */

#define GRAPH "dmlua.engine.graph"
#define ANSWER "dmlua.engine.graph.answer"

/* What a call of the graph may leave to be freed; made before the call, so that no raise can leak it. */
struct answer {
    struct graph_error error;
    struct graph_plan plan;
    struct graph_list list;
};

static int answer_close(lua_State *L)
{
    struct answer *answer = lua_touserdata(L, 1);
    graph_error_clear(&answer->error);
    graph_plan_free(&answer->plan);
    graph_list_free(&answer->list);
    return 0;
}

static const luaL_Reg answer_methods[] = {{"__gc", answer_close}, {NULL, NULL}};

/* [-0, +1] */
static struct answer *answer_push(lua_State *L)
{
    struct answer *answer = lua_newuserdatauv(L, sizeof *answer, 0);
    memset(answer, 0, sizeof *answer);
    if (luaL_newmetatable(L, ANSWER))
        luaL_setfuncs(L, answer_methods, 0);
    lua_setmetatable(L, -2);
    return answer;
}

/* Raises the answer's error as an error table of dmlua.errors. */
static int answer_raise(lua_State *L, const struct answer *answer)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.errors");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new");
    lua_createtable(L, 0, 3);
    lua_pushliteral(L, "usage");
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, answer->error.message);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, answer->error.hint);
    lua_setfield(L, -2, "hint");
    lua_call(L, 1, 1);
    return lua_error(L);
}

/* A list of texts as C has it. */
struct texts {
    const char *const *at;
    size_t count;
};

/* [-0, +1] The value at `index`, nil, a text or a list of texts, as an array whose memory is pushed. The texts stay
   the table's own. */
static struct texts texts_push(lua_State *L, int index, const char *what)
{
    size_t count = 0, i;
    const char **at;
    index = lua_absindex(L, index);
    if (lua_type(L, index) == LUA_TSTRING)
        count = 1;
    else if (lua_istable(L, index))
        count = (size_t)luaL_len(L, index);
    else if (!lua_isnoneornil(L, index))
        luaL_error(L, "%s must be a text, a list of texts or nil, not a %s", what, luaL_typename(L, index));
    at = lua_newuserdatauv(L, (count + 1) * sizeof *at, 0);
    if (lua_type(L, index) == LUA_TSTRING)
        at[0] = lua_tostring(L, index);
    for (i = 0; i < count && lua_istable(L, index); i++) {
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "%s must hold texts only, not a %s", what, luaL_typename(L, -1));
        at[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    return (struct texts){at, count};
}

/* The box. */

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

/* [-0, +1] A text field of the table at `index`, or null; the text stays the table's own. */
static const char *text_field(lua_State *L, int index, const char *name)
{
    const char *text = NULL;
    if (lua_getfield(L, index, name) == LUA_TSTRING)
        text = lua_tostring(L, -1);
    return text;
}

/* [-0, +0] Adds the revision whose table is at the top. */
static void add_revision(lua_State *L, struct graph *graph, struct answer *answer)
{
    int table = lua_gettop(L);
    struct graph_source source = {0};
    struct texts texts;
    source.path = text_field(L, table, "path");
    source.message = text_field(L, table, "message");
    source.id = text_field(L, table, "revision");
    if (source.id == NULL)
        luaL_error(L, "a revision needs its identifier");
    lua_getfield(L, table, "down_revision");
    texts = texts_push(L, -1, "down_revision");
    source.down = texts.at;
    source.down_count = texts.count;
    lua_getfield(L, table, "branch_labels");
    texts = texts_push(L, -1, "branch_labels");
    source.labels = texts.at;
    source.label_count = texts.count;
    lua_getfield(L, table, "depends_on");
    texts = texts_push(L, -1, "depends_on");
    source.depends = texts.at;
    source.depends_count = texts.count;
    if (graph_add(graph, &source, &answer->error) != 0)
        answer_raise(L, answer);
    lua_settop(L, table);
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
        add_revision(L, *box, answer);
        lua_pop(L, 1);
    }
    if (graph_finish(*box, &answer->error) != 0)
        return answer_raise(L, answer);
    return 1;
}

/* Pushing. */

static void push_texts(lua_State *L, const char *const *texts, size_t count)
{
    size_t i;
    lua_createtable(L, (int)count, 0);
    for (i = 0; i < count; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_ids(lua_State *L, const struct graph *graph, const unsigned *revisions, size_t count)
{
    size_t i;
    lua_createtable(L, (int)count, 0);
    for (i = 0; i < count; i++) {
        lua_pushstring(L, graph_id(graph, revisions[i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int push_list(lua_State *L, const struct graph *graph, const struct answer *answer)
{
    push_ids(L, graph, answer->list.revisions, answer->list.count);
    return 1;
}

static void push_step(lua_State *L, const struct graph_step *step, const char *direction)
{
    lua_createtable(L, 0, 6);
    lua_pushstring(L, step->revision);
    lua_setfield(L, -2, "revision");
    lua_pushstring(L, direction);
    lua_setfield(L, -2, "direction");
    lua_pushstring(L, step->from);
    lua_setfield(L, -2, "from");
    lua_pushstring(L, step->to);
    lua_setfield(L, -2, "to");
    push_texts(L, step->deletes, step->delete_count);
    lua_setfield(L, -2, "deletes");
    push_texts(L, step->inserts, step->insert_count);
    lua_setfield(L, -2, "inserts");
}

static void push_plan(lua_State *L, const struct graph_plan *plan, bool stamp)
{
    size_t i;
    lua_createtable(L, 0, 2);
    lua_createtable(L, (int)plan->step_count, 0);
    for (i = 0; i < plan->step_count; i++) {
        push_step(L, &plan->steps[i], stamp ? "stamp" : plan->steps[i].up ? "upgrade" : "downgrade");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "steps");
    push_texts(L, plan->heads, plan->head_count);
    lua_setfield(L, -2, "heads");
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

/* graph:plan("upgrade"|"downgrade"|"stamp", targets, rows, {sql=, purge=}) → {steps=, heads=} */
static int graph_lua_plan(lua_State *L)
{
    static const char *const commands[] = {"upgrade", "downgrade", "stamp", NULL};
    const struct graph *graph = graph_check(L, 1);
    unsigned command = (unsigned)luaL_checkoption(L, 2, NULL, commands);
    unsigned flags = flag(L, 5, "sql", GRAPH_OFFLINE) | flag(L, 5, "purge", GRAPH_PURGE);
    struct texts targets = texts_push(L, 3, "targets");
    struct texts rows = texts_push(L, 4, "rows");
    struct answer *answer = answer_push(L);
    if (graph_plan(graph, command | flags, targets.at, targets.count, rows.at, rows.count, &answer->plan,
                   &answer->error) != 0)
        return answer_raise(L, answer);
    push_plan(L, &answer->plan, command == GRAPH_STAMP);
    return 1;
}

static int graph_lua_heads(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    bool resolve_dependencies = lua_toboolean(L, 2);
    struct answer *answer = answer_push(L);
    graph_heads(graph, resolve_dependencies, &answer->list);
    return push_list(L, graph, answer);
}

static int graph_lua_bases(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct answer *answer = answer_push(L);
    graph_bases(graph, &answer->list);
    return push_list(L, graph, answer);
}

static int graph_lua_order(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct answer *answer = answer_push(L);
    graph_order(graph, &answer->list);
    return push_list(L, graph, answer);
}

static int graph_lua_resolve(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    const char *text = luaL_checkstring(L, 2);
    struct texts rows = texts_push(L, 3, "rows");
    struct answer *answer = answer_push(L);
    if (graph_resolve(graph, text, rows.at, rows.count, &answer->list, &answer->error) != 0)
        return answer_raise(L, answer);
    return push_list(L, graph, answer);
}

static int graph_lua_current(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct texts rows = texts_push(L, 2, "rows");
    struct answer *answer = answer_push(L);
    if (graph_current(graph, rows.at, rows.count, &answer->list, &answer->error) != 0)
        return answer_raise(L, answer);
    return push_list(L, graph, answer);
}

static int graph_lua_history(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    const char *range = luaL_optstring(L, 2, NULL);
    struct texts rows = texts_push(L, 3, "rows");
    struct answer *answer = answer_push(L);
    if (graph_history(graph, range, rows.at, rows.count, &answer->list, &answer->error) != 0)
        return answer_raise(L, answer);
    return push_list(L, graph, answer);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool set)
{
    lua_pushboolean(L, set);
    lua_setfield(L, -2, name);
}

static void set_lists(lua_State *L, const struct graph *graph, const struct graph_revision *it)
{
    push_texts(L, it->down, it->down_count);
    lua_setfield(L, -2, "down_revision");
    push_texts(L, it->depends, it->depends_count);
    lua_setfield(L, -2, "depends_on");
    push_texts(L, it->own_labels, it->own_label_count);
    lua_setfield(L, -2, "branch_labels");
    push_texts(L, it->labels, it->label_count);
    lua_setfield(L, -2, "labels");
    push_ids(L, graph, it->children, it->child_count);
    lua_setfield(L, -2, "children");
}

/* graph:describe(id) → what the lines of `history`, `heads`, `show` … are made of, or nil */
static int graph_lua_describe(lua_State *L)
{
    const struct graph *graph = graph_check(L, 1);
    struct graph_revision it;
    unsigned revision;
    if (!graph_find(graph, luaL_checkstring(L, 2), &revision))
        return 0;
    graph_describe(graph, revision, &it);
    lua_createtable(L, 0, 13);
    set_text(L, "revision", it.id);
    set_text(L, "path", it.path);
    set_text(L, "message", it.message);
    set_lists(L, graph, &it);
    set_flag(L, "base", it.down_count == 0);
    set_flag(L, "head", it.child_count == 0);
    set_flag(L, "effective_head", it.child_count == 0 && it.dependent_count > 0);
    set_flag(L, "branchpoint", it.child_count > 1);
    set_flag(L, "mergepoint", it.down_count > 1);
    return 1;
}

static int graph_lua_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)graph_count(graph_check(L, 1)));
    return 1;
}

static const luaL_Reg graph_methods[] = {
    {"plan", graph_lua_plan},         {"heads", graph_lua_heads},   {"bases", graph_lua_bases},
    {"order", graph_lua_order},       {"resolve", graph_lua_resolve}, {"current", graph_lua_current},
    {"history", graph_lua_history},   {"describe", graph_lua_describe}, {"__len", graph_lua_count},
    {"__gc", graph_close},            {NULL, NULL},
};

static void push_metatable(lua_State *L)
{
    if (!luaL_newmetatable(L, GRAPH))
        return;
    luaL_setfuncs(L, graph_methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
}

static const luaL_Reg graph_functions[] = {{"new", graph_create}, {NULL, NULL}};

int luaopen_dmlua_engine_graph(lua_State *L)
{
    luaL_newlib(L, graph_functions);
    return 1;
}
