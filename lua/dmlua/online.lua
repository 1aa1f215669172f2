-- Online composites: what would hold a lock over a scan or a rewrite, as one call that cuts the step into parts. Each
-- part holds its locks briefly or lets reads and writes go on. Killed anywhere, the next run goes on where it was.

local arguments = require "dmlua.arguments"
local batches = require "dmlua.online.batches"
local blocks = require "dmlua.online.blocks"
local compare = require "dmlua.ddl.compare"
local constraint_ddl = require "dmlua.ddl.constraint"
local errors = require "dmlua.errors"
local expression = require "dmlua.ddl.expression"
local index_ddl = require "dmlua.ddl.index"
local op_signatures = require "dmlua.signatures"
local partitioned_index = require "dmlua.online.partitioned_index"
local quote = require "dmlua.quote"
local record = require "dmlua.record"

local M = {}

local BATCH_SIZE = 1000
-- Helpers of ours on a table begin like this; a script that was given up may have left them.
local PREFIX = "dmlua_"

arguments.kind("batch_size", function(value)
  local whole = type(value) == "number" and math.tointeger(value)
  if whole and whole > 0 then return whole end
  return nil, "a whole number above 0"
end)

arguments.kind("assignments", function(value)
  local expected = "values by column, such as { state = 'open', total = sa.text('price * amount') }"
  if not record.plain(value) or next(value) == nil then return nil, expected end
  local copy = {}
  for name, entry in pairs(value) do
    local kind = record.kind(entry)
    local known = kind == "text" or kind == "func" or not kind and quote.value(entry)
    if type(name) ~= "string" or not known then return nil, expected end
    copy[name] = entry
  end
  return copy
end, true)

local function without(options, ...)
  local copy = {}
  for name, kind in pairs(options) do copy[name] = kind end
  for _, name in ipairs { ... } do copy[name] = nil end
  return copy
end

local foreign_key = op_signatures.create_foreign_key
local index = op_signatures.create_index

M.signatures = {
  add_check_online = {
    { "constraint_name", "name" }, { "table_name", "name" }, { "condition", "expression" },
    options = { schema = "name" },
  },
  add_foreign_key_online = {
    { "constraint_name", "name" }, foreign_key[2], foreign_key[3], foreign_key[4], foreign_key[5],
    options = without(foreign_key.options, "postgresql_not_valid"),
  },
  add_not_null_online = {
    { "table_name", "name" }, { "column_name", "name" },
    options = { schema = "name", backfill = "expression", batch_size = "batch_size" },
  },
  change_type_online = {
    { "table_name", "name" }, { "column_name", "name" }, { "type_", "type" },
    options = { schema = "name", postgresql_using = "expression", batch_size = "batch_size" },
  },
  create_index_online = {
    { "index_name", "name" }, index[2], index[3],
    options = without(index.options, "if_not_exists", "postgresql_concurrently"),
  },
  update_in_batches = {
    { "table_name", "name" }, { "values", "assignments" },
    options = { schema = "name", where = "expression", batch_size = "batch_size" },
  },
}

-- The statements of one call of the directive of this name, as parts of the step.
local function new_parts(bind, name)
  local parts = {}
  local file, line = errors.where()

  function parts.send(sql) bind:send(sql, nil, file, line) end

  --- Waits for the rows of a query; a rerun gets the same ones.
  function parts.query(sql, ...)
    if bind.offline then bind.refuse(name) end
    return bind:query(sql, { ... }, file, line).rows
  end

  --- Each of these statements is a part; one that refuses a transaction goes outside of one.
  function parts.alone(statements)
    bind:autocommit(function()
      for _, sql in ipairs(statements) do parts.send(sql) end
    end)
  end

  --- Ends the open part.
  function parts.cut() parts.alone {} end

  --- The key that batches go along: columns with name and type.
  function parts.key(table_name, full)
    local key = parts.query(batches.key_query, table_name)
    if #key > 0 then return key end
    return arguments.fail(full, "%s has no primary key and no unique index over NOT NULL columns to go along in "
      .. "batches", table_name)
  end

  --- A statement that is repeated with its own cursor.
  function parts.batches(sql) bind:batches(sql, nil, file, line) end

  return parts
end

local function constraint_definition(name)
  return "(SELECT replace(pg_catalog.pg_get_constraintdef(oid), ' NOT VALID', '') FROM pg_catalog.pg_constraint"
    .. " WHERE conrelid = target AND conname = " .. name .. ")"
end

-- ADD CONSTRAINT … NOT VALID. One of this name that is there, as a run that was given up leaves it, must be the same.
local function add_not_valid(table_name, name, constraint)
  local function create(as)
    local made = setmetatable({ name = as, postgresql_not_valid = true }, { __index = constraint })
    return "ALTER TABLE " .. table_name .. " ADD " .. constraint_ddl.sql(made)
  end
  return blocks.gently(compare.statement("constraint", table_name, name, constraint_definition, create))
end

local function validate(table_name, name)
  return "ALTER TABLE " .. table_name .. " VALIDATE CONSTRAINT " .. quote.ident(name)
end

local composites = {}

-- ADD takes ACCESS EXCLUSIVE, but without the scan; VALIDATE scans, and lets reads and writes pass.
function composites.add_check_online(given, parts)
  local table_name = quote.qualified(given.schema, given.table_name)
  parts.alone {
    add_not_valid(table_name, given.constraint_name, { kind = "check", condition = given.condition }),
    validate(table_name, given.constraint_name),
  }
end

function composites.add_foreign_key_online(given, parts, full)
  if #given.local_cols ~= #given.remote_cols then
    arguments.fail(full, "local_cols has %d columns, remote_cols %d", #given.local_cols, #given.remote_cols)
  end
  local source = quote.qualified(given.source_schema, given.source_table)
  local key = setmetatable({ kind = "foreign_key", referent = given.referent_table }, { __index = given })
  local referent = quote.qualified(given.referent_schema, given.referent_table)
  parts.send(blocks.sees_all({ source, referent }, "op.create_foreign_key"))
  parts.alone {
    add_not_valid(source, given.constraint_name, key),
    validate(source, given.constraint_name),
  }
end

local function update_in_batches(given, parts, full, set, where)
  local key = parts.key(quote.qualified(given.schema, given.table_name), full)
  return batches.statement { table_name = given.table_name, schema = given.schema, key = key,
    size = given.batch_size or BATCH_SIZE, set = set, where = where }
end

function composites.update_in_batches(given, parts, full)
  local names, set = {}, {}
  for name in pairs(given.values) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do set[i] = { name, expression.default(given.values[name]) } end
  parts.send(blocks.sees_all({ quote.qualified(given.schema, given.table_name) },
    "op.execute in op.across_tenants"))
  parts.batches(update_in_batches(given, parts, full, set, given.where and expression.sql(given.where)))
end

-- A CHECK that is valid spares SET NOT NULL the scan (PostgreSQL 12). The rows are filled twice: most of them before
-- the CHECK refuses new ones without a value, and the few that came meanwhile behind it.
function composites.add_not_null_online(given, parts, full)
  local table_name, column = quote.qualified(given.schema, given.table_name), quote.ident(given.column_name)
  local helper = quote.cut(PREFIX .. "not_null_" .. given.column_name)
  local check = { kind = "check", condition = column .. " IS NOT NULL" }
  local fill
  if given.backfill then
    parts.send(blocks.sees_all({ table_name }, "op.execute in op.across_tenants"))
    fill = update_in_batches(given, parts, full, { { given.column_name, expression.sql(given.backfill) } },
      quote.ident(given.table_name) .. "." .. column .. " IS NULL")
    parts.batches(fill)
  end
  parts.alone { add_not_valid(table_name, helper, check) }
  if fill then parts.batches(fill) end
  parts.alone {
    validate(table_name, helper),
    blocks.gently("ALTER TABLE " .. table_name .. " ALTER COLUMN " .. column .. " SET NOT NULL"),
    blocks.gently("ALTER TABLE " .. table_name .. " DROP CONSTRAINT " .. quote.ident(helper)),
  }
end

local function with(given, more)
  return setmetatable(more, { __index = given })
end

-- CREATE INDEX on an empty copy of the table, where the server says how its definition reads.
local function index_probe(given, name)
  return index_ddl.create_index {
    index_name = name, schema = "pg_temp", table_name = "dmlua_probe", columns = given.columns,
    unique = given.unique, postgresql_using = given.postgresql_using, postgresql_ops = given.postgresql_ops,
    postgresql_include = given.postgresql_include, postgresql_where = given.postgresql_where,
    postgresql_with = given.postgresql_with, postgresql_nulls_not_distinct = given.postgresql_nulls_not_distinct,
  }[1]
end

function composites.create_index_online(given, parts)
  local table_name = quote.qualified(given.schema, given.table_name)
  local create = index_ddl.create_index(with(given, { postgresql_concurrently = true }))[1]
  parts.send(blocks.look_for_index(table_name, given.index_name, create, index_probe(given, given.index_name)))
  local state = parts.query("SELECT current_setting('dmlua.index') AS state")[1].state
  if state == "invalid" then
    parts.alone { "DROP INDEX CONCURRENTLY " .. quote.qualified(given.schema, given.index_name), create }
  elseif state == "missing" then
    parts.alone { create }
  elseif state == "partitioned" then
    partitioned_index.create(given, parts, table_name, index_probe(given))
  end
end

function composites.change_type_online(given, parts, full)
  require("dmlua.online.change_type")(given, parts, full, BATCH_SIZE)
end

local function directive(step, name)
  local full, composite = "op." .. name, composites[name]
  return function(...)
    local given = arguments.read(full, M.signatures[name], ...)
    if step.in_autocommit then
      arguments.fail(full, "cuts the step itself: it cannot stand inside an autocommit_block")
    end
    if (step.open_doors or 0) > 0 then
      arguments.fail(full, "leaves the transaction: it cannot stand inside op.across_tenants")
    end
    composite(given, new_parts(step.bind, full), full)
  end
end

--- The composites of one step, by name.
function M.new(step)
  local op = {}
  for name in pairs(M.signatures) do op[name] = directive(step, name) end
  return op
end

return M
