#include "host/api/bind_tenants.h"

#include <lauxlib.h>

#include "bindings/pq.h"
#include "host/api/bind_loop.h"
#include "host/loop/part.h"
#include "host/state.h"
#include "host/step_parts.h"
#include "host/tenant.h"

/* What a call wants to read. */
struct wanted {
    struct step *step;
    struct tenant_loop *loop; /* or null */
    bool allow_empty;
};

const char *bind_tenants_id(lua_State *L, int rows, lua_Integer row)
{
    const char *id;
    lua_rawgeti(L, rows, row);
    lua_getfield(L, -1, "id");
    lua_remove(L, -2);
    id = lua_tostring(L, -1);
    return id;
}

/* [-0, +0] An id that the list has twice is visited once. `seen` is the place of a set. */
static bool seen_before(lua_State *L, int seen, const char *id)
{
    bool before = lua_getfield(L, seen, id) == LUA_TBOOLEAN;
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
    lua_setfield(L, seen, id);
    return before;
}

/* [-0, +1] The rows of a query's answer, each id once. `from` null: of tenants_query. `visited`: they are those that
   are meant, and not the list that a call's own is compared with. */
static void push_rows(lua_State *L, const struct wanted *wanted, const char *from, bool allow_empty, bool visited)
{
    struct error error = {0};
    PGresult **list;
    int row, top, count = 0;
    lua_newtable(L);
    lua_newtable(L);
    list = bind_result_box(L);
    top = lua_gettop(L);
    *list = wanted->loop != NULL ? loop_list(wanted->loop, from, allow_empty, &error)
                                 : tenant_list(wanted->step, from, allow_empty, visited, &error);
    if (*list == NULL)
        bind_fail(L, wanted->step, &error);
    pq_pushresult(L, *list);
    lua_getfield(L, -1, "rows");
    for (row = 0; row < PQntuples(*list); row++) {
        const char *id = PQgetvalue(*list, row, 0);
        if (seen_before(L, top - 1, id))
            continue;
        lua_rawgeti(L, -1, row + 1);
        lua_pushstring(L, id);
        lua_setfield(L, -2, "id");
        lua_rawseti(L, top - 2, ++count);
    }
    PQclear(*list);
    *list = NULL;
    lua_settop(L, top - 2);
}

/* [-0, +1] The texts are anchored by the options' table. */
static void push_chosen(lua_State *L, const struct wanted *wanted, int options)
{
    struct error error = {0};
    const char *from;
    bool known, own;
    own = lua_getfield(L, options, "ids") != LUA_TNIL;
    lua_pop(L, 1);
    lua_getfield(L, options, "from");
    from = lua_tostring(L, -1);
    lua_getfield(L, options, "known");
    known = lua_toboolean(L, -1);
    lua_getfield(L, options, "choose");
    lua_replace(L, -3);
    lua_pop(L, 1);
    if (from != NULL)
        push_rows(L, wanted, from, wanted->allow_empty, true);
    else
        lua_pushnil(L);
    if (known)
        push_rows(L, wanted, NULL, from != NULL || wanted->allow_empty, from == NULL && !own);
    else
        lua_pushnil(L);
    if (state_call(L, 2, 1, &error) != 0 ||
        tenant_check_count(wanted->step, "tenants.each's list", (size_t)luaL_len(L, -1), wanted->allow_empty,
                           &error) != 0)
        bind_fail(L, wanted->step, &error);
}

/* [-0, +1] The list that the options ask for. */
static void push_list(lua_State *L, const struct wanted *wanted, int options)
{
    if (lua_getfield(L, options, "choose") == LUA_TNIL)
        push_rows(L, wanted, NULL, wanted->allow_empty, true);
    else
        push_chosen(L, wanted, options);
    lua_remove(L, -2);
}

/* [-0, +0] Tells the loop of the list at the top. */
static void tell_loop(lua_State *L, struct tenant_loop *loop, int options)
{
    int rows = lua_gettop(L);
    lua_Integer row, count = luaL_len(L, rows);
    const char *from = NULL;
    bool fixed = false;
    roll_free(&loop->roll);
    loop->roll = roll_new((size_t)count); /* the loop's box frees it, should Lua raise */
    for (row = 1; row <= count; row++) {
        roll_add(&loop->roll, bind_tenants_id(L, rows, row));
        lua_pop(L, 1);
    }
    if (lua_istable(L, options)) {
        fixed = lua_getfield(L, options, "ids") != LUA_TNIL;
        lua_getfield(L, options, "from");
        from = lua_tostring(L, -1);
    }
    loop_see(loop, from, fixed);
    lua_settop(L, rows);
}

/* [-1, +1] The rows of the list at the top that the loop is to visit. */
static void leave_out(lua_State *L, const struct tenant_loop *loop)
{
    int rows = lua_gettop(L);
    lua_Integer row, count = luaL_len(L, rows), kept = 0;
    lua_createtable(L, (int)count, 0);
    for (row = 1; row <= count; row++) {
        bool wanted = loop_wants(loop, bind_tenants_id(L, rows, row));
        lua_pop(L, 1);
        if (!wanted)
            continue;
        lua_rawgeti(L, rows, row);
        lua_rawseti(L, -2, ++kept);
    }
    lua_remove(L, rows);
}

void bind_tenants_push(lua_State *L, struct step *step, int options, struct tenant_loop *loop)
{
    struct wanted wanted = {.step = step, .loop = loop};
    if (!lua_istable(L, options)) {
        push_rows(L, &wanted, NULL, false, true);
    } else {
        lua_getfield(L, options, "allow_empty");
        wanted.allow_empty = lua_toboolean(L, -1);
        lua_pop(L, 1);
        push_list(L, &wanted, options);
    }
    if (loop == NULL)
        return;
    tell_loop(L, loop, options);
    if (loop_chooses(loop))
        leave_out(L, loop);
}

int bind_tenants(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    lua_settop(L, 2);
    if (step_open_part(step, &error) != 0)
        return bind_fail(L, step, &error);
    bind_tenants_push(L, step, 2, NULL);
    if (step->alone && step_close_part(step, &error) != 0)
        return bind_fail(L, step, &error);
    return 1;
}
