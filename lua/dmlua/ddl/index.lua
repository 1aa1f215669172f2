-- Indexes: record → statements. Pure.

local expression = require "dmlua.ddl.expression"
local quote = require "dmlua.quote"
local storage = require "dmlua.ddl.storage"

local M = {}

local function key_parts(record)
  local operator_classes, parts = record.postgresql_ops or {}, {}
  for i, column in ipairs(record.columns) do
    local text = type(column) == "string" and quote.ident(column) or expression.sql(column)
    local class = type(column) == "string" and operator_classes[column]
    parts[i] = class and text .. " " .. class or text
  end
  return table.concat(parts, ", ")
end

--- CREATE INDEX, its clauses in the order of PostgreSQL's grammar. Without a name the server makes one; `only`: not on
--- the table's partitions.
function M.create_index(record)
  local parts = { "CREATE" }
  local function add(condition, text) if condition then parts[#parts + 1] = text end end
  add(record.unique, "UNIQUE")
  add(true, "INDEX")
  add(record.postgresql_concurrently, "CONCURRENTLY")
  add(record.if_not_exists, "IF NOT EXISTS")
  add(record.index_name, record.index_name and quote.ident(record.index_name))
  add(true, (record.only and "ON ONLY " or "ON ") .. quote.qualified(record.schema, record.table_name))
  add(record.postgresql_using, "USING " .. tostring(record.postgresql_using):lower())
  add(true, "(" .. key_parts(record) .. ")")
  if record.postgresql_include then add(true, "INCLUDE (" .. quote.idents(record.postgresql_include) .. ")") end
  add(record.postgresql_nulls_not_distinct, "NULLS NOT DISTINCT")
  if record.postgresql_with then add(true, "WITH (" .. storage(record.postgresql_with) .. ")") end
  if record.postgresql_tablespace then add(true, "TABLESPACE " .. quote.ident(record.postgresql_tablespace)) end
  if record.postgresql_where then add(true, "WHERE " .. expression.sql(record.postgresql_where)) end
  return { table.concat(parts, " ") }
end

function M.drop_index(record)
  return { "DROP INDEX " .. (record.postgresql_concurrently and "CONCURRENTLY " or "")
    .. (record.if_exists and "IF EXISTS " or "") .. quote.qualified(record.schema, record.index_name)
    .. (record.cascade and " CASCADE" or "") }
end

return M
