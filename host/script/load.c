/* Reading headers. What is not plain (plain.h) is run: a file's top level in a fresh environment, whose globals are
   then read. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/text.h"
#include "host/limit.h"
#include "host/script/internal.h"
#include "host/script/plain.h"
#include "host/state.h"
#include "host/trace.h"

static const char *const header_names[] = {"revision",   "down_revision", "branch_labels",
                                           "depends_on", "replaces", "upgrade", "downgrade"};
static const char *const fix_names[] = {"description", "tables", "max_rows", "run", "check", "verify", "undo"};
enum { NAMES = sizeof header_names / sizeof *header_names };
_Static_assert(sizeof fix_names <= sizeof header_names, "found[] has room for both");

/* The main function whose locals are looked at when it returns. */
struct watch {
    const struct script *script;
    bool found[NAMES];
};

/* The i-th name that may not be a local there; null behind the last one. */
static const char *watched_name(const struct watch *watch, size_t i)
{
    if (watch->script->fix)
        return i < sizeof fix_names / sizeof *fix_names ? fix_names[i] : NULL;
    return i < NAMES ? header_names[i] : NULL;
}

/* A thread's watch; null for the coroutines that the file makes. */
static struct watch **watch_of(lua_State *thread)
{
    return lua_getextraspace(thread);
}

static void note_local(struct watch *watch, const char *name)
{
    const char *watched;
    size_t i;
    for (i = 0; (watched = watched_name(watch, i)) != NULL; i++)
        if (strcmp(name, watched) == 0)
            watch->found[i] = true;
}

/* At the end of the main function its locals are still there. */
static void look_at_locals(lua_State *L, lua_Debug *frame, struct watch *watch)
{
    const char *name;
    int i;
    lua_getinfo(L, "S", frame);
    if (*frame->what != 'm' || *frame->source != '@' || strcmp(frame->source + 1, watch->script->path) != 0)
        return;
    for (i = 1; (name = lua_getlocal(L, frame, i)) != NULL; i++) {
        note_local(watch, name);
        lua_pop(L, 1);
    }
}

static void header_hook(lua_State *L, lua_Debug *frame)
{
    struct watch *watch = *watch_of(L);
    if (frame->event == LUA_HOOKCOUNT)
        limit_check(L);
    else if (watch != NULL)
        look_at_locals(L, frame, watch);
}

static void watch_locals(lua_State *thread, struct watch *watch)
{
    *watch_of(thread) = watch;
    lua_sethook(thread, header_hook, lua_gethookmask(thread) | LUA_MASKRET, lua_gethookcount(thread));
}

/* [-0, +1] */
static void push_locals(lua_State *L, const struct watch *watch)
{
    size_t i;
    lua_newtable(L);
    for (i = 0; watched_name(watch, i) != NULL; i++) {
        if (!watch->found[i])
            continue;
        lua_pushstring(L, watched_name(watch, i));
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    }
}

char *script_field(lua_State *L, const char *name)
{
    char *copy = NULL;
    if (lua_getfield(L, -1, name) == LUA_TSTRING)
        copy = text_copy(lua_tostring(L, -1));
    lua_pop(L, 1);
    return copy;
}

static bool read_flag(lua_State *L, const char *name)
{
    bool flag;
    lua_getfield(L, -1, name);
    flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static const char *const *copy_list(lua_State *L, const char *name, size_t *count)
{
    char **list;
    size_t i;
    lua_getfield(L, -1, name);
    *count = lua_rawlen(L, -1);
    list = calloc(*count + 1, sizeof *list);
    if (list == NULL)
        abort();
    for (i = 0; i < *count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        list[i] = text_copy(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return (const char *const *)list;
}

static void free_list(const char *const *list, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        free((void *)list[i]);
    free((void *)list);
}

void script_free(struct script *script)
{
    free_list(script->down, script->down_count);
    free_list(script->labels, script->label_count);
    free_list(script->depends, script->depends_count);
    free_list(script->replaces, script->replaces_count);
    free_list(script->replaced_heads, script->replaced_head_count);
    free((void *)script->revision);
    free((void *)script->message);
    free((void *)script->doc);
    free((void *)script->create_date);
    free((void *)script->path);
    free((void *)script->fault);
}

/* [-1, +0] The header at the top (lua/dmlua/header.lua) → script. */
static void take_header(lua_State *L, struct script *script)
{
    script->revision = script_field(L, "revision");
    script->down = copy_list(L, "down", &script->down_count);
    script->labels = copy_list(L, "labels", &script->label_count);
    script->depends = copy_list(L, "depends", &script->depends_count);
    script->replaces = copy_list(L, "replaces", &script->replaces_count);
    script->replaced_heads = copy_list(L, "replaced_heads", &script->replaced_head_count);
    script->has_upgrade = read_flag(L, "has_upgrade");
    script->has_downgrade = read_flag(L, "has_downgrade");
    lua_pop(L, 1);
}

/* [-0, +0] Runs the main function at the top of `thread`; raises what ended it. */
static void run_top_level(lua_State *L, lua_State *thread, struct watch *watch)
{
    struct error error = {0};
    int failed;
    limit_hook(thread, true);
    watch_locals(thread, watch);
    failed = chunk_resume(L, thread, 0, 0, &error);
    limit_hook(thread, false);
    *watch_of(thread) = NULL;
    if (failed)
        state_raise(L, &error);
}

/* [-0, +2] The environment of a new script, and the set of what it assigns. */
static void push_environment(lua_State *L, const char *lib)
{
    lua_getfield(L, 1, "environment");
    lua_pushstring(L, lib);
    lua_call(L, 1, 2);
}

/* [-2, +1] The header of the file whose text and environment and declared names stand at `text`, +1, +2. */
static void read_header(lua_State *L, const struct script *script, const struct watch *watch, int text)
{
    lua_getfield(L, 1, script->fix ? "fix_header" : "header");
    lua_createtable(L, 0, 8);
    lua_pushstring(L, script->path);
    lua_setfield(L, -2, "path");
    lua_pushvalue(L, text);
    lua_setfield(L, -2, "text");
    lua_pushvalue(L, text + 1);
    lua_setfield(L, -2, "env");
    lua_pushvalue(L, text + 2);
    lua_setfield(L, -2, "declared");
    push_locals(L, watch);
    lua_setfield(L, -2, "locals");
    lua_call(L, 1, 1);
}

enum { ROOM = 3 };

/* [-1, +1] The header of the file whose text is at the top; 1 is the module dmlua.script, 2 a thread that is free. */
static void run_header(lua_State *L, const struct script *script)
{
    struct watch watch = {script, {false}};
    lua_State *thread = lua_tothread(L, 2);
    int text = lua_gettop(L);
    push_environment(L, script->lib);
    lua_pushvalue(L, text);
    lua_pushvalue(L, text + 1);
    chunk_compile(L, script->path);
    lua_xmove(L, thread, 1);
    run_top_level(L, thread, &watch);
    read_header(L, script, &watch, text);
    lua_replace(L, text);
    lua_settop(L, text);
}

static const char *const *take_names(const struct plain_list *list, size_t *count)
{
    char **names = list->count > 0 ? text_resize(NULL, list->count * sizeof *names) : NULL;
    for (*count = 0; *count < list->count; ++*count)
        names[*count] = text_slice(list->names[*count].at, list->names[*count].size);
    return (const char *const *)names;
}

static void take_plain(struct script *script, const struct plain_header *header)
{
    script->revision = text_slice(header->revision.at, header->revision.size);
    script->down = take_names(&header->down, &script->down_count);
    script->labels = take_names(&header->labels, &script->label_count);
    script->depends = take_names(&header->depends, &script->depends_count);
    script->has_upgrade = header->has_upgrade;
    script->has_downgrade = header->has_downgrade;
}

static void read_script(lua_State *L, struct script *script, bool hashed)
{
    struct plain_header header;
    size_t size;
    const char *text = chunk_text(L, ROOM, script->path, &size, hashed ? script->sha256 : NULL);
    if (script->python) {
        python_header_read(L, script, text, size);
        return;
    }
    comment_read(script, text, size);
    if (plain_read(text, size, &header)) {
        take_plain(script, &header);
        return;
    }
    lua_pushlstring(L, text, size);
    run_header(L, script);
    take_header(L, script);
}

/* [-0, +0] 1 becomes the module dmlua.script, 2 a thread, 3 the room for texts. */
static void prepare(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.script");
    lua_call(L, 1, 1);
    lua_replace(L, 1);
    lua_newthread(L);
    chunk_room(L);
}

/* 1: the tree, as a light userdata. */
static int read_all(lua_State *L)
{
    struct tree *tree = lua_touserdata(L, 1);
    struct script *script;
    prepare(L);
    while (tree->count < tree->files.count) {
        limit_check(L);
        script = &tree->scripts[tree->count];
        script->path = tree->files.paths[tree->count];
        tree->files.paths[tree->count++] = NULL;
        script->lib = tree->lib;
        script->limits = &tree->limits;
        script->python = path_ends(script->path, ".py");
        read_script(L, script, tree->hashed);
    }
    return 0;
}

/* [-2, +results] Under the limits. */
static void call_limited(lua_State *L, const struct limits *limits, int results)
{
    struct error error = {0};
    int failed;
    limit_begin(limits);
    failed = state_call(L, 1, results, &error);
    limit_end();
    if (failed) {
        trace_source(&error);
        state_raise(L, &error);
    }
}

void tree_read(lua_State *L, struct tree *tree)
{
    lua_pushcfunction(L, read_all);
    lua_pushlightuserdata(L, tree);
    call_limited(L, &tree->limits, 0);
}

/* 1: the script, as a light userdata. */
static int read_fix(lua_State *L)
{
    struct script *script = lua_touserdata(L, 1);
    prepare(L);
    chunk_read(L, script->path, script->sha256);
    run_header(L, script);
    return 1;
}

void fix_read(lua_State *L, struct script *script)
{
    lua_pushcfunction(L, read_fix);
    lua_pushlightuserdata(L, script);
    call_limited(L, script->limits, 1);
}
