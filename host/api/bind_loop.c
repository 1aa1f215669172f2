#include "host/api/bind_loop.h"

#include <lauxlib.h>
#include <string.h>

#include "host/api/bind_tenants.h"
#include "host/api/put.h"
#include "host/limit.h"
#include "host/loop/failed.h"
#include "host/loop/flight.h"
#include "host/loop/show.h"
#include "host/state.h"
#include "host/tenant.h"
#include "host/trace.h"

#define LOOP_TYPE "dmlua.step.loop"
enum { RETRIES = 5, MAX_FAILURES = 10, LOOKS = 100 };

/* How the call of tenants.each wants its tenants to be visited; which they are is host/api/bind_tenants.c's. */
struct each {
    bool resumable;
    int retries, max_failures, workers, batch;
    bool exact; /* max_failures was given */
};

/* [-0, +0] One tenant: the function at `fn` with a row of the list at `rows`, between enter and leave. */
static void visit(lua_State *L, struct step *step, int fn, int rows, lua_Integer row)
{
    struct error error = {0};
    const char *id = bind_tenants_id(L, rows, row);
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
    struct each each = {.retries = RETRIES, .max_failures = MAX_FAILURES, .workers = 1};
    const char *mode;
    if (!lua_istable(L, index))
        return each;
    lua_getfield(L, index, "mode");
    mode = lua_tostring(L, -1);
    each.resumable = mode != NULL && strcmp(mode, "resumable") == 0;
    lua_pop(L, 1);
    each.retries = read_number(L, index, "retries", RETRIES);
    each.max_failures = read_number(L, index, "max_failures", MAX_FAILURES);
    each.exact = lua_getfield(L, index, "max_failures") != LUA_TNIL;
    lua_pop(L, 1);
    each.workers = read_number(L, index, "workers", 1);
    each.batch = read_number(L, index, "batch", 0);
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

/* What the calls of one loop's callbacks need; the stack is that of tenants.each's call. */
struct callbacks {
    lua_State *L;
    int rows;    /* the list of the tenants' rows */
    int threads; /* a list: the threads in which callbacks run, by connection */
    struct tenant_loop *loop;
};
enum { FUNCTION = 2 };

/* [-0, +1] What a callback is told of its batch. */
static void push_batch(lua_State *L, int size, const char *cursor)
{
    lua_createtable(L, 0, 2);
    put_integer(L, "size", size);
    put_text(L, "cursor", cursor);
}

/* [-0, +1] The thread at that place of the list at `threads`, ready for a call. One that an error has ended is left to
   the collector. */
static lua_State *push_thread(lua_State *L, int threads, lua_Integer place)
{
    lua_State *thread = lua_rawgeti(L, threads, place) == LUA_TTHREAD ? lua_tothread(L, -1) : NULL;
    if (thread != NULL && lua_status(thread) == LUA_OK && lua_gettop(thread) == 0)
        return thread;
    lua_pop(L, 1);
    thread = lua_newthread(L);
    limit_hook(thread, true);
    lua_pushvalue(L, -1);
    lua_rawseti(L, threads, place);
    return thread;
}

/* (threads, place, fn, tenant, size or nil, cursor as a C string or null): puts the call on the thread at that place,
   and answers with it. */
static int begin_call(lua_State *L)
{
    lua_State *thread = push_thread(L, 1, lua_tointeger(L, 2));
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 4);
    if (!lua_isnil(L, 5))
        push_batch(L, (int)lua_tointeger(L, 5), lua_touserdata(L, 6));
    lua_xmove(L, thread, lua_isnil(L, 5) ? 2 : 3);
    return 1;
}

/* [-0, +0] The visit's thread with its callback, not yet called. Null, and `error`, when there is no memory. */
static lua_State *begin_callback(struct callbacks *callbacks, struct visit *visit, struct error *error)
{
    lua_State *L = callbacks->L, *thread;
    struct tenant_loop *loop = callbacks->loop;
    lua_pushcfunction(L, begin_call);
    lua_pushvalue(L, callbacks->threads);
    lua_pushinteger(L, (lua_Integer)flight_place(loop, visit) + 1);
    lua_pushvalue(L, FUNCTION);
    lua_rawgeti(L, callbacks->rows, visit->row);
    if (loop->batch > 0)
        lua_pushinteger(L, loop->batch);
    else
        lua_pushnil(L);
    lua_pushlightuserdata(L, visit->cursor);
    if (state_call(L, 6, 1, error) != 0)
        return NULL;
    thread = lua_tothread(L, -1);
    lua_pop(L, 1);
    return thread;
}

/* What a batch's callback has returned: where the next one begins. */
static enum flight_step take_cursor(lua_State *thread, struct visit *visit, int results, struct error *error)
{
    int type = results > 0 ? lua_type(thread, -results) : LUA_TNIL;
    if (type == LUA_TSTRING)
        error_text(&visit->after, "%s", lua_tostring(thread, -results));
    else if (results > 0 && lua_isinteger(thread, -results))
        error_text(&visit->after, "%lld", lua_tointeger(thread, -results));
    else if (type != LUA_TNIL)
        error_set(error, ERROR_MIGRATION,
                  "a batch's function returns where the next one begins, a text, or nil; not a %s",
                  lua_typename(thread, type));
    if (visit->after != NULL && visit->cursor != NULL && strcmp(visit->after, visit->cursor) == 0)
        error_set(error, ERROR_MIGRATION,
                  "a batch's function has returned the cursor that it was given: it would never end");
    return error->kind == ERROR_NONE ? FLIGHT_ENDED : FLIGHT_FAILED;
}

/* The thread was resumed, and has come back. */
static enum flight_step see(struct callbacks *callbacks, struct visit *visit, int status, int results,
                            struct error *error)
{
    lua_State *thread = visit->thread;
    enum flight_step step;
    if (status == LUA_YIELD && visit->state != VISIT_RUNS)
        return FLIGHT_WAITS;
    visit->thread = NULL;
    if (status == LUA_YIELD) {
        error_set(error, ERROR_MIGRATION, "coroutine.yield was called outside of the script's own coroutines");
        trace_fill(thread, error);
    } else if (status != LUA_OK) {
        state_thread_error(callbacks->L, thread, status, error);
        limit_hook(callbacks->L, true); /* it is the script's own */
    }
    if (limit_stopped()) {
        error_clear(error);
        limit_error(error);
        return FLIGHT_STOPPED;
    }
    if (status != LUA_OK)
        return FLIGHT_FAILED;
    step = callbacks->loop->batch > 0 ? take_cursor(thread, visit, results, error) : FLIGHT_ENDED;
    lua_settop(thread, 0);
    return step;
}

static enum flight_step call_back(void *data, struct visit *visit, struct error *error)
{
    struct callbacks *callbacks = data;
    int given = 0, results, status;
    if (visit->thread == NULL) {
        visit->thread = begin_callback(callbacks, visit, error);
        if (visit->thread == NULL)
            return limit_stopped() ? FLIGHT_STOPPED : FLIGHT_FAILED;
        given = lua_gettop(visit->thread) - 1;
    }
    status = lua_resume(visit->thread, callbacks->L, given, &results);
    return see(callbacks, visit, status, results, error);
}

/* [-0, +0] How many tenants of the list at `rows` are in the set at `seen`. */
static int count_seen(lua_State *L, int rows, int seen)
{
    lua_Integer row, count = luaL_len(L, rows);
    int found = 0;
    for (row = 1; row <= count; row++) {
        found += lua_getfield(L, seen, bind_tenants_id(L, rows, row)) != LUA_TNIL;
        lua_pop(L, 2);
    }
    return found;
}

/* [-0, +1] Room for `count` tenants that the collector frees. */
static struct flight_tenant *push_tenants(lua_State *L, lua_Integer count)
{
    return lua_newuserdatauv(L, (size_t)count * sizeof(struct flight_tenant) + 1, 0);
}

/* [-0, +0] The tenants of the list at `rows` whom the set at `seen` lacks, with their cursors by the table behind it;
   they are in the set then. The ids are anchored by the set. */
static size_t find_missing(lua_State *L, int rows, int seen, struct flight_tenant *tenants)
{
    lua_Integer row, count = luaL_len(L, rows);
    size_t missing = 0;
    int top = lua_gettop(L);
    for (row = 1; row <= count; row++) {
        const char *id = bind_tenants_id(L, rows, row);
        if (lua_getfield(L, seen, id) == LUA_TNIL) {
            lua_getfield(L, seen + 1, id);
            tenants[missing++] = (struct flight_tenant){id, row, lua_tostring(L, -1)};
            lua_pushvalue(L, top + 1);
            lua_pushboolean(L, 1);
            lua_rawset(L, seen);
        }
        lua_settop(L, top);
    }
    return missing;
}

/* [-1, +0] Visits the tenants of the list at the top that the set at `seen` lacks; says whether there were any. */
static bool visit_missing(lua_State *L, struct tenant_loop *loop, int seen)
{
    struct callbacks callbacks = {.L = L, .rows = lua_gettop(L), .loop = loop};
    struct error error = {0};
    struct flight_tenant *tenants = push_tenants(L, luaL_len(L, callbacks.rows));
    size_t missing = find_missing(L, callbacks.rows, seen, tenants);
    int rc;
    lua_newtable(L);
    callbacks.threads = lua_gettop(L);
    loop->step->loop = loop;
    rc = flight_run(loop, tenants, missing, call_back, &callbacks, &error);
    loop->step->loop = NULL;
    if (rc != 0) {
        failed_break(loop, &error);
        bind_fail(L, loop->step, &error);
    }
    lua_settop(L, callbacks.rows - 1);
    return missing > 0;
}

/* [-0, +1] The first column of the answer: a table with its values as keys, and the second column's, or true, as
   values. */
static void push_answers(lua_State *L, struct tenant_loop *loop, PGresult *read(struct tenant_loop *, struct error *))
{
    struct error error = {0};
    PGresult **result;
    int row;
    lua_newtable(L);
    result = bind_result_box(L);
    *result = read(loop, &error);
    if (*result == NULL)
        bind_fail(L, loop->step, &error);
    for (row = 0; row < PQntuples(*result); row++) {
        if (PQnfields(*result) > 1)
            lua_pushstring(L, PQgetvalue(*result, row, 1));
        else
            lua_pushboolean(L, 1);
        lua_setfield(L, -3, PQgetvalue(*result, row, 0));
    }
    lua_pop(L, 1);
}

/* [-0, +2] What earlier runs have done: a set of tenants, and a table of cursors of those that are in their batches. */
static void push_done(lua_State *L, struct tenant_loop *loop)
{
    push_answers(L, loop, loop_done);
    if (loop->batch > 0)
        push_answers(L, loop, loop_cursors);
    else
        lua_newtable(L);
}

/* [-0, +0] Visits whoever the list has, looked at again until it has nobody new. A query may give new ids for ever. */
static void visit_all(lua_State *L, struct tenant_loop *loop, int seen)
{
    struct error error = {0};
    int looks;
    for (looks = 1; visit_missing(L, loop, seen) && loop->failures < loop->max_failures; looks++) {
        if (looks == LOOKS) {
            failed_endless(loop, looks, &error);
            bind_fail(L, loop->step, &error);
        }
        bind_tenants_push(L, loop->step, 3, loop); /* a tenant that appeared meanwhile is visited, too */
        show_tenants(loop->step, (int)luaL_len(L, -1));
    }
}

/* The resumable loop: a transaction a tenant. The list is read before the loop is opened: a wrong one
   leaves nothing. */
static void each_resumable(lua_State *L, struct step *step, const struct each *each)
{
    struct error error = {0};
    struct tenant_loop *loop = bind_loop_push(L, step, each->retries, each->max_failures);
    int seen, opened;
    loop->workers = each->workers;
    loop->batch = each->batch;
    loop->exact = each->exact;
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
    lua_rotate(L, -3, 2); /* the list comes last */
    seen = lua_gettop(L) - 2;
    show_open(step, "resumable", (int)luaL_len(L, -1), count_seen(L, seen + 2, seen), loop->workers);
    if (loop->batch > 0)
        show_rows(step, 0);
    visit_all(L, loop, seen);
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
