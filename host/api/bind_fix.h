#ifndef DMLUA_API_BIND_FIX_H
#define DMLUA_API_BIND_FIX_H

#include <lua.h>

/* fix(fn, tenants, on_tenant), a method of a fix's bind table: calls fn(tenant) for each row of the list, in a
   transaction of its own; on_tenant is told how it went (host/fix.h). */
int bind_fix(lua_State *L);

#endif
