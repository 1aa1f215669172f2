#include <lauxlib.h>

#include "host/api/machine.h"
#include "host/program.h"
#include "host/state.h"

/* run_program{argv, folder =, dialogue =}: the exit code of a program of the user's own. Raises when it cannot be
   run. */
int engine_run_program(lua_State *L)
{
    struct error error = {0};
    const char **argv, *folder;
    enum program_kind kind;
    lua_Integer count, i;
    int code;
    luaL_checktype(L, 1, LUA_TTABLE);
    count = luaL_len(L, 1);
    luaL_argcheck(L, count > 0, 1, "no program");
    lua_getfield(L, 1, "folder");
    folder = luaL_optstring(L, -1, NULL);
    lua_getfield(L, 1, "dialogue");
    kind = lua_toboolean(L, -1) ? PROGRAM_DIALOGUE : PROGRAM_HOOK;
    argv = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *argv, 0);
    luaL_checkstack(L, (int)count, NULL);
    for (i = 0; i < count; i++) {
        lua_geti(L, 1, i + 1);
        argv[i] = luaL_checkstring(L, -1);
    }
    argv[count] = NULL;
    code = program_run(argv, folder, kind, &error);
    if (code < 0)
        return state_raise(L, &error);
    lua_pushinteger(L, code);
    return 1;
}
