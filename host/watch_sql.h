#ifndef DMLUA_WATCH_SQL_H
#define DMLUA_WATCH_SQL_H

#include "bindings/policy_sql.h"

/* What the host knows of tables and tenants, as pieces of SQL. All of them read $1: tenant column, $2: tenant setting,
   $3: whether row security is to be set up, $4: patterns of global_tables, $5: schema of dmlua's own tables, $6: name
   of the version table, $7: application role. `c` is a row of pg_class, `n` its pg_namespace. Functions are named with
   their schema, since a script may have changed search_path. */

/* A table, or what shows a table's rows, that is the service's: no temporary one, none of an extension's, none of
   dmlua's own, no version table, which is known by its one column, also where it is another tree's. */
#define WATCH_IS_OURS \
    " c.relkind IN ('r', 'p', 'f', 'm', 'v') AND c.relpersistence <> 't'" \
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')" \
    " AND NOT (n.nspname = CAST($5 AS name) AND (c.relname = CAST($6 AS name) OR c.relname IN (" \
    "'dmlua_ledger', 'dmlua_progress', 'dmlua_tenants', 'dmlua_tables', 'dmlua_database', 'dmlua_undo')))" \
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d" \
    "  WHERE d.classid = CAST('pg_catalog.pg_class' AS regclass) AND d.objid = c.oid AND d.deptype = 'e')" \
    " AND NOT (c.relkind = 'r' AND c.relnatts = 1 AND EXISTS (SELECT FROM pg_catalog.pg_attribute v" \
    "  WHERE v.attrelid = c.oid AND v.attnum = 1 AND v.attname = 'version_num' AND NOT v.attisdropped))"

/* Its oid, or NULL. */
#define WATCH_APP_ROLE "CAST(pg_catalog.to_regrole(pg_catalog.quote_ident($7)) AS oid)"

/* Why a table is not isolated, or NULL. The one permissive policy that tenants need no guard to trust is the guards'
   own. A migrator that is the application role itself is not told so of each table. */
#define WATCH_TABLE_FAULT \
    "(SELECT CASE WHEN w.type IS NULL THEN 'it has no column ' || CAST($1 AS text)" \
    " WHEN NOT w.required THEN CAST($1 AS text) || ' may be NULL'" \
    " WHEN NOT CAST($3 AS boolean) THEN NULL" \
    " WHEN NOT c.relrowsecurity THEN 'row security is off'" \
    " WHEN NOT c.relforcerowsecurity THEN 'row security does not hold for its owner'" \
    " WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive)" \
    " THEN 'it has no policy'" \
    " ELSE coalesce((SELECT 'its policy ' || pg_catalog.quote_ident(p.polname) || ' is not the tenant''s'" \
    "  FROM pg_catalog.pg_policy p," \
    "  LATERAL (SELECT " \
    POLICY_NORMAL(POLICY_PREDICATE("CAST($1 AS text)", "CAST($2 AS text)", "w.type")) " AS normal) o" \
    "  WHERE p.polrelid = c.oid AND p.polpermissive AND " POLICY_WIDENS("o.normal") \
    "  ORDER BY p.polname LIMIT 1)," \
    "  CASE WHEN CAST($7 AS text) <> current_user" \
    "   AND pg_catalog.pg_has_role(" WATCH_APP_ROLE ", c.relowner, 'MEMBER')" \
    "   THEN 'it belongs to ' || pg_catalog.quote_ident($7) || ', who can turn row security off'" \
    "   WHEN (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = CAST($7 AS name)" \
    "    AND r.rolname <> current_user)" \
    "   THEN 'row security does not hold for ' || pg_catalog.quote_ident($7) || ', the application''s role' END) END" \
    " FROM (SELECT pg_catalog.max(x.type) AS type," \
    "  coalesce(pg_catalog.bool_and(x.attnotnull), false) AS required FROM (" \
    "  SELECT a.attnotnull, " POLICY_TYPE("a.atttypid") " AS type" \
    "  FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = CAST($1 AS name)" \
    "  AND a.attnum > 0 AND NOT a.attisdropped) x) w)"

/* May the application read it, or everybody? */
#define WATCH_IS_READ \
    "(coalesce(pg_catalog.has_any_column_privilege(" WATCH_APP_ROLE ", c.oid, 'SELECT'), false)" \
    " OR EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) g WHERE g.grantee = 0 AND g.privilege_type = 'SELECT'))"

/* The tables of tenants whose rows a view shows, through other views too, or NULL. */
#define WATCH_SHOWN \
    "(WITH RECURSIVE reads(id) AS (SELECT c.oid UNION SELECT d.refobjid FROM reads" \
    "  JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.id" \
    "  JOIN pg_catalog.pg_depend d ON d.classid = CAST('pg_catalog.pg_rewrite' AS regclass) AND d.objid = w.oid" \
    "  AND d.refclassid = CAST('pg_catalog.pg_class' AS regclass))" \
    " SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', tn.nspname, tc.relname), ', ' ORDER BY tc.oid)" \
    " FROM reads JOIN pg_catalog.pg_class tc ON tc.oid = reads.id" \
    " JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace WHERE tc.relkind IN ('r', 'p')" \
    " AND (tc.relrowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = tc.oid" \
    "  AND a.attname = CAST($1 AS name) AND NOT a.attisdropped)))"

/* Row security does not hold for the rows that a materialized view keeps, nor in a view that is read with the eyes of
   an owner who passes policies, unless its author has said so (security_invoker = false). A plain owner's eyes are
   under forced row security like everybody's. */
#define WATCH_FAULT \
    "(CASE WHEN c.relkind IN ('r', 'p') THEN " WATCH_TABLE_FAULT \
    " WHEN NOT CAST($3 AS boolean) THEN NULL" \
    " WHEN c.relkind = 'f' THEN 'a foreign table has no row security'" \
    " ELSE CASE WHEN NOT " WATCH_IS_READ " THEN NULL" \
    " WHEN c.relkind = 'm' THEN 'a materialized view that the application may read keeps rows of '" \
    " WHEN EXISTS (SELECT FROM pg_catalog.unnest(c.reloptions) o WHERE o LIKE 'security_invoker=%') THEN NULL" \
    " WHEN EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.oid = c.relowner AND (o.rolsuper OR o.rolbypassrls))" \
    " THEN 'a view shows the application, with the eyes of a role that passes policies, rows of '" \
    " END || " WATCH_SHOWN " END)"

/* Was the row `row` written by this transaction? One that is seen while its transaction runs was, be it in a
   subtransaction. (It needs a transaction that writes.) */
#define WATCH_WROTE(row) \
    "CASE WHEN " row ".xmin = (SELECT CAST(pg_catalog.pg_current_xact_id() AS xid)) THEN true" \
    " WHEN pg_catalog.age(" row ".xmin) < 0 THEN pg_catalog.pg_xact_status(CAST(CAST(" \
    "  (SELECT CAST(CAST(pg_catalog.pg_current_xact_id() AS text) AS bigint)) - pg_catalog.age(" row ".xmin)" \
    "  AS text) AS xid8)) = 'in progress' ELSE false END"

/* A declaration `d` without a reason is of a table without a tenant column; does it hold for the table `mc`? */
#define WATCH_HOLDS \
    "(d.declared = 'debt' OR d.reason IS NOT NULL OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a" \
    "  WHERE a.attrelid = mc.oid AND a.attname = CAST($1 AS name) AND NOT a.attisdropped))"

/* Is `d` of an earlier transaction, and `mc` made in this one? Then it was of another table of this name. The row of
   tableoid is written when a table is made, and never again. */
#define WATCH_IS_OF_ANOTHER \
    "(NOT " WATCH_WROTE("d") " AND EXISTS (SELECT FROM pg_catalog.pg_attribute a" \
    "  WHERE a.attrelid = mc.oid AND a.attnum = -6 AND " WATCH_WROTE("a") "))"

/* How the table, or one that it is a partition of, is declared: 'global' or 'debt', or NULL. In a pattern of
   global_tables, divided by commas or blanks, * stands for anything. `holds`: for which rows `d` of `tables`. */
#define WATCH_DECLARED(tables, holds) \
    "(SELECT coalesce(pg_catalog.min(CASE WHEN EXISTS (" \
    "   SELECT FROM pg_catalog.regexp_split_to_table(CAST($4 AS text), '[,[:space:]]+') g," \
    "   LATERAL (SELECT pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(" \
    "    g, '!', '!!'), '_', '!_'), '%', '!%'), '*', '%') AS pattern) l" \
    "   WHERE g <> '' AND (mc.relname LIKE l.pattern ESCAPE '!'" \
    "   OR pg_catalog.concat(mn.nspname, '.', mc.relname) LIKE l.pattern ESCAPE '!')) THEN 'global' END)," \
    "  pg_catalog.max(d.declared))" \
    " FROM pg_catalog.pg_class mc JOIN pg_catalog.pg_namespace mn ON mn.oid = mc.relnamespace" \
    " LEFT JOIN " tables " d ON d.name = pg_catalog.format('%I.%I', mn.nspname, mc.relname) AND " holds \
    " WHERE mc.oid = ANY (ARRAY(SELECT c.oid UNION ALL" \
    "  SELECT CAST(relid AS oid) FROM pg_catalog.pg_partition_ancestors(c.oid) AS a(relid))))"

/* The tables on which this transaction holds a lock that DDL takes, or whose catalogue row it wrote: the locks miss
   GRANT, the catalogue rows miss policies; and the user's views (from 16384 on) of whose columns it said a GRANT. With
   them the views that show rows of theirs, since a table may be isolated below a view. What is many is gathered into an
   array first: the planner then expects few tables, looks at no others, and does not compile what it takes for a long
   query; OFFSET 0 keeps it to the index. */
#define WATCH_TOUCHED \
    " c.oid = ANY (ARRAY(WITH RECURSIVE shown(id) AS (SELECT pg_catalog.unnest(ARRAY(" \
    "  SELECT k.relation FROM pg_catalog.pg_locks k" \
    "  WHERE k.locktype = 'relation' AND k.pid = pg_catalog.pg_backend_pid()" \
    "  AND k.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')" \
    "  AND k.database = (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database())" \
    "  UNION ALL SELECT t.oid FROM pg_catalog.pg_class t WHERE " WATCH_WROTE("t") \
    "  UNION ALL SELECT v.id FROM pg_catalog.unnest(ARRAY(SELECT m.oid FROM pg_catalog.pg_class m" \
    "   WHERE m.relkind IN ('v', 'm') AND m.oid >= 16384)) v(id), LATERAL (SELECT FROM pg_catalog.pg_attribute a" \
    "   WHERE a.attrelid = v.id AND a.attacl IS NOT NULL AND " WATCH_WROTE("a") " OFFSET 0) g))" \
    " UNION SELECT w.ev_class FROM shown, LATERAL (SELECT d.objid FROM pg_catalog.pg_depend d" \
    "  WHERE d.refclassid = CAST('pg_catalog.pg_class' AS regclass) AND d.refobjid = shown.id" \
    "  AND d.classid = CAST('pg_catalog.pg_rewrite' AS regclass) OFFSET 0) d," \
    " LATERAL (SELECT r.ev_class FROM pg_catalog.pg_rewrite r WHERE r.oid = d.objid OFFSET 0) w) SELECT id FROM shown))"

/* The watch: sentence of the tables that are neither. Declarations of tables that are gone go with them, and a debt
   that is paid is no debt any more. */
#define WATCH_TABLES \
    "WITH touched AS MATERIALIZED (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name," \
    " " WATCH_FAULT " AS fault," \
    " " WATCH_DECLARED("{s}.dmlua_tables", WATCH_HOLDS " AND NOT " WATCH_IS_OF_ANOTHER) " AS declared" \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
    " WHERE " WATCH_TOUCHED " AND " WATCH_IS_OURS ")," \
    " settled AS (DELETE FROM {s}.dmlua_tables d WHERE pg_catalog.to_regclass(d.name) IS NULL OR d.declared = 'debt'" \
    "  AND EXISTS (SELECT FROM touched t WHERE t.name = d.name AND t.fault IS NULL))"

#define WATCH_SENTENCE \
    "(SELECT pg_catalog.string_agg(t.name || ' (' || t.fault || ')', ', ' ORDER BY t.name COLLATE \"C\")" \
    " FROM touched t WHERE t.fault IS NOT NULL AND t.declared IS NULL)"

#endif
