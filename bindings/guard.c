#include <lauxlib.h>
#include <string.h>

#include "bindings/bindings.h"

/* The catalogue probes of the tenant guards: each is one SELECT over the catalogue, constants and $n only.
   It reads no tenant's row, so it works for every role and under forced row security. The guards run it on
   the server inside DO blocks (EXECUTE probe USING …); specs and checks run it over a connection.

   A finding is a row (relation, failed, detail, repair, done, hint): the name of the check that failed, what
   is so, the SQL that mends it and what that does, or null and what a person has to do. */

/* $1 text[]: names of tables, quoted where they must be. Answers the tables whose rows row security may hide
   from the current role, partitions too (a foreign key is checked on each): id, name, owner, whether the role
   counts as the owner, whether row security is forced. Nothing for a superuser or a BYPASSRLS role. */
static const char door[] =
    "SELECT c.oid AS id, c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner,\n"
    "  pg_has_role(current_user, c.relowner, 'USAGE') AS owned, c.relforcerowsecurity AS forced\n"
    "FROM (SELECT DISTINCT member.id FROM unnest($1::text[]) AS asked(name)\n"
    "      CROSS JOIN LATERAL (\n"
    "        SELECT asked.name::regclass AS id\n"
    "        UNION SELECT relid FROM pg_partition_tree(asked.name::regclass)) AS member) AS m\n"
    "JOIN pg_catalog.pg_class c ON c.oid = m.id\n"
    "WHERE c.relrowsecurity\n"
    "  AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)\n"
    "ORDER BY c.oid";

/* $1 regclass: table, $2 text: tenant column. Answers the type that a tenant's id is cast to in a policy: the
   column's own, below domains and without a length. A cast with a length cuts: the setting 'acme1-evil' would
   match the tenant 'acme1'. The modifier -1, where NULL would do for other types, keeps char(n) from becoming
   "character", which means char(1). */
static const char cast_type[] =
    "WITH RECURSIVE given AS (SELECT $1::regclass, $2::text), base(id) AS (\n"
    "  SELECT a.atttypid FROM pg_catalog.pg_attribute a\n"
    "  WHERE a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped\n"
    "  UNION ALL\n"
    "  SELECT t.typbasetype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.id WHERE t.typtype = 'd')\n"
    "SELECT format_type(t.oid, -1) FROM base\n"
    "JOIN pg_catalog.pg_type t ON t.oid = base.id WHERE t.typtype <> 'd'";

/* $1 regclass: table, $2 text: tenant column, $3 text: type that it has to have, or null. Findings. */
static const char tenant_column[] =
    "WITH given AS (SELECT $1::regclass, $2::text, $3::text)\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.done, f.hint\n"
    "FROM (SELECT quote_ident($2) AS name) AS wanted\n"
    "LEFT JOIN pg_catalog.pg_attribute a\n"
    "  ON a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (1, a.attnum IS NULL, 'tenant_column_missing', format('%s has no column %s', $1, wanted.name),\n"
    "   NULL::text, NULL::text, 'Add it with guards.ensure_tenant_column.'),\n"
    "  (2, $3 IS NOT NULL AND to_regtype($3) IS NULL, 'tenant_type_unknown',\n"
    "   format('there is no type %s', $3),\n"
    "   NULL, NULL, 'Correct the option type or the key tenant_type.'),\n"
    "  (3, a.atttypid <> to_regtype($3), 'tenant_column_type',\n"
    "   format('%s.%s is %s, not %s', $1, wanted.name, format_type(a.atttypid, a.atttypmod), $3),\n"
    "   NULL, NULL,\n"
    "   'Change it with op.alter_column (type_), or correct the option type or the key tenant_type.'),\n"
    "  (4, NOT a.attnotnull, 'tenant_column_nullable', format('%s.%s may be NULL', $1, wanted.name),\n"
    "   format('ALTER TABLE %s ALTER COLUMN %s SET NOT NULL', $1, wanted.name),\n"
    "   format('%s made NOT NULL', wanted.name), 'guards.ensure_tenant_column makes it NOT NULL.')\n"
    ") AS f(place, is_so, failed, detail, repair, done, hint)\n"
    "WHERE f.is_so ORDER BY f.place";

/* $1 regclass: table, $2 json: what is wanted, a list of {columns, is_unique, optional, name}. Findings. An
   index serves by what it is, not by its name: a whole, valid B-tree that begins with the columns; a unique
   one has exactly these. One that is optional is wanted only where the table has its columns. An index whose
   name is too long or taken gets one from the server. */
static const char tenant_indexes[] =
    "WITH given AS (SELECT $1::regclass, $2::json), present AS MATERIALIZED (\n"
    "  SELECT i.indexrelid, i.indisunique, i.indisvalid AND i.indisready AND i.indislive AS sound,\n"
    "    ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)\n"
    "          LEFT JOIN pg_catalog.pg_attribute a\n"
    "            ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0\n"
    "          WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns\n"
    "  FROM pg_catalog.pg_index i\n"
    "  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam\n"
    "  WHERE i.indrelid = $1 AND i.indpred IS NULL AND m.amname = 'btree'\n"
    "), wanted AS MATERIALIZED (\n"
    "  SELECT w.place, r.columns, r.name, coalesce(r.optional, false) AS optional,\n"
    "    coalesce(r.is_unique, false) AS is_unique, CASE WHEN r.is_unique THEN 'UNIQUE ' ELSE '' END AS "
    "word,\n"
    "    ARRAY(SELECT n FROM unnest(r.columns) AS n WHERE NOT EXISTS (\n"
    "      SELECT FROM pg_catalog.pg_attribute a\n"
    "      WHERE a.attrelid = $1 AND a.attname = n AND a.attnum > 0 AND NOT a.attisdropped)) AS unknown,\n"
    "    (SELECT string_agg(quote_ident(n), ', ' ORDER BY p)\n"
    "     FROM unnest(r.columns) WITH ORDINALITY AS c(n, p)) AS listed\n"
    "  FROM json_array_elements($2) WITH ORDINALITY AS w(value, place)\n"
    "  CROSS JOIN LATERAL json_to_record(w.value)\n"
    "    AS r(columns text[], is_unique boolean, optional boolean, name text)\n"
    "), matched AS MATERIALIZED (\n"
    "  SELECT w.place, bool_or(p.sound) AS sound, string_agg(p.indexrelid::regclass::text, ', ') AS names\n"
    "  FROM wanted w JOIN present p ON CASE WHEN w.is_unique THEN p.indisunique AND p.columns = w.columns\n"
    "                                       ELSE p.columns[1:cardinality(w.columns)] = w.columns END\n"
    "  GROUP BY w.place\n"
    "), named AS (\n"
    "  SELECT w.*, CASE WHEN octet_length(w.name) <= 63\n"
    "      AND to_regclass(quote_ident(s.nspname) || '.' || quote_ident(w.name)) IS NULL\n"
    "    THEN quote_ident(w.name) || ' ' ELSE '' END AS free_name\n"
    "  FROM wanted w CROSS JOIN pg_catalog.pg_class t\n"
    "  JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace WHERE t.oid = $1\n"
    ")\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.done, f.hint\n"
    "FROM named n LEFT JOIN matched m USING (place)\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (cardinality(n.unknown) > 0, 'index_column_missing',\n"
    "   format('%s has no column %s', $1, array_to_string(n.unknown, ', ')),\n"
    "   NULL::text, NULL::text, 'Name columns of the table.'),\n"
    "  (cardinality(n.unknown) = 0 AND m.place IS NULL, 'tenant_index_missing',\n"
    "   format('%s has no valid %sindex on (%s)', $1, lower(n.word), n.listed),\n"
    "   format('CREATE %sINDEX %sON %s (%s)', n.word, n.free_name, $1, n.listed),\n"
    "   format('%sindex on (%s) created', lower(n.word), n.listed),\n"
    "   'guards.ensure_tenant_indexes creates it.'),\n"
    "  (NOT m.sound, 'tenant_index_invalid', format('the index %s of %s is not valid', m.names, $1),\n"
    "   NULL, NULL,\n"
    "   format('A failed CREATE INDEX CONCURRENTLY left it: DROP INDEX %s, then run again.', m.names))\n"
    ") AS f(is_so, failed, detail, repair, done, hint)\n"
    "WHERE f.is_so AND NOT (n.optional AND cardinality(n.unknown) > 0) ORDER BY n.place";

/* $1 text: application role, $2 oid: schema. Findings: the role is there, does not pass policies, may use the
   schema. */
static const char app_role[] =
    "WITH given AS (SELECT $1::text, $2::oid)\n"
    "SELECT $1 AS relation, f.failed, f.detail, f.repair, f.done, f.hint\n"
    "FROM (SELECT 1) AS always LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $1\n"
    "LEFT JOIN pg_catalog.pg_namespace s ON s.oid = $2\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (1, r.oid IS NULL, 'app_role_missing', format('the application role %I does not exist', $1),\n"
    "   NULL::text, NULL::text, format('CREATE ROLE %I, or correct the key app_role.', $1)),\n"
    "  (2, r.rolsuper OR r.rolbypassrls, 'app_role_bypasses',\n"
    "   format('the application role %I passes every policy', $1),\n"
    "   NULL, NULL, format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS', $1)),\n"
    "  (3, NOT has_schema_privilege(r.oid, s.oid, 'USAGE'), 'schema_usage_missing',\n"
    "   format('role %I has no USAGE on schema %s', $1, quote_ident(s.nspname)),\n"
    "   format('GRANT USAGE ON SCHEMA %s TO %I', quote_ident(s.nspname), $1),\n"
    "   format('USAGE on schema %s granted to %I', quote_ident(s.nspname), $1),\n"
    "   'The schema''s owner has to grant it.')\n"
    ") AS f(place, is_so, failed, detail, repair, done, hint)\n"
    "WHERE f.is_so ORDER BY f.place";

/* $1 regclass: table, $2 text: application role. Findings: the role may do its work in the table, with the
   sequences of its serial columns. Partitions need no rights of their own. (MATERIALIZED:
   has_sequence_privilege raises for what is no sequence, and the planner may ask it first.) */
static const char app_privileges[] =
    "WITH given AS (SELECT $1::regclass, $2::text), serial AS MATERIALIZED (\n"
    "  SELECT q.oid::regclass AS name FROM pg_catalog.pg_depend d\n"
    "  JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S'\n"
    "  WHERE d.refobjid = $1 AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass\n"
    "    AND d.deptype = 'a'\n"
    ")\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.done,\n"
    "  'guards.ensure_tenant_isolation grants it.' AS hint\n"
    "FROM pg_catalog.pg_roles r\n"
    "CROSS JOIN LATERAL (\n"
    "  SELECT 'privileges_missing' AS failed,\n"
    "    format('role %I may not SELECT, INSERT, UPDATE and DELETE in %s', $2, $1) AS detail,\n"
    "    format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', $1, $2) AS repair,\n"
    "    format('SELECT, INSERT, UPDATE, DELETE granted to %I', $2) AS done\n"
    "  WHERE EXISTS (SELECT FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p\n"
    "                WHERE NOT has_table_privilege(r.oid, $1, p))\n"
    "  UNION ALL\n"
    "  SELECT 'sequence_usage_missing', format('role %I has no USAGE on sequence %s', $2, s.name),\n"
    "    format('GRANT USAGE ON SEQUENCE %s TO %I', s.name, $2),\n"
    "    format('USAGE on sequence %s granted to %I', s.name, $2)\n"
    "  FROM serial s WHERE NOT has_sequence_privilege(r.oid, s.name, 'USAGE')\n"
    ") AS f WHERE r.rolname = $2 ORDER BY f.failed, f.detail";

/* $1 regclass: table, $2 text: tenant column, $3 text: setting that holds the tenant, $4 text: type of the
   column for a cast (see cast_type). Findings, for the table and its partitions: row security is on and
   forced; TABLE_tenant_isolation is the one permissive policy and is ours. Policies are compared by
   pg_get_expr, from which parentheses, blanks, casts to text and the alias that the server gives a sub-select
   are taken out: what is left differs in nothing but the names and the type. */
static const char tenant_isolation[] =
    "WITH given AS (SELECT $1::regclass, $2::text, $3::text, $4::text), target AS (\n"
    "  SELECT c.oid, c.oid::regclass::text AS name, c.oid = $1 AS named, c.relrowsecurity,\n"
    "    c.relforcerowsecurity, c.relname || '_tenant_isolation' AS policy,\n"
    "    CASE WHEN c.oid = $1 THEN '' ELSE c.oid::regclass || ': ' END AS whose\n"
    "  FROM pg_catalog.pg_class c\n"
    "  WHERE c.relkind IN ('r', 'p')\n"
    "    AND c.oid IN (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1))\n"
    "), ours AS (\n"
    "  SELECT format('%I = (SELECT nullif(current_setting(%L, true), '''')::%s)', $2, $3, $4) AS predicate,\n"
    "    regexp_replace(format('%I = SELECT NULLIF current_setting %L, true, ''''%s', $2, $3,\n"
    "      CASE WHEN $4 = 'text' THEN '' ELSE '::' || $4 END), '[()[:space:]]', '', 'g') AS normal\n"
    "), policy AS (\n"
    "  SELECT p.polrelid, p.polname, p.polpermissive, seen.normal AS seen, written.normal AS written,\n"
    "    p.polcmd = '*' AND p.polroles = '{0}' AS for_all\n"
    "  FROM pg_catalog.pg_policy p JOIN target t ON t.oid = p.polrelid\n"
    "  CROSS JOIN LATERAL regexp_replace(pg_get_expr(p.polqual, p.polrelid),\n"
    "    ' AS \"?nullif\"?|::text|[()[:space:]]', '', 'g') AS seen(normal)\n"
    "  CROSS JOIN LATERAL regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid),\n"
    "    ' AS \"?nullif\"?|::text|[()[:space:]]', '', 'g') AS written(normal)\n"
    "), wide AS (\n"
    "  SELECT t.oid, string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname) AS names\n"
    "  FROM target t JOIN policy p ON p.polrelid = t.oid AND p.polname <> t.policy CROSS JOIN ours o\n"
    "  WHERE p.polpermissive\n"
    "    AND (coalesce(p.seen, o.normal) <> o.normal OR coalesce(p.written, o.normal) <> o.normal)\n"
    "  GROUP BY t.oid\n"
    ")\n"
    "SELECT t.name AS relation, f.failed, f.detail, f.repair, t.whose || f.done AS done,\n"
    "  coalesce(f.hint, 'guards.ensure_tenant_isolation sets it right.') AS hint\n"
    "FROM target t CROSS JOIN ours o LEFT JOIN wide w USING (oid)\n"
    "LEFT JOIN policy p ON p.polrelid = t.oid AND p.polname = t.policy\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (1, NOT t.relrowsecurity, 'row_security_off', format('row security of %s is off', t.name),\n"
    "   format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name), 'row security turned on', NULL::text),\n"
    "  (2, NOT t.relforcerowsecurity, 'row_security_not_forced',\n"
    "   format('row security of %s does not hold for its owner', t.name),\n"
    "   format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t.name), 'row security forced', NULL),\n"
    "  (3, p.polname IS NULL AND octet_length(t.policy) <= 63, 'policy_missing',\n"
    "   format('%s has no policy %I', t.name, t.policy),\n"
    "   format('CREATE POLICY %I ON %s AS PERMISSIVE FOR ALL TO PUBLIC USING (%s) WITH CHECK (%3$s)',\n"
    "     t.policy, t.name, o.predicate), format('policy %I created', t.policy), NULL),\n"
    "  (4, octet_length(t.policy) > 63, 'policy_name_too_long',\n"
    "   format('the policy %I would have %s bytes, PostgreSQL keeps 63', t.policy, octet_length(t.policy)),\n"
    "   NULL, NULL, 'Give the table a name of at most 46 bytes.'),\n"
    "  (5, NOT (p.polpermissive AND p.for_all AND coalesce(p.seen = o.normal, false)\n"
    "           AND coalesce(p.written = o.normal, false)) AND p.polname IS NOT NULL, 'policy_differs',\n"
    "   format('the policy %I of %s is not the tenant''s', t.policy, t.name),\n"
    "   format('DROP POLICY %I ON %s; CREATE POLICY %1$I ON %2$s AS PERMISSIVE FOR ALL TO PUBLIC'\n"
    "     ' USING (%3$s) WITH CHECK (%3$s)', t.policy, t.name, o.predicate),\n"
    "   format('policy %I replaced', t.policy), NULL),\n"
    "  (6, w.names IS NOT NULL, 'policy_widens',\n"
    "   format('%s has permissive policies beside the tenant''s: %s', t.name, w.names), NULL, NULL,\n"
    "   'Permissive policies are joined by OR: drop these, or make them RESTRICTIVE.')\n"
    ") AS f(place, is_so, failed, detail, repair, done, hint)\n"
    "WHERE f.is_so ORDER BY NOT t.named, t.name, f.place";

static const struct {
    const char *name;
    const char *sql;
} probes[] = {
    {"door", door},
    {"cast_type", cast_type},
    {"tenant_column", tenant_column},
    {"tenant_indexes", tenant_indexes},
    {"tenant_isolation", tenant_isolation},
    {"app_role", app_role},
    {"app_privileges", app_privileges},
};

static const char *probe_find(const char *name)
{
    size_t i;
    for (i = 0; i < sizeof probes / sizeof *probes; i++)
        if (strcmp(probes[i].name, name) == 0)
            return probes[i].sql;
    return NULL;
}

/* guard.probe(conn, name, …): runs a probe over a connection of dmlua.pq; `false` is NULL. Returns its
   result. */
static int guard_probe(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);
    const char *sql = probe_find(name);
    int count = lua_gettop(L) - 2;
    int i;
    if (sql == NULL)
        return luaL_argerror(L, 2, "no such probe");
    lua_createtable(L, count, 0);
    for (i = 1; i <= count; i++) {
        lua_pushvalue(L, i + 2);
        lua_rawseti(L, -2, i);
    }
    lua_getfield(L, 1, "exec");
    lua_pushvalue(L, 1);
    lua_pushstring(L, sql);
    lua_pushvalue(L, -4);
    lua_call(L, 3, 1);
    return 1;
}

static const luaL_Reg functions[] = {
    {"probe", guard_probe},
    {NULL, NULL},
};

/* [-0, +1] The module: probe, and sql = the texts of the probes by name. */
int luaopen_dmlua_guard(lua_State *L)
{
    size_t i;
    luaL_newlib(L, functions);
    lua_createtable(L, 0, sizeof probes / sizeof *probes);
    for (i = 0; i < sizeof probes / sizeof *probes; i++) {
        lua_pushstring(L, probes[i].sql);
        lua_setfield(L, -2, probes[i].name);
    }
    lua_setfield(L, -2, "sql");
    return 1;
}
