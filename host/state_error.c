/* Between Lua's errors and struct error. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/limit.h"
#include "host/state.h"
#include "host/trace.h"

#define METATABLE "dmlua.error" /* in the registry: that of dmlua.errors */

static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    {"message", offsetof(struct error, message)},     {"detail", offsetof(struct error, detail)},
    {"hint", offsetof(struct error, hint)},           {"context", offsetof(struct error, context)},
    {"statement", offsetof(struct error, statement)}, {"source", offsetof(struct error, source)},
    {"traceback", offsetof(struct error, traceback)}, {"revision", offsetof(struct error, revision)},
    {"file", offsetof(struct error, file)},           {"tenant", offsetof(struct error, tenant)},
    {"state", offsetof(struct error, state)},
};
enum { TEXTS = sizeof texts / sizeof *texts };

static char **text_field(struct error *error, int i)
{
    return (char **)((char *)error + texts[i].offset);
}

void state_open_errors(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.errors");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new");
    lua_newtable(L);
    lua_call(L, 1, 1);
    lua_getmetatable(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, METATABLE);
    lua_pop(L, 2);
}

/* [-0, +0] Is the value at `index` an error table of ours? */
static bool is_ours(lua_State *L, int index)
{
    bool same;
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, METATABLE);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* [-0, +1] Field `name` of the table at 1, without its metatable's help: an author may have changed it. */
static int get_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    return lua_rawget(L, 1);
}

static int read_number(lua_State *L, const char *name)
{
    int number = get_field(L, name) == LUA_TNUMBER ? (int)lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    return number;
}

/* [-0, +0] Text field `name` of the table at the top; null where there is none. Owned. */
static char *read_text(lua_State *L, const char *name)
{
    char *text = NULL;
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) == LUA_TSTRING)
        error_text(&text, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return text;
}

/* The failed tenant whose table is at the top. */
static void read_failure(lua_State *L, struct failures *failures)
{
    struct error place = {.file = read_text(L, "file")};
    char *tenant = read_text(L, "tenant"), *message = read_text(L, "message"), *sqlstate = read_text(L, "sqlstate");
    if (sqlstate != NULL)
        strncpy(place.sqlstate, sqlstate, sizeof place.sqlstate - 1);
    lua_pushliteral(L, "line");
    lua_rawget(L, -2);
    place.line = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    failures_add(failures, tenant != NULL ? tenant : "?", message != NULL ? message : "unknown error", &place);
    free(sqlstate);
    free(message);
    free(tenant);
    error_clear(&place);
}

/* [-0, +0] */
static void read_failures(lua_State *L, struct failures *failures)
{
    lua_Integer i;
    if (get_field(L, "failures") == LUA_TTABLE) {
        for (i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
            read_failure(L, failures);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The error table at 1 → error. */
static void read_fields(lua_State *L, struct error *error)
{
    int i;
    get_field(L, "kind");
    error->kind = error_kind_named(lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL);
    get_field(L, "sqlstate");
    if (lua_type(L, -1) == LUA_TSTRING)
        strncpy(error->sqlstate, lua_tostring(L, -1), sizeof error->sqlstate - 1);
    lua_pop(L, 2);
    error->line = read_number(L, "line");
    error->position = read_number(L, "position");
    for (i = 0; i < TEXTS; i++) {
        if (get_field(L, texts[i].name) == LUA_TSTRING)
            error_text(text_field(error, i), "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    read_failures(L, &error->failures);
    if (error->message == NULL)
        error_text(&error->message, "unknown error");
}

/* The value at 1 → error. */
static void read_value(lua_State *L, struct error *error)
{
    if (is_ours(L, 1)) {
        read_fields(L, error);
    } else if (lua_isstring(L, 1)) {
        error_set(error, ERROR_MIGRATION, "%s", lua_tostring(L, 1));
    } else if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        error_set(error, ERROR_MIGRATION, "%s", luaL_tolstring(L, 1, NULL)); /* runs an author's code */
    } else if (lua_istable(L, 1) && get_field(L, "message") == LUA_TSTRING) {
        error_set(error, ERROR_MIGRATION, "%s", lua_tostring(L, -1));
    } else {
        /* Lua's own words */
        error_set(error, ERROR_MIGRATION, "(error object is a %s value)", luaL_typename(L, 1));
    }
}

/* The error that the innermost state_call fills. */
static struct error *current;

/* Fills `current` where the error was raised, while the frames are still there. A failure in here (an
   author's __tostring) comes back in here as the error. */
static int handle_message(lua_State *L)
{
    if (limit_stopped() || current->kind != ERROR_NONE)
        return 1;
    read_value(L, current);
    trace_fill(L, current);
    if (current->traceback == NULL && !is_ours(L, 1)) {
        luaL_traceback(L, L, NULL, 1); /* no author's frame: a fault of ours */
        error_text(&current->traceback, "%s", lua_tostring(L, -1));
    }
    return 1;
}

/* What no handler has seen. */
static void set_status(int status, struct error *error)
{
    error_set(error, ERROR_MIGRATION, "%s",
              status == LUA_ERRMEM ? "out of memory" : "error while handling an error");
}

static void finish_error(lua_State *L, int status, struct error *error)
{
    limit_caught(L, status);
    if (limit_stopped()) {
        error_clear(error);
        limit_error(error);
    }
    set_status(status, error);
}

int state_call(lua_State *L, int arguments, int results, struct error *error)
{
    struct error *outer = current;
    int base = lua_gettop(L) - arguments;
    int status;
    current = error;
    lua_pushcfunction(L, handle_message);
    lua_insert(L, base);
    status = lua_pcall(L, arguments, results, base);
    lua_remove(L, base);
    current = outer;
    if (status == LUA_OK)
        return 0;
    finish_error(L, status, error);
    lua_pop(L, 1);
    return -1;
}

struct ended {
    lua_State *thread;
    struct error *error;
};

/* The error value at 1, of the thread in the struct ended at 2 → its error. */
static int read_thread(lua_State *L)
{
    struct ended *ended = lua_touserdata(L, 2);
    read_value(L, ended->error);
    trace_fill(ended->thread, ended->error);
    return 0;
}

void state_thread_error(lua_State *L, lua_State *thread, int status, struct error *error)
{
    struct error failure = {0};
    struct ended ended = {thread, error};
    limit_caught(thread, status);
    if (limit_stopped() || status == LUA_ERRMEM) {
        finish_error(thread, status, error);
        trace_fill(thread, error);
        return;
    }
    lua_pushcfunction(L, read_thread);
    lua_xmove(thread, L, 1);
    lua_pushlightuserdata(L, &ended);
    limit_hook(L, true);
    if (state_call(L, 2, 0, &failure) != 0) {
        error_move(error, &failure);
        trace_fill(thread, error);
    }
    limit_hook(L, false);
}

/* [-0, +0] The table at the top gets `name` unless `text` is null. */
static void put_text(lua_State *L, const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void put_number(lua_State *L, const char *name, int number)
{
    if (number <= 0)
        return;
    lua_pushinteger(L, number);
    lua_setfield(L, -2, name);
}

/* [-0, +0] A list in field `failures` of the table at the top, if there are any. */
static void put_failures(lua_State *L, const struct failures *failures)
{
    size_t i;
    if (failures->count == 0)
        return;
    lua_createtable(L, (int)failures->count, 0);
    for (i = 0; i < failures->count; i++) {
        const struct failure *failure = &failures->list[i];
        lua_createtable(L, 0, 5);
        put_text(L, "tenant", failure->tenant);
        put_text(L, "sqlstate", failure->sqlstate);
        put_text(L, "message", failure->message);
        put_text(L, "file", failure->file);
        put_number(L, "line", failure->line);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "failures");
}

/* The struct error at 1 → an error table. */
static int push_fields(lua_State *L)
{
    struct error *error = lua_touserdata(L, 1);
    int i;
    lua_createtable(L, 0, TEXTS + 5);
    put_text(L, "kind", error_kind_name(error->kind));
    put_text(L, "sqlstate", error->sqlstate);
    for (i = 0; i < TEXTS; i++)
        put_text(L, texts[i].name, *text_field(error, i));
    put_number(L, "line", error->line);
    put_number(L, "position", error->position);
    put_failures(L, &error->failures);
    luaL_setmetatable(L, METATABLE);
    return 1;
}

int state_raise(lua_State *L, struct error *error)
{
    lua_pushcfunction(L, push_fields);
    lua_pushlightuserdata(L, error);
    lua_pcall(L, 1, 1, 0); /* without memory, that is what is raised */
    error_clear(error);
    return lua_error(L);
}
