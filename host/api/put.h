#ifndef DMLUA_API_PUT_H
#define DMLUA_API_PUT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Plain values for Lua. Knows nothing of the host. */

/* [-0, +0] Each sets field `name` of the table at the top; a null text sets nothing. */
void put_text(lua_State *L, const char *name, const char *text);
void put_flag(lua_State *L, const char *name, bool flag);
void put_integer(lua_State *L, const char *name, lua_Integer number);
void put_texts(lua_State *L, const char *name, const char *const *texts, size_t count);

/* [-0, +1] A list. */
void push_texts(lua_State *L, const char *const *texts, size_t count);

#endif
