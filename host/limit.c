#include "host/limit.h"

#include <stdlib.h>

#include "host/signal.h"
#include "host/state.h"
#include "host/trace.h"

enum { INSTRUCTIONS = 1000 }; /* between two looks at the flags */

static struct {
    size_t used; /* bytes that Lua holds */
    size_t most; /* 0: no limit */
    struct limits limits;
    bool active;
    bool stopped;
    struct error error; /* why */
} limit;

void *limit_allocate(void *data, void *block, size_t size, size_t wanted)
{
    size_t held = block != NULL ? size : 0; /* for a new block, `size` says what it is for */
    void *result;
    (void)data;
    if (wanted == 0) {
        free(block);
        limit.used -= held;
        return NULL;
    }
    if (wanted > held && limit.most != 0 && limit.used - held + wanted > limit.most)
        return NULL;
    result = realloc(block, wanted);
    if (result != NULL)
        limit.used += wanted - held;
    return result;
}

/* Decides that the script is to stop. From here on there is memory again, for the report. */
static void stop(lua_State *L, enum error_kind kind, const char *message, const char *hint)
{
    if (limit.stopped)
        return;
    limit.stopped = true;
    limit.most = 0;
    signal_limit(0);
    error_set(&limit.error, kind, "%s", message);
    if (hint != NULL)
        error_text(&limit.error.hint, "%s", hint);
    trace_fill(L, &limit.error);
}

static void stop_memory(lua_State *L)
{
    if (!limit.active || limit.stopped)
        return;
    stop(L, ERROR_MIGRATION, "out of memory",
         "read fewer rows at a time, or let the server do the work; script_memory_mb sets the limit");
    error_text(&limit.error.detail, "a script may use %zu MB", limit.limits.memory >> 20);
}

static void stop_time(lua_State *L)
{
    stop(L, ERROR_MIGRATION, "out of time",
         "look for a loop that does not end, or let the server do the work; script_seconds sets the limit");
    error_text(&limit.error.detail, "a script may use %d seconds of processor time", limit.limits.seconds);
}

static void hook(lua_State *L, lua_Debug *frame)
{
    (void)frame;
    limit_check(L);
}

void limit_check(lua_State *L)
{
    struct error error = {0};
    if (!limit.active)
        return;
    if (signal_interrupted) {
        signal_noticed();
        stop(L, ERROR_INTERRUPTED, "interrupted", NULL);
    } else if (signal_expired) {
        stop_time(L);
    }
    if (!limit.stopped)
        return;
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    limit_error(&error);
    state_raise(L, &error);
}

void limit_caught(lua_State *L, int status)
{
    if (status == LUA_ERRMEM)
        stop_memory(L);
}

void limit_hook(lua_State *thread, bool on)
{
    if (on && limit.active)
        lua_sethook(thread, hook, LUA_MASKCOUNT, INSTRUCTIONS);
    else
        lua_sethook(thread, NULL, 0, 0);
}

bool limit_stopped(void)
{
    return limit.stopped;
}

void limit_error(struct error *error)
{
    error_copy(error, &limit.error);
}

void limit_begin(const struct limits *limits)
{
    limit.limits = *limits;
    limit.most = limits->memory != 0 ? limit.used + limits->memory : 0;
    limit.active = true;
    limit.stopped = false;
    error_clear(&limit.error);
    signal_limit(limits->seconds);
}

void limit_end(void)
{
    signal_limit(0);
    limit.most = 0;
    limit.active = false;
    limit.stopped = false;
    error_clear(&limit.error);
}
