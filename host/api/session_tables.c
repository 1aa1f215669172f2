/* What a session tells and writes down of tables. */
#include <lauxlib.h>

#include "bindings/pq.h"
#include "host/api/session_types.h"
#include "host/state.h"
#include "host/tables.h"

/* [-0, +1] the rows of the work's result */
static int push_rows(lua_State *L, struct work *work)
{
    pq_pushresult(L, work->result);
    lua_getfield(L, -1, "rows");
    return 1;
}

/* tables(): rows {name, fault, declared, tenants, reason, since}. Reads only. */
int session_tables(lua_State *L)
{
    struct session *session = session_check(L);
    struct error error = {0};
    struct work *work = work_push(L);
    work->result = tables_list(&session->ledger, session->config, &error);
    if (work->result == NULL)
        return state_raise(L, &error);
    return push_rows(L, work);
}

/* declare_tables{names =, reason =, no_wait =, lock_wait =}: rows {name} of what is new. `names`: an array literal; nil
   adopts. */
int session_declare_tables(lua_State *L)
{
    struct session *session = session_check(L);
    struct error error = {0};
    struct run_options options = {.lock_wait = 300};
    struct work *work;
    const char *names;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getfield(L, 2, "names");
    names = lua_tostring(L, -1);
    lua_getfield(L, 2, "reason");
    options.reason = lua_tostring(L, -1);
    lua_getfield(L, 2, "no_wait");
    options.no_wait = lua_toboolean(L, -1);
    if (lua_getfield(L, 2, "lock_wait") == LUA_TNUMBER)
        options.lock_wait = lua_tonumber(L, -1);
    work = work_push(L);
    run_open(&work->run, &session->ledger, session->config, names == NULL ? "adopt" : "declare", &options);
    work->has_run = true;
    if (tables_declare(&work->run, names, &work->result, &error) != 0)
        return state_raise(L, &error);
    return push_rows(L, work);
}
