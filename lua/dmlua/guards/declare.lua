-- Which tables are for everybody: rows of dmlua_tables, which stands beside the version table.

local arguments = require "dmlua.arguments"
local block = require "dmlua.block"
local blocks = require "dmlua.guards.blocks"
local quote = require "dmlua.quote"

local M = {}

-- The reason is asked for where the table looks like a tenant's. What is said again is written again: the watch counts
-- what was declared before the table was made for a table that is gone (host/watch_sql.h). Where there is no
-- dmlua_tables (a plan as SQL text, on a database that dmlua has not touched) there is nobody to tell.
local declare = [[
  IF {reason}::text IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_attribute
      WHERE attrelid = target AND attname = {column} AND NOT attisdropped) THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD009',
      MESSAGE = format('TenantIsolationError: %s has a column %s: a table for everybody has none', target, {column}),
      DETAIL = json_build_object('table', {table}, 'checks', ARRAY['global_with_tenant_column'])::text,
      HINT = format('guards.ensure_tenant_isolation(%s), or say why: { reason = "…" }.', to_json({name}::text));
  END IF;
  IF to_regclass({declared}) IS NOT NULL THEN
    SELECT count(*) INTO amount FROM {declarations} AS d, pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target
      AND d.name = format('%I.%I', n.nspname, c.relname) AND d.declared = 'global'
      AND coalesce({reason}::text, d.reason) IS NOT DISTINCT FROM d.reason;
    INSERT INTO {declarations} AS d (name, declared, reason)
    SELECT format('%I.%I', n.nspname, c.relname), 'global', {reason}::text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target
    ON CONFLICT (name) DO UPDATE SET declared = 'global', reason = coalesce(EXCLUDED.reason, d.reason),
      since = CASE amount WHEN 0 THEN now() ELSE d.since END;
    IF amount = 0 THEN
      changes := changes || 'declared global'::text;
    END IF;
  END IF;
]]

--- The table of `place` is for everybody. `schema`: where dmlua's tables are.
function M.block(place, schema, reason)
  local declarations = quote.qualified(schema, "dmlua_tables")
  place = setmetatable({ kinds = "'r', 'p', 'f', 'm', 'v'" }, { __index = place })
  return blocks.statement(place, blocks.fill(declare, place, {
    declarations = declarations, declared = quote.literal(declarations),
    reason = reason and quote.literal(reason) or "NULL",
  }))
end

local move = [[

BEGIN
  DELETE FROM {declarations} AS d USING pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = to_regclass({renamed}) AND d.name = format('%I.%I', n.nspname, c.relname);
  UPDATE {declarations} AS d SET name = format('%I.%I', n.nspname, c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = to_regclass({renamed}) AND d.name = format('%I.%I', n.nspname, {old}::text);
END
]]

--- What was declared of a table holds under its new name, too, and no more what was of one that had it; there are
--- dmlua's tables.
function M.rename(old, new, table_schema, schema)
  return block.statement(move, { declarations = quote.qualified(schema, "dmlua_tables"), old = quote.literal(old),
    renamed = quote.literal(quote.qualified(table_schema, new)) })
end

--- Adds declare_global(table, {schema, reason}).
function M.add(guards, step, tools)
  function guards.declare_global(...)
    local given = arguments.read("guards.declare_global", { { "table_name", "name" },
      options = { schema = "name", reason = "string" } }, ...)
    tools.send(M.block(tools.place_of(given), step.bind.settings.schema, given.reason))
  end
end

return M
