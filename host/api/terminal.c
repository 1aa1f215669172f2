#include <lauxlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/api/machine.h"
#include "host/api/put.h"

/* terminal(): {input =, output =, errors = whether a person sits there, columns = width of the output's, or nil} */
int engine_terminal(lua_State *L)
{
    struct winsize size;
    lua_createtable(L, 0, 4);
    put_flag(L, "input", isatty(STDIN_FILENO));
    put_flag(L, "output", isatty(STDOUT_FILENO));
    put_flag(L, "errors", isatty(STDERR_FILENO));
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        put_integer(L, "columns", size.ws_col);
    }
    return 1;
}
