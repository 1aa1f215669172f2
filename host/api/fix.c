/* An ad-hoc fix, as a userdata: its script, and the tree that it is of. */
#include <lauxlib.h>
#include <string.h>

#include "host/api/api.h"
#include "host/script/internal.h"

static const char type_name[] = "dmlua.engine.fix";

struct script *fix_script_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, type_name);
}

static int fix_gc(lua_State *L)
{
    struct script *script = fix_script_check(L, 1);
    script_free(script);
    memset(script, 0, sizeof *script);
    return 0;
}

/* [-0, +1] */
static struct script *push_script(lua_State *L)
{
    struct script *script = lua_newuserdatauv(L, sizeof *script, 1);
    memset(script, 0, sizeof *script);
    if (luaL_newmetatable(L, type_name)) {
        lua_pushcfunction(L, fix_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return script;
}

/* tree:fix(path, name): the fix, its header, its hash */
int fix_script_load(lua_State *L)
{
    struct tree *tree = tree_check(L, 1);
    const char *path = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
    struct script *script = push_script(L);
    lua_pushvalue(L, 1); /* the tree owns lib and limits */
    lua_setiuservalue(L, -2, 1);
    error_text((char **)&script->revision, "%s", name);
    error_text((char **)&script->path, "%s", path);
    script->lib = tree->lib;
    script->limits = &tree->limits;
    script->fix = true;
    fix_read(L, script);
    lua_pushstring(L, script->sha256);
    return 3;
}
