#include "host/api/bind_loop.h"

#include <lauxlib.h>
#include <string.h>

#include "host/api/bind_tenants.h"
#include "host/limit.h"
#include "host/loop/show.h"
#include "host/loop/visit.h"
#include "host/state.h"
#include "host/tenant.h"

#define LOOP_TYPE "dmlua.step.loop"
enum { RETRIES = 5, MAX_FAILURES = 10 };

/* How the call of tenants.each wants its tenants to be visited; which they are is host/api/bind_tenants.c's. */
struct each {
    bool resumable;
    int retries, max_failures;
};

/* [-0, +1] The id of the row at `row` of the list at `rows`. Borrowed from the stack. */
static const char *push_id(lua_State *L, int rows, lua_Integer row)
{
    const char *id;
    lua_rawgeti(L, rows, row);
    lua_getfield(L, -1, "id");
    lua_remove(L, -2);
    id = lua_tostring(L, -1);
    return id;
}

/* [-0, +0] One tenant: the function at `fn` with a row of the list at `rows`, between enter and leave. */
static void visit(lua_State *L, struct step *step, int fn, int rows, lua_Integer row)
{
    struct error error = {0};
    const char *id = push_id(L, rows, row);
    if (tenant_enter(step, id, &error) != 0)
        bind_fail(L, step, &error);
    lua_pushvalue(L, fn);
    lua_rawgeti(L, rows, row);
    if (state_call(L, 1, 0, &error) != 0) {
        error_text(&error.tenant, "%s", id);
        bind_fail(L, step, &error); /* the step is lost: its transaction is rolled back */
    }
    tenant_leave(step);
    lua_pop(L, 1);
}

static void check_loop(lua_State *L, struct step *step)
{
    struct error error = {0};
    if (step->fix != NULL)
        error_set(&error, ERROR_MIGRATION, "tenants.each in a fix: run(tenant) is called for each tenant already");
    else if (step->tenant != NULL || step->looping)
        error_set(&error, ERROR_MIGRATION, "tenants.each inside tenants.each");
    else if (step->alone)
        error_set(&error, ERROR_MIGRATION, "tenants.each inside autocommit_block: the loop needs its transaction");
    if (error.kind != ERROR_NONE)
        state_raise(L, &error); /* the script's mistake: nothing was sent, the step is as it was */
}

static int read_number(lua_State *L, int index, const char *name, int initial)
{
    int value = lua_getfield(L, index, name) == LUA_TNUMBER ? (int)lua_tointeger(L, -1) : initial;
    lua_pop(L, 1);
    return value;
}

static struct each read_each(lua_State *L, int index)
{
    struct each each = {.retries = RETRIES, .max_failures = MAX_FAILURES};
    const char *mode;
    if (!lua_istable(L, index))
        return each;
    lua_getfield(L, index, "mode");
    mode = lua_tostring(L, -1);
    each.resumable = mode != NULL && strcmp(mode, "resumable") == 0;
    lua_pop(L, 1);
    each.retries = read_number(L, index, "retries", RETRIES);
    each.max_failures = read_number(L, index, "max_failures", MAX_FAILURES);
    return each;
}

/* The atomic loop: all tenants in the step's transaction. */
static void each_atomic(lua_State *L, struct step *step)
{
    struct error error = {0};
    lua_Integer row, count;
    if (step_open_part(step, &error) != 0 || tenant_settle_role(step, &error) != 0)
        bind_fail(L, step, &error);
    bind_tenants_push(L, step, 3, NULL);
    count = luaL_len(L, -1);
    if (count > 1) /* else it may be tenants.with */
        show_open(step, "atomic", (int)count, 0, 1);
    for (row = 1; row <= count; row++) {
        visit(L, step, 2, lua_gettop(L), row);
        show_done_later(step);
    }
    show_close_later(step);
}

static int loop_gc(lua_State *L)
{
    loop_free(luaL_checkudata(L, 1, LOOP_TYPE));
    return 0;
}

struct tenant_loop *bind_loop_push(lua_State *L, struct step *step, int retries, int max_failures)
{
    struct tenant_loop *loop = lua_newuserdatauv(L, sizeof *loop, 0);
    memset(loop, 0, sizeof *loop);
    loop->step = step;
    loop->retries = retries;
    loop->max_failures = max_failures;
    if (luaL_newmetatable(L, LOOP_TYPE)) {
        lua_pushcfunction(L, loop_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return loop;
}

/* [-0, +0] One tenant's callback in a transaction of its own; again when another try may mend it. */
static void visit_alone(lua_State *L, struct tenant_loop *loop, int rows, lua_Integer row, const char *id)
{
    struct error error = {0};
    int attempt, rc, decision;
    for (attempt = 0;; attempt++) {
        rc = loop_begin(loop, id, &error);
        if (rc == 0) {
            lua_pushvalue(L, 2);
            lua_rawgeti(L, rows, row);
            rc = state_call(L, 1, 0, &error);
        }
        if (rc == 0 && loop->step->failure.kind != ERROR_NONE) { /* the callback has caught a failed statement */
            error_move(&error, &loop->step->failure);
            rc = -1;
        }
        if (rc == 0)
            rc = loop_commit(loop, id, &error);
        if (rc == 0)
            return;
        if (error.tenant == NULL)
            error_text(&error.tenant, "%s", id);
        decision = limit_stopped() ? -1 : loop_fail(loop, id, attempt, &error);
        if (decision < 0)
            bind_fail(L, loop->step, &error);
        if (decision == 0)
            return;
    }
}

/* [-0, +0] How many tenants of the list at `rows` are in the set at `seen`. */
static int count_seen(lua_State *L, int rows, int seen)
{
    lua_Integer row, count = luaL_len(L, rows);
    int found = 0;
    for (row = 1; row <= count; row++) {
        found += lua_getfield(L, seen, push_id(L, rows, row)) != LUA_TNIL;
        lua_pop(L, 2);
    }
    return found;
}

/* [-1, +0] Visits the tenants of the list at the top that the set at `seen` lacks; says whether there were any. */
static bool visit_missing(lua_State *L, struct tenant_loop *loop, int seen)
{
    int rows = lua_gettop(L);
    lua_Integer row, count = luaL_len(L, rows);
    bool any = false;
    for (row = 1; row <= count; row++) {
        const char *id = push_id(L, rows, row);
        if (lua_getfield(L, seen, id) == LUA_TNIL) {
            lua_pushboolean(L, 1);
            lua_setfield(L, seen, id);
            visit_alone(L, loop, rows, row, id);
            any = true;
        }
        lua_settop(L, rows);
    }
    lua_pop(L, 1);
    return any;
}

/* [-0, +1] The set of the tenants that earlier runs have done. */
static void push_done(lua_State *L, struct tenant_loop *loop)
{
    struct error error = {0};
    PGresult **done;
    int row;
    lua_newtable(L);
    done = bind_result_box(L);
    *done = loop_done(loop, &error);
    if (*done == NULL)
        bind_fail(L, loop->step, &error);
    for (row = 0; row < PQntuples(*done); row++) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -3, PQgetvalue(*done, row, 0));
    }
    lua_pop(L, 1);
}

/* The resumable loop: a transaction a tenant. The list is read before the loop is opened: a wrong one leaves nothing. */
static void each_resumable(lua_State *L, struct step *step, const struct each *each)
{
    struct error error = {0};
    struct tenant_loop *loop = bind_loop_push(L, step, each->retries, each->max_failures);
    int seen, opened;
    if (step_cut(step, &error) != 0)
        bind_fail(L, step, &error);
    if (loop_reads(loop))
        bind_tenants_push(L, step, 3, loop);
    opened = loop_open(loop, &error);
    if (opened < 0)
        bind_fail(L, step, &error);
    if (opened > 0)
        return; /* an earlier run has finished it */
    push_done(L, loop);
    lua_insert(L, -2);
    seen = lua_gettop(L) - 1;
    show_open(step, "resumable", (int)luaL_len(L, -1), count_seen(L, seen + 1, seen), 1);
    while (visit_missing(L, loop, seen)) { /* a tenant that appeared meanwhile is visited, too */
        bind_tenants_push(L, step, 3, loop);
        show_tenants(step, (int)luaL_len(L, -1));
    }
    if (loop_close(loop, &error) != 0)
        bind_fail(L, step, &error);
}

int bind_each(lua_State *L)
{
    struct step *step = bind_step(L);
    struct each each;
    lua_settop(L, 3);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    each = read_each(L, 3);
    check_loop(L, step);
    if (each.resumable)
        each_resumable(L, step, &each);
    else
        each_atomic(L, step);
    if (step->run->unconfined)
        step_note(step, "tenants.each", "unconfined");
    return 0;
}
