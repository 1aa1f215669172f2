#include "host/api/bind_fix.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

#include "host/api/bind_loop.h"
#include "host/api/put.h"
#include "host/clock.h"
#include "host/fix.h"
#include "host/limit.h"
#include "host/loop/show.h"
#include "host/state.h"

enum { FUNCTION = 2, TENANTS = 3, EVENT = 4, RETRIES = 5 };

/* What is told of one tenant. */
struct outcome {
    const char *id, *outcome;
    char *message; /* owned; null: it went well */
    long long rows;
    double seconds;
};

/* [-0, +0] The transaction is over: an event that fails must not say otherwise. */
static void tell(lua_State *L, struct outcome *outcome)
{
    struct error ignored = {0};
    if (lua_isnoneornil(L, EVENT))
        return;
    lua_pushvalue(L, EVENT);
    lua_createtable(L, 0, 5);
    put_text(L, "tenant", outcome->id);
    put_text(L, "outcome", outcome->outcome);
    put_text(L, "message", outcome->message);
    if (outcome->message == NULL)
        put_integer(L, "rows", outcome->rows);
    lua_pushnumber(L, outcome->seconds);
    lua_setfield(L, -2, "seconds");
    state_call(L, 1, 0, &ignored);
    error_clear(&ignored);
}

/* [-0, +0] One attempt. */
static int attempt_tenant(lua_State *L, struct tenant_loop *loop, int row, const char *id, long long *rows,
                          struct error *error)
{
    if (fix_begin(loop, id, error) != 0)
        return -1;
    lua_pushvalue(L, FUNCTION);
    lua_geti(L, TENANTS, row);
    if (state_call(L, 1, 0, error) != 0)
        return -1;
    if (loop->step->failure.kind != ERROR_NONE) { /* the script has caught a failed statement */
        error_move(error, &loop->step->failure);
        return -1;
    }
    return fix_commit(loop, id, rows, error);
}

/* [-0, +0] Again, when another try may mend it. -1: the run ends. */
static int visit(lua_State *L, struct tenant_loop *loop, int row, const char *id, struct error *error)
{
    struct outcome outcome = {.id = id, .outcome = loop->step->fix->dry_run ? "dry run" : "done"};
    int attempt, decision = 1;
    for (attempt = 0; decision == 1; attempt++) {
        if (attempt_tenant(L, loop, row, id, &outcome.rows, error) == 0) {
            outcome.seconds = clock_now() - loop->step->fix->began;
            free(outcome.message); /* of an attempt that failed */
            outcome.message = NULL;
            tell(L, &outcome);
            return 0;
        }
        if (error->tenant == NULL)
            error_text(&error->tenant, "%s", id);
        decision = limit_stopped() ? -1 : fix_fail(loop, id, attempt, &outcome.message, error);
    }
    outcome.outcome = "failed";
    outcome.seconds = clock_now() - loop->step->fix->began;
    if (!limit_stopped())
        tell(L, &outcome);
    free(outcome.message);
    return decision;
}

int bind_fix(lua_State *L)
{
    struct step *step = bind_step(L);
    struct tenant_loop *loop;
    struct error error = {0};
    lua_Integer row, count;
    int rc = 0;
    lua_settop(L, EVENT);
    luaL_checktype(L, FUNCTION, LUA_TFUNCTION);
    luaL_checktype(L, TENANTS, LUA_TTABLE);
    count = luaL_len(L, TENANTS);
    loop = bind_loop_push(L, step, RETRIES, INT_MAX);
    show_open(step, step->direction, (int)count + step->fix->passed_over, step->fix->passed_over, 1);
    for (row = 1; rc == 0 && row <= count; row++) {
        lua_geti(L, TENANTS, row);
        lua_getfield(L, -1, "id");
        rc = visit(L, loop, (int)row, luaL_checkstring(L, -1), &error);
        lua_pop(L, 2);
        if (rc == 0 && loop->failures >= step->fix->max_failures)
            break;
    }
    if (rc == 0)
        rc = fix_close(loop, &error);
    return rc == 0 ? 0 : bind_fail(L, step, &error);
}
