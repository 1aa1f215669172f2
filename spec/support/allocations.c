/* Runs what the bindings do, and fails every allocation in turn: an error, never a crash; under the
   sanitizers, no leak.

   allocations FILE ARGUMENT: FILE is Lua text that is given ARGUMENT and the native modules as globals. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "bindings/bindings.h"

static long count, limit; /* allocations so far; how many are granted, 0: all */

static void *allocate(void *unused, void *block, size_t old_size, size_t new_size)
{
    (void)unused;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    if ((block == NULL || new_size > old_size) && limit > 0 && ++count > limit)
        return NULL;
    return realloc(block, new_size);
}

/* One run with `granted` allocations. Returns the status of the protected call; ends the program on any other
 * failure. */
static int run(const char *file, const char *argument, long granted)
{
    lua_State *L = lua_newstate(allocate, NULL);
    int status;
    luaL_openlibs(L);
    luaL_requiref(L, "pq", luaopen_dmlua_pq, 1);
    luaL_requiref(L, "sqltree", luaopen_dmlua_sqltree, 1);
    lua_settop(L, 0);
    if (luaL_loadfile(L, file) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
    lua_pushstring(L, argument);
    count = 0;
    limit = granted;
    status = lua_pcall(L, 1, 0, 0);
    limit = 0;
    if (status != LUA_OK && status != LUA_ERRMEM) {
        fprintf(stderr, "with %ld allocations: %s\n", granted, luaL_tolstring(L, -1, NULL));
        exit(1);
    }
    lua_close(L);
    return status;
}

int main(int argc, char **argv)
{
    long granted = 1;
    if (argc != 3)
        return 2;
    while (run(argv[1], argv[2], granted) != LUA_OK)
        granted++;
    printf("%ld\n", granted);
    return 0;
}
