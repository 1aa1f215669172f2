-- The SQL of undo logs. The image of a row is a JSON object of its columns' texts, as the types' own output functions
-- write them, so that no digit is lost; it is read back by the input functions, through the text of a composite value.

local block = require "dmlua.block"
local quote = require "dmlua.quote"

local M = {}

-- What the texts depend on; and no compiling of queries that are wide and not long. The first statement sets it, the
-- second puts it back.
local format = {
  { "DateStyle", "ISO, YMD" }, { "IntervalStyle", "postgres" }, { "TimeZone", "UTC" }, { "bytea_output", "hex" },
  { "extra_float_digits", "3" }, { "lc_monetary", "C" }, { "jit", "off" },
}

local function settings(value_of, first)
  local parts = { first }
  for i, it in ipairs(format) do
    parts[#parts + 1] = ("pg_catalog.set_config('%s', %s, true)"):format(it[1], value_of(it, i))
  end
  return "SELECT " .. table.concat(parts, ", ")
end

local kept = {}
for i, it in ipairs(format) do kept[i] = ("pg_catalog.current_setting('%s')"):format(it[1]) end

M.format_on = settings(function(it) return quote.literal(it[2]) end,
  ("pg_catalog.set_config('dmlua.undo_format', CAST(pg_catalog.json_build_array(%s) AS text), true)")
    :format(table.concat(kept, ", ")))
M.format_off = settings(function(_, i)
  return ("pg_catalog.json_array_element_text(CAST(pg_catalog.current_setting('dmlua.undo_format') AS json), %d)")
    :format(i - 1)
end)

--- The columns of tables, a row each. $1: the tables' names; $2: also the tables that inherit from them; $3: the role
-- that is to read them, or NULL. A partition is its table's.
M.columns = [[
WITH RECURSIVE tree(oid) AS (
  SELECT CAST(pg_catalog.to_regclass(name) AS oid) FROM pg_catalog.unnest(CAST($1 AS text[])) AS name
  UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON tree.oid = i.inhparent WHERE CAST($2 AS boolean))
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, a.attname AS column_name,
  a.attgenerated AS generated, a.attidentity AS identity,
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY') AS temporary,
  (SELECT pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT') FROM pg_catalog.pg_roles r
   WHERE r.rolname = coalesce(CAST($3 AS name), current_user)) AS readable,
  (SELECT k.place FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(number, place)
   WHERE i.indrelid = c.oid AND i.indisprimary AND k.number = a.attnum) AS key,
  EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
   AND i.indimmediate AND NOT i.indisprimary AND (a.attnum = ANY (i.indkey) OR EXISTS (
    SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
    AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))) AS exclusive,
  EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid) AS referenced,
  EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
   AND t.tgtype & 3 = 3) AS triggers
FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE NOT (c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) AS p(id)
  JOIN tree ON tree.oid = p.id WHERE p.id <> c.oid))
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", a.attnum]]

--- The tables of such rows, in order, and by name: {name (with its schema), kind, rows, key = names, columns = names,
-- temporary, readable, triggers: own ones before a row is stored, referenced: by a foreign key}.
function M.tables(rows)
  local list, by_name = {}, {}
  for _, row in ipairs(rows) do
    local name = quote.qualified(row.schema, row.name)
    local it = by_name[name]
    if not it then
      it = { name = name, kind = row.kind, rows = {}, key = {}, columns = {}, temporary = row.temporary,
        readable = true, triggers = row.triggers, referenced = row.referenced }
      by_name[name], list[#list + 1] = it, it
    end
    it.rows[row.column_name] = row
    it.columns[#it.columns + 1] = row.column_name
    it.readable = it.readable and row.readable
    if row.key then it.key[math.tointeger(row.key)] = row.column_name end
  end
  return list, by_name
end

-- Rows of the table itself; a partitioned one has them in its partitions.
local function source(it)
  return (it.kind == "p" and "" or "ONLY ") .. it.name
end

-- A composite value of NULLs is not NULL; IS DISTINCT FROM knows.
local function text_of(column)
  local value = "t." .. quote.ident(column)
  return ("CASE WHEN %s IS DISTINCT FROM NULL THEN pg_catalog.format('%%s', %s) END"):format(value, value)
end

local function texts_of(columns)
  local texts = {}
  for i, column in ipairs(columns) do texts[i] = text_of(column) end
  return "ARRAY[" .. table.concat(texts, ", ") .. "]"
end

local function image(it)
  return ("CAST(pg_catalog.json_object(%s, %s) AS text)"):format(quote.literals(it.columns), texts_of(it.columns))
end

-- The statement that puts the images of all rows into the stage.
local function keep(it, field)
  return ("INSERT INTO pg_temp.dmlua_undo_rows (name, key, %s) SELECT %s, CAST(pg_catalog.to_json(%s) AS text), %s"
    .. " FROM %s AS t"):format(field, quote.literal(it.name), texts_of(it.key), image(it), source(it))
end

--- What keeps the images of the tables' rows before a fix ("before"), or after it: a list of statements.
function M.keep(tables, field)
  local list = { M.format_on }
  for _, it in ipairs(tables) do list[#list + 1] = keep(it, field) end
  list[#list + 1] = M.format_off
  return list
end

-- Default privileges may have given it to somebody.
local make = [[
DECLARE role text;
BEGIN
  IF to_regclass({literal}) IS NULL THEN
    CREATE TABLE {name} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version_table text NOT NULL,
      run_id uuid NOT NULL, tenant text NOT NULL, table_name text NOT NULL, key text NOT NULL, before text, after text);
    CREATE INDEX dmlua_undo_tenant ON {name} USING hash (tenant); -- ids may be long
  END IF;
  ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  IF EXISTS (SELECT FROM pg_catalog.pg_policy WHERE polrelid = {literal}::regclass AND polname = {service}) THEN
    DROP POLICY {policy} ON {name};
  END IF;
  CREATE POLICY {policy} ON {name} USING (version_table = {service}
    AND tenant = (SELECT nullif(current_setting({setting}, true), '')));
  FOR role IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
      FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
      WHERE c.oid = {literal}::regclass AND a.grantee <> c.relowner LOOP
    EXECUTE pg_catalog.concat('REVOKE ALL ON ', {literal}::regclass, ' FROM ', role);
  END LOOP;
END]]

--- What makes the table of the pre-images, isolated by the tenant setting: each service sees its own there.
function M.make(schema, version_table, setting)
  local name = quote.qualified(schema, "dmlua_undo")
  return quote.block(block.fill(make, { name = name, literal = quote.literal(name), policy = quote.ident(version_table),
    service = quote.literal(version_table), setting = quote.literal(setting) }))
end

-- The row that an image describes. A column that is new since is NULL there.
local function record(it)
  return ([[CAST((SELECT '(' || pg_catalog.string_agg(coalesce('"' || pg_catalog.replace(pg_catalog.replace(e.value,
    E'\\', E'\\\\'), '"', '""') || '"', ''), ',' ORDER BY c.place) || ')'
    FROM pg_catalog.unnest(%s) WITH ORDINALITY AS c(name, place)
    LEFT JOIN pg_catalog.json_each_text(CAST(coalesce(u.before, u.after) AS json)) AS e ON e.key = c.name) AS %s)]])
    :format(quote.literals(it.columns), it.name)
end

-- The stage's rows of a table, each with its record r, made once.
local function staged(it)
  return ("(SELECT u.key, u.before, u.after, %s AS r FROM pg_temp.dmlua_undo_rows AS u WHERE u.name = %s OFFSET 0)")
    :format(record(it), quote.literal(it.name))
end

local function same_key(it, other)
  local parts = {}
  for i, column in ipairs(it.key) do
    local name = quote.ident(column)
    parts[i] = ("t.%s = (%s.r).%s"):format(name, other, name)
  end
  return table.concat(parts, " AND ")
end

--- The rows that are not as the field ("before" or "after") of their images says: key, shown (the key for people),
-- what ("gone", "taken": it is there and should not be, "differs"), and for the latter column_name, wanted, found and
-- unmoved: is the row altogether as the fix left it? Columns that are not in both are not compared.
function M.differences(it, field)
  return ([[
SELECT f.key, (SELECT '(' || pg_catalog.string_agg(k.value, ',') || ')'
    FROM pg_catalog.json_array_elements_text(CAST(f.key AS json)) AS k) AS shown,
  CASE WHEN f.wanted IS NULL THEN 'taken' WHEN f.now IS NULL THEN 'gone' ELSE 'differs' END AS what,
  d.name AS column_name, d.wanted, d.found, f.now IS NOT DISTINCT FROM f.after AS unmoved
FROM (SELECT u.key, u.%s AS wanted, u.after, CASE WHEN t.%s IS NOT NULL THEN %s END AS now
  FROM %s AS u LEFT JOIN %s AS t ON %s) AS f
LEFT JOIN LATERAL (SELECT e.key AS name, e.value AS wanted, n.value AS found
  FROM pg_catalog.json_each_text(CAST(CASE WHEN f.wanted <> f.now THEN f.wanted END AS json)) AS e
  JOIN pg_catalog.json_each_text(CAST(f.now AS json)) AS n ON n.key = e.key
  WHERE e.value IS DISTINCT FROM n.value) AS d ON true
WHERE (f.wanted IS NULL) <> (f.now IS NULL) OR d.name IS NOT NULL
ORDER BY f.key]]):format(field, quote.ident(it.key[1]), image(it), staged(it), source(it), same_key(it, "u"))
end

--- Which columns the fix has changed: name (of the table), column_name, and updated: in a row that was there before and
-- after.
M.changed = [[
SELECT u.name, e.key AS column_name, bool_or(u.after IS NOT NULL) AS updated
FROM pg_temp.dmlua_undo_rows AS u, LATERAL pg_catalog.json_each_text(CAST(u.before AS json)) AS e
LEFT JOIN LATERAL pg_catalog.json_each_text(CAST(u.after AS json)) AS n ON n.key = e.key
WHERE e.value IS DISTINCT FROM n.value GROUP BY u.name, e.key ORDER BY 1, 2]]

-- What is to be done with each row: as the images say, or as two parameters do (keys, and what of `differences`).
local function actions(it, number, first)
  if first then
    return ("SELECT u.r, CASE WHEN u.before IS NULL THEN 'taken' WHEN u.after IS NULL THEN 'gone' ELSE 'differs' END"
      .. " AS what FROM %s AS u"):format(staged(it))
  end
  return ("SELECT u.r, w.what FROM %s AS u JOIN ROWS FROM (pg_catalog.unnest(CAST($%d AS text[])),"
    .. " pg_catalog.unnest(CAST($%d AS text[]))) AS w(key, what) ON w.key = u.key"):format(staged(it), 2 * number - 1,
    2 * number)
end

-- GENERATED ALWAYS can only be set by an INSERT.
local function settable(it, columns)
  local list = {}
  for _, column in ipairs(columns) do
    local row = it.rows[column]
    if row and not row.key and row.generated == "" and row.identity ~= "a" then list[#list + 1] = column end
  end
  return list
end

local function assignments(columns)
  local parts = {}
  for i, column in ipairs(columns) do parts[i] = ("%s = (s.r).%s"):format(quote.ident(column), quote.ident(column)) end
  return table.concat(parts, ", ")
end

-- What a new row gets: all that its image knows.
local function inserted(it, known)
  local names, values = {}, {}
  for _, column in ipairs(it.columns) do
    if it.rows[column].generated == "" and known[column] then
      names[#names + 1] = quote.ident(column)
      values[#values + 1] = ("(s.r).%s"):format(quote.ident(column))
    end
  end
  return table.concat(names, ", "), table.concat(values, ", ")
end

local function count_of(names)
  local parts = { "0" }
  for i, name in ipairs(names) do parts[i + 1] = ("(SELECT pg_catalog.count(*) FROM %s)"):format(name) end
  return table.concat(parts, " + ")
end

--- What there is to be done: name (of the table), gone, taken, differs: are there such rows, by their images.
M.kinds = [[
SELECT name, bool_or(before IS NOT NULL AND after IS NULL) AS gone, bool_or(before IS NULL) AS taken,
  bool_or(before IS NOT NULL AND after IS NOT NULL) AS differs FROM pg_temp.dmlua_undo_rows GROUP BY name]]

local function delete(w, i)
  return ("d%d AS (DELETE FROM %s AS t USING s%d AS s WHERE s.what = 'taken' AND %s RETURNING 1)"):format(i,
    source(w.it), i, same_key(w.it, "s"))
end

local function update(w, i, columns, deleted)
  return ("u%d AS (UPDATE %s AS t SET %s FROM s%d AS s WHERE s.what = 'differs' AND %s AND %s >= 0 RETURNING 1)")
    :format(i, source(w.it), assignments(columns), i, same_key(w.it, "s"), count_of(deleted))
end

local function insert(w, i, before)
  local names, values = inserted(w.it, w.known)
  return ("i%d AS (INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM s%d AS s WHERE s.what = 'gone'"
    .. " AND %s >= 0 RETURNING 1)"):format(i, w.it.name, names, values, i, count_of(before))
end

--- One statement that takes every row back to what it was: foreign keys are checked at its end, and rows that the fix
-- has made are gone before others get their values back, and those before deleted ones return. `work`: a list of
-- {it, columns to be updated, known = the set of columns in its images, kinds = what there is to be done, for which
-- alone the role needs a privilege; stubborn: its updates are done}; `first`: all rows, as their images say.
function M.reconcile(work, first)
  local parts, deleted, updated = {}, {}, {}
  for i, w in ipairs(work) do
    parts[#parts + 1] = ("s%d AS MATERIALIZED (%s)"):format(i, actions(w.it, i, first))
    if w.kinds.taken then parts[#parts + 1], deleted[#deleted + 1] = delete(w, i), "d" .. i end
  end
  for i, w in ipairs(work) do
    local columns = settable(w.it, w.columns)
    if w.kinds.differs and #columns > 0 and not w.stubborn then
      parts[#parts + 1], updated[#updated + 1] = update(w, i, columns, deleted), "u" .. i
    end
  end
  for i, w in ipairs(work) do
    if w.kinds.gone then parts[#parts + 1] = insert(w, i, #updated > 0 and updated or deleted) end
  end
  return "WITH " .. table.concat(parts, ",\n") .. "\nSELECT 1"
end

--- The same for all rows, if it can be: afterwards the setting dmlua.undo_stubborn says whether values of UNIQUE or
-- EXCLUDE constraints were in each other's way, and nothing was done.
function M.try(work)
  return quote.block(([[
BEGIN
  PERFORM pg_catalog.set_config('dmlua.undo_stubborn', 'no', true);
  EXECUTE %s;
EXCEPTION WHEN unique_violation OR exclusion_violation THEN
  PERFORM pg_catalog.set_config('dmlua.undo_stubborn', 'yes', true);
END]]):format(quote.literal(M.reconcile(work, true))))
end

--- May two of the rows that are to be updated want each other's value of a UNIQUE or EXCLUDE constraint?
function M.is_stubborn(w)
  if not w.kinds.differs then return false end
  for _, column in ipairs(w.columns) do
    if w.it.rows[column] and w.it.rows[column].exclusive then return true end
  end
  return false
end

local stubborn = [[
DECLARE
  waiting text[] := ARRAY(SELECT u.key FROM pg_temp.dmlua_undo_rows AS u
    WHERE u.name = {name} AND u.before IS NOT NULL AND u.after IS NOT NULL);
  blocked text[]; reborn text[] := '{}'; cleared boolean := NOT {taken}; here record;
BEGIN
  WHILE pg_catalog.cardinality(waiting) > 0 LOOP
    blocked := '{}';
    FOR here IN SELECT s.key FROM {staged} AS s WHERE s.key = ANY (waiting) LOOP
      BEGIN
        UPDATE {source} AS t SET {assignments} FROM {staged} AS s WHERE s.key = here.key AND {same_key};
      EXCEPTION WHEN unique_violation OR exclusion_violation THEN
        blocked := blocked || here.key;
      END;
    END LOOP;
    IF pg_catalog.cardinality(blocked) < pg_catalog.cardinality(waiting) THEN NULL;
    ELSIF NOT cleared THEN
      DELETE FROM {source} AS t USING {staged} AS s WHERE s.before IS NULL AND {same_key};
      cleared := true;
    ELSIF {referenced} THEN
      RAISE EXCEPTION USING ERRCODE = 'unique_violation', MESSAGE = pg_catalog.concat('rows of ', {name},
        ' want each other''s values of a UNIQUE constraint: ', pg_catalog.array_to_string(blocked, ' ')),
        HINT = 'Foreign keys refer to the table, so none of its rows can be out of the way for a moment.';
    ELSE
      reborn := reborn || blocked[1];
      DELETE FROM {source} AS t USING {staged} AS s WHERE s.key = blocked[1] AND {same_key};
      blocked := blocked[2:];
    END IF;
    waiting := blocked;
  END LOOP;
  IF pg_catalog.cardinality(reborn) > 0 THEN
    INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
      SELECT {values} FROM {staged} AS s WHERE s.key = ANY (reborn);
  END IF;
END]]

--- What updates such a table's rows: one by one, those that are in each other's way later; then what the fix has made
-- is taken away; else one of those rows goes and comes again.
function M.stubborn(w)
  local names, values = inserted(w.it, w.known)
  return quote.block(block.fill(stubborn, { source = source(w.it), table = w.it.name, name = quote.literal(w.it.name),
    assignments = assignments(settable(w.it, w.columns)), staged = staged(w.it), same_key = same_key(w.it, "s"),
    names = names, values = values, referenced = tostring(w.it.referenced), taken = tostring(w.kinds.taken) }))
end

return M
