/* What a session tells of its database. */
#include <lauxlib.h>
#include <stdio.h>

#include "bindings/pq.h"
#include "host/api/session_types.h"
#include "host/dump.h"
#include "host/ledger.h"
#include "host/state.h"

/* log{limit = n}: the ledger, newest first; a row is a table by column name. Reads only. */
int session_log(lua_State *L)
{
    struct session *session = session_check(L);
    struct error error = {0};
    char limit[24] = "100";
    const char *value = limit;
    struct work *work;
    if (lua_istable(L, 2) && lua_getfield(L, 2, "limit") == LUA_TNUMBER)
        snprintf(limit, sizeof limit, "%lld", (long long)lua_tointeger(L, -1));
    work = work_push(L);
    if (!session->ledger.has_tables) {
        lua_newtable(L);
        return 1;
    }
    work->result = ledger_query(
        &session->ledger,
        "SELECT id, CAST(run_id AS text) AS run, kind AS direction, what AS revision, part, service, environment, tenant, outcome,"
        " pg_catalog.to_char(started AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS started,"
        " CAST(extract(epoch FROM duration) * 1000 AS bigint) AS duration_ms, who, client, rows, sha256, reason, note"
        " FROM {s}.dmlua_ledger WHERE version_table = {t} ORDER BY id DESC LIMIT CAST($1 AS bigint)",
        1, &value, &error);
    if (work->result == NULL)
        return state_raise(L, &error);
    pq_pushresult(L, work->result);
    lua_getfield(L, -1, "rows");
    return 1;
}

/* dump(): what pg_dump writes for the schema, without the version table and dmlua's own; and the role that reads it. */
int session_dump(lua_State *L)
{
    struct session *session = session_check(L);
    struct error error = {0};
    struct work *work = work_push(L);
    work->text = dump_schema(&session->ledger, &error);
    if (work->text == NULL)
        return state_raise(L, &error);
    lua_pushstring(L, work->text);
    lua_pushstring(L, session->ledger.user);
    return 2;
}
