/* libFuzzer's entry: what the reader of plain headers takes, Lua compiles, and running it gives the same header. */
#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/script/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "differs: %s\n", what);
    abort();
}

/* Is the value at the top this name? */
static bool is_name(lua_State *L, const struct plain_name *name)
{
    size_t size;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
    return text != NULL && size == name->size && memcmp(text, name->at, size) == 0;
}

static void expect_list(lua_State *L, const char *field, const struct plain_list *list)
{
    size_t i;
    int type = lua_getglobal(L, field);
    if (type == LUA_TTABLE) {
        expect(lua_rawlen(L, -1) == list->count, field);
        for (i = 0; i < list->count; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            expect(is_name(L, &list->names[i]), field);
            lua_pop(L, 1);
        }
    } else {
        expect(type == LUA_TNIL ? list->count == 0 : list->count == 1 && is_name(L, &list->names[0]), field);
    }
    lua_pop(L, 1);
}

static void expect_function(lua_State *L, const char *name, bool there)
{
    int type = lua_getglobal(L, name);
    expect(there ? type == LUA_TFUNCTION : type == LUA_TNIL, name);
    lua_pop(L, 1);
}

/* Globals other than these would be misspelt names, or names that mean something to the program. */
static void expect_no_others(lua_State *L)
{
    static const char known[] = " revision down_revision branch_labels depends_on upgrade downgrade ";
    char name[32];
    lua_pushglobaltable(L);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        snprintf(name, sizeof name, " %s ", lua_tostring(L, -2));
        expect(strstr(known, name) != NULL, "another global");
    }
    lua_pop(L, 1);
}

static void compare(const char *text, size_t size, const struct plain_header *header)
{
    lua_State *L = luaL_newstate();
    if (L == NULL)
        abort();
    expect(luaL_loadbufferx(L, text, size, "=text", "t") == LUA_OK, "does not compile");
    expect(lua_pcall(L, 0, 0, 0) == LUA_OK, "fails");
    lua_getglobal(L, "revision");
    expect(is_name(L, &header->revision), "revision");
    lua_pop(L, 1);
    expect_list(L, "down_revision", &header->down);
    expect_list(L, "branch_labels", &header->labels);
    expect_list(L, "depends_on", &header->depends);
    expect_function(L, "upgrade", header->has_upgrade);
    expect_function(L, "downgrade", header->has_downgrade);
    expect_no_others(L);
    lua_close(L);
}

/* The header is put in front of every other input, for nearly none would have one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char front[] = "revision='a'\n";
    size_t more = size > 0 && data[0] % 2 == 0 ? sizeof front - 1 : 0;
    char *text = malloc(more + size + 1); /* of exactly this size, so that a step too far is seen */
    struct plain_header header;
    if (text == NULL)
        abort();
    memcpy(text, front, more);
    memcpy(text + more, data, size);
    text[more + size] = '\0';
    if (plain_read(text, more + size, &header))
        compare(text, more + size, &header);
    free(text);
    return 0;
}
