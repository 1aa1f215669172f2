#include <lauxlib.h>
#include <string.h>

#include "bindings/bindings.h"
#include "bindings/policy_sql.h"

/* The catalogue probes of the tenant guards: each is one SELECT over the catalogue, constants and $n only.
   It reads no tenant's row, so it works for every role and under forced row security. The guards run it on
   the server inside DO blocks (EXECUTE probe USING …); specs and checks run it over a connection.

   A finding is a row (relation, failed, detail, repair, done, hint): the name of the check that failed, what
   is so, the SQL that mends it and what that does. Where `done` is null a guard does not mend by itself, and
   `hint` says what a person decides. */

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

/* $1 regclass: table, $2 text: tenant column. Answers the type that a tenant's id is cast to in a policy. */
static const char cast_type[] =
    "WITH given AS (SELECT $1::regclass, $2::text)\n"
    "SELECT " POLICY_TYPE("a.atttypid") "\n"
    "FROM pg_catalog.pg_attribute a\n"
    "WHERE a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped";

/* $1 regclass: table, $2 text: tenant column, $3 text: type that it has to have, or null. Findings. A
   column that is shorter than the type would not take every tenant's id; a longer one does. */
static const char tenant_column[] =
    "WITH given AS (SELECT $1::regclass, $2::text, $3::text)\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.done, f.hint\n"
    "FROM (SELECT quote_ident($2) AS name) AS wanted\n"
    "LEFT JOIN pg_catalog.pg_attribute a\n"
    "  ON a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (1, a.attnum IS NULL, 'tenant_column_missing', format('%s has no column %s', $1, wanted.name),\n"
    "   format('ALTER TABLE %s ADD COLUMN %s %s NOT NULL', $1, wanted.name, coalesce($3, 'character varying(255)')),\n"
    "   NULL::text, NULL::text),\n"
    "  (2, $3 IS NOT NULL AND to_regtype($3) IS NULL, 'tenant_type_unknown',\n"
    "   format('there is no type %s', $3),\n"
    "   NULL, NULL, 'Correct the option type or the key tenant_type.'),\n"
    "  (3, a.atttypid <> to_regtype($3) OR a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4\n"
    "   AND a.atttypmod - 4 < substring($3 FROM '[(][[:space:]]*([0-9]+)')::integer, 'tenant_column_type',\n"
    "   format('%s.%s is %s, not %s', $1, wanted.name, format_type(a.atttypid, a.atttypmod), $3),\n"
    "   format('ALTER TABLE %s ALTER COLUMN %s TYPE %s USING CAST(%2$s AS %3$s)', $1, wanted.name, $3), NULL,\n"
    "   'Change it with op.alter_column (type_), or correct the option type or the key tenant_type.'),\n"
    "  (4, NOT a.attnotnull, 'tenant_column_nullable', format('%s.%s may be NULL', $1, wanted.name),\n"
    "   format('ALTER TABLE %s ALTER COLUMN %s SET NOT NULL', $1, wanted.name),\n"
    "   NULL, NULL)\n"
    ") AS f(place, is_so, failed, detail, repair, done, hint)\n"
    "WHERE f.is_so ORDER BY f.place";

/* $1 regclass: table, $2 json: what is wanted, a list of {columns, is_unique, optional, name}. Findings. An
   index serves by what it is, not by its name: a whole, valid B-tree that begins with the columns, compared as
   the columns themselves are (the column's collation; an operator class whose = is the type's own, such as
   text_pattern_ops); a unique one has exactly these. Order and included columns do not matter. One that is
   optional is wanted only where the table has its columns. An index whose name is too long or taken gets one
   from the server. */
static const char tenant_indexes[] =
    "WITH given AS (SELECT $1::regclass, $2::json), present AS MATERIALIZED (\n"
    "  SELECT i.indexrelid, i.indisunique, i.indisvalid AND i.indisready AND i.indislive AS sound,\n"
    "    ARRAY(SELECT a.attname::text FROM unnest(i.indkey, i.indcollation, i.indclass) WITH ORDINALITY\n"
    "            AS k(number, compared, class, place)\n"
    "          LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number\n"
    "            AND k.number > 0 AND k.compared = a.attcollation AND EXISTS (\n"
    "              SELECT FROM pg_catalog.pg_opclass o\n"
    "              JOIN pg_catalog.pg_opclass d\n"
    "                ON d.opcmethod = o.opcmethod AND d.opcintype = o.opcintype AND d.opcdefault\n"
    "              JOIN pg_catalog.pg_amop x ON x.amopfamily = o.opcfamily AND x.amopstrategy = 3\n"
    "              JOIN pg_catalog.pg_amop y ON y.amopfamily = d.opcfamily AND y.amopopr = x.amopopr\n"
    "              WHERE o.oid = k.class)\n"
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
    "  SELECT w.*, t.relkind, CASE WHEN octet_length(w.name) <= 63\n"
    "      AND to_regclass(quote_ident(s.nspname) || '.' || quote_ident(w.name)) IS NULL\n"
    "    THEN quote_ident(w.name) || ' ' ELSE '' END AS free_name\n"
    "  FROM wanted w CROSS JOIN pg_catalog.pg_class t\n"
    "  JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace WHERE t.oid = $1\n"
    ")\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.done, f.hint, n.place::int AS place\n"
    "FROM named n LEFT JOIN matched m USING (place)\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (cardinality(n.unknown) > 0, 'index_column_missing',\n"
    "   format('%s has no column %s', $1, array_to_string(n.unknown, ', ')),\n"
    "   NULL::text, NULL::text, 'Name columns of the table.'),\n"
    "  (cardinality(n.unknown) = 0 AND m.place IS NULL, 'tenant_index_missing',\n"
    "   format('%s has no valid %sindex on (%s)', $1, lower(n.word), n.listed),\n"
    "   format('CREATE %sINDEX %sON %s (%s)', n.word, n.free_name, $1, n.listed),\n"
    "   format('%sindex on (%s) created', lower(n.word), n.listed), NULL),\n"
    "  (NOT m.sound, 'tenant_index_invalid', format('the index %s of %s is not valid', m.names, $1),\n"
    "   format('DROP INDEX %s; CREATE %sINDEX ON %s (%s)', m.names, n.word, $1, n.listed), NULL,\n"
    "   format(CASE n.relkind WHEN 'p' THEN 'It was made ON ONLY the table: attach an index of every partition to"
    " it, or DROP INDEX %s, then run again.'\n"
    "     ELSE 'A failed CREATE INDEX CONCURRENTLY left it: DROP INDEX %s, then run again.' END, m.names))\n"
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
    "   format('CREATE ROLE %I', $1), NULL::text, format('CREATE ROLE %I, or correct the key app_role.', $1)),\n"
    "  (2, r.rolsuper OR r.rolbypassrls, 'app_role_bypasses',\n"
    "   format('the application role %I passes every policy', $1),\n"
    "   format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS', $1), NULL,\n"
    "   format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS', $1)),\n"
    "  (3, NOT has_schema_privilege(r.oid, s.oid, 'USAGE'), 'schema_usage_missing',\n"
    "   format('role %I has no USAGE on schema %s', $1, quote_ident(s.nspname)),\n"
    "   format('GRANT USAGE ON SCHEMA %s TO %I', quote_ident(s.nspname), $1),\n"
    "   format('USAGE on schema %s granted to %I', quote_ident(s.nspname), $1),\n"
    "   CASE WHEN NOT pg_has_role(current_user, s.nspowner, 'USAGE') THEN format(\n"
    "     'The schema''s owner has to say it: GRANT USAGE ON SCHEMA %I TO %I.', s.nspname, $1) END)\n"
    ") AS f(place, is_so, failed, detail, repair, done, hint)\n"
    "WHERE f.is_so ORDER BY f.place";

/* $1 regclass: table, $2 text: application role. Findings: the role may do its work in the table, with the
   sequences that its columns take their defaults from. Partitions need no rights of their own. (MATERIALIZED:
   has_sequence_privilege raises for what is no sequence, and the planner may ask it first.) It does not count as
   the table's owner, unless the migrator is the application role itself. */
static const char app_privileges[] =
    "WITH given AS (SELECT $1::regclass, $2::text), serial AS MATERIALIZED (\n"
    "  SELECT q.oid::regclass AS name FROM pg_catalog.pg_depend d\n"
    "  JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S'\n"
    "  WHERE d.refobjid = $1 AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass\n"
    "    AND d.deptype = 'a'\n"
    "  UNION SELECT q.oid::regclass FROM pg_catalog.pg_attrdef f\n"
    "  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid\n"
    "    AND d.refclassid = 'pg_class'::regclass\n"
    "  JOIN pg_catalog.pg_class q ON q.oid = d.refobjid AND q.relkind = 'S' WHERE f.adrelid = $1\n"
    ")\n"
    "SELECT $1::text AS relation, f.failed, f.detail, f.repair, f.done,\n"
    "  CASE f.failed WHEN 'app_role_owns' THEN f.repair END AS hint\n"
    "FROM pg_catalog.pg_roles r\n"
    "CROSS JOIN LATERAL (\n"
    "  SELECT 'privileges_missing' AS failed,\n"
    "    format('role %I may not SELECT, INSERT, UPDATE and DELETE in %s', $2, $1) AS detail,\n"
    "    format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', $1, $2) AS repair,\n"
    "    format('SELECT, INSERT, UPDATE, DELETE granted to %I', $2) AS done\n"
    "  WHERE NOT (SELECT relispartition FROM pg_catalog.pg_class WHERE oid = $1)\n"
    "    AND EXISTS (SELECT FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p\n"
    "                WHERE NOT has_table_privilege(r.oid, $1, p))\n"
    "  UNION ALL\n"
    "  SELECT 'sequence_usage_missing', format('role %I has no USAGE on sequence %s', $2, s.name),\n"
    "    format('GRANT USAGE ON SEQUENCE %s TO %I', s.name, $2),\n"
    "    format('USAGE on sequence %s granted to %I', s.name, $2)\n"
    "  FROM serial s WHERE NOT has_sequence_privilege(r.oid, s.name, 'USAGE')\n"
    "  UNION ALL\n"
    "  SELECT 'app_role_owns', format('%s belongs to %I, who can turn its row security off', $1, $2),\n"
    "    format('ALTER TABLE %s OWNER TO %I', $1, current_user), NULL\n"
    "  FROM pg_catalog.pg_class c\n"
    "  WHERE c.oid = $1 AND $2 <> current_user AND pg_has_role(r.oid, c.relowner, 'MEMBER')\n"
    ") AS f WHERE r.rolname = $2 ORDER BY f.failed, f.detail";

/* $1 regclass: table, $2 text: tenant column, $3 text: setting that holds the tenant, $4 text: type of the
   column for a cast (see cast_type). Findings, for the table, its partitions and what inherits from it: row
   security is on and forced; there is the tenant's policy, known by what it is; and no other permissive one that
   shows more. A policy that is made is called TABLE_tenant_isolation, or without the table where that would be
   cut. */
static const char tenant_isolation[] =
    "WITH RECURSIVE given AS (SELECT $1::regclass, $2::text, $3::text, $4::text), member(id) AS (\n"
    "  SELECT $1::oid UNION SELECT h.inhrelid FROM member JOIN pg_catalog.pg_inherits h ON h.inhparent = id\n"
    "), target AS (\n"
    "  SELECT c.oid, c.oid::regclass::text AS name, c.oid = $1 AS named, c.relrowsecurity,\n"
    "    c.relforcerowsecurity, CASE WHEN octet_length(c.relname) <= 46 THEN c.relname || '_' ELSE '' END\n"
    "      || 'tenant_isolation' AS policy,\n"
    "    CASE WHEN c.oid = $1 THEN '' ELSE c.oid::regclass || ': ' END AS whose\n"
    "  FROM pg_catalog.pg_class c JOIN member ON member.id = c.oid WHERE c.relkind IN ('r', 'p')\n"
    "), ours AS (\n"
    "  SELECT predicate, " POLICY_NORMAL("predicate") " AS normal\n"
    "  FROM (SELECT " POLICY_PREDICATE("$2", "$3", "$4") " AS predicate) AS p\n"
    "), policy AS (\n"
    "  SELECT p.polrelid, p.polname, p.polpermissive, p.widens,\n"
    "    p.polpermissive AND p.polcmd = '*' AND p.polroles = '{0}' AND p.polqual IS NOT NULL\n"
    "      AND p.polwithcheck IS NOT NULL AND NOT p.widens AS is_ours\n"
    "  FROM ours o CROSS JOIN LATERAL (SELECT p.*, " POLICY_WIDENS("o.normal") " AS widens\n"
    "    FROM pg_catalog.pg_policy p JOIN target t ON t.oid = p.polrelid) AS p\n"
    "), wide AS (\n"
    "  SELECT t.oid, string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname) AS names,\n"
    "    string_agg(format('DROP POLICY %I ON %s', p.polname, t.name), '; ' ORDER BY p.polname) AS drops\n"
    "  FROM target t JOIN policy p ON p.polrelid = t.oid AND p.polname <> t.policy\n"
    "  WHERE p.polpermissive AND p.widens GROUP BY t.oid\n"
    ")\n"
    "SELECT t.name AS relation, f.failed, f.detail, f.repair, t.whose || f.done AS done, f.hint\n"
    "FROM target t CROSS JOIN ours o LEFT JOIN wide w USING (oid)\n"
    "LEFT JOIN policy p ON p.polrelid = t.oid AND p.polname = t.policy\n"
    "CROSS JOIN LATERAL (SELECT EXISTS (\n"
    "  SELECT FROM policy q WHERE q.polrelid = t.oid AND q.is_ours) AS there) AS q\n"
    "CROSS JOIN LATERAL (SELECT format('CREATE POLICY %I ON %s AS PERMISSIVE FOR ALL TO PUBLIC USING (%s)'\n"
    "  ' WITH CHECK (%3$s)', t.policy, t.name, o.predicate) AS made) AS c\n"
    "CROSS JOIN LATERAL (VALUES\n"
    "  (1, NOT t.relrowsecurity, 'row_security_off', format('row security of %s is off', t.name),\n"
    "   format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name), 'row security turned on', NULL::text),\n"
    "  (2, NOT t.relforcerowsecurity, 'row_security_not_forced',\n"
    "   format('row security of %s does not hold for its owner', t.name),\n"
    "   format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t.name), 'row security forced', NULL),\n"
    "  (3, p.polname IS NULL AND NOT q.there, 'policy_missing',\n"
    "   format('%s has no policy %I', t.name, t.policy), c.made, format('policy %I created', t.policy), NULL),\n"
    "  (4, NOT p.is_ours, 'policy_differs',\n"
    "   format('the policy %I of %s is not the tenant''s', t.policy, t.name),\n"
    "   format('DROP POLICY %I ON %s; %s', t.policy, t.name, c.made), format('policy %I replaced', t.policy), NULL),\n"
    "  (5, w.names IS NOT NULL, 'policy_widens',\n"
    "   format('%s has permissive policies beside the tenant''s: %s', t.name, w.names), w.drops, NULL,\n"
    "   format('Permissive policies are joined by OR: %s, or make them RESTRICTIVE.', w.drops))\n"
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
