/* What a session tells of its database. */
#include <lauxlib.h>
#include <stdio.h>

#include "bindings/pq.h"
#include "host/api/session_types.h"
#include "host/dump.h"
#include "host/ledger.h"
#include "host/state.h"

/* The ledger's rows, newest first, but for those of single tenants' statements (host/loop/tally.h): what these come to
   stands with the row of their step or part. */
static const char log_text[] =
    "WITH shown AS (SELECT * FROM {s}.dmlua_ledger WHERE version_table = {t} AND outcome <> 'counted'"
    " AND (what = $2 OR CAST($2 AS text) IS NULL) ORDER BY id DESC LIMIT CAST($1 AS bigint)),"
    " counted AS (SELECT run_id, what, coalesce(part, 0) AS part,"
    " pg_catalog.count(DISTINCT tenant) FILTER (WHERE rows IS NOT NULL) AS tenants,"
    " CAST(pg_catalog.sum(rows) AS bigint) AS rows,"
    " pg_catalog.count(DISTINCT tenant) FILTER (WHERE rows IS NULL) AS unknown"
    " FROM {s}.dmlua_ledger WHERE version_table = {t} AND outcome = 'counted' AND what IN (SELECT what FROM shown)"
    " AND run_id IN (SELECT run_id FROM shown) GROUP BY 1, 2, 3)"
    " SELECT l.id, CAST(l.run_id AS text) AS run, l.kind AS direction, l.what AS revision, l.part,"
    " l.service, l.environment,"
    " l.tenant, l.outcome,"
    " pg_catalog.to_char(l.started AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS started,"
    " CAST(extract(epoch FROM l.duration) * 1000 AS bigint) AS duration_ms, l.who, l.client,"
    " coalesce(l.rows, c.rows) AS rows, c.tenants, c.unknown, l.sha256, l.reason, l.note"
    " FROM shown l LEFT JOIN counted c ON l.tenant IS NULL AND c.run_id = l.run_id AND c.what = l.what"
    " AND c.part = coalesce(l.part, 0) ORDER BY l.id DESC";

/* The newest run first, its tenants in the order of their visits. A tenant whose batches were written apart is one. */
static const char tenants_text[] =
    "SELECT CAST(run_id AS text) AS run, kind AS direction, what AS revision, part, tenant, note AS statement,"
    " CASE WHEN pg_catalog.count(rows) = pg_catalog.count(*) THEN CAST(pg_catalog.sum(rows) AS bigint) END AS rows"
    " FROM {s}.dmlua_ledger WHERE version_table = {t} AND outcome = 'counted'"
    " AND (what = $2 OR CAST($2 AS text) IS NULL) GROUP BY run_id, kind, what, part, tenant, note"
    " ORDER BY pg_catalog.max(pg_catalog.max(id)) OVER (PARTITION BY run_id, what, part) DESC, pg_catalog.min(id)"
    " LIMIT CAST($1 AS bigint)";

/* [-0, +1] The rows of a query of the ledger, by the options' table {limit, what}. */
static int push_ledger(lua_State *L, const char *text)
{
    struct session *session = session_check(L);
    struct error error = {0};
    char limit[24];
    const char *values[2] = {NULL, NULL};
    struct work *work;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "what");
    values[1] = lua_tostring(L, -1);
    if (lua_getfield(L, 2, "limit") == LUA_TNUMBER) {
        snprintf(limit, sizeof limit, "%lld", (long long)lua_tointeger(L, -1));
        values[0] = limit;
    }
    work = work_push(L);
    if (!session->ledger.has_tables) {
        lua_newtable(L);
        return 1;
    }
    work->result = ledger_query(&session->ledger, text, 2, values, &error);
    if (work->result == NULL)
        return state_raise(L, &error);
    pq_pushresult(L, work->result);
    lua_getfield(L, -1, "rows");
    return 1;
}

/* log{limit = n, what = revision or fix}: the ledger; a row is a table by column name. Reads only. */
int session_log(lua_State *L)
{
    return push_ledger(L, log_text);
}

/* tallies{limit, what}: what single tenants' statements have written. Reads only. */
int session_tallies(lua_State *L)
{
    return push_ledger(L, tenants_text);
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
