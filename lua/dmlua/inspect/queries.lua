-- What the inspector asks the catalogue. Each text about a table is an SQL expression over its row `c` of pg_class and
-- `n` of pg_namespace that makes JSON: no row at all means that there is no such table. PostgreSQL 13 and later.

local M = {}

-- Columns by number, as a list of names in the order of the numbers.
local function names_of(numbers, relation)
  return ([[ARRAY(SELECT a.attname FROM pg_catalog.unnest(%s) WITH ORDINALITY AS u(number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = %s AND a.attnum = u.number ORDER BY u.place)]])
    :format(numbers, relation)
end

-- $1: the name, $2: its schema, or NULL for what the search path finds.
M.of_table = [[
SELECT %s AS found FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = $1::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2::text END]]

M.columns = [[(
SELECT json_agg(json_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
    'nullable', NOT a.attnotnull, 'comment', pg_catalog.col_description(c.oid, a.attnum),
    'default', CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
    'computed', CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
    'type_name', e.typname, 'type_schema', (SELECT s.nspname FROM pg_catalog.pg_namespace s
      WHERE s.oid = e.typnamespace AND NOT pg_catalog.pg_type_is_visible(e.oid)),
    'labels', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_catalog.pg_enum l
      WHERE l.enumtypid = e.oid),
    'identity', (SELECT json_build_object('always', a.attidentity = 'a', 'start', s.seqstart,
        'increment', s.seqincrement, 'minvalue', s.seqmin, 'maxvalue', s.seqmax, 'cycle', s.seqcycle,
        'cache', s.seqcache)
      FROM pg_catalog.pg_sequence s
      WHERE s.seqrelid = CASE WHEN a.attidentity <> '' THEN pg_catalog.pg_get_serial_sequence(
        pg_catalog.format('%I.%I', n.nspname, c.relname), a.attname)::regclass END)) ORDER BY a.attnum)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type e ON e.typtype = 'e' AND e.oid IN (t.oid, t.typelem)
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)]]

local function action_of(letter)
  return ([[('{"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT", "r": "RESTRICT"}'::json ->> %s::text)]])
    :format(letter)
end

-- What PostgreSQL keeps once more for each partition of the table that is referred to, is left out.
M.foreign_keys = [[(
SELECT json_agg(json_build_object('name', k.conname,
    'constrained_columns', ]] .. names_of("k.conkey", "k.conrelid") .. [[,
    'referred_table', r.relname, 'referred_columns', ]] .. names_of("k.confkey", "k.confrelid") .. [[,
    'referred_schema', (SELECT s.nspname FROM pg_catalog.pg_namespace s WHERE s.oid = r.relnamespace
      AND (s.nspname = $2::text OR NOT pg_catalog.pg_table_is_visible(r.oid))),
    'comment', pg_catalog.obj_description(k.oid, 'pg_constraint'), 'options', json_strip_nulls(json_build_object(
      'ondelete', ]] .. action_of "k.confdeltype" .. [[, 'onupdate', ]] .. action_of "k.confupdtype" .. [[,
      'deferrable', CASE WHEN k.condeferrable THEN true END, 'initially', CASE WHEN k.condeferred THEN 'DEFERRED' END,
      'match', CASE WHEN k.confmatchtype = 'f' THEN 'FULL' END,
      'postgresql_not_valid', CASE WHEN NOT k.convalidated THEN true END))) ORDER BY k.conname)
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
WHERE k.conrelid = c.oid AND k.contype = 'f' AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint p
  WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid))]]

M.indexes = [[(
SELECT json_agg(json_build_object('name', x.relname, 'unique', i.indisunique,
    'column_names', ARRAY(SELECT (SELECT a.attname FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum = i.indkey[place - 1] AND a.attnum <> 0)
      FROM pg_catalog.generate_series(1, i.indnkeyatts) AS place ORDER BY place),
    'expressions', CASE WHEN i.indexprs IS NOT NULL THEN ARRAY(
      SELECT pg_catalog.pg_get_indexdef(i.indexrelid, place, true)
      FROM pg_catalog.generate_series(1, i.indnkeyatts) AS place ORDER BY place) END,
    'include_columns', ARRAY(SELECT a.attname FROM pg_catalog.generate_series(i.indnkeyatts + 1, i.indnatts) AS place
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[place - 1] ORDER BY place),
    'duplicates_constraint', (SELECT k.conname FROM pg_catalog.pg_constraint k WHERE k.conindid = x.oid
      AND k.conrelid = c.oid AND k.contype IN ('u', 'x')),
    'valid', i.indisvalid, 'dialect_options', json_strip_nulls(json_build_object(
      'postgresql_using', CASE WHEN m.amname <> 'btree' THEN m.amname END,
      'postgresql_where', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
      'postgresql_nulls_not_distinct', CASE WHEN to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' THEN true END)))
    ORDER BY x.relname)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam
WHERE i.indrelid = c.oid AND NOT i.indisprimary)]]

local function constraints(kind)
  return [[(
SELECT json_agg(json_build_object('name', k.conname, 'column_names', ]] .. names_of("k.conkey", "k.conrelid") .. [[,
    'sqltext', CASE WHEN k.contype = 'c' THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid, true) END,
    'valid', k.convalidated, 'comment', pg_catalog.obj_description(k.oid, 'pg_constraint')) ORDER BY k.conname)
FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = ']] .. kind .. "')"
end
M.unique_constraints, M.check_constraints, M.primary_keys = constraints "u", constraints "c", constraints "p"

M.policies = [[(
SELECT json_agg(json_build_object('name', p.polname, 'permissive', p.polpermissive,
    'command', ('{"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}'::json ->> p.polcmd::text),
    'roles', ARRAY(SELECT CASE role WHEN 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(role)::text END
      FROM pg_catalog.unnest(p.polroles) AS role ORDER BY 1),
    'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
    'with_check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) ORDER BY p.polname)
FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid)]]

M.table_comment = "json_build_object('text', pg_catalog.obj_description(c.oid, 'pg_class'))"
M.view_definition = [[json_build_object('text',
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END)]]

--- Is there one of these kinds (relkind) of this name? $1: name, $2: schema or NULL.
function M.has_relation(kinds)
  return ([[
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = $1::text AND c.relkind IN (%s)
  AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2::text END) AS found]])
    :format(kinds)
end

--- Names of relations of these kinds, without dmlua's own: a loop over all tables that gives each what it lacks, or
--- drops it, knows nothing of those. $1: schema, or NULL for the first of the search path.
function M.relations(kinds)
  return ([[
SELECT c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN (%s) AND n.nspname = coalesce($1::text, pg_catalog.current_schema())
  AND c.relname !~ '^dmlua_(ledger|progress|tenants|tables|database|undo)(_.*_seq)?$' ORDER BY c.relname]])
    :format(kinds)
end

M.schemas = [[SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\_%' ORDER BY nspname]]

-- $1: schema; '*' for all, NULL for what the search path finds.
M.enums = [[
SELECT json_build_object('name', t.typname, 'schema', n.nspname, 'visible', pg_catalog.pg_type_is_visible(t.oid),
  'labels', ARRAY(SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid
    ORDER BY e.enumsortorder)) AS found
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND CASE WHEN $1::text IS NULL THEN pg_catalog.pg_type_is_visible(t.oid)
  ELSE $1::text IN ('*', n.nspname) END ORDER BY n.nspname, t.typname]]

return M
