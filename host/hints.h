#ifndef DMLUA_HINTS_H
#define DMLUA_HINTS_H

#include <stdbool.h>

/* The way out of a server's error, where dmlua knows one that the server cannot; null else. Constant text.
   `parameters`: the statement had some. */
const char *hint_for(const char *sqlstate, bool parameters);

/* What dmlua says instead of the server's message when row security stopped a statement outside the tenant
   loop: "TenantIsolationError: No tenant context set: UPDATE customers outside tenants.each". Owned; null for
   any other error. `function` is PG_DIAG_SOURCE_FUNCTION, which no server translates; `statement` the SQL
   text that failed. */
char *hint_tenant_message(const char *sqlstate, const char *function, const char *message,
                          const char *statement);

/* The way out that belongs to it. Constant text. */
extern const char hint_tenant[];

/* For a privilege that is missing on a table, view, sequence, schema or function: role, privilege and GRANT. The server
   names neither role nor privilege. Owned; null for any other error, and where the server does not speak English. */
char *hint_denied(const char *sqlstate, const char *function, const char *message, const char *statement,
                  const char *role);

#endif
