#ifndef DMLUA_API_BIND_TENANTS_H
#define DMLUA_API_BIND_TENANTS_H

#include <lua.h>

#include "host/step.h"

/* [-0, +1] The rows of the tenants that a call asks for, in the list's order, none twice, each with its `id` as text.
   `options` is the place of a table {from = a query, or ids, known = whether tenants_query is to be read beside it,
   allow_empty, choose = fn(rows or nil, known rows or nil) → the rows that are meant} or of nil. With a loop they are
   read in a transaction of their own, else in the step's, kept for a rerun. Raises. */
struct tenant_loop;
void bind_tenants_push(lua_State *L, struct step *step, int options, struct tenant_loop *loop);
/* [-0, +1] The id of the row at `row` of such a list. Borrowed from the stack. */
const char *bind_tenants_id(lua_State *L, int rows, lua_Integer row);
/* tenants(options): the same for a script that wants the list itself. */
int bind_tenants(lua_State *L);

#endif
