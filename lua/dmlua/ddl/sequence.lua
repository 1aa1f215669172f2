-- Sequences: record → statements. Pure.

local drop = require "dmlua.ddl.drop"
local null = require "dmlua.null"
local quote = require "dmlua.quote"

local M = {}

local numbers = { { "increment", "INCREMENT BY" }, { "minvalue", "MINVALUE" }, { "maxvalue", "MAXVALUE" },
  { "start", "START WITH" }, { "restart", "RESTART WITH" }, { "cache", "CACHE" } }

-- "table.column" stands in the sequence's own schema: PostgreSQL demands it.
local function owner(record)
  if record.owned_by == null then return "NONE" end
  local table_name, column = record.owned_by:match("^([^.]+)%.(.+)$")
  return quote.qualified(record.schema, table_name) .. "." .. quote.ident(column)
end

local function options(record)
  local parts = {}
  local function add(condition, text) if condition then parts[#parts + 1] = text end end
  if record.type_ then add(true, "AS " .. record.type_.sql) end
  for _, option in ipairs(numbers) do
    local value = record[option[1]]
    if math.type(value) == "integer" then add(true, option[2] .. " " .. quote.value(value)) end
  end
  add(record.restart == true, "RESTART")
  add(record.nominvalue, "NO MINVALUE")
  add(record.nomaxvalue, "NO MAXVALUE")
  if record.cycle ~= nil then add(true, record.cycle and "CYCLE" or "NO CYCLE") end
  if record.owned_by then add(true, "OWNED BY " .. owner(record)) end
  return #parts > 0 and " " .. table.concat(parts, " ") or ""
end

local function name_of(record)
  return quote.qualified(record.schema, record.sequence_name)
end

function M.create_sequence(record)
  return { "CREATE SEQUENCE " .. (record.if_not_exists and "IF NOT EXISTS " or "") .. name_of(record)
    .. options(record) }
end

function M.alter_sequence(record)
  return { "ALTER SEQUENCE " .. (record.if_exists and "IF EXISTS " or "") .. name_of(record) .. options(record) }
end

M.drop_sequence = drop("SEQUENCE", name_of)

return M
