/* Running a script: the file anew, in a fresh environment over the step's vocabulary. */
#include <lauxlib.h>
#include <string.h>

#include "host/limit.h"
#include "host/script/internal.h"
#include "host/state.h"
#include "host/trace.h"

/* The ways on from a step that only Alembic can take. */
static int refuse_python(const struct script *script, const char *entry, struct error *error)
{
    bool up = strcmp(entry, "upgrade") == 0;
    const char *before = script->down_count > 0 ? script->down[0] : "base";
    error_set(error, ERROR_USAGE, "%s is written in Python, which dmlua never runs", script->path);
    error_text(&error->revision, "%s", script->revision);
    error_text(&error->hint,
               "port it: a file with revision = \"%s\" in Lua beside it takes its place; or let Alembic run it: "
               "alembic %s %s; or, where the database already is as it leaves it: dmlua stamp %s",
               script->revision, entry, up ? script->revision : before, up ? script->revision : before);
    return -1;
}

int script_check(const struct script *script, const char *entry, struct error *error)
{
    bool has = strcmp(entry, "upgrade") == 0 ? script->has_upgrade : script->has_downgrade;
    if (script->python)
        return refuse_python(script, entry, error);
    if (has)
        return 0;
    error_set(error, ERROR_USAGE, "%s has no function %s()", script->path, entry);
    error_text(&error->revision, "%s", script->revision);
    error_text(&error->hint, "write one; an empty one says that nothing is to be done");
    return -1;
}

struct run {
    const struct script *script;
    const char *entry;
    struct error *error;
};

/* [-0, +1] The text of the file, if it is the one that was read. */
static void read_again(lua_State *L, const struct script *script)
{
    struct error error = {0};
    char sha256[65];
    chunk_read(L, script->path, sha256);
    if (strcmp(sha256, script->sha256) == 0)
        return;
    error_set(&error, ERROR_USAGE, "%s was changed while dmlua was running", script->path);
    error_text(&error.hint, "run the command again");
    state_raise(L, &error);
}

/* [-0, +1] The environment over the bind table at 1. */
static void push_environment(lua_State *L, const struct script *script)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.script");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "environment");
    lua_pushstring(L, script->lib);
    lua_pushvalue(L, 1);
    lua_call(L, 2, 1);
    lua_remove(L, -2);
}

/* Does the environment at 3 say the revision that the plan knows? A top level may compute it. */
static bool same_revision(lua_State *L, const struct script *script)
{
    bool same;
    lua_pushliteral(L, "revision");
    same = lua_rawget(L, 3) == LUA_TSTRING && strcmp(lua_tostring(L, -1), script->revision) == 0;
    lua_pop(L, 1);
    return same;
}

/* [-0, +1] What drives the fix whose environment is at 3, over the bind table at 1. */
static int push_driver(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.fix");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "driver");
    lua_remove(L, -2);
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 1);
    lua_call(L, 2, 1);
    return 0;
}

/* [-0, +1] The function `entry` of the environment at 3, which its top level has filled. */
static int push_entry(lua_State *L, const struct run *run)
{
    if (run->script->fix)
        return push_driver(L);
    if (!same_revision(L, run->script)) {
        error_set(run->error, ERROR_USAGE, "%s says another revision each time it is read",
                  run->script->path);
        return -1;
    }
    lua_pushstring(L, run->entry);
    if (lua_rawget(L, 3) == LUA_TFUNCTION)
        return 0;
    error_set(run->error, ERROR_USAGE, "%s has no function %s()", run->script->path, run->entry);
    return -1;
}

/* [-0, +0] 1: bind, 2: struct run. Raises what comes before the script's first line; what comes later is in
 * run->error. */
static int run_protected(lua_State *L)
{
    struct run *run = lua_touserdata(L, 2);
    lua_State *thread;
    push_environment(L, run->script);
    read_again(L, run->script);
    lua_pushvalue(L, 3);
    chunk_compile(L, run->script->path);
    thread = lua_newthread(L);
    limit_hook(thread, true);
    lua_pushvalue(L, 4);
    lua_xmove(L, thread, 1);
    if (chunk_resume(L, thread, 0, 0, run->error) != 0 || push_entry(L, run) != 0)
        return 0;
    lua_xmove(L, thread, 1);
    chunk_resume(L, thread, 0, 0, run->error);
    return 0;
}

int script_run(lua_State *L, const struct script *script, const char *entry, struct error *error)
{
    struct error failure = {0};
    struct run run = {script, entry, &failure};
    lua_pushcfunction(L, run_protected);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &run);
    limit_begin(script->limits);
    if (state_call(L, 2, 0, error) == 0)
        error_move(error, &failure);
    limit_end();
    error_clear(&failure);
    if (error->kind == ERROR_NONE)
        return 0;
    trace_source(error);
    if (error->revision == NULL) /* it may be the failure of a step that was sent before */
        error_text(&error->revision, "%s", script->revision);
    return -1;
}
