#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/api.h"
#include "host/api/bind.h"
#include "host/api/put.h"
#include "host/api/session.h"
#include "host/api/session_types.h"
#include "host/changed.h"
#include "host/config.h"
#include "host/ledger.h"
#include "host/runner.h"
#include "host/state.h"
#include "host/txn.h"
#include "host/version_table.h"

#define SESSION_TYPE "dmlua.engine.session"
#define WORK_TYPE "dmlua.engine.work"

struct session *session_check(lua_State *L)
{
    struct session *session = luaL_checkudata(L, 1, SESSION_TYPE);
    struct error error = {0};
    if (session->db == NULL)
        luaL_error(L, "the session is closed");
    if (session->ready)
        return session;
    if (db_finish(session->db, session->config, &error) != 0 ||
        ledger_open(&session->ledger, session->db, session->config, &error) != 0)
        state_raise(L, &error);
    db_echo(session->db, config_flag(session->config, "sqlalchemy.echo"));
    session->ready = true;
    return session;
}

static int session_close(lua_State *L)
{
    struct session *session = luaL_checkudata(L, 1, SESSION_TYPE);
    ledger_close(&session->ledger);
    db_close(session->db);
    session->db = NULL;
    return 0;
}

/* connect(config): a session, whose first use waits until the server has answered. */
int session_connect(lua_State *L)
{
    struct config *config = config_check(L, 1);
    struct error error = {0};
    struct session *session = lua_newuserdatauv(L, sizeof *session, 1);
    memset(session, 0, sizeof *session);
    luaL_setmetatable(L, SESSION_TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    session->config = config;
    session->db = db_start(config, &error);
    if (session->db == NULL)
        return state_raise(L, &error);
    return 1;
}

/* describe(): "user@host:port/database" */
static int session_describe(lua_State *L)
{
    lua_pushstring(L, db_shown(session_check(L)->db));
    return 1;
}

static int work_close(lua_State *L)
{
    struct work *work = luaL_checkudata(L, 1, WORK_TYPE);
    standing_free(&work->at);
    if (work->has_run)
        run_close(&work->run);
    graph_plan_free(&work->plan);
    free(work->changed);
    PQclear(work->result);
    free(work->text);
    memset(work, 0, sizeof *work);
    return 0;
}

struct work *work_push(lua_State *L)
{
    struct work *work = lua_newuserdatauv(L, sizeof *work, 0);
    memset(work, 0, sizeof *work);
    luaL_setmetatable(L, WORK_TYPE);
    return work;
}

/* [-0, +0] Of the loop that the step stands in: {done, listed, failed, skipped}. */
static void put_loop(lua_State *L, const struct part *part)
{
    lua_createtable(L, 0, 4);
    put_integer(L, "done", part->tenants);
    if (part->listed > 0)
        put_integer(L, "listed", part->listed);
    put_integer(L, "failed", part->failures);
    lua_setfield(L, -2, "tenants");
}

/* [-0, +1] One object a step: its last finished part, and the one that was started alone, if any. */
static void push_parts(lua_State *L, const struct part_list *list)
{
    lua_Integer steps = 0;
    size_t i, next;
    lua_newtable(L);
    for (i = 0; i < list->count; i = next) {
        const struct part *first = &list->parts[i];
        int done = 0;
        lua_createtable(L, 0, 5);
        for (next = i; next < list->count && strcmp(list->parts[next].what, first->what) == 0 &&
                       strcmp(list->parts[next].direction, first->direction) == 0; next++) {
            if (list->parts[next].done) {
                done = list->parts[next].number;
                continue;
            }
            put_integer(L, "started", list->parts[next].number);
            if (list->parts[next].loop)
                put_loop(L, &list->parts[next]);
        }
        put_text(L, "revision", first->what);
        put_text(L, "direction", first->direction);
        put_integer(L, "part", done);
        lua_seti(L, -2, ++steps);
    }
}

/* [-0, +1] */
static void push_changed(lua_State *L, const struct changed *changed, size_t count)
{
    size_t i;
    lua_createtable(L, (int)count, 0);
    for (i = 0; i < count; i++) {
        lua_createtable(L, 0, 4);
        put_text(L, "revision", changed[i].script->revision);
        put_text(L, "file", changed[i].script->path);
        put_text(L, "recorded", changed[i].recorded);
        put_text(L, "sha256", changed[i].script->sha256);
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
}

/* current(tree): {rows = ids, parts = unfinished steps {revision, direction, part, started, tenants = {done, listed,
   failed}}, debts = {revision, direction, part, tenant, reason, who, since}, changed = files that are not what they
   were when they ran {revision, file, recorded, sha256}}. Without a tree nothing is compared. Reads only. */
static int session_current(lua_State *L)
{
    struct session *session = session_check(L);
    const struct tree *tree = lua_isnoneornil(L, 2) ? NULL : tree_check_hashed(L, 2);
    struct error error = {0};
    struct work *work = work_push(L);
    size_t changed_count = 0;
    if (standing_read(&session->ledger, &work->at, &error) != 0)
        return state_raise(L, &error);
    if (tree != NULL)
        work->changed = changed_find(&work->at, tree, &changed_count);
    lua_createtable(L, 0, 4);
    put_texts(L, "rows", (const char *const *)work->at.rows, work->at.row_count);
    push_parts(L, &work->at.unfinished);
    lua_setfield(L, -2, "parts");
    session_push_debts(L, work->at.debts);
    lua_setfield(L, -2, "debts");
    push_changed(L, work->changed, changed_count);
    lua_setfield(L, -2, "changed");
    return 1;
}

bool session_flag(lua_State *L, int index, const char *name)
{
    bool flag = lua_getfield(L, index, name) != LUA_TNIL && lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

/* [-0, +1] The list of strings at `index` as an array that Lua owns. */
static const char **read_list(lua_State *L, int index, size_t *count)
{
    const char **texts;
    size_t i;
    luaL_checktype(L, index, LUA_TTABLE);
    *count = (size_t)luaL_len(L, index);
    texts = lua_newuserdatauv(L, (*count + 1) * sizeof *texts, 0);
    for (i = 0; i < *count; i++) {
        lua_geti(L, index, (lua_Integer)i + 1);
        texts[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    return texts;
}

enum { LOCK_WAIT_SECONDS = 300 };

struct run_options session_options(lua_State *L, int index)
{
    struct run_options options = {.lock_wait = LOCK_WAIT_SECONDS};
    if (!lua_istable(L, index)) {
        lua_pushnil(L);
        return options;
    }
    options.accept_changed = session_flag(L, index, "accept_changed");
    options.abandon = session_flag(L, index, "abandon");
    options.no_wait = session_flag(L, index, "no_wait");
    if (lua_getfield(L, index, "lock_wait") == LUA_TNUMBER)
        options.lock_wait = lua_tonumber(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, index, "reason");
    options.reason = lua_tostring(L, -1);
    if (lua_getfield(L, index, "skip") == LUA_TTABLE) /* the texts are the lists' */
        options.skip = read_list(L, lua_gettop(L), &options.skip_count);
    if (lua_getfield(L, index, "only") == LUA_TTABLE)
        options.only = read_list(L, lua_gettop(L), &options.only_count);
    options.write_off = session_flag(L, index, "write_off");
    return options;
}

struct events {
    lua_State *L;
    int function, debts; /* stack indexes; 0: nobody listens */
};

static void tell_event(void *data, const struct graph_step *step, double seconds)
{
    struct events *events = data;
    struct error ignored = {0};
    lua_State *L = events->L;
    if (events->function == 0)
        return;
    lua_pushvalue(L, events->function);
    lua_createtable(L, 0, 5);
    put_text(L, "revision", step->revision);
    put_text(L, "direction", step->up ? "upgrade" : "downgrade");
    put_text(L, "from", step->from);
    put_text(L, "to", step->to);
    lua_pushnumber(L, seconds);
    lua_setfield(L, -2, "seconds");
    state_call(L, 1, 0, &ignored); /* the step is committed: an event that fails must not say otherwise */
    error_clear(&ignored);
}

static void tell_debts(void *data, const PGresult *debts)
{
    struct events *events = data;
    struct error ignored = {0};
    lua_State *L = events->L;
    if (events->debts == 0 || debts == NULL || PQntuples(debts) == 0)
        return;
    lua_pushvalue(L, events->debts);
    session_push_debts(L, debts);
    state_call(L, 1, 0, &ignored); /* what is told holds nothing up */
    error_clear(&ignored);
}

/* [-0, +1] The stack index of a function among the options at 4; 0: there is none. */
static int listener(lua_State *L, const char *name)
{
    if (lua_istable(L, 4) && lua_getfield(L, 4, name) == LUA_TFUNCTION)
        return lua_gettop(L);
    return 0;
}

/* Shared by the verbs that change a database. Returns {steps = n, heads = the rows afterwards, debts = what
   is owed}. */
static int run_command(lua_State *L, const char *kind, unsigned command)
{
    struct session *session = session_check(L);
    struct tree *tree = tree_check_hashed(L, 2);
    struct error error = {0};
    struct run_options options;
    struct events events = {.L = L};
    struct work *work;
    const char **targets;
    size_t count;
    int steps;
    lua_settop(L, 4);
    targets = read_list(L, 3, &count);
    options = session_options(L, 4);
    events.function = listener(L, "on_step");
    events.debts = listener(L, "on_debts");
    options.tell_debts = tell_debts;
    options.tell_data = &events;
    if (lua_istable(L, 4)) {
        lua_getfield(L, 4, "x");
        bind_keep_x(L);
    }
    if (lua_istable(L, 4) && session_flag(L, 4, "purge"))
        command |= GRAPH_PURGE;
    work = work_push(L);
    run_open(&work->run, &session->ledger, session->config, kind, &options);
    work->has_run = true;
    steps = runner_run(L, &work->run, tree, command, targets, count, &work->plan, tell_event, &events, &error);
    if (steps < 0)
        return state_raise(L, &error);
    if (work->run.owing && standing_read(&session->ledger, &work->at, &error) != 0)
        return state_raise(L, &error);
    lua_createtable(L, 0, 3);
    put_integer(L, "steps", steps);
    put_texts(L, "heads", (const char *const *)work->run.at.rows, work->run.at.row_count);
    session_push_debts(L, work->run.owing ? work->at.debts : work->run.at.debts);
    lua_setfield(L, -2, "debts");
    return 1;
}

/* upgrade(tree, targets, options); options: accept_changed, abandon, no_wait, lock_wait (seconds), reason, x
   (list of texts), skip (ids), on_step, on_debts. */
static int session_upgrade(lua_State *L)
{
    return run_command(L, "upgrade", GRAPH_UPGRADE);
}

static int session_downgrade(lua_State *L)
{
    return run_command(L, "downgrade", GRAPH_DOWNGRADE);
}

/* stamp(tree, targets, options); options also: purge. */
static int session_stamp(lua_State *L)
{
    return run_command(L, "stamp", GRAPH_STAMP);
}

/* ensure_version{widen =, no_wait =, lock_wait =}: {table = its name with its schema, made =, widened =, width = of its
   column, nil for any} */
static int session_ensure_version(lua_State *L)
{
    struct session *session = session_check(L);
    struct error error = {0};
    struct run_options options;
    struct version_table table;
    struct work *work;
    luaL_checktype(L, 2, LUA_TTABLE);
    options = session_options(L, 2);
    work = work_push(L);
    run_open(&work->run, &session->ledger, session->config, "ensure_version", &options);
    work->has_run = true;
    if (version_table_ensure(&work->run, session_flag(L, 2, "widen"), &table, &error) != 0)
        return state_raise(L, &error);
    lua_createtable(L, 0, 4);
    lua_pushfstring(L, "%s.%s", session->ledger.schema, session->ledger.table);
    lua_setfield(L, -2, "table");
    put_flag(L, "made", table.made);
    put_flag(L, "widened", table.widened);
    if (table.width > 0) {
        put_integer(L, "width", (lua_Integer)table.width);
    }
    return 1;
}

static const luaL_Reg methods[] = {
    {"describe", session_describe},
    {"current", session_current},
    {"upgrade", session_upgrade},
    {"downgrade", session_downgrade},
    {"stamp", session_stamp},
    {"pay", session_pay},
    {"log", session_log},
    {"tallies", session_tallies},
    {"ensure_version", session_ensure_version},
    {"dump", session_dump},
    {"fix_tenants", session_fix_tenants},
    {"fix_state", session_fix_state},
    {"fix_run", session_fix_run},
    {"read", session_read},
    {"has_tables", session_has_tables},
    {"undo_run", session_undo_run},
    {"undo_forget", session_undo_forget},
    {"tables", session_tables},
    {"declare_tables", session_declare_tables},
    {"close", session_close},
    {NULL, NULL},
};
static const luaL_Reg metamethods[] = {{"__gc", session_close}, {"__close", session_close}, {NULL, NULL}};

void session_open_types(lua_State *L)
{
    luaL_newmetatable(L, SESSION_TYPE);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newmetatable(L, WORK_TYPE);
    lua_pushcfunction(L, work_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
