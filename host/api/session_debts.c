/* The debts of tenants that loops have left out. */
#include <lauxlib.h>
#include <stdlib.h>

#include "host/api/api.h"
#include "host/api/bind.h"
#include "host/api/put.h"
#include "host/api/session_types.h"
#include "host/loop/debt.h"
#include "host/pay.h"
#include "host/state.h"

void session_push_debts(lua_State *L, const PGresult *debts)
{
    static const char *const names[DEBT_FIELDS] = {"revision", "direction", "part", "tenant", "reason", "who", "since"};
    int row, rows = debts != NULL ? PQntuples(debts) : 0, field;
    lua_createtable(L, rows, 0);
    for (row = 0; row < rows; row++) {
        lua_createtable(L, 0, DEBT_FIELDS);
        for (field = 0; field < DEBT_FIELDS; field++) {
            if (field == DEBT_PART)
                put_integer(L, names[field], atoi(PQgetvalue(debts, row, field)));
            else if (!PQgetisnull(debts, row, field))
                put_text(L, names[field], PQgetvalue(debts, row, field));
        }
        lua_seti(L, -2, row + 1);
    }
}

/* pay(tree, direction, revision, options): {revision = its whole id, paid = how many debts, debts = those that are
   left}; options as of upgrade, and only (ids), write_off. */
int session_pay(lua_State *L)
{
    struct session *session = session_check(L);
    const struct tree *tree = tree_check(L, 2);
    const char *direction = luaL_checkstring(L, 3), *target = luaL_checkstring(L, 4);
    struct error error = {0};
    struct run_options options;
    struct work *work;
    int paid;
    lua_settop(L, 5);
    options = session_options(L, 5);
    lua_getfield(L, 5, "x");
    bind_keep_x(L);
    work = work_push(L);
    run_open(&work->run, &session->ledger, session->config, "pay", &options);
    work->has_run = true;
    paid = pay_run(L, &work->run, tree, direction, target, &work->text, &error);
    if (paid < 0 || standing_read(&session->ledger, &work->at, &error) != 0)
        return state_raise(L, &error);
    lua_createtable(L, 0, 3);
    put_text(L, "revision", work->text);
    put_integer(L, "paid", paid);
    session_push_debts(L, work->at.debts);
    lua_setfield(L, -2, "debts");
    return 1;
}
