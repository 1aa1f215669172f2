#include "host/api/graph_values.h"

#include <lauxlib.h>
#include <string.h>

#include "host/api/put.h"

#define ANSWER "dmlua.engine.graph.answer"
#define LONG_PLAN "dmlua.engine.graph.plan"

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
static struct answer *push_answer(lua_State *L, const char *type, const luaL_Reg *methods, int values)
{
    struct answer *answer = lua_newuserdatauv(L, sizeof *answer, values);
    memset(answer, 0, sizeof *answer);
    if (luaL_newmetatable(L, type)) {
        luaL_setfuncs(L, methods, 0);
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
    }
    lua_setmetatable(L, -2);
    return answer;
}

struct answer *answer_push(lua_State *L)
{
    return push_answer(L, ANSWER, answer_methods, 0);
}

static int long_plan_count(lua_State *L)
{
    const struct answer *answer = luaL_checkudata(L, 1, LONG_PLAN);
    lua_pushinteger(L, (lua_Integer)answer->plan.step_count);
    return 1;
}

/* plan:step(i) → revision, direction, from, to */
static int long_plan_step(lua_State *L)
{
    const struct answer *answer = luaL_checkudata(L, 1, LONG_PLAN);
    lua_Integer i = luaL_checkinteger(L, 2);
    const struct graph_step *step;
    luaL_argcheck(L, i >= 1 && (size_t)i <= answer->plan.step_count, 2, "no such step");
    step = &answer->plan.steps[i - 1];
    lua_pushstring(L, step->revision);
    lua_pushstring(L, step_direction(step, answer->stamp));
    lua_pushstring(L, step->from);
    lua_pushstring(L, step->to);
    return 4;
}

/* plan:heads() → the rows afterwards */
static int long_plan_heads(lua_State *L)
{
    const struct answer *answer = luaL_checkudata(L, 1, LONG_PLAN);
    push_texts(L, answer->plan.heads, answer->plan.head_count);
    return 1;
}

static const luaL_Reg long_plan_methods[] = {
    {"__gc", answer_close},     {"__len", long_plan_count}, {"step", long_plan_step},
    {"heads", long_plan_heads}, {NULL, NULL},
};

struct answer *long_plan_push(lua_State *L, int index)
{
    struct answer *answer = push_answer(L, LONG_PLAN, long_plan_methods, 1);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    return answer;
}

int answer_raise(lua_State *L, const struct answer *answer)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.errors");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new");
    lua_createtable(L, 0, 3);
    put_text(L, "kind", "usage");
    put_text(L, "message", answer->error.message);
    put_text(L, "hint", answer->error.hint);
    lua_call(L, 1, 1);
    return lua_error(L);
}

struct texts texts_push(lua_State *L, int index, const char *what)
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

/* [-0, +1] A text field of the table at `index`, or null; the text stays the table's own. */
static const char *text_field(lua_State *L, int index, const char *name)
{
    const char *text = NULL;
    if (lua_getfield(L, index, name) == LUA_TSTRING)
        text = lua_tostring(L, -1);
    return text;
}

/* [-0, +2] The same of a list; the array's memory is pushed, too. */
static const char *const *list_field(lua_State *L, int index, const char *name, size_t *count)
{
    struct texts texts;
    lua_getfield(L, index, name);
    texts = texts_push(L, -1, name);
    *count = texts.count;
    return texts.at;
}

void revision_add(lua_State *L, struct graph *graph, struct answer *answer)
{
    int table = lua_gettop(L);
    struct graph_source source = {0};
    source.path = text_field(L, table, "path");
    source.message = text_field(L, table, "message");
    source.id = text_field(L, table, "revision");
    if (source.id == NULL)
        luaL_error(L, "a revision needs its identifier");
    source.down = list_field(L, table, "down_revision", &source.down_count);
    source.labels = list_field(L, table, "branch_labels", &source.label_count);
    source.depends = list_field(L, table, "depends_on", &source.depends_count);
    source.replaces = list_field(L, table, "replaces", &source.replaces_count);
    source.replaced_heads = list_field(L, table, "replaced_heads", &source.replaced_head_count);
    if (graph_add(graph, &source, &answer->error) != 0)
        answer_raise(L, answer);
    lua_settop(L, table);
}

void push_ids(lua_State *L, const struct graph *graph, const unsigned *revisions, size_t count)
{
    size_t i;
    lua_createtable(L, (int)count, 0);
    for (i = 0; i < count; i++) {
        lua_pushstring(L, graph_id(graph, revisions[i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

int answer_push_list(lua_State *L, const struct graph *graph, const struct answer *answer)
{
    push_ids(L, graph, answer->list.revisions, answer->list.count);
    return 1;
}

int answer_push_numbers(lua_State *L, const struct answer *answer)
{
    size_t i;
    lua_createtable(L, (int)answer->list.count, 0);
    for (i = 0; i < answer->list.count; i++) {
        lua_pushinteger(L, (lua_Integer)answer->list.revisions[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

const char *step_direction(const struct graph_step *step, bool stamp)
{
    if (stamp || step->adopts)
        return "stamp";
    return step->up ? "upgrade" : "downgrade";
}

static void push_step(lua_State *L, const struct graph_step *step, const char *direction)
{
    lua_createtable(L, 0, 6);
    put_text(L, "revision", step->revision);
    put_text(L, "direction", direction);
    put_text(L, "from", step->from);
    put_text(L, "to", step->to);
    put_texts(L, "deletes", step->deletes, step->delete_count);
    put_texts(L, "inserts", step->inserts, step->insert_count);
}

void plan_push(lua_State *L, const struct graph_plan *plan, bool stamp)
{
    size_t i;
    lua_createtable(L, 0, 2);
    lua_createtable(L, (int)plan->step_count, 0);
    for (i = 0; i < plan->step_count; i++) {
        push_step(L, &plan->steps[i], step_direction(&plan->steps[i], stamp));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "steps");
    put_texts(L, "heads", plan->heads, plan->head_count);
}

/* Most lists of most revisions are empty: they share one table, which nobody writes to. */
static void put_list(lua_State *L, const char *name, const char *const *texts, size_t count)
{
    static const char empty = 0;
    if (count > 0) {
        put_texts(L, name, texts, count);
        return;
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &empty) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &empty);
    }
    lua_setfield(L, -2, name);
}

static void set_lists(lua_State *L, const struct graph *graph, const struct graph_revision *it)
{
    put_list(L, "down_revision", it->down, it->down_count);
    put_list(L, "depends_on", it->depends, it->depends_count);
    put_list(L, "branch_labels", it->own_labels, it->own_label_count);
    put_list(L, "labels", it->labels, it->label_count);
    push_ids(L, graph, it->children, it->child_count);
    lua_setfield(L, -2, "children");
}

void revision_push(lua_State *L, const struct graph *graph, unsigned revision)
{
    struct graph_revision it;
    graph_describe(graph, revision, &it);
    lua_createtable(L, 0, 13);
    put_text(L, "revision", it.id);
    put_text(L, "path", it.path);
    put_text(L, "message", it.message);
    set_lists(L, graph, &it);
    put_flag(L, "base", it.down_count == 0);
    put_flag(L, "head", it.child_count == 0);
    put_flag(L, "effective_head", it.child_count == 0 && it.dependent_count > 0);
    put_flag(L, "branchpoint", it.child_count > 1);
    put_flag(L, "mergepoint", it.down_count > 1);
}
