#include "host/tables.h"

#include <stdio.h>
#include <stdlib.h>

#include "host/config.h"
#include "host/txn.h"
#include "host/watch.h"
#include "host/watch_sql.h"

#define NAME "pg_catalog.format('%I.%I', n.nspname, c.relname)"
#define NO_TABLES \
    "(SELECT CAST(NULL AS text) AS name, CAST(NULL AS text) AS declared, CAST(NULL AS text) AS reason," \
    " CAST(NULL AS timestamptz) AS since WHERE false)"

#define LIST(tables) \
    "SELECT " NAME " AS name, " WATCH_FAULT " AS fault, " WATCH_DECLARED(tables, WATCH_HOLDS) " AS declared," \
    " EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = CAST($1 AS name)" \
    "  AND NOT a.attisdropped) AS tenants, own.reason," \
    " c.relkind IN ('r', 'p', 'f') AS is_table," \
    " pg_catalog.to_char(own.since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS since" \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
    " LEFT JOIN " tables " own ON own.name = " NAME " WHERE " WATCH_IS_OURS

/* A view is shown only where something is to be said of it. */
#define SHOW(list) \
    "SELECT t.* FROM (" list ") t WHERE t.is_table OR t.fault IS NOT NULL OR t.declared IS NOT NULL ORDER BY t.name"

PGresult *tables_list(struct ledger *ledger, const struct config *config, struct error *error)
{
    const char *values[WATCH_VALUES];
    watch_values(ledger, config, values);
    return ledger_query(ledger, ledger->has_tables ? SHOW(LIST("{s}.dmlua_tables")) : SHOW(LIST(NO_TABLES)),
                        WATCH_VALUES, values, error);
}

static const char adopt[] = "INSERT INTO {s}.dmlua_tables (name, declared, reason)"
                            " SELECT t.name, 'debt', CAST($8 AS text) FROM (" LIST("{s}.dmlua_tables") ") t"
                            " WHERE t.fault IS NOT NULL AND t.declared IS NULL RETURNING name";
static const char declare[] =
    "INSERT INTO {s}.dmlua_tables AS d (name, declared, reason)"
    " SELECT asked, 'global', CAST($2 AS text) FROM pg_catalog.unnest(CAST($1 AS text[])) asked"
    " WHERE pg_catalog.to_regclass(asked) IS NOT NULL ON CONFLICT (name) DO UPDATE"
    " SET declared = 'global', reason = EXCLUDED.reason, since = pg_catalog.now()"
    " WHERE d.declared <> 'global' OR d.reason IS DISTINCT FROM EXCLUDED.reason RETURNING name";

/* An adoption can be had once: what came later was made under dmlua's eyes. */
static int check_first(struct run *run, struct error *error)
{
    PGresult *result =
        ledger_query(run->ledger,
                     "SELECT pg_catalog.to_char(started AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), who"
                     " FROM {s}.dmlua_ledger WHERE kind = 'adopt' AND outcome = 'done' ORDER BY id LIMIT 1",
                     0, NULL, error);
    if (result == NULL)
        return -1;
    if (PQntuples(result) > 0) {
        error_set(error, ERROR_REFUSED,
                  "the tables of this database were adopted at %s UTC by %s: a debt can only shrink",
                  PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
        error_text(&error->hint,
                   "isolate the table with guards.ensure_tenant_isolation, or declare it: dmlua tables declare");
    }
    PQclear(result);
    return error->kind == ERROR_NONE ? 0 : -1;
}

int tables_declare(struct run *run, const char *names, PGresult **added, struct error *error)
{
    const char *values[WATCH_VALUES + 1] = {names, run->options.reason};
    char note[64];
    int rc;
    *added = NULL;
    if (run_begin(run, error) != 0 || (names == NULL && check_first(run, error) != 0))
        return -1;
    if (names == NULL) {
        watch_values(run->ledger, run->config, values);
        values[WATCH_VALUES] = run->options.reason;
    }
    txn_begin(run->ledger);
    ledger_send_text(run->ledger, names == NULL ? adopt : declare, names == NULL ? WATCH_VALUES + 1 : 2, values, added);
    rc = db_await(run->ledger->db, error);
    if (rc != 0) {
        struct error ignored = {0};
        txn_rollback(run->ledger, &ignored);
        error_clear(&ignored);
        return -1;
    }
    snprintf(note, sizeof note, "tables: %d", PQntuples(*added));
    run_record(run, NULL, 0, NULL, NULL, "done", note, -1);
    return txn_commit(run->ledger, error);
}
