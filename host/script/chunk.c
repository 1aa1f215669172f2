/* A file: its text, its hash, its main function, and running that. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <sha256.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/limit.h"
#include "host/script/internal.h"
#include "host/state.h"
#include "host/trace.h"

static int raise_read(lua_State *L, const char *path, const char *why)
{
    struct error error = {0};
    error_set(&error, ERROR_USAGE, "%s cannot be read: %s", path, why);
    return state_raise(L, &error);
}

/* Fills the block from the file, which may meanwhile have become shorter. Returns how much came, or -1. */
static ssize_t read_whole(int fd, char *block, size_t size)
{
    size_t got = 0;
    ssize_t count;
    while (got < size) {
        count = read(fd, block + got, size - got);
        if (count < 0 && errno != EINTR)
            return -1;
        if (count == 0)
            break;
        got += count > 0 ? (size_t)count : 0;
    }
    return (ssize_t)got;
}

/* What some editors put before UTF-8. Lua, too, leaves it out when it reads a file. */
static size_t mark_size(const char *text, size_t size)
{
    return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* The size comes first, so that nothing is open while Lua makes room for the text. */
void chunk_read(lua_State *L, const char *path, char sha256[65])
{
    struct stat status;
    ssize_t got = -1;
    size_t mark;
    char *block;
    int fd, failure;
    if (stat(path, &status) != 0)
        raise_read(L, path, strerror(errno));
    if (!S_ISREG(status.st_mode)) /* a pipe would be waited for */
        raise_read(L, path, S_ISDIR(status.st_mode) ? strerror(EISDIR) : "it is no regular file");
    block = lua_newuserdatauv(L, (size_t)status.st_size + 1, 0);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        got = read_whole(fd, block, (size_t)status.st_size);
    failure = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        raise_read(L, path, strerror(failure));
    if (sha256 != NULL)
        SHA256Data((const uint8_t *)block, (size_t)got, sha256);
    mark = mark_size(block, (size_t)got);
    lua_pushlstring(L, block + mark, (size_t)got - mark);
    lua_remove(L, -2);
}

static int raise_syntax(lua_State *L, const char *path)
{
    struct error error = {0};
    error_set(&error, ERROR_MIGRATION, "%s", lua_tostring(L, -1));
    trace_syntax(path, &error);
    if (error.file == NULL)
        error_text(&error.file, "%s", path);
    trace_source(&error);
    return state_raise(L, &error);
}

void chunk_compile(lua_State *L, const char *path)
{
    size_t size;
    const char *text = lua_tolstring(L, -2, &size);
    const char *name = lua_pushfstring(L, "@%s", path);
    if (luaL_loadbufferx(L, text, size, name, "t") != LUA_OK)
        raise_syntax(L, path);
    lua_pushvalue(L, -3);
    lua_setupvalue(L, -2, 1); /* _ENV, the only upvalue of a main function */
    lua_replace(L, -4);
    lua_pop(L, 2);
}

int chunk_resume(lua_State *L, lua_State *thread, int arguments, int results, struct error *error)
{
    int count;
    int status = lua_resume(thread, L, arguments, &count);
    if (status == LUA_OK) {
        lua_pop(thread, count > results ? count - results : 0);
        for (; count < results; count++)
            lua_pushnil(thread);
        if (!limit_stopped())
            return 0;
        limit_error(error);
    } else if (status == LUA_YIELD) {
        error_set(error, ERROR_MIGRATION,
                  "coroutine.yield was called outside of the script's own coroutines");
        trace_fill(thread, error);
    } else {
        state_thread_error(L, thread, status, error);
    }
    trace_source(error);
    return -1;
}
