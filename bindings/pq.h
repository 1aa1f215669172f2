#ifndef DMLUA_PQ_H
#define DMLUA_PQ_H

#include <libpq-fe.h>
#include <lua.h>

/* Neither function keeps or frees the result. Both may raise (memory), so the caller holds the result where a
   raise does not leak it: in a userdata or in a structure of its own that outlives the protected call. */

/* [-0, +1] {columns = list of names, rows = list of rows, rowcount = rows returned or touched, tag = "UPDATE
   3"}. A row is a table by column name; `row[1]` answers by position; a name that the result lacks, or that
   stands in it more than once, raises. NULL is nil; int2, int4, int8, float4, float8 and bool are Lua's own;
   the rest is the server's text. */
void pq_pushresult(lua_State *L, const PGresult *result);

/* [-0, +1] An error table: kind ("migration", or "connection" when that was lost), message, severity,
   sqlstate, detail, hint, context, position (characters, 1-based), schema, table, column, datatype,
   constraint; absent fields are nil. `tostring` gives "ERROR:  message". */
void pq_pusherror(lua_State *L, const PGresult *result);

/* [-1, +1] Gives the error table at the top its `tostring`. */
void pq_seterror(lua_State *L);

#endif
