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

/* Opens the file and says how large it is. Null, or what is the matter with it. */
static const char *open_file(const char *path, int *fd, size_t *size)
{
    struct stat status;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would be waited for */
    if (*fd < 0)
        return strerror(errno);
    if (fstat(*fd, &status) != 0)
        return strerror(errno);
    *size = (size_t)status.st_size;
    if (S_ISREG(status.st_mode))
        return NULL;
    return S_ISDIR(status.st_mode) ? strerror(EISDIR) : "it is no regular file";
}

/* Fills the block, which has room for `room` bytes, and says how many there are, or would be. Null, or what is the
   matter. Nothing stays open. */
static const char *fill(const char *path, char *block, size_t room, size_t *size)
{
    int fd;
    const char *why = open_file(path, &fd, size);
    ssize_t got = 0;
    if (why == NULL && *size <= room) {
        got = read_whole(fd, block, *size);
        if (got < 0)
            why = strerror(errno);
        *size = (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    return why;
}

enum { FIRST_ROOM = 1 << 14 };

void chunk_room(lua_State *L)
{
    lua_newuserdatauv(L, FIRST_ROOM, 0);
}

const char *chunk_text(lua_State *L, int room, const char *path, size_t *size, char sha256[65])
{
    char *block = lua_touserdata(L, room);
    size_t most = lua_rawlen(L, room) - 1, mark;
    const char *why;
    while ((why = fill(path, block, most, size)) == NULL && *size > most) { /* it may grow meanwhile */
        most = 2 * *size;
        block = lua_newuserdatauv(L, most + 1, 0);
        lua_replace(L, room);
    }
    if (why != NULL)
        raise_read(L, path, why);
    if (sha256 != NULL)
        SHA256Data((const uint8_t *)block, *size, sha256);
    block[*size] = '\0';
    mark = mark_size(block, *size);
    *size -= mark;
    return block + mark;
}

void chunk_read(lua_State *L, const char *path, char sha256[65])
{
    const char *text;
    size_t size;
    chunk_room(L);
    text = chunk_text(L, lua_gettop(L), path, &size, sha256);
    lua_pushlstring(L, text, size);
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
