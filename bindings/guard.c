#include <lauxlib.h>
#include <string.h>

#include "bindings/bindings.h"

/* The catalogue probes of the tenant guards: each is one SELECT over the catalogue, constants and $n only.
   It reads no tenant's row, so it works for every role and under forced row security. The guards run it
   on the server inside DO blocks (EXECUTE probe USING …); specs and checks run it over a connection.

   A finding is a row (relation, failed, detail, repair, hint): the name of the check that failed, what
   is so, the SQL that mends it, or null and what a person has to do. */

/* $1 text[]: names of tables, quoted where they must be. Answers the tables whose rows row security may
   hide from the current role, partitions too (a foreign key is checked on each): id, name, owner,
   whether the role counts as the owner, whether row security is forced. Nothing for a superuser or a
   BYPASSRLS role. */
static const char door[] =
    "SELECT c.oid AS id, c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner,\n"
    "  pg_has_role(current_user, c.relowner, 'USAGE') AS owned, c.relforcerowsecurity AS forced\n"
    "FROM (SELECT DISTINCT member.id FROM unnest($1::text[]) AS asked(name)\n"
    "      CROSS JOIN LATERAL (SELECT asked.name::regclass AS id\n"
    "                          UNION SELECT relid FROM pg_partition_tree(asked.name::regclass))\n"
    "                            AS member) AS m\n"
    "JOIN pg_catalog.pg_class c ON c.oid = m.id\n"
    "WHERE c.relrowsecurity\n"
    "  AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)\n"
    "ORDER BY c.oid";

/* $1 regclass: table, $2 text: tenant column. Answers the type that a tenant's id is cast to in a policy:
   the column's own, below domains and without a length. A cast with a length cuts: the setting
   'acme1-evil' would match the tenant 'acme1'. The modifier -1, where NULL would do for other types,
   keeps char(n) from becoming "character", which means char(1). */
static const char cast_type[] =
    "WITH RECURSIVE given AS (SELECT $1::regclass, $2::text), base(id) AS (\n"
    "  SELECT a.atttypid FROM pg_catalog.pg_attribute a\n"
    "  WHERE a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped\n"
    "  UNION ALL SELECT t.typbasetype FROM base\n"
    "    JOIN pg_catalog.pg_type t ON t.oid = base.id WHERE t.typtype = 'd')\n"
    "SELECT format_type(t.oid, -1) FROM base\n"
    "  JOIN pg_catalog.pg_type t ON t.oid = base.id WHERE t.typtype <> 'd'";

/* $1 regclass: table, $2 text: tenant column, $3 text: type that it has to have, or null. Findings. */
static const char tenant_column[] =
    "WITH given AS (SELECT $1::regclass, $2::text, $3::text)\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.hint\n"
    "FROM (SELECT quote_ident($2) AS name) AS wanted\n"
    "LEFT JOIN pg_catalog.pg_attribute a\n"
    "  ON a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (1, a.attnum IS NULL, 'tenant_column_missing', format('%s has no column %s', $1, wanted.name),\n"
    "    NULL::text,\n"
    "   'Add it with guards.ensure_tenant_column.'),\n"
    "  (2, $3 IS NOT NULL AND to_regtype($3) IS NULL, 'tenant_type_unknown',\n"
    "    format('there is no type %s', $3), NULL,\n"
    "   'Correct the option type or the key tenant_type.'),\n"
    "  (3, a.atttypid <> to_regtype($3), 'tenant_column_type',\n"
    "   format('%s.%s is %s, not %s', $1, wanted.name, format_type(a.atttypid, a.atttypmod), $3), NULL,\n"
    "   'Change it with op.alter_column (type_), or correct the option type or the key tenant_type.'),\n"
    "  (4, NOT a.attnotnull, 'tenant_column_nullable', format('%s.%s may be NULL', $1, wanted.name),\n"
    "   format('ALTER TABLE %s ALTER COLUMN %s SET NOT NULL', $1, wanted.name),\n"
    "   'guards.ensure_tenant_column makes it NOT NULL.')\n"
    ") AS f(place, is_so, failed, detail, repair, hint)\n"
    "WHERE f.is_so ORDER BY f.place";

/* $1 regclass: table, $2 json: what is wanted, a list of {columns, is_unique, optional, name}. Findings.
   An index serves by what it is, not by its name: a whole, valid B-tree that begins with the columns; a
   unique one has exactly these. One that is optional is wanted only where the table has its columns. */
static const char tenant_indexes[] =
    "WITH given AS (SELECT $1::regclass, $2::json), present AS (\n"
    "  SELECT i.indexrelid, i.indisvalid AND i.indisready AND i.indislive AS sound, i.indisunique\n"
    "    AS is_unique,\n"
    "    ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)\n"
    "          LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number\n"
    "            AND k.number > 0\n"
    "          WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns\n"
    "  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid\n"
    "  JOIN pg_catalog.pg_am m ON m.oid = x.relam\n"
    "  WHERE i.indrelid = $1 AND i.indpred IS NULL AND m.amname = 'btree'\n"
    "), wanted AS (\n"
    "  SELECT w.place, r.columns, coalesce(r.is_unique, false) AS is_unique, r.name,\n"
    "    ARRAY(SELECT n FROM unnest(r.columns) AS n WHERE NOT EXISTS (\n"
    "      SELECT FROM pg_catalog.pg_attribute a\n"
    "      WHERE a.attrelid = $1 AND a.attname = n AND a.attnum > 0 AND NOT a.attisdropped)) AS unknown,\n"
    "    coalesce(r.optional, false) AS optional,\n"
    "    (SELECT string_agg(quote_ident(n), ', ' ORDER BY p) FROM unnest(r.columns) WITH ORDINALITY\n"
    "      AS c(n, p)) AS listed\n"
    "  FROM json_array_elements($2) WITH ORDINALITY AS w(value, place)\n"
    "  CROSS JOIN LATERAL json_to_record(w.value) AS r(columns text[], is_unique boolean,\n"
    "    optional boolean, name text)\n"
    "), matched AS (\n"
    "  SELECT w.place, bool_or(p.sound) AS sound, string_agg(p.indexrelid::regclass::text, ', ') AS names\n"
    "  FROM wanted w JOIN present p ON CASE WHEN w.is_unique THEN p.is_unique AND p.columns = w.columns\n"
    "                                       ELSE p.columns[1:cardinality(w.columns)] = w.columns END\n"
    "  GROUP BY w.place\n"
    ")\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.hint\n"
    "FROM wanted w LEFT JOIN matched m USING (place)\n"
    "JOIN pg_catalog.pg_class t ON t.oid = $1 JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (cardinality(w.unknown) > 0, 'index_column_missing',\n"
    "   format('%s has no column %s', $1, array_to_string(w.unknown, ', ')), NULL::text,\n"
    "   'Name columns of the table.'),\n"
    "  (cardinality(w.unknown) = 0 AND m.place IS NULL, 'tenant_index_missing',\n"
    "   format('%s has no valid %sindex on (%s)', $1, CASE WHEN w.is_unique THEN 'unique ' ELSE '' END,\n"
    "     w.listed),\n"
    "   format('CREATE %sINDEX %sON %s (%s)', CASE WHEN w.is_unique THEN 'UNIQUE ' ELSE '' END,\n"
    "     CASE WHEN octet_length(w.name) <= 63\n"
    "            AND to_regclass(quote_ident(s.nspname) || '.' || quote_ident(w.name)) IS NULL\n"
    "          THEN quote_ident(w.name) || ' ' ELSE '' END, $1, w.listed),\n"
    "   'guards.ensure_tenant_indexes creates it.'),\n"
    "  (NOT m.sound, 'tenant_index_invalid', format('the index %s of %s is not valid', m.names, $1),\n"
    "    NULL,\n"
    "   format('It was left by a CREATE INDEX CONCURRENTLY that failed: DROP INDEX %s, then run again.',\n"
    "     m.names))\n"
    ") AS f(is_so, failed, detail, repair, hint)\n"
    "WHERE f.is_so AND NOT (w.optional AND cardinality(w.unknown) > 0) ORDER BY w.place";

/* $1 text: application role, $2 oid: schema. Findings: the role is there, does not pass policies, may use
   the schema. */
static const char app_role[] =
    "WITH given AS (SELECT $1::text, $2::oid)\n"
    "SELECT $1 AS relation, f.failed, f.detail, f.repair, f.hint\n"
    "FROM (SELECT 1) AS always LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $1\n"
    "LEFT JOIN pg_catalog.pg_namespace s ON s.oid = $2\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (1, r.oid IS NULL, 'app_role_missing', format('the application role %I does not exist', $1),\n"
    "    NULL::text,\n"
    "   format('CREATE ROLE %I, or correct the key app_role.', $1)),\n"
    "  (2, r.rolsuper OR r.rolbypassrls, 'app_role_bypasses',\n"
    "   format('the application role %I passes every policy', $1), NULL,\n"
    "   format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS', $1)),\n"
    "  (3, NOT has_schema_privilege(r.oid, s.oid, 'USAGE'), 'schema_usage_missing',\n"
    "   format('role %I has no USAGE on schema %s', $1, quote_ident(s.nspname)),\n"
    "   format('GRANT USAGE ON SCHEMA %s TO %I', quote_ident(s.nspname), $1),\n"
    "     'The schema''s owner has to grant it.')\n"
    ") AS f(place, is_so, failed, detail, repair, hint)\n"
    "WHERE f.is_so ORDER BY f.place";

/* $1 regclass: table, $2 text: tenant column, $3 text: setting that holds the tenant, $4 text: application
   role or null, $5 text: type of the column for a cast (see cast_type). Findings, for the table and its
   partitions: row security is on and forced; TABLE_tenant_isolation is the one permissive policy and is
   ours; the role may do its work. Policies are compared by pg_get_expr, from which parentheses, blanks,
   casts to text and the alias that the server gives a sub-select are taken out: what is left differs in
   nothing but the names and the type. */
static const char tenant_isolation[] =
    "WITH given AS (SELECT $1::regclass, $2::text, $3::text, $4::text, $5::text), target AS (\n"
    "  SELECT c.*, c.oid = $1 AS named, c.oid::regclass::text AS name, c.relname || '_tenant_isolation'\n"
    "    AS policy\n"
    "  FROM pg_catalog.pg_class c\n"
    "  WHERE c.oid IN (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1))\n"
    "), ours AS (\n"
    "  SELECT format('%I = (SELECT nullif(current_setting(%L, true), '''')::%s)', $2, $3, $5)\n"
    "    AS predicate,\n"
    "    regexp_replace(format('%I = SELECT NULLIF current_setting %L, true, ''''%s', $2, $3,\n"
    "      CASE WHEN $5 = 'text' THEN '' ELSE '::' || $5 END), '[()\\s]', '', 'g') AS normal\n"
    "), policy AS (\n"
    "  SELECT p.polrelid, p.polname, p.polpermissive, p.polcmd, p.polroles,\n"
    "    regexp_replace(pg_get_expr(p.polqual, p.polrelid), ' AS \"?nullif\"?|::text|[()\\s]', '', 'g')\n"
    "      AS seen,\n"
    "    regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), ' AS \"?nullif\"?|::text|[()\\s]', '',\n"
    "      'g') AS written\n"
    "  FROM pg_catalog.pg_policy p JOIN target t ON t.oid = p.polrelid\n"
    "), wide AS (\n"
    "  SELECT t.oid, string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname) AS names FROM target t\n"
    "    CROSS JOIN ours o\n"
    "  JOIN policy p ON p.polrelid = t.oid AND p.polpermissive AND p.polname <> t.policy\n"
    "  WHERE coalesce(p.seen, o.normal) <> o.normal OR coalesce(p.written,\n"
    "    o.normal) <> o.normal GROUP BY t.oid\n"
    ")\n"
    "SELECT f.relation, f.failed, f.detail, f.repair, f.hint FROM (\n"
    "  SELECT t.named, t.name AS relation, v.* FROM target t CROSS JOIN ours o\n"
    "  LEFT JOIN policy p ON p.polrelid = t.oid AND p.polname = t.policy\n"
    "  CROSS JOIN LATERAL (VALUES\n"
    "    (1, NOT t.relrowsecurity, 'row_security_off', format('row security of %s is off', t.name),\n"
    "     format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name),\n"
    "       'guards.ensure_tenant_isolation sets it right.'),\n"
    "    (2, NOT t.relforcerowsecurity, 'row_security_not_forced',\n"
    "     format('row security of %s does not hold for its owner', t.name),\n"
    "     format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t.name),\n"
    "       'guards.ensure_tenant_isolation sets it right.'),\n"
    "    (3, p.polname IS NULL AND octet_length(t.policy) <= 63, 'policy_missing',\n"
    "     format('%s has no policy %I', t.name, t.policy),\n"
    "     format('CREATE POLICY %I ON %s AS PERMISSIVE FOR ALL TO PUBLIC USING (%s) WITH CHECK (%3$s)',\n"
    "       t.policy, t.name, o.predicate), 'guards.ensure_tenant_isolation sets it right.'),\n"
    "    (4, octet_length(t.policy) > 63, 'policy_name_too_long',\n"
    "     format('the policy %I would have %s bytes, PostgreSQL keeps 63', t.policy,\n"
    "       octet_length(t.policy)), NULL,\n"
    "     'Give the table a name of at most 46 bytes.'),\n"
    "    (5, p.polname IS NOT NULL AND NOT (p.polpermissive AND p.polcmd = '*' AND p.polroles = '{0}'\n"
    "       AND coalesce(p.seen = o.normal, false) AND coalesce(p.written = o.normal, false)),\n"
    "         'policy_differs',\n"
    "     format('the policy %I of %s is not the tenant''s', t.policy, t.name),\n"
    "     format('DROP POLICY %I ON %s; CREATE POLICY %1$I ON %2$s AS PERMISSIVE FOR ALL TO PUBLIC USING (%s) '\n"
    "       'WITH CHECK (%3$s)', t.policy, t.name, o.predicate),\n"
    "         'guards.ensure_tenant_isolation sets it right.')\n"
    "  ) AS v(place, is_so, failed, detail, repair, hint)\n"
    "  UNION ALL\n"
    "  SELECT t.named, t.name, 6, true, 'policy_widens',\n"
    "    format('%s has permissive policies beside the tenant''s: %s', t.name, w.names), NULL,\n"
    "    'Permissive policies are joined by OR: drop these, or make them RESTRICTIVE.'\n"
    "  FROM target t JOIN wide w USING (oid)\n"
    "  UNION ALL\n"
    "  SELECT true, t.name, v.* FROM target t JOIN pg_catalog.pg_roles r ON r.rolname = $4\n"
    "  CROSS JOIN LATERAL (VALUES\n"
    "    (7, NOT (has_table_privilege(r.oid, t.oid, 'SELECT') AND has_table_privilege(r.oid, t.oid,\n"
    "      'INSERT')\n"
    "       AND has_table_privilege(r.oid, t.oid, 'UPDATE') AND has_table_privilege(r.oid, t.oid,\n"
    "         'DELETE')),\n"
    "     'privileges_missing', format('role %I may not SELECT, INSERT, UPDATE and DELETE in %s',\n"
    "       r.rolname, t.name),\n"
    "     format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', t.name, r.rolname),\n"
    "     'guards.ensure_tenant_isolation sets it right.')\n"
    "  ) AS v(place, is_so, failed, detail, repair, hint) WHERE t.named\n"
    "  UNION ALL\n"
    "  SELECT true, t.name, 8, true, 'sequence_usage_missing',\n"
    "    format('role %I has no USAGE on sequence %s', r.rolname, q.oid::regclass),\n"
    "    format('GRANT USAGE ON SEQUENCE %s TO %I', q.oid::regclass, r.rolname),\n"
    "      'guards.ensure_tenant_isolation sets it right.'\n"
    "  FROM target t JOIN pg_catalog.pg_roles r ON r.rolname = $4\n"
    "  JOIN pg_catalog.pg_depend d ON d.refobjid = t.oid AND d.refclassid = 'pg_class'::regclass\n"
    "    AND d.deptype = 'a'\n"
    "    AND d.classid = 'pg_class'::regclass\n"
    "  JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S'\n"
    "  WHERE t.named AND NOT has_sequence_privilege(r.oid, q.oid, 'USAGE')\n"
    ") AS f WHERE f.is_so ORDER BY NOT f.named, f.relation, f.place";

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
