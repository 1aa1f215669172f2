/* dmlua.engine.script: the scripts of a service. */
#include "host/script.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "host/api/api.h"
#include "host/api/put.h"
#include "host/config.h"
#include "host/config/text.h"
#include "host/script/internal.h"
#include "host/state.h"

static const char type_name[] = "dmlua.engine.script";

enum { GRAPH = 1 }; /* the user value that holds the graph */

struct tree *tree_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, type_name);
}

struct tree *tree_check_hashed(lua_State *L, int index)
{
    struct tree *tree = tree_check(L, index);
    luaL_argcheck(L, tree->hashed, index, "the tree was loaded for its headers only");
    return tree;
}

static int open_tree(struct tree *tree, const struct config *config, struct error *error)
{
    char **versions;
    struct tree_places places = {
        .folder = config_folder(config),
        .location = config_get(config, "script_location"),
        .version_count = config_version_locations(config, &versions),
        .recursive = config_flag(config, "recursive_version_locations"),
    };
    int result;
    places.versions = versions;
    result = tree_open(tree, &places, error);
    text_list_free(versions, places.version_count);
    return result;
}

/* load(config[, headers_only]) → tree; without the files' hashes it can be looked at, and nothing of it run */
static int module_load(lua_State *L)
{
    struct config *config = config_check(L, 1);
    struct error error = {0};
    struct tree *tree = lua_newuserdatauv(L, sizeof *tree, 1);
    *tree = (struct tree){.hashed = !lua_toboolean(L, 2)};
    tree->limits.memory = (size_t)config_number(config, "script_memory_mb") << 20;
    tree->limits.seconds = (int)config_number(config, "script_seconds");
    luaL_setmetatable(L, type_name);
    if (open_tree(tree, config, &error) != 0)
        return state_raise(L, &error);
    tree_read(L, tree);
    tree->graph = graph_new();
    graph_push(L, tree->graph);
    lua_setiuservalue(L, -2, GRAPH);
    if (tree_finish(tree, &error) != 0)
        return state_raise(L, &error);
    return 1;
}

static int tree_gc(lua_State *L)
{
    tree_free(tree_check(L, 1));
    return 0;
}

/* tree:graph() → dmlua.engine.graph */
static int tree_method_graph(lua_State *L)
{
    tree_check(L, 1);
    lua_getiuservalue(L, 1, GRAPH);
    return 1;
}

/* [-0, +0] The table at the top gets the list as a header has it: nil, a string or a list. */
static void put_list(lua_State *L, const char *name, const char *const *list, size_t count)
{
    if (count == 1)
        put_text(L, name, list[0]);
    else if (count > 1)
        put_texts(L, name, list, count);
}

/* [-0, +1] */
static void push_script(lua_State *L, const struct script *script)
{
    lua_createtable(L, 0, 12);
    put_text(L, "revision", script->revision);
    put_list(L, "down_revision", script->down, script->down_count);
    put_list(L, "branch_labels", script->labels, script->label_count);
    put_list(L, "depends_on", script->depends, script->depends_count);
    put_texts(L, "replaces", script->replaces, script->replaces_count);
    put_texts(L, "replaced_heads", script->replaced_heads, script->replaced_head_count);
    put_text(L, "message", script->message);
    put_text(L, "doc", script->doc);
    put_text(L, "create_date", script->create_date);
    put_text(L, "path", script->path);
    put_text(L, "sha256", script->sha256);
    put_flag(L, "has_upgrade", script->has_upgrade);
    put_flag(L, "has_downgrade", script->has_downgrade);
}

/* tree:revisions() → list of {revision, down_revision, branch_labels, depends_on, replaces, replaced_heads,
   message, doc, create_date, path, sha256, has_upgrade, has_downgrade}, in load order */
static int tree_method_revisions(lua_State *L)
{
    struct tree *tree = tree_check(L, 1);
    size_t i;
    lua_createtable(L, (int)tree_count(tree), 0);
    for (i = 0; i < tree_count(tree); i++) {
        push_script(L, tree_at(tree, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* tree:locations() → the folders of revisions */
static int tree_method_locations(lua_State *L)
{
    char *const *locations;
    size_t count = tree_locations(tree_check(L, 1), &locations);
    push_texts(L, (const char *const *)locations, count);
    return 1;
}

/* tree:find(id) → the same of one revision, or nil; the id is a whole one */
static int tree_method_find(lua_State *L)
{
    const struct script *script = tree_find(tree_check(L, 1), luaL_checkstring(L, 2));
    if (script == NULL)
        return 0;
    push_script(L, script);
    return 1;
}

/* tree:check(id, "upgrade" | "downgrade"): raises when the file has no such function */
static int tree_method_check(lua_State *L)
{
    const struct script *script = tree_find(tree_check(L, 1), luaL_checkstring(L, 2));
    struct error error = {0};
    luaL_argcheck(L, script != NULL, 2, "no such revision");
    if (script_check(script, luaL_checkstring(L, 3), &error) != 0)
        return state_raise(L, &error);
    return 0;
}

/* tree:run(id, "upgrade" | "downgrade", bind): calls the function of the file, over the vocabulary of that bind; for
   text instead of execution. Raises what the script raised. */
static int tree_method_run(lua_State *L)
{
    const struct script *script = tree_find(tree_check_hashed(L, 1), luaL_checkstring(L, 2));
    const char *entry = luaL_checkstring(L, 3);
    struct error error = {0};
    luaL_argcheck(L, script != NULL, 2, "no such revision");
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_pushvalue(L, 4);
    if (script_run(L, script, entry, &error) != 0)
        return state_raise(L, &error);
    return 0;
}

static const luaL_Reg methods[] = {
    {"graph", tree_method_graph}, {"revisions", tree_method_revisions}, {"locations", tree_method_locations},
    {"fix", fix_script_load},     {"find", tree_method_find},   {"check", tree_method_check}, {"run", tree_method_run},
    {NULL, NULL},
};

static const luaL_Reg module[] = {
    {"load", module_load},
    {NULL, NULL},
};

int luaopen_dmlua_engine_script(lua_State *L)
{
    luaL_newmetatable(L, type_name);
    lua_pushcfunction(L, tree_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, module);
    return 1;
}
