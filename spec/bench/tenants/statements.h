#ifndef BENCH_TENANTS_STATEMENTS_H
#define BENCH_TENANTS_STATEMENTS_H

/* What every candidate does for a tenant; measure.lua has the same for dmlua and for Alembic. */
#define SQL_TENANTS "SELECT id FROM tenants ORDER BY id"
#define SQL_BEGIN "BEGIN"
#define SQL_CONTEXT "SELECT set_config('app.current_tenant_id', $1, true)"
#define SQL_READ "SELECT status FROM customers WHERE tenant_id = $1 LIMIT 1"
#define SQL_UPDATE "UPDATE customers SET status = 'active', visits = visits + 1 WHERE tenant_id = $1"
#define SQL_COMMIT "COMMIT"

#endif
