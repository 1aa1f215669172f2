#ifndef DMLUA_POLICY_SQL_H
#define DMLUA_POLICY_SQL_H

/* The tenant's policy, as pieces of SQL: how it is written and how one is known again. The guards make and check it
   with them (bindings/guard.c), the host's watch looks for it (host/watch_sql.h). Functions are named with their
   schema, since a script may have changed search_path. */

/* The type that a tenant's id is cast to: the column's own, below domains and without a length. A cast with a length
   cuts: the setting 'acme1-evil' would match the tenant 'acme1'. So would one to name, which has 63 bytes: that is
   compared as text. The modifier -1, where NULL would do for other types, keeps char(n) from becoming "character",
   which means char(1). */
#define POLICY_TYPE(type) \
    "(WITH RECURSIVE base(id) AS (SELECT " type " UNION ALL" \
    "  SELECT t.typbasetype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.id WHERE t.typtype = 'd')" \
    " SELECT CASE WHEN t.oid = CAST('pg_catalog.name' AS regtype) THEN 'text'" \
    "  ELSE pg_catalog.format_type(t.oid, -1) END" \
    " FROM base JOIN pg_catalog.pg_type t ON t.oid = base.id WHERE t.typtype <> 'd')"

/* USING and WITH CHECK of the policy. Nothing wraps the column, so that an index on it can be used. */
#define POLICY_PREDICATE(column, setting, type) \
    "pg_catalog.format('%I = (SELECT NULLIF(current_setting(%L, true), '''')::%s)', " column ", " setting ", " type ")"

/* An expression, as pg_get_expr or POLICY_PREDICATE writes it, without what differs only in writing: parentheses,
   blanks, casts to text, the alias that the server gives a sub-select. */
#define POLICY_NORMAL(expression) \
    "pg_catalog.regexp_replace(" expression ", ' AS \"?nullif\"?|::text|[()[:space:]]', '', 'g')"

/* Is something in the policy not PostgreSQL's own that looks like it? With another schema in front of pg_catalog,
   pg_get_expr shows that schema's current_setting() and = by their bare names. Objects from 16384 on are users'; what
   is pinned depends on nothing. */
#define POLICY_IS_ASTRAY(policy) \
    "EXISTS (SELECT FROM pg_catalog.pg_depend s" \
    "  LEFT JOIN pg_catalog.pg_proc sp" \
    "   ON s.refclassid = CAST('pg_catalog.pg_proc' AS regclass) AND sp.oid = s.refobjid" \
    "  LEFT JOIN pg_catalog.pg_operator so" \
    "   ON s.refclassid = CAST('pg_catalog.pg_operator' AS regclass) AND so.oid = s.refobjid" \
    "  WHERE s.classid = CAST('pg_catalog.pg_policy' AS regclass) AND s.objid = " policy \
    "  AND (sp.proname = 'current_setting' OR so.oprleft < 16384))"

/* Does a policy (p, a row of pg_policy) show more than `normal`, the tenant's own? One without an expression adds
   nothing. */
#define POLICY_WIDENS(normal) \
    "(coalesce(" POLICY_NORMAL("pg_catalog.pg_get_expr(p.polqual, p.polrelid)") ", " normal ") <> " normal \
    " OR coalesce(" POLICY_NORMAL("pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)") ", " normal ") <> " normal \
    " OR " POLICY_IS_ASTRAY("p.oid") ")"

#endif
