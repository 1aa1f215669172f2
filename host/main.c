#include <lauxlib.h>
#include <stdio.h>

#include "host/hide.h"
#include "host/report.h"
#include "host/signal.h"
#include "host/state.h"

/* [-2, +1] Runs the command line: argv as a light userdata, argc. Returns the exit code. */
static int run(lua_State *L)
{
    char **argv = lua_touserdata(L, 1);
    int argc = (int)lua_tointeger(L, 2);
    int i;
    lua_createtable(L, argc, 1);
    for (i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    hide_arguments(argc, argv);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.cli");
    lua_call(L, 1, 1);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return 1;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    int status = 0;
    lua_State *L;
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* whole lines: beside the server's, and not a call a character */
    L = signal_install() ? state_new() : NULL;
    if (L == NULL) {
        fputs("FAILED: out of memory\n", stderr);
        return error_exit_code(ERROR_MIGRATION);
    }
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, argv);
    lua_pushinteger(L, argc);
    if (state_call(L, 2, 1, &error) == 0) {
        status = (int)lua_tointeger(L, -1);
    } else {
        hide_passwords(error.message); /* it may quote what was typed in a wrong place */
        hide_passwords(error.detail);
        report_error(&error);
        status = error_exit_code(error.kind);
        error_clear(&error);
    }
    state_free(L);
    if (!report_end() && status == 0)
        status = error_exit_code(ERROR_USAGE);
    return status;
}
