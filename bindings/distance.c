/* dmlua.distance: how far a misspelt name is from another. */
#include "bindings/distance.h"

#include <lauxlib.h>

#include "bindings/bindings.h"

enum { LONGEST = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

size_t distance(const char *a, size_t a_size, const char *b, size_t b_size, size_t limit)
{
    size_t rows[3][LONGEST + 1], i, j;
    if (a_size > LONGEST || b_size > LONGEST || a_size > b_size + limit || b_size > a_size + limit)
        return limit + 1;
    for (j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (i = 1; i <= a_size; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        size_t best = now[0] = i;
        for (j = 1; j <= b_size; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                now[j] = least(now[j], earlier[j - 2] + 1);
            best = least(best, now[j]);
        }
        if (best > limit)
            return limit + 1;
    }
    return least(rows[a_size % 3][b_size], limit + 1);
}

/* distance(a, b, limit) */
static int distance_of(lua_State *L)
{
    size_t a_size, b_size;
    const char *a = luaL_checklstring(L, 1, &a_size), *b = luaL_checklstring(L, 2, &b_size);
    lua_Integer limit = luaL_checkinteger(L, 3);
    luaL_argcheck(L, limit >= 0, 3, "must not be negative");
    lua_pushinteger(L, (lua_Integer)distance(a, a_size, b, b_size, (size_t)limit));
    return 1;
}

int luaopen_dmlua_distance(lua_State *L)
{
    lua_pushcfunction(L, distance_of);
    return 1;
}
