#include <lauxlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/api/machine.h"

/* terminal(): {input =, output = whether a person sits there, columns = width of the output's, or nil} */
int engine_terminal(lua_State *L)
{
    struct winsize size;
    lua_createtable(L, 0, 3);
    lua_pushboolean(L, isatty(STDIN_FILENO));
    lua_setfield(L, -2, "input");
    lua_pushboolean(L, isatty(STDOUT_FILENO));
    lua_setfield(L, -2, "output");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        lua_pushinteger(L, size.ws_col);
        lua_setfield(L, -2, "columns");
    }
    return 1;
}
