-- Triggers: record → statements. Pure.

local compare = require "dmlua.ddl.compare"
local drop = require "dmlua.ddl.drop"
local expression = require "dmlua.ddl.expression"
local quote = require "dmlua.quote"

local M = {}

local function events(record)
  local parts = {}
  for i, event in ipairs(record.events) do
    local columns = event == "UPDATE" and record.update_of
    parts[i] = columns and "UPDATE OF " .. quote.idents(columns) or event
  end
  return table.concat(parts, " OR ")
end

local function referencing(record)
  local parts = {}
  if record.old_table then parts[#parts + 1] = "OLD TABLE AS " .. quote.ident(record.old_table) end
  if record.new_table then parts[#parts + 1] = "NEW TABLE AS " .. quote.ident(record.new_table) end
  return #parts > 0 and "REFERENCING " .. table.concat(parts, " ")
end

local function arguments(record)
  local parts = {}
  for i, text in ipairs(record.arguments or {}) do parts[i] = quote.literal(text) end
  return table.concat(parts, ", ")
end

local function create_text(record, name)
  local parts = { record.constraint and "CREATE CONSTRAINT TRIGGER" or "CREATE TRIGGER", quote.ident(name),
    record.timing, events(record), "ON " .. quote.qualified(record.schema, record.table_name) }
  local function add(text) if text then parts[#parts + 1] = text end end
  if record.deferrable ~= nil then add(record.deferrable and "DEFERRABLE" or "NOT DEFERRABLE") end
  add(record.initially and "INITIALLY " .. record.initially)
  add(referencing(record))
  add("FOR EACH " .. (record.for_each or "ROW"))
  add(record.when and "WHEN (" .. expression.sql(record.when) .. ")")
  add("EXECUTE FUNCTION " .. quote.qualified(record.function_schema, record.function_name) .. "(" .. arguments(record)
    .. ")")
  return table.concat(parts, " ")
end

local function definition(name)
  return "(SELECT replace(pg_catalog.pg_get_triggerdef(oid), ' TRIGGER ' || quote_ident(tgname), ' TRIGGER')"
    .. " FROM pg_catalog.pg_trigger WHERE tgrelid = target AND NOT tgisinternal AND tgname = " .. name .. ")"
end

local drop_trigger = drop("TRIGGER", function(record)
  return quote.ident(record.trigger_name) .. " ON " .. quote.qualified(record.schema, record.table_name)
end)
M.drop_trigger = drop_trigger

--- CREATE TRIGGER. With `replace` the old one is dropped first: CREATE OR REPLACE came with PostgreSQL 14, and does not
--- replace a constraint trigger.
function M.create_trigger(record)
  local function create(name) return create_text(record, name) end
  if record.if_not_exists then
    local table_name = quote.qualified(record.schema, record.table_name)
    return { compare.statement("trigger", table_name, record.trigger_name, definition, create) }
  end
  local statements = {}
  if record.replace then statements = drop_trigger(setmetatable({ if_exists = true }, { __index = record })) end
  statements[#statements + 1] = create(record.trigger_name)
  return statements
end

return M
