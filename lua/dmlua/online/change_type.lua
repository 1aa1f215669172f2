-- change_type_online: a column of the new type beside the old one, kept in step by a trigger, filled in batches, given
-- the old one's indexes and constraints, and put in its place.

local batches = require "dmlua.online.batches"
local block = require "dmlua.block"
local blocks = require "dmlua.online.blocks"
local expression = require "dmlua.ddl.expression"
local json = require "dmlua.json"
local null = require "dmlua.null"
local quote = require "dmlua.quote"

-- What depends on the column, and which kind of it can be carried over: the rest is refused by name, so that nothing
-- is lost.
local dependents = [[
  SELECT d.classid, d.objid, d.objsubid,
    CASE
      WHEN d.classid = 'pg_catalog.pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_attrdef x
        WHERE x.oid = d.objid AND x.adrelid = target AND x.adnum = number) THEN 'default'
      WHEN d.classid = 'pg_catalog.pg_class'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_index i
        WHERE i.indexrelid = d.objid AND i.indrelid = target AND NOT i.indisreplident) THEN 'index'
      WHEN d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'a' AND EXISTS (SELECT FROM pg_catalog.pg_class s
        WHERE s.oid = d.objid AND s.relkind = 'S') THEN 'sequence'
      WHEN d.classid = 'pg_catalog.pg_constraint'::regclass THEN (SELECT CASE
        WHEN c.contype IN ('p', 'u') AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
          WHERE i.indexrelid = c.conindid AND i.indisreplident) THEN 'key'
        WHEN c.contype = 'c' THEN 'check'
        WHEN c.contype = 'f' AND NOT (c.confrelid = target AND number = ANY (c.confkey))
          AND to_jsonb(c)->>'confdelsetcols' IS NULL THEN 'foreign_key'
        WHEN c.contype = 'n' THEN 'not_null' END
        FROM pg_catalog.pg_constraint c WHERE c.oid = d.objid AND c.conrelid = target)
    END AS kind
  FROM (SELECT DISTINCT classid, objid, objsubid, deptype FROM pg_catalog.pg_depend
        WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid = target AND refobjsubid = number) AS d
]]

-- A view of what has to be made anew on the new column, read off an empty copy of the table whose column has been given
-- the type and the name of the new one: PostgreSQL itself says how the definitions then read.
local prepare = [[

DECLARE
  target regclass := {table}::regclass;
  attribute pg_catalog.pg_attribute%ROWTYPE;
  number int2;
  relation pg_catalog.pg_class%ROWTYPE;
  schema name;
  blocking text;
  item record;
  place int := 0;
  prefix text;
  suffix text;
  indexes jsonb := '[]';
  constraints jsonb := '[]';
BEGIN
  SELECT * INTO relation FROM pg_catalog.pg_class WHERE oid = target;
  SELECT nspname INTO schema FROM pg_catalog.pg_namespace WHERE oid = relation.relnamespace;
  SELECT * INTO attribute FROM pg_catalog.pg_attribute
  WHERE attrelid = target AND attname = {column} AND attnum > 0 AND NOT attisdropped;
  number := attribute.attnum;
  IF number IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('%s has no column %s', target, {column});
  END IF;
  IF relation.relkind <> 'r' OR relation.relispartition
     OR EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE target IN (inhrelid, inhparent)) THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
      MESSAGE = format('%s is no plain table: partitions and inheritance cannot be changed online', target);
  END IF;
  IF attribute.attgenerated <> '' OR attribute.attidentity <> '' THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
      MESSAGE = format('%s.%s is an identity or a generated column, which cannot be changed online', target, {column}),
      HINT = 'op.alter_column does it under an ACCESS EXCLUSIVE lock.';
  END IF;
  SELECT string_agg(pg_describe_object(classid, objid, objsubid), ', ' ORDER BY 1) INTO blocking
  FROM ({dependents}) AS d WHERE kind IS NULL AND pg_describe_object(classid, objid, objsubid) IS NOT NULL;
  IF blocking IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist',
      MESSAGE = format('%s.%s cannot be changed online: on it depend %s', target, {column}, blocking),
      HINT = 'Drop them before, and make them again behind it.';
  END IF;

  -- what a run that was given up has left
  PERFORM set_config('client_min_messages', 'warning', true);
  EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', {trigger}, target);
  EXECUTE format('DROP FUNCTION IF EXISTS %I.%I()', schema, {function});
  EXECUTE format('ALTER TABLE %s DROP COLUMN IF EXISTS %I', target, {new});

  EXECUTE format('CREATE TEMPORARY TABLE dmlua_clone (LIKE %s)', target);
  FOR item IN
    SELECT i.*, c.relname, obj_description(c.oid, 'pg_class') AS comment, k.conname, k.contype, k.condeferrable,
      k.condeferred, obj_description(k.oid, 'pg_constraint') AS constraint_comment,
      format('CREATE %sINDEX %I ON %I.%I', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname,
        schema, relation.relname) AS prefix
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = target
      AND k.contype IN ('p', 'u')
    WHERE i.indrelid = target AND (i.indexrelid IN (SELECT objid FROM ({dependents}) AS d WHERE kind = 'index')
      OR k.oid IN (SELECT objid FROM ({dependents}) AS d WHERE kind = 'key'))
    ORDER BY c.relname
  LOOP
    place := place + 1;
    suffix := substr(pg_get_indexdef(item.indexrelid), length(item.prefix) + 1);
    EXECUTE format('CREATE %sINDEX dmlua_clone_%s ON pg_temp.dmlua_clone%s',
      CASE WHEN item.indisunique THEN 'UNIQUE ' ELSE '' END, place, suffix);
    indexes := indexes || jsonb_build_object('name', item.relname, 'unique', item.indisunique, 'comment', item.comment,
      'constraint', item.conname, 'type', item.contype, 'deferrable', item.condeferrable, 'deferred', item.condeferred,
      'constraint_comment', item.constraint_comment, 'clustered', item.indisclustered, 'definition', place::text);
  END LOOP;
  FOR item IN
    SELECT c.*, obj_description(c.oid, 'pg_constraint') AS comment FROM pg_catalog.pg_constraint c
    WHERE c.oid IN (SELECT objid FROM ({dependents}) AS d WHERE kind IN ('check', 'foreign_key')) ORDER BY c.conname
  LOOP
    place := place + 1;
    IF item.contype = 'c' THEN
      EXECUTE format('ALTER TABLE pg_temp.dmlua_clone ADD CONSTRAINT dmlua_clone_%s %s', place,
        pg_get_constraintdef(item.oid));
      suffix := place::text;
    ELSE
      SELECT 'FOREIGN KEY (' || string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) || ')',
        'FOREIGN KEY (' || string_agg(CASE a.attname WHEN {column} THEN quote_ident({new}) ELSE quote_ident(a.attname)
          END, ', ' ORDER BY k.place) || ')' INTO prefix, suffix
      FROM unnest(item.conkey) WITH ORDINALITY AS k(attnum, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = target AND a.attnum = k.attnum;
      suffix := suffix || substr(replace(pg_get_constraintdef(item.oid), ' NOT VALID', ''), length(prefix) + 1);
    END IF;
    constraints := constraints || jsonb_build_object('name', item.conname, 'type', item.contype,
      'valid', item.convalidated, 'comment', item.comment, 'definition', suffix);
  END LOOP;
  EXECUTE format('ALTER TABLE pg_temp.dmlua_clone ALTER COLUMN %I TYPE {type} USING NULL', {column});
  EXECUTE format('ALTER TABLE pg_temp.dmlua_clone RENAME COLUMN %I TO %I', {column}, {new});
  SELECT coalesce(jsonb_agg(entry || jsonb_build_object('definition', (
      SELECT substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*')
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = 'pg_temp.dmlua_clone'::regclass AND c.relname = 'dmlua_clone_' || (entry->>'definition')))),
    '[]') INTO indexes FROM jsonb_array_elements(indexes) AS entry;
  SELECT coalesce(jsonb_agg(CASE entry->>'type' WHEN 'c' THEN entry || jsonb_build_object('definition', (
      SELECT replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') FROM pg_catalog.pg_constraint c
      WHERE c.conrelid = 'pg_temp.dmlua_clone'::regclass AND c.conname = 'dmlua_clone_' || (entry->>'definition')))
    ELSE entry END), '[]') INTO constraints FROM jsonb_array_elements(constraints) AS entry;
  DROP TABLE pg_temp.dmlua_clone;

  PERFORM set_config('dmlua.change_type', jsonb_build_object(
    'schema', schema, 'not_null', attribute.attnotnull,
    'indexes', indexes, 'constraints', constraints,
    'default', (SELECT pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef
                WHERE adrelid = target AND adnum = number),
    'comment', col_description(target, number),
    'options', array_to_string(attribute.attoptions, ', '),
    'statistics', nullif(attribute.attstattarget, -1),
    'sequences', (SELECT jsonb_agg(objid::regclass::text) FROM ({dependents}) AS d WHERE kind = 'sequence'),
    'grants', (SELECT jsonb_agg(jsonb_build_object('privilege', g.privilege_type, 'grantable', g.is_grantable,
        'grantee', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END))
      FROM aclexplode(attribute.attacl) AS g),
    'dependents', (SELECT string_agg(concat_ws('/', classid, objid, objsubid), ' ' ORDER BY classid, objid, objsubid)
      FROM ({dependents}) AS d))::text, true);
END
]]

-- Values are assigned as the author's expression says, over the new row's columns.
local sync_function = [[

BEGIN
  NEW.{new} := (SELECT {using} FROM (SELECT NEW.*) AS {alias});
  RETURN NEW;
END
]]

-- What came to depend on the column since would go with it.
local unchanged = [[

DECLARE
  target regclass := {table}::regclass;
  number int2 := (SELECT attnum FROM pg_catalog.pg_attribute WHERE attrelid = target AND attname = {column});
BEGIN
  IF (SELECT string_agg(concat_ws('/', classid, objid, objsubid), ' ' ORDER BY classid, objid, objsubid)
      FROM ({dependents}) AS d) IS DISTINCT FROM {known} THEN
    RAISE EXCEPTION USING ERRCODE = 'object_in_use',
      MESSAGE = format('what depends on %s.%s has changed while its type was being changed', target, {column}),
      HINT = 'Put it back as it was and run again.';
  END IF;
END
]]

local function given_value(value)
  return value ~= nil and value ~= null and value ~= "" and value or nil
end

-- The names of a change, and its SQL for the table.
local function new_change(given)
  local names = given.table_name .. "_" .. given.column_name
  local change = {
    column = given.column_name, new = quote.cut("dmlua_new_" .. given.column_name), table_name = given.table_name,
    -- triggers fire in the order of their names: this one behind all that may change the column
    trigger = quote.cut("zzzz_dmlua_" .. names), fn = quote.cut("dmlua_sync_" .. names),
    table = quote.qualified(given.schema, given.table_name), type = given.type_.sql,
  }
  local using = given.postgresql_using
  change.using = using and expression.sql(using) or quote.ident(given.column_name) .. "::" .. change.type
  return change
end

-- Column, function and trigger in one transaction: no write falls between them.
local function prepare_statements(change, given)
  local values = { table = quote.literal(change.table), column = quote.literal(change.column),
    new = quote.literal(change.new), trigger = quote.literal(change.trigger), ["function"] = quote.literal(change.fn),
    type = change.type:gsub("'", "''"):gsub("%%", "%%%%"), dependents = dependents }
  local fn = quote.qualified(given.schema, change.fn) .. "()"
  local body = block.fill(sync_function, { new = quote.ident(change.new), using = change.using,
    alias = quote.ident(change.table_name) })
  return {
    "LOCK TABLE " .. change.table .. " IN ACCESS EXCLUSIVE MODE",
    block.statement(prepare, values),
    ("ALTER TABLE %s ADD COLUMN %s %s"):format(change.table, quote.ident(change.new), change.type),
    "CREATE OR REPLACE FUNCTION " .. fn .. " RETURNS trigger LANGUAGE plpgsql AS " .. quote.dollar(body),
    ("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s"):format(
      quote.ident(change.trigger), change.table, fn),
  }
end

-- Proof that the copy is whole; and a CHECK that is valid spares SET NOT NULL the scan.
local function check_statements(change, plan)
  local name = quote.ident(quote.cut("dmlua_whole_" .. change.column))
  local new = quote.ident(change.new)
  local condition = plan.not_null and new .. " IS NOT NULL"
    or ("(%s IS NULL) = ((%s) IS NULL)"):format(new, change.using)
  local statements = {
    blocks.gently(("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s) NOT VALID"):format(change.table, name, condition)),
    ("ALTER TABLE %s VALIDATE CONSTRAINT %s"):format(change.table, name),
  }
  if plan.not_null then
    statements[3] = blocks.gently(("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL"):format(change.table, new))
  end
  statements[#statements + 1] = blocks.gently(("ALTER TABLE %s DROP CONSTRAINT %s"):format(change.table, name))
  return statements
end

local function temporary(change, kind, place)
  return quote.cut(("dmlua_%s_%d_%s"):format(kind, place, change.table_name))
end

local function index_statements(change, plan)
  local statements = {}
  for i, index in ipairs(plan.indexes) do
    statements[i] = ("CREATE %sINDEX CONCURRENTLY %s ON %s%s"):format(index.unique and "UNIQUE " or "",
      quote.ident(temporary(change, "index", i)), change.table, index.definition)
  end
  return statements
end

local function constraint_statements(change, plan)
  local statements = {}
  for i, constraint in ipairs(plan.constraints) do
    local name = quote.ident(temporary(change, "constraint", i))
    statements[#statements + 1] = blocks.gently(("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID"):format(change.table,
      name, constraint.definition))
    if constraint.valid then
      statements[#statements + 1] = ("ALTER TABLE %s VALIDATE CONSTRAINT %s"):format(change.table, name)
    end
  end
  return statements
end

-- A list of statements with the table's names at hand.
local function new_list(change, given)
  local list = { table = change.table, column = quote.ident(change.column) }
  function list.add(format, ...) list[#list + 1] = format:format(...) end
  function list.comment(what, text)
    if given_value(text) then list[#list + 1] = "COMMENT ON " .. what .. " IS " .. quote.literal(text) end
  end
  function list.beside(name) return quote.qualified(given.schema, name) end
  return list
end

local function swap_index(list, index, made)
  local name, constraint = quote.ident(index.name), given_value(index.constraint)
  list.add("ALTER INDEX %s RENAME TO %s", list.beside(made), name)
  if constraint then
    list.add("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s", list.table, quote.ident(constraint),
      index.type == "p" and "PRIMARY KEY" or "UNIQUE", name,
      index.deferrable and (index.deferred and " DEFERRABLE INITIALLY DEFERRED" or " DEFERRABLE") or "")
    list.comment("CONSTRAINT " .. quote.ident(constraint) .. " ON " .. list.table, index.constraint_comment)
  end
  list.comment("INDEX " .. list.beside(index.name), index.comment)
  if index.clustered then list.add("ALTER TABLE %s CLUSTER ON %s", list.table, name) end
end

local integers = { INTEGER = "integer", SMALLINT = "smallint", BIGINT = "bigint" }

local function swap_column(list, change, plan)
  local alter = ("ALTER TABLE %s ALTER COLUMN %s "):format(list.table, list.column)
  if given_value(plan.default) then list.add("%sSET DEFAULT %s", alter, plan.default) end
  local type = integers[change.type:upper()]
  for _, sequence in ipairs(given_value(plan.sequences) or {}) do
    list.add("ALTER SEQUENCE %s%s OWNED BY %s.%s", sequence, type and " AS " .. type or "", list.table, list.column)
  end
  if given_value(plan.statistics) then list.add("%sSET STATISTICS %d", alter, plan.statistics) end
  if given_value(plan.options) then list.add("%sSET (%s)", alter, plan.options) end
  for _, grant in ipairs(given_value(plan.grants) or {}) do
    list.add("GRANT %s (%s) ON %s TO %s%s", grant.privilege, list.column, list.table, grant.grantee,
      grant.grantable and " WITH GRANT OPTION" or "")
  end
  list.comment("COLUMN " .. list.table .. "." .. list.column, plan.comment)
end

-- The old column's place, name and all that hung on it, for the new one. One transaction, no scan.
local function swap_statements(change, plan, given)
  local list = new_list(change, given)
  list.add("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", list.table)
  list.add("%s", block.statement(unchanged, { table = quote.literal(list.table),
    column = quote.literal(change.column), known = quote.value(plan.dependents), dependents = dependents }))
  list.add("DROP TRIGGER %s ON %s", quote.ident(change.trigger), list.table)
  list.add("DROP FUNCTION %s()", list.beside(change.fn))
  for _, sequence in ipairs(given_value(plan.sequences) or {}) do
    list.add("ALTER SEQUENCE %s OWNED BY NONE", sequence)
  end
  list.add("ALTER TABLE %s DROP COLUMN %s", list.table, list.column)
  list.add("ALTER TABLE %s RENAME COLUMN %s TO %s", list.table, quote.ident(change.new), list.column)
  for i, index in ipairs(plan.indexes) do swap_index(list, index, temporary(change, "index", i)) end
  for i, constraint in ipairs(plan.constraints) do
    local name = quote.ident(constraint.name)
    list.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", list.table,
      quote.ident(temporary(change, "constraint", i)), name)
    list.comment("CONSTRAINT " .. name .. " ON " .. list.table, constraint.comment)
  end
  swap_column(list, change, plan)
  return list
end

-- Many statements as one: one part.
local function together(statements)
  local lines = { "\nBEGIN" }
  for _, text in ipairs(statements) do lines[#lines + 1] = "  EXECUTE " .. quote.literal(text) .. ";" end
  lines[#lines + 1] = "END\n"
  return quote.block(table.concat(lines, "\n"))
end

--- Carries the change out through `parts` (see dmlua.online).
return function(given, parts, full, batch_size)
  local change = new_change(given)
  parts.send(blocks.sees_all({ change.table }, "op.alter_column"))
  local key = parts.key(change.table, full)
  parts.send(blocks.gently(together(prepare_statements(change, given))))
  local plan = json.decode(parts.query("SELECT current_setting('dmlua.change_type') AS plan")[1].plan)
  parts.cut()
  parts.batches(batches.statement { table_name = given.table_name, schema = given.schema, key = key,
    size = given.batch_size or batch_size, set = { { change.new, change.using } },
    where = quote.ident(given.table_name) .. "." .. quote.ident(change.new) .. " IS NULL" })
  parts.alone(check_statements(change, plan))
  parts.alone(index_statements(change, plan))
  parts.alone(constraint_statements(change, plan))
  parts.alone { blocks.gently(together(swap_statements(change, plan, given))) }
end
