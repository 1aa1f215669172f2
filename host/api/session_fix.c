/* Ad-hoc fixes: who they would run for, what is done already, and running them. */
#include <lauxlib.h>

#include "bindings/pq.h"
#include "host/api/api.h"
#include "host/api/bind.h"
#include "host/api/put.h"
#include "host/api/session_types.h"
#include "host/fix.h"
#include "host/state.h"
#include "host/undo.h"

/* [-0, +1] The rows of the result that the box owns. */
static int push_rows(lua_State *L, struct work *work, struct error *error)
{
    if (work->result == NULL)
        return state_raise(L, error);
    pq_pushresult(L, work->result);
    PQclear(work->result);
    work->result = NULL;
    return lua_getfield(L, -1, "rows");
}

/* [-0, +1] A run of this session's, not begun; its options at `index`. */
static struct work *push_run(lua_State *L, struct session *session, int index)
{
    struct run_options options = session_options(L, index);
    struct work *work = work_push(L);
    run_open(&work->run, &session->ledger, session->config, "run", &options);
    work->has_run = true;
    return work;
}

/* fix_tenants(fix): the rows of tenants_query, whose first column is the id. Reads only. */
int session_fix_tenants(lua_State *L)
{
    struct session *session = session_check(L);
    const struct script *script = fix_script_check(L, 2);
    struct error error = {0};
    struct work *work = push_run(L, session, 3);
    work->result = fix_tenants(&work->run, script, &error);
    push_rows(L, work, &error);
    return 1;
}

/* Who has the script done for a tenant, in this form or in an earlier one. */
static const char done_text[] =
    "SELECT DISTINCT ON (l.tenant, l.sha256 = $2) l.tenant, l.sha256 = $2 AS same, l.sha256, l.who,"
    " pg_catalog.to_char(l.started AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at"
    " FROM {s}.dmlua_ledger l WHERE l.version_table = {t} AND l.kind = 'run' AND l.outcome = 'done'"
    " AND (l.what = $1 OR l.sha256 = $2) AND EXISTS (SELECT FROM {s}.dmlua_progress p"
    " WHERE p.version_table = {t} AND p.what = l.sha256 AND p.direction = 'run' AND p.tenant = l.tenant"
    " AND p.state = 'done'"
    " AND p.run_id = l.run_id)"
    " ORDER BY l.tenant, l.sha256 = $2, l.id DESC";

/* The tables that the header names: the oid of each and of its audit table, its quoted name, and the columns of its
   primary key. */
static const char tables_text[] =
    "SELECT n.name, CAST(c.oid AS text) AS oid, (SELECT CAST(g.tgrelid AS text) FROM pg_catalog.pg_trigger g"
    " WHERE g.tgrelid = CAST(pg_catalog.to_regclass(pg_catalog.format('%I.%I', s.nspname,"
    " pg_catalog.concat(c.relname, '_audit'))) AS oid) AND g.tgname = pg_catalog.concat(c.relname,"
    " '_audit_keep')) AS audit,"
    " pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS quoted,"
    " (SELECT pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), ', ' ORDER BY k.place)"
    " FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(number, place),"
    " pg_catalog.pg_attribute a WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid"
    " AND a.attnum = k.number) AS key"
    " FROM pg_catalog.unnest(CAST($1 AS text[])) AS n(name)"
    " LEFT JOIN pg_catalog.pg_class c ON c.oid = CAST(pg_catalog.to_regclass(n.name) AS oid)"
    " LEFT JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace";

/* fix_state(fix, tables): {done = {{tenant, same = this very file, sha256, who, at}…},
   tables = {{name, oid, audit, quoted, key}…}, schema, version_table (where dmlua's own tables are)}; `tables` is an
   array's text. Reads only. */
int session_fix_state(lua_State *L)
{
    struct session *session = session_check(L);
    const struct script *script = fix_script_check(L, 2);
    const char *values[2] = {script->revision, script->sha256};
    const char *tables = luaL_checkstring(L, 3);
    struct error error = {0};
    struct work *work = work_push(L);
    lua_createtable(L, 0, 4);
    put_text(L, "schema", session->ledger.schema);
    put_text(L, "version_table", session->ledger.table);
    work->result = ledger_query(&session->ledger, tables_text, 1, &tables, &error);
    push_rows(L, work, &error);
    lua_setfield(L, -3, "tables");
    lua_pop(L, 1);
    if (!session->ledger.has_tables) {
        lua_newtable(L);
    } else {
        work->result = ledger_query(&session->ledger, done_text, 2, values, &error);
        push_rows(L, work, &error);
        lua_remove(L, -2);
    }
    lua_setfield(L, -2, "done");
    return 1;
}

/* [-0, +1] The text of an option, kept on the stack; null when there is none. */
static const char *push_text(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    return lua_tostring(L, -1);
}

/* [-0, +1] The texts of the list that is the field of the table at the top, ended by null; null when there is none. */
static const char *const *push_list(lua_State *L, const char *name)
{
    const char **list;
    lua_Integer i, count;
    if (lua_getfield(L, -1, name) != LUA_TTABLE)
        return NULL;
    count = luaL_len(L, -1);
    list = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *list, 1);
    lua_insert(L, -2);
    for (i = 0; i < count; i++) {
        lua_geti(L, -1, i + 1);
        list[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    list[count] = NULL;
    lua_setiuservalue(L, -2, 1); /* keeps the texts */
    return list;
}

/* [-0, +n] The options' undo_log {make, before, after}: what lua/dmlua/undo_sql.lua has made. */
static void push_log(lua_State *L, int index, struct undo_log *log)
{
    if (lua_getfield(L, index, "undo_log") != LUA_TTABLE)
        return;
    log->make = push_text(L, -1, "make");
    lua_pushvalue(L, -2);
    log->before = push_list(L, "before");
    lua_pushvalue(L, -2);
    log->after = push_list(L, "after");
}

/* fix_run(fix, tenants, options): runs it for each row of the list; options: tables (oids, an array's text), max_rows,
   again, dry_run, passed_over (tenants that are done already), on_tenant, show (lua/dmlua/fix_show.lua), no_wait,
   lock_wait, reason. Raises kind partial when tenants have failed. */
int session_fix_run(lua_State *L)
{
    struct session *session = session_check(L);
    const struct script *script = fix_script_check(L, 2);
    struct fix fix = {.max_failures = FIX_FAILURES};
    struct undo_log log = {0};
    struct error error = {0};
    struct work *work;
    lua_settop(L, 4);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_getfield(L, 4, "x");
    bind_keep_x(L);
    fix.again = session_flag(L, 4, "again");
    fix.dry_run = session_flag(L, 4, "dry_run");
    lua_getfield(L, 4, "passed_over");
    fix.passed_over = (int)lua_tointeger(L, -1);
    fix.tables = push_text(L, 4, "tables");
    fix.max_rows = push_text(L, 4, "max_rows");
    work = push_run(L, session, 4);
    push_log(L, 4, &log);
    if (log.before != NULL)
        fix.log = &log;
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 4);
    if (fix_run(L, &work->run, script, &fix, &error) != 0)
        return state_raise(L, &error);
    lua_pushstring(L, work->run.id);
    return 1;
}
