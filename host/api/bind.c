#include "host/api/bind.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/pq.h"
#include "host/api/put.h"
#include "host/api/bind_fix.h"
#include "host/api/bind_loop.h"
#include "host/api/bind_tenants.h"
#include "host/config.h"
#include "host/loop/flight.h"
#include "host/state.h"
#include "host/step.h"
#include "host/trace.h"

#define BOX_TYPE "dmlua.step"
#define RESULT_TYPE "dmlua.step.result"
static const char registry_key, x_key;

struct box {
    struct step *step; /* null: the step is over */
};

struct step *bind_step(lua_State *L)
{
    struct box *box = lua_touserdata(L, lua_upvalueindex(1));
    if (box->step == NULL)
        luaL_error(L, "this revision's upgrade or downgrade has ended");
    return box->step;
}

enum { VALUES_MAX = 65535 }; /* the protocol counts parameters in 16 bits */

/* Parameters: an array of text, false for SQL NULL. The values are anchored by the table at `index`. */
static int read_values(lua_State *L, int index, const char **values)
{
    int count, i;
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    count = (int)luaL_len(L, index);
    if (count > VALUES_MAX)
        luaL_error(L, "a statement takes at most %d parameters", VALUES_MAX);
    for (i = 0; i < count; i++) {
        lua_geti(L, index, i + 1);
        values[i] = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        lua_pop(L, 1);
    }
    return count;
}

/* (self, sql, params, file, line, raw, lines): the statement that the arguments describe. Leaves an array of values on
   the stack. */
static struct db_statement read_statement(lua_State *L, const struct step *step)
{
    struct db_statement statement = {.sql = luaL_checkstring(L, 2)};
    size_t size = lua_isnoneornil(L, 3) ? 0 : (size_t)luaL_len(L, 3);
    const char **values = lua_newuserdatauv(L, (size + 1) * sizeof *values, 0);
    statement.count = read_values(L, 3, values);
    statement.values = values;
    statement.origin.revision = step->plan->revision;
    statement.origin.file = luaL_optstring(L, 4, NULL);
    statement.origin.line = (int)luaL_optinteger(L, 5, 0);
    statement.origin.raw = lua_toboolean(L, 6);
    statement.origin.lines = lua_toboolean(L, 7);
    statement.origin.tenant = step->tenant;
    statement.origin.role = step_role(step);
    return statement;
}

/* Does PostgreSQL refuse the statement inside a transaction block? dmlua.alone knows. [-0, +2] keeps its texts
   alive. */
static bool read_alone(lua_State *L, const char *sql, struct step_alone *alone)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.alone");
    lua_call(L, 1, 1);
    lua_pushstring(L, sql);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1))
        return false;
    lua_getfield(L, -1, "index");
    alone->index = lua_tostring(L, -1);
    lua_getfield(L, -2, "drops");
    alone->drops = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return true;
}

/* In a visit it is the tenant's failure, not the step's. */
int bind_fail(lua_State *L, struct step *step, struct error *error)
{
    if (step->visit != NULL) { /* one of many: where it was, without the way there */
        trace_fill(L, error);
        error_copy(&step->visit->failure, error);
    } else {
        error_copy(&step->failure, error);
    }
    return state_raise(L, error);
}

bool bind_may_yield(lua_State *L, struct step *step)
{
    struct visit *visit = step->visit;
    struct error error = {0};
    if (visit == NULL)
        return false;
    if (visit->thread == L && lua_isyieldable(L))
        return true;
    if (!flight_would_block(step->loop, visit))
        return false;
    visit->blocked = true;
    error_set(&error, ERROR_MIGRATION,
              "waits inside a coroutine of the script's own, while other tenants are under way");
    bind_fail(L, step, &error);
    return false;
}

/* Goes on in a callback that was left: raises what has failed meanwhile. */
static struct step *resume(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    if (step->visit == NULL || step->visit->thread != L)
        luaL_error(L, "this coroutine waits for the server: it is not the script's to resume");
    if (step->visit->scope.failure.kind != ERROR_NONE) {
        error_copy(&error, &step->visit->scope.failure);
        bind_fail(L, step, &error);
    }
    return step;
}

static int send_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    resume(L);
    return 0;
}

/* send(sql, params, file, line, raw, lines) */
static int bind_send(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    struct step_alone alone = {0};
    struct db_statement statement;
    bool is_alone;
    lua_settop(L, 7);
    statement = read_statement(L, step);
    is_alone = step->alone && read_alone(L, statement.sql, &alone);
    if (step_send(step, &statement, is_alone ? &alone : NULL, &error) != 0)
        return bind_fail(L, step, &error);
    if (step->visit == NULL || !db_crowded(step_db(step)))
        return 0;
    if (bind_may_yield(L, step)) {
        step->visit->state = VISIT_CROWDED;
        return lua_yieldk(L, 0, 0, send_on);
    }
    db_make_room(step_db(step));
    return 0;
}

static int result_close(lua_State *L)
{
    PGresult **result = luaL_checkudata(L, 1, RESULT_TYPE);
    PQclear(*result);
    *result = NULL;
    return 0;
}

/* [-0, +1] A box that will own a result: made before the result, so that no raise leaks it. */
PGresult **bind_result_box(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__gc", result_close}, {"__close", result_close}, {NULL, NULL}};
    PGresult **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    if (luaL_newmetatable(L, RESULT_TYPE))
        luaL_setfuncs(L, methods, 0);
    lua_setmetatable(L, -2);
    return box;
}

/* [-0, +0] The answer at the top is an earlier run's: what its tag says, which the result cannot hold. */
static void put_tag(lua_State *L, const char *tag)
{
    const char *count = strrchr(tag, ' ');
    if (*tag == '\0')
        return;
    put_text(L, "tag", tag);
    if (count == NULL || strspn(count + 1, "0123456789") != strlen(count + 1))
        return;
    put_integer(L, "rowcount", strtoll(count + 1, NULL, 10));
}

/* [-0, +1] The answer in the box at the top, which is emptied. */
static int push_answer(lua_State *L, PGresult **result)
{
    pq_pushresult(L, *result);
    PQclear(*result);
    *result = NULL;
    return 1;
}

static int query_on(lua_State *L, int status, lua_KContext context)
{
    struct step *step = resume(L);
    PGresult **result = bind_result_box(L);
    (void)status;
    (void)context;
    *result = step->visit->answer;
    step->visit->answer = NULL;
    return push_answer(L, result);
}

/* query(sql, params, file, line, raw, lines): the answer, as pq_pushresult makes it. */
static int bind_query(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    struct db_statement statement;
    PGresult **result;
    struct step_alone alone = {0};
    lua_settop(L, 7);
    statement = read_statement(L, step);
    if (bind_may_yield(L, step)) {
        if (step_ask(step, &statement, &error) != 0)
            return bind_fail(L, step, &error);
        step->visit->state = VISIT_WAITS;
        return lua_yieldk(L, 0, 0, query_on);
    }
    result = bind_result_box(L);
    if (step->alone && read_alone(L, statement.sql, &alone)) /* no such statement answers with rows */
        *result = step_send(step, &statement, &alone, &error) == 0 ? PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK) : NULL;
    else
        *result = step_query(step, &statement, &error);
    if (*result == NULL)
        return bind_fail(L, step, &error);
    push_answer(L, result);
    put_tag(L, step->tag);
    return 1;
}

/* autocommit(fn): cuts the step; what fn sends is parts of their own. */
static int bind_autocommit(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    int rc;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (step_cut(step, &error) != 0)
        return bind_fail(L, step, &error);
    step->alone = true;
    lua_pushvalue(L, 2);
    rc = state_call(L, 0, 0, &error);
    step->alone = false;
    if (rc != 0)
        return bind_fail(L, step, &error);
    return 0;
}

/* batches(sql, nil, file, line): a part that carries out the statement again and again, see step_batches. */
static int bind_batches(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    struct db_statement statement;
    lua_settop(L, 6);
    statement = read_statement(L, step);
    if (step->alone)
        return luaL_error(L, "batches inside autocommit_block");
    if (step_batches(step, &statement, &error) != 0)
        return bind_fail(L, step, &error);
    return 0;
}

/* copy(sql, nil, file, line, nil, data): COPY … FROM STDIN, with its rows. */
static int bind_copy(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    struct db_statement statement;
    const char *data;
    size_t size;
    lua_settop(L, 7);
    statement = read_statement(L, step);
    data = luaL_checklstring(L, 7, &size);
    if (step_copy(step, &statement, data, size, &error) != 0)
        return bind_fail(L, step, &error);
    return 0;
}

/* log(level, text): a line in its order between the server's answers. */
static int bind_log(lua_State *L)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    struct step *step = bind_step(L);
    enum report_level level = (enum report_level)luaL_checkoption(L, 2, "info", levels);
    db_log(step_db(step), level, "dmlua.script", luaL_checkstring(L, 3));
    return 0;
}

static int elapsed_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    lua_pushnumber(L, step_elapsed(resume(L)));
    return 1;
}

/* elapsed(): wall seconds since the step began, when all that was sent is done. */
static int bind_elapsed(lua_State *L)
{
    struct step *step = bind_step(L);
    struct error error = {0};
    if (bind_may_yield(L, step)) {
        step->visit->state = VISIT_WAITS;
        return lua_yieldk(L, 0, 0, elapsed_on);
    }
    if (step_await(step, &error) != 0)
        return bind_fail(L, step, &error);
    lua_pushnumber(L, step_elapsed(step));
    return 1;
}

/* mark(name, text): a note in the step's ledger row. */
static int bind_mark(lua_State *L)
{
    step_note(bind_step(L), luaL_checkstring(L, 2), luaL_checkstring(L, 3));
    return 0;
}

static const luaL_Reg methods[] = {
    {"send", bind_send},       {"query", bind_query}, {"autocommit", bind_autocommit}, {"each", bind_each},
    {"log", bind_log},         {"elapsed", bind_elapsed}, {"mark", bind_mark},    {"batches", bind_batches},
    {"copy", bind_copy},       {"tenants", bind_tenants}, {NULL, NULL},
};

/* [-0, +1] What the vocabulary needs to know of the configuration. */
static void push_settings(lua_State *L, const struct run *run)
{
    static const char *const keys[] = {
        "tenant_column",        "tenant_setting",       "tenant_type",          "app_role",
        "tenant_role",          "tenants_query",        "naming_convention.ix", "naming_convention.uq",
        "naming_convention.ck", "naming_convention.fk", "naming_convention.pk", NULL};
    size_t i;
    lua_createtable(L, 0, 16);
    for (i = 0; keys[i] != NULL; i++)
        put_text(L, keys[i], config_get(run->config, keys[i]));
    put_text(L, "service", config_service(run->config));
    put_text(L, "environment", config_environment(run->config));
    put_text(L, "isolation", config_isolation(run->config));
    put_text(L, "schema", run->ledger->schema);
    put_flag(L, "rls", config_rls(run->config));
    put_flag(L, "audit", config_flag(run->config, "enable_audit_triggers"));
    put_flag(L, "declarations", run->ledger->has_tables && strcmp(config_isolation(run->config), "rls") == 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &x_key);
    lua_setfield(L, -2, "x");
}

void bind_keep_x(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &x_key);
}

void bind_push(lua_State *L, struct step *step)
{
    struct box *box;
    lua_createtable(L, 0, 16);
    box = lua_newuserdatauv(L, sizeof *box, 0);
    box->step = step;
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key); /* bind_close finds it there */
    luaL_setfuncs(L, methods, 1);
    if (step->fix != NULL) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
        lua_pushcclosure(L, bind_fix, 1);
        lua_setfield(L, -2, "fix");
    }
    put_text(L, "revision", step->plan->revision);
    put_text(L, "direction", step->direction);
    put_text(L, "file", step->script->path);
    push_settings(L, step->run);
    lua_setfield(L, -2, "settings");
}

void bind_close(lua_State *L, struct step *step)
{
    struct box *box;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    box = lua_touserdata(L, -1);
    if (box != NULL && box->step == step)
        box->step = NULL;
    lua_pop(L, 1);
}
