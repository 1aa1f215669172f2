#include <lauxlib.h>
#include <libpq-fe.h>
#include <pg_query.h>
#include <stdbool.h>
#include <stdio.h>

#include "host/api/api.h"
#include "host/api/machine.h"
#include "host/api/put.h"
#include "host/api/session.h"
#include "host/report.h"

/* write(text): a result, to stdout. */
static int engine_write(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    report_write(text, size);
    return 0;
}

/* log(level, logger, text): a line to stderr; level is "debug", "info", "warn" or "error". */
static int engine_log(lua_State *L)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    int level = luaL_checkoption(L, 1, "info", levels);
    report_log((enum report_level)level, luaL_checkstring(L, 2), "%s", luaL_checkstring(L, 3));
    return 0;
}

/* report{json=, quiet=, verbose=, no_color=, no_progress=, progress=}: how the rest of this run reports. */
static int engine_report(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "json");
    report_options.json = lua_toboolean(L, -1);
    if (report_options.json)
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* who reads the steps wants each when it is done */
    lua_getfield(L, 1, "quiet");
    report_options.quiet = lua_toboolean(L, -1);
    lua_getfield(L, 1, "verbose");
    report_options.verbose = lua_toboolean(L, -1);
    lua_getfield(L, 1, "no_color");
    report_options.no_color = lua_toboolean(L, -1);
    lua_getfield(L, 1, "no_progress");
    report_options.no_progress = lua_toboolean(L, -1);
    lua_getfield(L, 1, "progress");
    report_options.progress = lua_tonumber(L, -1);
    return 0;
}

/* versions(): {dmlua, lua, libpq, libpg_query} as text; libpg_query is named by the PostgreSQL whose grammar it has. */
static int engine_versions(lua_State *L)
{
    int pq = PQlibVersion();
    lua_newtable(L);
    put_text(L, "dmlua", DMLUA_VERSION);
    put_text(L, "lua", LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE);
    lua_pushfstring(L, "%d.%d", pq / 10000, pq % 10000);
    lua_setfield(L, -2, "libpq");
    put_text(L, "libpg_query", PG_VERSION);
    return 1;
}

static const luaL_Reg engine[] = {
    {"connect", session_connect},
    {"write", engine_write},
    {"log", engine_log},
    {"report", engine_report},
    {"versions", engine_versions},
    {"terminal", engine_terminal},
    {"run_program", engine_run_program},
    {"clock", engine_clock},
    {NULL, NULL},
};

int luaopen_dmlua_engine(lua_State *L)
{
    session_open_types(L);
    luaL_newlib(L, engine);
    return 1;
}
