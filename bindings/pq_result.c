#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/pq.h"

/* Of the server's pg_type.dat; they are fixed for ever. */
enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_FLOAT4 = 700, OID_FLOAT8 = 701 };

static const char ERROR_TYPE[] = "dmlua.pq.error";

/* [-0, +1] One value; the only place where NULL is decided. */
static void push_value(lua_State *L, const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    if (PQgetisnull(result, row, column)) {
        lua_pushnil(L);
        return;
    }
    switch (PQftype(result, column)) {
    case OID_BOOL:
        lua_pushboolean(L, text[0] == 't');
        break;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        lua_pushinteger(L, strtoll(text, NULL, 10));
        break;
    case OID_FLOAT4:
    case OID_FLOAT8:
        lua_pushnumber(L, strtod(text, NULL));
        break;
    default:
        lua_pushlstring(L, text, (size_t)PQgetlength(result, row, column));
    }
}

/* [-0, +0] Raises for a name that cannot be answered: unknown, or standing in the result several times. */
static int refuse_name(lua_State *L, const char *name, bool ambiguous)
{
    lua_Integer i, count = luaL_len(L, lua_upvalueindex(1));
    luaL_Buffer names;
    if (ambiguous)
        return luaL_error(
            L, "column \"%s\" stands in this result more than once: name it with AS, or take it by position",
            name);
    luaL_checkstack(L, 8, NULL);
    luaL_buffinit(L, &names);
    for (i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addstring(&names, ", ");
        lua_rawgeti(L, lua_upvalueindex(1), i);
        luaL_addvalue(&names);
    }
    luaL_pushresult(&names);
    return luaL_error(L, "this result has no column \"%s\"; it has %s", name, lua_tostring(L, -1));
}

/* row[key] for a key that is not in the row itself: a position, a NULL, or a mistake.
   Upvalues: list of names; name → position, or 0 for a name that stands there more than once; weak table row
   → values of such columns by position. */
static int row_index(lua_State *L)
{
    if (lua_isinteger(L, 2)) {
        if (lua_rawgeti(L, lua_upvalueindex(1), lua_tointeger(L, 2)) == LUA_TNIL)
            return 1;
        lua_pushvalue(L, -1);
        lua_rawget(L, lua_upvalueindex(2));
        if (lua_tointeger(L, -1) != 0) {
            lua_pop(L, 1);
            lua_rawget(L, 1);
            return 1;
        }
        lua_pushvalue(L, 1);
        lua_rawget(L, lua_upvalueindex(3));
        lua_rawgeti(L, -1, lua_tointeger(L, 2));
        return 1;
    }
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNIL) {
        if (strcmp(lua_tostring(L, 2), "_mapping") != 0)
            return refuse_name(L, lua_tostring(L, 2), false);
        lua_pushvalue(L, 1); /* SQLAlchemy's row by name: this one answers so */
        return 1;
    }
    if (lua_tointeger(L, -1) == 0)
        return refuse_name(L, lua_tostring(L, 2), true);
    return 0; /* the column is there and NULL */
}

/* #row: its columns, so that table.unpack(row) has them all. Upvalue: list of names. */
static int row_length(lua_State *L)
{
    lua_pushinteger(L, luaL_len(L, lua_upvalueindex(1)));
    return 1;
}

/* [-0, +2] The list of names, and name → position (0 for a name that stands there more than once). */
static void push_columns(lua_State *L, const PGresult *result)
{
    int i, count = PQnfields(result);
    lua_createtable(L, count, 0);
    lua_createtable(L, 0, count);
    for (i = 0; i < count; i++) {
        lua_pushstring(L, PQfname(result, i));
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, i + 1);
        lua_pushvalue(L, -1);
        lua_pushinteger(L, lua_rawget(L, -3) == LUA_TNIL ? i + 1 : 0);
        lua_remove(L, -2);
        lua_rawset(L, -3);
    }
}

/* [-0, +1] A table whose keys it does not keep alive. */
static void push_weak(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

/* [-0, +1] One row. `names`, `positions`, `others`, `metatable` are stack places. */
static void push_row(lua_State *L, const PGresult *result, int row, int names)
{
    int i, count = PQnfields(result), positions = names + 1, others = names + 2, metatable = names + 3;
    lua_createtable(L, 0, count);
    for (i = 0; i < count; i++) {
        lua_rawgeti(L, names, i + 1);
        lua_pushvalue(L, -1);
        lua_rawget(L, positions); /* row name position */
        if (lua_tointeger(L, -1) != 0) {
            lua_pop(L, 1);
            push_value(L, result, row, i);
            lua_rawset(L, -3);
            continue;
        }
        lua_pop(L, 2);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, others) == LUA_TNIL) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, others);
        }
        push_value(L, result, row, i); /* row values value */
        lua_rawseti(L, -2, i + 1);
        lua_pop(L, 1);
    }
    lua_pushvalue(L, metatable);
    lua_setmetatable(L, -2);
}

void pq_pushresult(lua_State *L, const PGresult *result)
{
    int i, count = PQntuples(result), names = lua_gettop(L) + 2;
    const char *touched = PQcmdTuples((PGresult *)result);
    luaL_checkstack(L, 16, "result");
    lua_createtable(L, 0, 4);
    push_columns(L, result);
    push_weak(L);
    lua_createtable(L, 0, 2); /* answer names positions others metatable */
    lua_pushvalue(L, names);
    lua_pushcclosure(L, row_length, 1);
    lua_setfield(L, -2, "__len");
    lua_pushvalue(L, names);
    lua_pushvalue(L, names + 1);
    lua_pushvalue(L, names + 2);
    lua_pushcclosure(L, row_index, 3);
    lua_setfield(L, names + 3, "__index");
    lua_createtable(L, count, 0);
    for (i = 0; i < count; i++) {
        push_row(L, result, i, names);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, names - 1, "rows");
    lua_pushvalue(L, names);
    lua_setfield(L, names - 1, "columns");
    lua_pushinteger(L, touched[0] == '\0' ? count : strtoll(touched, NULL, 10));
    lua_setfield(L, names - 1, "rowcount");
    lua_pushstring(L, PQcmdStatus((PGresult *)result));
    lua_setfield(L, names - 1, "tag");
    lua_settop(L, names - 1);
}

static int error_tostring(lua_State *L)
{
    lua_getfield(L, 1, "message");
    if (lua_getfield(L, 1, "severity") == LUA_TSTRING)
        lua_pushfstring(L, "%s:  %s", lua_tostring(L, -1), lua_tostring(L, -2));
    else
        lua_pop(L, 1);
    return 1;
}

void pq_seterror(lua_State *L)
{
    if (luaL_newmetatable(L, ERROR_TYPE)) {
        lua_pushcfunction(L, error_tostring);
        lua_setfield(L, -2, "__tostring");
    }
    lua_setmetatable(L, -2);
}

static void set_field(lua_State *L, const char *name, const PGresult *result, int code)
{
    const char *text = PQresultErrorField(result, code);
    if (text == NULL)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* No SQLSTATE: libpq itself says that the connection broke. 57P01 to 57P05: the server ended it. */
static bool is_lost(const char *sqlstate)
{
    return sqlstate == NULL || strncmp(sqlstate, "57P0", 4) == 0;
}

void pq_pusherror(lua_State *L, const PGresult *result)
{
    static const struct {
        const char *name;
        int code;
    } fields[] = {
        {"message", PG_DIAG_MESSAGE_PRIMARY},    {"severity", PG_DIAG_SEVERITY_NONLOCALIZED},
        {"sqlstate", PG_DIAG_SQLSTATE},          {"detail", PG_DIAG_MESSAGE_DETAIL},
        {"hint", PG_DIAG_MESSAGE_HINT},          {"context", PG_DIAG_CONTEXT},
        {"schema", PG_DIAG_SCHEMA_NAME},         {"table", PG_DIAG_TABLE_NAME},
        {"column", PG_DIAG_COLUMN_NAME},         {"datatype", PG_DIAG_DATATYPE_NAME},
        {"constraint", PG_DIAG_CONSTRAINT_NAME},
    };
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    size_t i;
    luaL_checkstack(L, 4, "error");
    lua_createtable(L, 0, 8);
    lua_pushstring(L, is_lost(PQresultErrorField(result, PG_DIAG_SQLSTATE)) ? "connection" : "migration");
    lua_setfield(L, -2, "kind");
    lua_pushstring(L,
                   PQresultErrorMessage(result)); /* for an error that libpq itself made: it has no fields */
    lua_setfield(L, -2, "message");
    for (i = 0; i < sizeof fields / sizeof *fields; i++)
        set_field(L, fields[i].name, result, fields[i].code);
    if (position != NULL) {
        lua_pushinteger(L, strtoll(position, NULL, 10));
        lua_setfield(L, -2, "position");
    }
    pq_seterror(L);
}
