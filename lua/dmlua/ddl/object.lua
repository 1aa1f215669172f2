-- Schemas, extensions, constraints that exist, names and comments: record → statements. Pure.

local block = require "dmlua.block"
local drop = require "dmlua.ddl.drop"
local kinds = require "dmlua.kinds_postgresql"
local quote = require "dmlua.quote"

local M = {}

function M.create_schema(record)
  return { "CREATE SCHEMA " .. (record.if_not_exists and "IF NOT EXISTS " or "") .. quote.ident(record.schema_name)
    .. (record.authorization and " AUTHORIZATION " .. quote.ident(record.authorization) or "") }
end

M.drop_schema = drop("SCHEMA", function(record) return quote.ident(record.schema_name) end)

function M.create_extension(record)
  local text = "CREATE EXTENSION " .. (record.if_not_exists and "IF NOT EXISTS " or "")
    .. quote.ident(record.extension_name)
  if record.schema then text = text .. " SCHEMA " .. quote.ident(record.schema) end
  if record.version then text = text .. " VERSION " .. quote.literal(record.version) end
  return { text .. (record.cascade and " CASCADE" or "") }
end

M.drop_extension = drop("EXTENSION", function(record) return quote.ident(record.extension_name) end)

local function alter_table(record)
  return "ALTER TABLE " .. quote.qualified(record.schema, record.table_name) .. " "
end

function M.validate_constraint(record)
  return { alter_table(record) .. "VALIDATE CONSTRAINT " .. quote.ident(record.constraint_name) }
end

local function using_index(kind)
  return function(record)
    local text = alter_table(record) .. "ADD CONSTRAINT " .. quote.ident(record.constraint_name) .. " " .. kind
      .. " USING INDEX " .. quote.ident(record.index_name)
    if record.deferrable ~= nil then text = text .. (record.deferrable and " DEFERRABLE" or " NOT DEFERRABLE") end
    return { text .. (record.initially and " INITIALLY " .. record.initially or "") }
  end
end
M.create_unique_constraint_using_index = using_index "UNIQUE"
M.create_primary_key_using_index = using_index "PRIMARY KEY"

function M.rename_index(record)
  return { "ALTER INDEX " .. (record.if_exists and "IF EXISTS " or "")
    .. quote.qualified(record.schema, record.old_index_name) .. " RENAME TO " .. quote.ident(record.new_index_name) }
end

-- ALTER TABLE … RENAME CONSTRAINT has no IF EXISTS.
local has_constraint = "SELECT FROM pg_catalog.pg_constraint WHERE conrelid = pg_catalog.to_regclass({table})"
  .. " AND conname = {name}"

function M.rename_constraint(record)
  local rename = alter_table(record) .. "RENAME CONSTRAINT " .. quote.ident(record.old_constraint_name) .. " TO "
    .. quote.ident(record.new_constraint_name)
  if not record.if_exists then return { rename } end
  return { block.if_there(has_constraint, {
    table = quote.literal(quote.qualified(record.schema, record.table_name)),
    name = quote.literal(record.old_constraint_name),
  }, rename) }
end

local names = {}

function names.plain(record)
  return quote.ident(record.name)
end

function names.qualified(record)
  return quote.qualified(record.schema, record.name)
end

function names.column(record)
  return quote.qualified(record.schema, record.table_name) .. "." .. quote.ident(record.name)
end

function names.on_table(record)
  return quote.ident(record.name) .. " ON " .. quote.qualified(record.schema, record.table_name)
end

function names.routine(record)
  return quote.qualified(record.schema, record.name) .. "(" .. (record.arguments or "") .. ")"
end

function M.comment_on(record)
  local name = names[kinds.comment_objects[record.object]](record)
  return { "COMMENT ON " .. record.object .. " " .. name .. " IS " .. quote.value(record.comment) }
end

return M
