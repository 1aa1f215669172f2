-- Columns: record → the text that stands in CREATE TABLE and behind ADD COLUMN, as SQLAlchemy orders it. Pure.

local constraint = require "dmlua.ddl.constraint"
local errors = require "dmlua.errors"
local expression = require "dmlua.ddl.expression"
local quote = require "dmlua.quote"

local M = {}

-- By a type's affinity. SQLAlchemy counts numeric keys up too, as integers.
local serials = { integer = "SERIAL", smallint = "SMALLSERIAL", bigint = "BIGSERIAL", numeric = "SERIAL" }

--- Does SQLAlchemy count this column of a primary key up by itself ("autoincrement")? `alone`: it is the whole key.
function M.counts_up(column, alone)
  local wanted = column.autoincrement
  if wanted == true and not serials[column.type.affinity] then
    local text = "column %s: autoincrement = true needs an integer type, not %s"
    errors.raise { kind = "migration", message = text:format(column.name, column.type.sql) }
  end
  if not serials[column.type.affinity] or column.identity or wanted == false then return false end
  if wanted == true then return true end
  if not alone or column.server_default ~= nil or column.ignored == "default" then return false end
  return not column.refers or wanted == "ignore_fk"
end

local integer_options = { { "start", "START WITH" }, { "increment", "INCREMENT BY" }, { "minvalue", "MINVALUE" },
  { "maxvalue", "MAXVALUE" }, { "cache", "CACHE" } }

--- The options of an identity, a list: START WITH 1, NO CYCLE, …
function M.identity_options(identity)
  local options = {}
  for _, option in ipairs(integer_options) do
    local value = identity[option[1]]
    if value then options[#options + 1] = option[2] .. " " .. quote.value(value) end
  end
  if identity.nominvalue then options[#options + 1] = "NO MINVALUE" end
  if identity.nomaxvalue then options[#options + 1] = "NO MAXVALUE" end
  if identity.cycle ~= nil then options[#options + 1] = identity.cycle and "CYCLE" or "NO CYCLE" end
  return options
end

--- GENERATED … AS IDENTITY (…).
function M.identity(identity)
  local options = table.concat(M.identity_options(identity), " ")
  return "GENERATED " .. (identity.always and "ALWAYS" or "BY DEFAULT") .. " AS IDENTITY"
    .. (options ~= "" and " (" .. options .. ")" or "")
end

--- name TYPE [DEFAULT …] [GENERATED …] [NOT NULL] [CHECK …]
function M.definition(column, serial)
  local parts = { quote.ident(column.name), serial and serials[column.type.affinity] or column.type.sql }
  if not serial and column.server_default ~= nil then
    local default = expression.default(column.server_default)
    if default ~= "NULL" then parts[#parts + 1] = "DEFAULT " .. default end
  end
  if column.computed then
    parts[#parts + 1] = "GENERATED ALWAYS AS (" .. expression.sql(column.computed.sqltext) .. ") STORED"
  end
  if column.identity then parts[#parts + 1] = M.identity(column.identity) end
  if not column.nullable and not column.identity then parts[#parts + 1] = "NOT NULL" end
  for _, check in ipairs(column.checks) do parts[#parts + 1] = constraint.check(check) end
  return table.concat(parts, " ")
end

--- The foreign key of one column as a constraint of its table.
function M.foreign_key(column, key)
  local copy = {}
  for name, value in pairs(key) do copy[name] = value end
  copy.local_cols, copy.remote_cols = { column.name }, { key.remote }
  return copy
end

--- The index that `index = true` asks for: without a naming convention it is SQLAlchemy's ix_TABLE_COLUMN.
function M.index(column, record)
  local prefix = record.schema and record.schema:gsub("%.", "_") .. "_" or ""
  local name = column.index_name or "ix_" .. prefix .. record.table_name .. "_" .. column.name
  return { kind = "create_index", index_name = name, table_name = record.table_name, schema = record.schema,
    columns = { column.name }, unique = column.unique, if_not_exists = record.if_not_exists }
end

--- COMMENT ON COLUMN.
function M.comment(schema, table_name, name, text)
  local column = quote.qualified(schema, table_name) .. "." .. quote.ident(name)
  return "COMMENT ON COLUMN " .. column .. " IS " .. quote.value(text)
end

return M
