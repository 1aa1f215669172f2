/* Undoing a fix: what is known of its runs, the undo, and dropping its pre-images. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/pq.h"
#include "host/api/api.h"
#include "host/api/bind.h"
#include "host/api/session_types.h"
#include "host/fix.h"
#include "host/state.h"
#include "host/undo.h"

enum { READ_VALUES = 8 };

/* [-0, +1] The rows of the result that the box owns; raises when there is none. */
static int push_rows(lua_State *L, struct work *work, struct error *error)
{
    if (work->result == NULL)
        return state_raise(L, error);
    pq_pushresult(L, work->result);
    return lua_getfield(L, -1, "rows");
}

/* read(sql, values): the rows of a query, in a transaction that only reads. The text may name {s}, {t} and {v} as in
   host/ledger.h; values are texts, or false for NULL. */
int session_read(lua_State *L)
{
    struct session *session = session_check(L);
    const char *text = luaL_checkstring(L, 2), *values[READ_VALUES];
    struct error error = {0};
    struct work *work;
    int i, count = 0;
    if (!lua_isnoneornil(L, 3))
        count = (int)luaL_len(L, 3);
    luaL_argcheck(L, count <= READ_VALUES, 3, "too many values");
    for (i = 0; i < count; i++) {
        lua_geti(L, 3, i + 1); /* kept alive by the table */
        values[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    work = work_push(L);
    work->result = ledger_query(&session->ledger, text, count, values, &error);
    push_rows(L, work, &error);
    return 1;
}

/* has_tables(): are dmlua's own tables there? */
int session_has_tables(lua_State *L)
{
    lua_pushboolean(L, session_check(L)->ledger.has_tables);
    return 1;
}

/* [-0, +1] The run of an undo, not begun. */
static struct work *push_run(lua_State *L, struct session *session, int index)
{
    struct run_options options = session_options(L, index);
    struct work *work = work_push(L);
    run_open(&work->run, &session->ledger, session->config, "undo", &options);
    work->has_run = true;
    return work;
}

/* [-0, +1] What there is to be said of the fix: {name, sha256, run} at `index`; its texts stay alive with the table. */
static struct script read_fix(lua_State *L, int index, const char **run)
{
    struct script script = {.fix = true};
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "name");
    lua_getfield(L, index, "run");
    lua_getfield(L, index, "sha256");
    script.revision = luaL_checkstring(L, -3);
    *run = luaL_checkstring(L, -2);
    snprintf(script.sha256, sizeof script.sha256, "%s", luaL_checkstring(L, -1));
    lua_pop(L, 3);
    return script;
}

/* undo_run({name, sha256, run}, tenants, options): brings back what the run has changed, for each row of the list;
   options: dry_run, on_tenant, no_wait, lock_wait, reason. Returns the run's own id. Raises kind partial when tenants
   have failed. */
int session_undo_run(lua_State *L)
{
    struct session *session = session_check(L);
    struct fix fix = {.max_failures = FIX_FAILURES};
    struct error error = {0};
    struct script script;
    struct work *work;
    lua_settop(L, 4);
    script = read_fix(L, 2, &fix.undoes);
    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_checktype(L, 4, LUA_TTABLE);
    fix.dry_run = session_flag(L, 4, "dry_run");
    work = push_run(L, session, 4);
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 4);
    if (fix_run(L, &work->run, &script, &fix, &error) != 0)
        return state_raise(L, &error);
    lua_pushstring(L, work->run.id);
    return 1;
}

/* undo_forget({name, sha256, run}, options): drops the run's pre-images; their number. */
int session_undo_forget(lua_State *L)
{
    struct session *session = session_check(L);
    struct error error = {0};
    struct script script;
    struct work *work;
    long long rows = 0;
    const char *id;
    lua_settop(L, 3);
    script = read_fix(L, 2, &id);
    work = push_run(L, session, 3);
    if (undo_forget(&work->run, &script, id, &rows, &error) != 0)
        return state_raise(L, &error);
    lua_pushinteger(L, (lua_Integer)rows);
    return 1;
}
