#include <lauxlib.h>

#include "host/api/machine.h"
#include "host/zone.h"

static void put(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* clock(seconds since the epoch, zone or nil): {year, month, day, hour, minute, second, offset = seconds east of UTC}, or
   nil when there is no such zone */
int engine_clock(lua_State *L)
{
    struct tm fields;
    if (!zone_time(luaL_optstring(L, 2, NULL), (time_t)luaL_checkinteger(L, 1), &fields))
        return 0;
    lua_createtable(L, 0, 7);
    put(L, "year", fields.tm_year + 1900);
    put(L, "month", fields.tm_mon + 1);
    put(L, "day", fields.tm_mday);
    put(L, "hour", fields.tm_hour);
    put(L, "minute", fields.tm_min);
    put(L, "second", fields.tm_sec);
    put(L, "offset", fields.tm_gmtoff);
    return 1;
}
