#include <lauxlib.h>

#include "host/api/machine.h"
#include "host/api/put.h"
#include "host/zone.h"

/* clock(seconds since the epoch, zone or nil): {year, month, day, hour, minute, second, offset = seconds east of UTC},
   or nil when there is no such zone */
int engine_clock(lua_State *L)
{
    struct tm fields;
    if (!zone_time(luaL_optstring(L, 2, NULL), (time_t)luaL_checkinteger(L, 1), &fields))
        return 0;
    lua_createtable(L, 0, 7);
    put_integer(L, "year", fields.tm_year + 1900);
    put_integer(L, "month", fields.tm_mon + 1);
    put_integer(L, "day", fields.tm_mday);
    put_integer(L, "hour", fields.tm_hour);
    put_integer(L, "minute", fields.tm_min);
    put_integer(L, "second", fields.tm_sec);
    put_integer(L, "offset", fields.tm_gmtoff);
    return 1;
}
