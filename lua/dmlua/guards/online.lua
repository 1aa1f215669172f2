-- The guards that take no lock over a scan: what they look up, they ask first; what has to be built is built by the
-- online directives, each in parts of the step (online.lua). A rerun gets the answers that the first run got.

local blocks = require "dmlua.guards.blocks"
local errors = require "dmlua.errors"
local guard = require "dmlua.guard"
local json = require "dmlua.json"
local quote = require "dmlua.quote"

local M = {}

local function query(step, sql, ...)
  local file, line = errors.where()
  return step.bind:query(sql, { ... }, file, line).rows
end

local function qualified(place)
  return quote.qualified(place.schema, place.table)
end

-- $1: table, $2: a name for an index of its. The name, or the next one that is free.
local free_name = [[
SELECT f.name FROM pg_catalog.pg_class t
CROSS JOIN LATERAL (SELECT n, CASE n WHEN 0 THEN $2::text ELSE left($2::text, 60) || '_' || n END AS name
  FROM pg_catalog.generate_series(0, 99) AS n) AS f
WHERE t.oid = pg_catalog.to_regclass($1) AND NOT EXISTS (SELECT FROM pg_catalog.pg_class x
  WHERE x.relnamespace = t.relnamespace AND x.relname = f.name::name)
ORDER BY f.n LIMIT 1]]

-- $1: table, $2: tenant column.
local is_filled = [[
SELECT coalesce((SELECT attnotnull FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass($1)
  AND attname = $2::name AND NOT attisdropped), false) AS so]]

-- $1: table, $2: tenant column, $3: referent, $4: its column.
local is_referring = [[
SELECT count(*) > 0 AS so FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_attribute l ON l.attrelid = c.conrelid AND ARRAY[l.attnum] = c.conkey
JOIN pg_catalog.pg_attribute r ON r.attrelid = c.confrelid AND ARRAY[r.attnum] = c.confkey
WHERE c.contype = 'f' AND c.convalidated AND c.conrelid = pg_catalog.to_regclass($1)
  AND c.confrelid = pg_catalog.to_regclass($3) AND l.attname = $2::name AND r.attname = $4::name]]

-- The statements that build what is missing, for psql.
local function write_indexes(step, place, wanted)
  local probe = guard.sql.tenant_indexes:gsub("%$1", "%0::regclass"):gsub("%$2", "%0::json")
  local sql = "SELECT regexp_replace(f.repair, '^CREATE (UNIQUE )?INDEX', 'CREATE \\1INDEX CONCURRENTLY') FROM (\n"
    .. probe .. "\n) AS f WHERE f.failed = 'tenant_index_missing' ORDER BY f.place"
  step.bind:run_rows(sql, { qualified(place), json.encode(wanted) })
end

--- The indexes that are missing are built concurrently; those that a failed run has left invalid are built anew.
function M.ensure_indexes(step, place, wanted, send)
  send(blocks.sees_table(place))
  if step.bind.offline then
    write_indexes(step, place, wanted)
    return send(blocks.assert_indexes(place, wanted))
  end
  local findings = query(step, guard.sql.tenant_indexes, qualified(place), json.encode(wanted))
  for _, finding in ipairs(findings) do
    local index = wanted[finding.place]
    if finding.failed ~= "index_column_missing" then
      local name = index.name or quote.cut(place.table .. "_" .. table.concat(index.columns, "_"))
      if finding.failed == "tenant_index_missing" then
        name = query(step, free_name, qualified(place), quote.cut(name))[1].name
      end
      step.op.create_index_online(name, place.table, index.columns, { schema = place.schema, unique = index.is_unique })
    end
  end
  send(blocks.assert_indexes(place, wanted))
end

--- The column is there, filled in batches and NOT NULL; it refers to the tenants' table by a key that is validated
--- without a lock. `key`: schema, table, column, or nil.
function M.ensure_column(step, place, options, key, send)
  send(blocks.add_column(place))
  if not query(step, is_filled, qualified(place), place.column)[1].so then
    step.op.add_not_null_online(place.table, place.column,
      { schema = place.schema, backfill = options.backfill, batch_size = options.batch_size })
  end
  send(blocks.ensure_column(place, true))
  if key and not query(step, is_referring, qualified(place), place.column, quote.qualified(key.schema, key.table),
      key.column)[1].so then
    step.op.add_foreign_key_online(quote.cut(place.table .. "_" .. place.column .. "_fkey"), place.table, key.table,
      { place.column }, { key.column }, { source_schema = place.schema, referent_schema = key.schema })
  end
end

return M
