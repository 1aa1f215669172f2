-- create_index_online on a partitioned table, where PostgreSQL refuses CREATE INDEX CONCURRENTLY: an index ON ONLY the
-- table, one CONCURRENTLY on each partition, and each attached. With the last one the table's index becomes valid.

local block = require "dmlua.block"
local blocks = require "dmlua.online.blocks"
local index_ddl = require "dmlua.ddl.index"
local json = require "dmlua.json"
local null = require "dmlua.null"
local quote = require "dmlua.quote"

local M = {}

-- A row a table of the tree, from the top: which index of it is to be attached, and what has to be done for it. An
-- index that is there and is what is wanted is taken, as by CREATE INDEX on the table; new ones get the names that the
-- server would give them, for which it is asked on an empty table of the same name.
local look = [[

DECLARE
  item record;
  place int := 0;
  base name;
  wanted text;
  made name;
  free name;
  existing record;
  plan jsonb := '[]';
  of_table jsonb := '{}';
BEGIN
  FOR item IN
    SELECT t.relid, t.parentrelid, t.isleaf, c.relname, c.relkind, n.nspname
    FROM pg_catalog.pg_partition_tree({table}::regclass) AS t JOIN pg_catalog.pg_class c ON c.oid = t.relid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY t.level, n.nspname, c.relname
  LOOP
    IF item.relkind = 'f' THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
        MESSAGE = format('%s is a foreign table: an index of a table that has such a partition cannot be made online',
          item.relid::regclass), HINT = 'op.create_index makes it, and lets nobody write meanwhile.';
    END IF;
    BEGIN
      EXECUTE format('CREATE TEMPORARY TABLE %I (LIKE %s)', item.relname, item.relid::regclass);
      EXECUTE replace({probe}, 'pg_temp.dmlua_probe', format('pg_temp.%I', item.relname));
      SELECT substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*'), c.relname INTO wanted, made
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = format('pg_temp.%I', item.relname)::regclass;
      RAISE EXCEPTION USING ERRCODE = 'ZD999';
    EXCEPTION WHEN SQLSTATE 'ZD999' THEN
      NULL;
    END;
    place := place + 1;
    base := CASE WHEN place = 1 THEN {name} ELSE made END;
    SELECT i.indexrelid, c.relname, i.indisvalid, h.inhparent INTO existing
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid
    WHERE i.indrelid = item.relid AND i.indislive AND i.indisunique = {unique}
      AND substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*') = wanted
      AND CASE WHEN place = 1 THEN c.relname = {name}
        ELSE h.inhparent IS NULL OR h.inhparent = to_regclass(of_table->>(item.parentrelid::text)) END
    ORDER BY h.inhparent IS NULL, i.indisvalid DESC, c.relname LIMIT 1;
    IF existing.relname IS NULL AND place > 1 THEN
      free := base;
      FOR number IN 1..1000 LOOP
        EXIT WHEN to_regclass(format('%I.%I', item.nspname, free)) IS NULL;
        free := left(base, 59) || number;
      END LOOP;
      base := free;
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index WHERE index_relid = existing.indexrelid) THEN
      RAISE EXCEPTION USING ERRCODE = 'lock_not_available',
        MESSAGE = format('index %s is being built by another session', existing.relname);
    END IF;
    base := coalesce(existing.relname, base);
    plan := plan || jsonb_build_object('schema', item.nspname, 'table', item.relname, 'leaf', item.isleaf,
      'index', base, 'parent', of_table->(item.parentrelid::text), 'attached', existing.inhparent IS NOT NULL,
      'state', CASE WHEN existing.relname IS NULL THEN 'missing' WHEN item.isleaf AND NOT existing.indisvalid
        THEN 'invalid' ELSE 'there' END);
    of_table := of_table || jsonb_build_object(item.relid::text, format('%I.%I', item.nspname, base));
  END LOOP;
  PERFORM set_config('dmlua.partitions', plan::text, true);
END
]]

local function gently_attach(statements, entry)
  if entry.parent == null or entry.attached then return end
  statements[#statements + 1] = blocks.gently(("ALTER INDEX %s ATTACH PARTITION %s"):format(entry.parent,
    quote.qualified(entry.schema, entry.index)))
end

local function create(given, entry, more)
  local fields = { schema = entry.schema, table_name = entry.table, index_name = entry.index }
  for name, value in pairs(more) do fields[name] = value end
  return index_ddl.create_index(setmetatable(fields, { __index = given }))[1]
end

-- What makes one table's index, and attaches it.
local function statements_of(given, entry)
  local statements = {}
  if entry.state == "invalid" then
    statements[1] = "DROP INDEX CONCURRENTLY " .. quote.qualified(entry.schema, entry.index)
  end
  if entry.leaf and entry.state ~= "there" then
    statements[#statements + 1] = create(given, entry, { postgresql_concurrently = true })
  elseif entry.state == "missing" then
    statements[#statements + 1] = blocks.gently(create(given, entry, { only = true }))
  end
  gently_attach(statements, entry)
  return statements
end

--- Makes the index through `parts` (see dmlua.online). `probe` makes it, without a name, on pg_temp.dmlua_probe.
function M.create(given, parts, table_name, probe)
  local text = block.statement(look, { table = quote.literal(table_name), name = quote.literal(given.index_name),
    unique = given.unique and "true" or "false", probe = quote.literal(probe) })
  for _ = 1, 2 do -- a partition may have come before the table's index was there, which later ones get theirs from
    parts.send(text)
    local plan = json.decode(parts.query("SELECT current_setting('dmlua.partitions') AS plan")[1].plan)
    for _, entry in ipairs(plan) do
      local statements = statements_of(given, entry)
      if #statements > 0 then parts.alone(statements) end
    end
  end
end

return M
