#include "host/ledger_statements.h"

#include "host/watch_sql.h"

#define RAISE(expression) "CAST(coalesce('dmlua[' || " expression " || ']', '1') AS integer)"
/* What this transaction has written, by the server's own counters, and what it had before in this session. What an
   audit trigger notes (guards.ensure_audit_trigger) is no row of the fix's. */
#define CATALOGUE_ROWS \
    "(SELECT coalesce(pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_catalog.pg_stat_xact_sys_tables" \
    " WHERE schemaname = 'pg_catalog')"
#define TABLE_ROWS \
    "(SELECT coalesce(pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del), 0)" \
    " FROM pg_catalog.pg_stat_xact_user_tables WHERE NOT (relname LIKE '%\\_audit' AND EXISTS (SELECT FROM" \
    " pg_catalog.pg_trigger t WHERE t.tgrelid = relid AND t.tgname = pg_catalog.concat(relname, '_keep'))))"
#define THE_STEP "version_table = {t} AND what = $1 AND direction = $2"
/* Setting, id, user. */
#define TENANT_SENTENCE \
    "CASE WHEN coalesce(pg_catalog.current_setting($1, true), '') <> CAST($2 AS text)" \
    " THEN $1 || ' is ' || coalesce(pg_catalog.current_setting($1, true), '') || ', was ' || $2" \
    " WHEN current_user <> CAST($3 AS text) THEN 'current_user is ' || current_user || ', was ' || $3" \
    " WHEN pg_catalog.current_setting('row_security') <> 'on' THEN 'row_security is off' END"
/* What, direction, part, run. */
#define LOOP_SENTENCE \
    "CASE WHEN (SELECT run_id FROM {s}.dmlua_progress WHERE version_table = {t} AND what = $1" \
    " AND direction = $2 AND part = CAST($3 AS integer) AND round = 0 AND tenant_key = ''" \
    " AND state IN ('running', 'owed') FOR KEY SHARE)" \
    " IS DISTINCT FROM CAST($4 AS uuid) THEN 'another run has taken it over or finished it' END"
#define BUSY_HINT "another runner has been here since the plan was made; run again"
#define WATCH_HINT \
    "isolate the table with guards.ensure_tenant_column and guards.ensure_tenant_isolation, or," \
    " when it is for everybody, " \
    "declare it with guards.declare_global, { tenant = \"global\" } or global_tables"
#define STATE_HINT "put it back before the function ends: RESET ROLE, SET row_security = off," \
    " RESET of the tenant setting"

/* A statement whose job is to raise casts a sentence to integer: that costs a third of a DO block and can be
   prepared. `expression` is the sentence, or NULL when all is well; host/db/error.c takes it out of the server's
   message. Functions are named with their schema, since a script may have changed search_path; and operators where
   pg_catalog has none for just these types (varchar = varchar, name || text): else one that somebody has made in a
   schema of the path would be called, as the migrator. */
const struct ledger_text ledger_texts[LEDGER_COUNT] = {
    [LEDGER_BEGIN] = {{.slot = LEDGER_BEGIN}, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"},
    [LEDGER_BEGIN_READ_ONLY] = {{.slot = LEDGER_BEGIN_READ_ONLY}, "BEGIN READ ONLY"},
    [LEDGER_BEGIN_SNAPSHOT] = {{.slot = LEDGER_BEGIN_SNAPSHOT, .plain = true},
                               "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE"},
    [LEDGER_COMMIT] = {{.slot = LEDGER_COMMIT, .tag = "COMMIT", .plain = true}, "COMMIT"},
    [LEDGER_ROLLBACK] = {{.slot = LEDGER_ROLLBACK, .plain = true}, "ROLLBACK"},
    [LEDGER_LOCK] = {{.slot = LEDGER_LOCK}, "LOCK TABLE {v} IN EXCLUSIVE MODE"},
    [LEDGER_SETTINGS] = {{.slot = LEDGER_SETTINGS},
                         "SELECT pg_catalog.set_config('row_security', 'off', true),"
                         " pg_catalog.set_config($1, '', true)"},
    [LEDGER_CHECK_ROWS] =
        {{LEDGER_CHECK_ROWS, ERROR_BUSY, "the database is not where the plan left it", BUSY_HINT, NULL},
         "SELECT " RAISE("CASE"
         " WHEN r.rows <> CAST($1 AS text) THEN 'version rows (' || r.rows || '), expected (' || $1 || ')'"
         " WHEN p.done <> CAST($4 AS integer) THEN p.done || ' finished parts of ' || $2 || ', expected ' || $4"
         " END")
         " FROM (SELECT coalesce(pg_catalog.string_agg(version_num, ', ' ORDER BY version_num COLLATE \"C\"),"
         " '') AS rows FROM {v}) r,"
         " (SELECT pg_catalog.count(*) AS done FROM {s}.dmlua_progress"
         " WHERE version_table = {t} AND what = CAST($2 AS text) AND direction = CAST($3 AS text) AND tenant = ''"
         " AND state = 'done') p"},
    [LEDGER_CHECK_STATE] =
        {{LEDGER_CHECK_STATE, ERROR_MIGRATION, "the script has left the session changed", STATE_HINT, NULL},
         "SELECT " RAISE("CASE"
         " WHEN current_user <> CAST($1 AS text) THEN 'current_user is ' || current_user || ', was ' || $1"
         " WHEN session_user <> CAST($2 AS text) THEN 'session_user is ' || session_user || ', was ' || $2"
         " WHEN pg_catalog.current_setting('role') <> CAST($3 AS text)"
         " THEN 'role is ' || pg_catalog.current_setting('role') || ', was ' || $3"
         " WHEN pg_catalog.current_setting('row_security') <> 'off' THEN 'row_security is on'"
         " WHEN pg_catalog.current_setting($4, true) <> '' THEN $4 || ' is set'"
         " WHEN pg_catalog.current_setting('dmlua.doors', true) NOT IN ('', '0')"
         " THEN 'an op.across_tenants that an error or a yield has left has not put row security back'"
         " END")},
    [LEDGER_VERSION_INSERT] = {{.slot = LEDGER_VERSION_INSERT}, "INSERT INTO {v} (version_num) VALUES ($1)"},
    [LEDGER_VERSION_UPDATE] =
        {{LEDGER_VERSION_UPDATE, ERROR_BUSY,
          "", BUSY_HINT, NULL}, /* Alembic's words, with its names */
         "WITH changed AS (UPDATE {v} SET version_num = $1 WHERE version_num OPERATOR(pg_catalog.=) $2 RETURNING 1)"
         " SELECT " RAISE("CASE WHEN pg_catalog.count(*) <> 1 THEN"
         " 'Online migration expected to match one row when updating ''' || $2 || ''' to ''' || $1 || ''' in '''"
         " || {t} || '''; ' || pg_catalog.count(*) || ' found' END") " FROM changed"},
    [LEDGER_VERSION_DELETE] =
        {{LEDGER_VERSION_DELETE, ERROR_BUSY,
          "", BUSY_HINT, NULL},
         "WITH changed AS (DELETE FROM {v} WHERE version_num OPERATOR(pg_catalog.=) $1 RETURNING 1)"
         " SELECT " RAISE("CASE WHEN pg_catalog.count(*) <> 1 THEN"
         " 'Online migration expected to match one row when deleting ''' || $1 || ''' in ''' || {t} || '''; '"
         " || pg_catalog.count(*) || ' found' END") " FROM changed"},
    [LEDGER_RECORD] = {{.slot = LEDGER_RECORD},
                       "INSERT INTO {s}.dmlua_ledger (version_table, run_id, kind, what, part, service, environment,"
                       " tenant, client, rows, sha256, outcome, reason, note, duration, who, started)"
                       " VALUES ({t}, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
                       " coalesce(CAST($14 AS double precision) * interval '1 second',"
                       " pg_catalog.clock_timestamp() - pg_catalog.now()),"
                       " session_user, coalesce(pg_catalog.clock_timestamp()"
                       " - CAST($14 AS double precision) * interval '1 second', pg_catalog.now()))"},
    [LEDGER_TALLY] = {{.slot = LEDGER_TALLY},
                      "INSERT INTO {s}.dmlua_ledger (version_table, run_id, kind, what, part, service, environment,"
                      " tenant, client, rows, outcome, note, duration, who, started)"
                      " SELECT {t}, CAST($1 AS uuid), $2, c.what, nullif(c.part, 0), $3, $4, c.tenant, $5, c.rows,"
                      " 'counted', c.place, interval '0', session_user, pg_catalog.now()"
                      " FROM ROWS FROM (pg_catalog.unnest(CAST($6 AS text[])),"
                      " pg_catalog.unnest(CAST($7 AS integer[])),"
                      " pg_catalog.unnest(CAST($8 AS text[])), pg_catalog.unnest(CAST($9 AS bigint[])),"
                      " pg_catalog.unnest(CAST($10 AS text[]))) AS c(what, part, tenant, rows, place)"},
    [LEDGER_PROGRESS_PUT] = {{.slot = LEDGER_PROGRESS_PUT},
                             "INSERT INTO {s}.dmlua_progress"
                             " (version_table, what, direction, part, state, hash, statements, answers, run_id)"
                             " VALUES ({t}, $1, $2, $3, $4, $5, $6, $7, $8)"
                             " ON CONFLICT (version_table, what, direction, part, round, tenant_key) DO UPDATE"
                             " SET state = EXCLUDED.state, hash = EXCLUDED.hash, statements = EXCLUDED.statements,"
                             " answers = EXCLUDED.answers, run_id = EXCLUDED.run_id, changed = pg_catalog.now()"},
    [LEDGER_PROGRESS_MOVE] = {{.slot = LEDGER_PROGRESS_MOVE},
                              "UPDATE {s}.dmlua_progress SET cursor = $4, changed = pg_catalog.now()"
                              " WHERE version_table = {t} AND what = $1 AND direction = $2 AND part = $3 AND round = 0"
                              " AND tenant_key = ''"},
    /* A tenant that was skipped owes the step; the parts stay for it, as they are needed to take up the loop again. */
    [LEDGER_PROGRESS_DROP] = {{.slot = LEDGER_PROGRESS_DROP},
                              "WITH debts AS (SELECT FROM {s}.dmlua_progress WHERE " THE_STEP
                              " AND tenant <> '' AND state = 'skipped' LIMIT 1),"
                              " kept AS (UPDATE {s}.dmlua_progress SET state = 'owed' WHERE " THE_STEP
                              " AND tenant = '' AND EXISTS (SELECT FROM debts))"
                              " DELETE FROM {s}.dmlua_progress WHERE " THE_STEP
                              " AND (tenant <> '' AND state <> 'skipped'"
                              " OR tenant = '' AND NOT EXISTS (SELECT FROM debts))"},
    [LEDGER_TENANT_ENTER] = {{.slot = LEDGER_TENANT_ENTER},
                             "SELECT pg_catalog.set_config($1, $2, true),"
                             " pg_catalog.set_config('row_security', 'on', true),"
                             " pg_catalog.set_config('role', $3, true)"},
    [LEDGER_TENANT_LEAVE] =
        {{LEDGER_TENANT_LEAVE, ERROR_REFUSED,
          "TenantIsolationError: the callback of tenants.each has changed the tenant context or the role",
          "leave both to tenants.each", NULL},
         "SELECT " RAISE(TENANT_SENTENCE) ", pg_catalog.set_config('role', $4, true),"
         " pg_catalog.set_config('row_security', 'off', true), pg_catalog.set_config($1, '', true)"},
    [LEDGER_SETTING_KEEP] = {{.slot = LEDGER_SETTING_KEEP},
                             "SELECT pg_catalog.set_config($1,"
                             " coalesce(pg_catalog.current_setting($2, true), ''), true)"},
    /* For the session: a COMMIT in the midst of the step would bring back what was hidden for the transaction alone. */
    [LEDGER_SETTING_BACK] = {{.slot = LEDGER_SETTING_BACK},
                             "SELECT pg_catalog.set_config($1, pg_catalog.current_setting($2), false)"},
    /* Claims the tenant and enters it. FOR KEY SHARE: whoever finishes the step deletes the row, and waits for this
       transaction first. A tenant that another transaction has claimed is waited for: if that commits, the key is there
       already (23505). The role comes last: it may not do what stands before it. */
    [LEDGER_LOOP_FIRST] =
        {{LEDGER_LOOP_FIRST, ERROR_BUSY, "the loop is not this run's any more", BUSY_HINT, NULL},
         "INSERT INTO {s}.dmlua_progress (version_table, what, direction, part, run_id, tenant, state)"
         " VALUES ({t}, $1, $2, CAST($3 AS integer), CAST($4 AS uuid), $5, 'done')"
         " RETURNING " RAISE(LOOP_SENTENCE) ", pg_catalog.set_config($6, $5, true),"
         " pg_catalog.set_config('row_security', 'on', true), pg_catalog.set_config('role', $7, true)"},
    /* The same for a tenant that has a row already, or is to be in batches. What another run has made of it meanwhile
       fails as a date (22007), to be told from the other sentence. */
    [LEDGER_LOOP_ENTER] =
        {{LEDGER_LOOP_ENTER, ERROR_BUSY, "the loop is not this run's any more", BUSY_HINT, NULL},
         "WITH claimed AS (INSERT INTO {s}.dmlua_progress AS p (version_table, what, direction, part, run_id,"
         " tenant, state) VALUES ({t}, $1, $2, CAST($3 AS integer), CAST($4 AS uuid), $5, $6)"
         " ON CONFLICT (version_table, what, direction, part, round, tenant_key) DO UPDATE SET state = EXCLUDED.state,"
         " run_id = EXCLUDED.run_id, changed = pg_catalog.now()"
         " WHERE p.state <> 'done' AND p.cursor IS NOT DISTINCT FROM $7 RETURNING 1)"
         " SELECT " RAISE(LOOP_SENTENCE)
         ", CAST(CASE WHEN NOT EXISTS (SELECT FROM claimed) THEN 'another run has been with ' || $5"
         " ELSE '2000-01-01' END"
         " AS date), pg_catalog.set_config($8, $5, true), pg_catalog.set_config('row_security', 'on', true),"
         " pg_catalog.set_config('role', $9, true)"},
    /* Role and context stay as they are: the transaction is over next, and constraints that wait for its COMMIT are
       checked as the tenant's. */
    [LEDGER_LOOP_LEAVE] =
        {{LEDGER_LOOP_LEAVE, ERROR_REFUSED,
          "TenantIsolationError: the callback of tenants.each has changed the tenant context or the role",
          "leave both to tenants.each", NULL},
         "SELECT " RAISE(TENANT_SENTENCE)},
    /* Behind LEDGER_TENANT_LEAVE: how far a tenant in batches is. */
    [LEDGER_LOOP_CURSOR] =
        {{LEDGER_LOOP_CURSOR, ERROR_BUSY, "the loop is not this run's any more", BUSY_HINT, NULL},
         "WITH changed AS (INSERT INTO {s}.dmlua_progress AS p (version_table, what, direction, part, run_id,"
         " tenant, state) VALUES ({t}, $1, $2, CAST($3 AS integer), CAST($4 AS uuid), $5, $6)"
         " ON CONFLICT (version_table, what, direction, part, round, tenant_key) DO UPDATE SET state = EXCLUDED.state,"
         " cursor = $7, changed = pg_catalog.now() WHERE p.run_id = EXCLUDED.run_id RETURNING 1)"
         " SELECT " RAISE("CASE WHEN NOT EXISTS (SELECT FROM changed) THEN 'another run has been with ' || $5 END")},
    [LEDGER_LOOP_TENANT] =
        {{LEDGER_LOOP_TENANT, ERROR_BUSY, "the tenant was done by another run", BUSY_HINT, NULL},
         "WITH changed AS (INSERT INTO {s}.dmlua_progress AS p (version_table, what, direction, part, run_id,"
         " tenant, state) VALUES ({t}, $1, $2, CAST($3 AS integer), CAST($4 AS uuid), $5, $6)"
         " ON CONFLICT (version_table, what, direction, part, round, tenant_key) DO UPDATE SET state = EXCLUDED.state,"
         " run_id = EXCLUDED.run_id, changed = pg_catalog.now() WHERE p.state <> 'done' RETURNING 1)"
         " SELECT " RAISE("CASE WHEN pg_catalog.count(*) <> 1 THEN $5 || ' is done' END") " FROM changed"},
    [LEDGER_DEBT_TAKE] =
        {{LEDGER_DEBT_TAKE, ERROR_BUSY, "the debt is not there any more", BUSY_HINT, NULL},
         "WITH taken AS (UPDATE {s}.dmlua_progress SET run_id = CAST($4 AS uuid), changed = pg_catalog.now()"
         " WHERE " THE_STEP
         " AND part = CAST($3 AS integer) AND round = 0 AND tenant_key = '' AND state = 'owed' RETURNING 1)"
         " SELECT " RAISE("CASE WHEN pg_catalog.count(*) <> 1 THEN 'another run has settled it' END") " FROM taken"},
    [LEDGER_DEBT_DROP] =
        {{LEDGER_DEBT_DROP, ERROR_BUSY, "the debt is not there any more", BUSY_HINT, NULL},
         "WITH dropped AS (DELETE FROM {s}.dmlua_progress WHERE " THE_STEP
         " AND part = CAST($3 AS integer) AND round = 0 AND tenant = $4 RETURNING 1)"
         " SELECT " RAISE("CASE WHEN pg_catalog.count(*) <> 1 THEN $4 || ' owes nothing' END") " FROM dropped"},
    /* The session's counters may still have in them what transactions before this one wrote. The host keeps the
       numbers: a setting could be set by the fix. */
    [LEDGER_FIX_BEGIN] = {{.slot = LEDGER_FIX_BEGIN}, "SELECT " CATALOGUE_ROWS ", " TABLE_ROWS},
    /* Whoever writes a table holds ROW EXCLUSIVE on it until the transaction ends, be it in a trigger or a DO block,
       and DDL of whatever kind writes the catalogue. A partition is its table's. */
    [LEDGER_FIX_CHECK] =
        {{.slot = LEDGER_FIX_CHECK},
         "WITH RECURSIVE allowed(id) AS (SELECT pg_catalog.unnest(CAST($1 AS oid[]))"
         " UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN allowed ON allowed.id = i.inhparent)"
         " SELECT " CATALOGUE_ROWS ", " TABLE_ROWS ", pg_catalog.current_setting('track_counts'),"
         " (SELECT pg_catalog.string_agg(DISTINCT CAST(CAST(c.oid AS regclass) AS text), ', ')"
         " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation"
         " WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'"
         " AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'"
         " AND c.relnamespace <> CAST('pg_catalog' AS regnamespace) AND c.oid NOT IN (SELECT id FROM allowed)),"
         " (SELECT pg_catalog.string_agg(DISTINCT c.relname, ', ') FROM pg_catalog.pg_locks l"
         " JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
         " WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'"
         " AND n.nspname = CAST($2 AS name) AND c.relname IN (CAST($3 AS name), 'dmlua_ledger', 'dmlua_progress',"
         " 'dmlua_undo', 'dmlua_tables', 'dmlua_tenants', 'dmlua_database'))"},
    /* One that is older than the transaction has its rows already. */
    [LEDGER_HELD] =
        {{LEDGER_HELD, ERROR_REFUSED,
          "TenantIsolationError: the callback of tenants.each leaves a cursor WITH HOLD open",
          "CLOSE it, or declare it without HOLD", NULL},
         "SELECT " RAISE("(SELECT pg_catalog.min(name) || ' would be carried out at COMMIT, as the migrator'"
         " FROM pg_catalog.pg_cursors WHERE is_holdable AND creation_time >= pg_catalog.now())")},
    [LEDGER_CURSORS] = {{.slot = LEDGER_CURSORS}, "CLOSE ALL"},
    /* Its cursor has the runs before that --again has repeated: host/undo.c goes back to them. */
    [LEDGER_FIX_TENANT] =
        {{LEDGER_FIX_TENANT, ERROR_BUSY, "the tenant was done by another run", BUSY_HINT, NULL},
         "WITH changed AS (INSERT INTO {s}.dmlua_progress AS p (version_table, what, direction, part, run_id, tenant,"
         " state, statements) VALUES ({t}, $1, 'run', 1, CAST($2 AS uuid), $3, 'done', $4)"
         " ON CONFLICT (version_table, what, direction, part, round, tenant_key)"
         " DO UPDATE SET run_id = EXCLUDED.run_id,"
         " cursor = pg_catalog.concat_ws(' ', p.cursor, p.run_id), changed = pg_catalog.now()"
         " WHERE CAST($5 AS boolean) RETURNING 1)"
         " SELECT " RAISE("CASE WHEN pg_catalog.count(*) <> 1 THEN $3 || ' is done' END") " FROM changed"},
    [LEDGER_CONSTRAINTS] = {{.slot = LEDGER_CONSTRAINTS}, "SET CONSTRAINTS ALL IMMEDIATE"},
    [LEDGER_INDEX_VALID] =
        {{LEDGER_INDEX_VALID, ERROR_MIGRATION, "the index is not there or not valid",
          "drop it with DROP INDEX CONCURRENTLY and run again", NULL},
         "SELECT " RAISE("CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_index"
         " WHERE indexrelid = pg_catalog.to_regclass($1) AND indisvalid) THEN $1 || ' is not valid' END") ""},
    [LEDGER_WATCH] = {{LEDGER_WATCH, ERROR_REFUSED,
                       "TenantIsolationError: the step leaves tables neither tenant-isolated nor declared global",
                       WATCH_HINT,
                       NULL},
                      WATCH_TABLES " SELECT " RAISE(WATCH_SENTENCE)},
    [LEDGER_WATCH_MILDLY] = {{.slot = LEDGER_WATCH_MILDLY}, WATCH_TABLES " SELECT " WATCH_SENTENCE},
    [LEDGER_RESET] = {{.slot = LEDGER_RESET, .plain = true}, "RESET ALL"},
    /* Neither is among them. The session's user first: setting it takes the role back, too. */
    [LEDGER_RESET_USER] = {{.slot = LEDGER_RESET_USER, .plain = true}, "RESET SESSION AUTHORIZATION"},
    [LEDGER_RESET_ROLE] = {{.slot = LEDGER_RESET_ROLE, .plain = true}, "RESET ROLE"},
    /* A long run must not be ended for idling, and must end soon when its client has died. The first two
       came with PostgreSQL 14. */
    [LEDGER_GUARD] = {{.slot = LEDGER_GUARD, .plain = true},
                      "SELECT pg_catalog.set_config('idle_session_timeout', '0', false),"
                      " pg_catalog.set_config('client_connection_check_interval', '1000', false),"
                      " pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),"
                      " pg_catalog.set_config('tcp_keepalives_idle', '60', false),"
                      " pg_catalog.set_config('row_security', 'off', false)"},
    [LEDGER_GUARD_13] = {{.slot = LEDGER_GUARD_13, .plain = true},
                         "SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),"
                         " pg_catalog.set_config('tcp_keepalives_idle', '60', false),"
                         " pg_catalog.set_config('row_security', 'off', false)"},
};
