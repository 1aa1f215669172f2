/* Module dmlua.pq: a connection for specs and guards. The engine has its own (host/db). */
#include "bindings/pq.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bindings/bindings.h"

static const char CONNECTION_TYPE[] = "dmlua.pq.connection";
static const char too_late[] = "no answer within the time limit: the connection is closed";
static const char no_copy[] =
    "COPY FROM STDIN and TO STDOUT have nobody here to write or read the rows: the connection is closed";
enum { MAX_PARAMETERS = 65535, MAX_NOTICE_BYTES = 1 << 20, NOTICE_FIELDS = 5 };

/* The fields kept of a notice, in this order, each ended by a NUL. */
static const struct {
    const char *name;
    int code;
} notice_fields[NOTICE_FIELDS] = {
    {"severity", PG_DIAG_SEVERITY_NONLOCALIZED},
    {"sqlstate", PG_DIAG_SQLSTATE},
    {"message", PG_DIAG_MESSAGE_PRIMARY},
    {"detail", PG_DIAG_MESSAGE_DETAIL},
    {"hint", PG_DIAG_MESSAGE_HINT},
};

struct connection {
    PGconn *conn;
    PGresult *result; /* held here while it is turned into Lua, so that a raise leaks nothing */
    double timeout;   /* seconds for one wait; 0: no limit */
    char *notices;
    size_t notice_size;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The moment when a wait that begins now ends; infinity without a limit. */
static double deadline_after(double seconds)
{
    return seconds > 0 ? now() + seconds : HUGE_VAL;
}

/* Waits until the socket can be read (or written, when that is asked too). False: the time is over, or poll
 * failed. */
static bool wait_socket(const PGconn *conn, short events, double deadline)
{
    struct pollfd place = {.fd = PQsocket(conn), .events = events};
    for (;;) {
        double left = ceil((deadline - now()) * 1000);
        int count = poll(&place, 1, left > INT_MAX ? -1 : left < 0 ? 0 : (int)left);
        if (count > 0)
            return true;
        if (count == 0 || errno != EINTR)
            return false;
    }
}

static void keep_notice(void *arg, const PGresult *result)
{
    struct connection *connection = arg;
    size_t size = 0;
    int i;
    char *grown;
    for (i = 0; i < NOTICE_FIELDS; i++) {
        const char *text = PQresultErrorField(result, notice_fields[i].code);
        size += (text == NULL ? 0 : strlen(text)) + 1;
    }
    if (connection->notice_size + size > MAX_NOTICE_BYTES)
        return;
    grown = realloc(connection->notices, connection->notice_size + size);
    if (grown == NULL)
        return;
    connection->notices = grown;
    for (i = 0; i < NOTICE_FIELDS; i++) {
        const char *text = PQresultErrorField(result, notice_fields[i].code);
        size_t length = text == NULL ? 0 : strlen(text);
        memcpy(grown + connection->notice_size, text == NULL ? "" : text, length + 1);
        connection->notice_size += length + 1;
    }
}

static void clear_result(struct connection *connection)
{
    PQclear(connection->result);
    connection->result = NULL;
}

static bool is_failed(const PGresult *result)
{
    return result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR;
}

static void finish(struct connection *connection)
{
    clear_result(connection);
    PQfinish(connection->conn);
    connection->conn = NULL;
}

static int conn_close(lua_State *L)
{
    struct connection *connection = luaL_checkudata(L, 1, CONNECTION_TYPE);
    finish(connection);
    free(connection->notices);
    connection->notices = NULL;
    connection->notice_size = 0;
    return 0;
}

static struct connection *check_connection(lua_State *L)
{
    struct connection *connection = luaL_checkudata(L, 1, CONNECTION_TYPE);
    luaL_argcheck(L, connection->conn != NULL, 1, "the connection is closed");
    return connection;
}

/* [-0, +1] An error table of kind "connection"; the text loses the newlines that libpq ends it with. */
static void push_failure(lua_State *L, const char *message)
{
    size_t length = strlen(message);
    while (length > 0 && message[length - 1] == '\n')
        length--;
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "connection");
    lua_setfield(L, -2, "kind");
    lua_pushlstring(L, message, length);
    lua_setfield(L, -2, "message");
    pq_seterror(L);
}

/* Null when connected, else what went wrong (borrowed from the connection or constant). */
static const char *open_connection(struct connection *connection, const char *conninfo)
{
    const char *keywords[] = {"fallback_application_name", "dbname", "client_encoding", NULL};
    const char *values[] = {"dmlua", conninfo, "UTF8", NULL};
    double deadline = deadline_after(connection->timeout);
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    connection->conn = PQconnectStartParams(keywords, values, 1);
    if (connection->conn == NULL)
        return "out of memory";
    PQsetNoticeReceiver(connection->conn, keep_notice, connection);
    while (PQstatus(connection->conn) != CONNECTION_BAD && status != PGRES_POLLING_OK) {
        if (!wait_socket(connection->conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return too_late;
        status = PQconnectPoll(connection->conn);
        if (status == PGRES_POLLING_FAILED)
            break;
    }
    if (PQstatus(connection->conn) != CONNECTION_OK || PQsetnonblocking(connection->conn, 1) != 0)
        return PQerrorMessage(connection->conn);
    return NULL;
}

/* What libpq says of a connection string that it cannot read quotes the string, and with it perhaps a
 * password. */
static bool is_readable(const char *conninfo)
{
    PQconninfoOption *options;
    if (strstr(conninfo, "://") == NULL && strchr(conninfo, '=') == NULL)
        return true; /* a database name */
    options = PQconninfoParse(conninfo, NULL);
    PQconninfoFree(options);
    return options != NULL;
}

/* pq.connect(conninfo, {timeout = seconds}) → connection | nil, error table. The limit holds for connecting
   and for each later statement, unless `exec` is given another. The connection speaks UTF-8. */
static int pq_connect(lua_State *L)
{
    const char *conninfo = luaL_checkstring(L, 1);
    const char *failure;
    struct connection *connection;
    double timeout = 0;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        if (lua_getfield(L, 2, "timeout") != LUA_TNIL)
            timeout = luaL_checknumber(L, -1);
    }
    connection = lua_newuserdatauv(L, sizeof *connection, 0);
    memset(connection, 0, sizeof *connection);
    luaL_setmetatable(L, CONNECTION_TYPE);
    connection->timeout = timeout;
    if (is_readable(conninfo))
        failure = open_connection(connection, conninfo);
    else
        failure = "libpq cannot read the connection string (not shown: it may hold a password)";
    if (failure == NULL)
        return 1;
    lua_pushnil(L);
    push_failure(L, failure);
    finish(connection);
    return 2;
}

/* [-0, +0 or 1] The parameters at `index` as an array of texts in a userdata that stays on the stack. The
   texts are borrowed from the table. */
static const char **check_parameters(lua_State *L, int index, int *count)
{
    const char **values;
    lua_Integer i, length;
    luaL_checktype(L, index, LUA_TTABLE);
    length = luaL_len(L, index);
    luaL_argcheck(L, length <= MAX_PARAMETERS, index, "a statement takes at most 65535 parameters");
    values = lua_newuserdatauv(L, (size_t)(length + 1) * sizeof *values, 0);
    for (i = 0; i < length; i++) {
        size_t size;
        int type = lua_rawgeti(L, index, i + 1);
        values[i] = NULL;
        if (type == LUA_TSTRING) {
            values[i] = lua_tolstring(L, -1, &size);
            luaL_argcheck(L, strlen(values[i]) == size, index,
                          "a parameter holds a NUL byte, which PostgreSQL has no place for");
        } else {
            luaL_argcheck(L, type == LUA_TBOOLEAN && !lua_toboolean(L, -1), index,
                          "a parameter is a string, or false for NULL (params.encode makes them)");
        }
        lua_pop(L, 1);
    }
    *count = (int)length;
    return values;
}

/* Sends what is queued, reading meanwhile: a server whose own output waits to be read would not read either.
   As the next two, answers null, or what went wrong: constant text, or borrowed from the connection. */
static const char *flush(PGconn *conn, double deadline)
{
    int left;
    while ((left = PQflush(conn)) == 1) {
        if (!wait_socket(conn, POLLIN | POLLOUT, deadline))
            return too_late;
        if (!PQconsumeInput(conn))
            break;
    }
    return left == 0 ? NULL : PQerrorMessage(conn);
}

/* Waits until PQgetResult would not block. */
static const char *await_result(PGconn *conn, double deadline)
{
    while (PQisBusy(conn)) {
        if (!wait_socket(conn, POLLIN, deadline))
            return too_late;
        if (!PQconsumeInput(conn))
            break; /* PQgetResult makes a result of it */
    }
    return NULL;
}

static bool is_copy(ExecStatusType status)
{
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* Collects the results of what was sent; keeps the first failure, or else the last one. */
static const char *collect(struct connection *connection, double deadline)
{
    PGconn *conn = connection->conn;
    const char *failure = await_result(conn, deadline);
    while (failure == NULL) {
        PGresult *result = PQgetResult(conn);
        ExecStatusType status = PQresultStatus(result);
        if (result == NULL)
            return connection->result == NULL ? PQerrorMessage(conn) : NULL;
        if (is_failed(connection->result)) {
            PQclear(result);
        } else {
            clear_result(connection);
            connection->result = result;
        }
        failure = is_copy(status) ? no_copy : await_result(conn, deadline);
    }
    return failure;
}

/* Sends a statement and collects its answer into the connection. */
static const char *run(struct connection *connection, const char *sql, const char *const *values, int count,
                       double deadline)
{
    PGconn *conn = connection->conn;
    const char *failure;
    int sent;
    clear_result(connection);
    sent = values == NULL ? PQsendQuery(conn, sql)
                          : PQsendQueryParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    failure = sent ? flush(conn, deadline) : PQerrorMessage(conn);
    return failure == NULL ? collect(connection, deadline) : failure;
}

/* conn:exec(sql, params, timeout) → pq_pushresult's table, of the last statement; raises pq_pusherror's
   table. Without params several statements may stand in the text; with them it is one. A wait that ends
   without an answer closes the connection. */
static int conn_exec(lua_State *L)
{
    struct connection *connection = check_connection(L);
    const char *sql = luaL_checkstring(L, 2);
    double deadline = deadline_after(luaL_optnumber(L, 4, connection->timeout));
    const char **values = NULL;
    const char *failure;
    int count = 0;
    luaL_argcheck(L, strlen(sql) == lua_rawlen(L, 2), 2, "the statement holds a NUL byte");
    if (!lua_isnoneornil(L, 3))
        values = check_parameters(L, 3, &count);
    failure = run(connection, sql, values, count, deadline);
    if (failure != NULL) {
        push_failure(L, failure);
        finish(connection);
        return lua_error(L);
    }
    if (is_failed(connection->result))
        pq_pusherror(L, connection->result);
    else
        pq_pushresult(L, connection->result);
    if (is_failed(connection->result))
        return lua_error(L);
    clear_result(connection);
    return 1;
}

/* conn:notices() → list of {severity, sqlstate, message, detail, hint} since the last call, oldest first. */
static int conn_notices(lua_State *L)
{
    struct connection *connection = luaL_checkudata(L, 1, CONNECTION_TYPE);
    const char *place = connection->notices;
    const char *end = place + connection->notice_size;
    lua_Integer count = 0;
    int i;
    lua_newtable(L);
    while (place < end) {
        lua_createtable(L, 0, NOTICE_FIELDS);
        for (i = 0; i < NOTICE_FIELDS; i++) {
            if (*place != '\0') {
                lua_pushstring(L, place);
                lua_setfield(L, -2, notice_fields[i].name);
            }
            place += strlen(place) + 1;
        }
        lua_rawseti(L, -2, ++count);
    }
    connection->notice_size = 0;
    return 1;
}

/* conn:pid() → the backend's process id. */
static int conn_pid(lua_State *L)
{
    lua_pushinteger(L, PQbackendPID(check_connection(L)->conn));
    return 1;
}

/* conn:transaction() → "idle", "active", "transaction", "failed" or "unknown" (the connection is closed or
 * broken). */
static int conn_transaction(lua_State *L)
{
    static const char *const names[] = {"idle", "active", "transaction", "failed", "unknown"};
    struct connection *connection = luaL_checkudata(L, 1, CONNECTION_TYPE);
    lua_pushstring(L, names[PQtransactionStatus(connection->conn)]);
    return 1;
}

/* pq.version() → libpq's own version: "15.18". */
static int pq_version(lua_State *L)
{
    lua_pushfstring(L, "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
    return 1;
}

static const luaL_Reg methods[] = {
    {"exec", conn_exec},   {"notices", conn_notices},
    {"pid", conn_pid},     {"transaction", conn_transaction},
    {"close", conn_close}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {{"__gc", conn_close}, {"__close", conn_close}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"connect", pq_connect}, {"version", pq_version}, {NULL, NULL}};

int luaopen_dmlua_pq(lua_State *L)
{
    if (luaL_newmetatable(L, CONNECTION_TYPE)) {
        luaL_setfuncs(L, metamethods, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL); /* as lua-cjson has it */
    lua_setfield(L, -2, "null");
    return 1;
}
