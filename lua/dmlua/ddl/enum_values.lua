-- Enums and their values: record → statements. Pure.

local block = require "dmlua.block"
local drop = require "dmlua.ddl.drop"
local quote = require "dmlua.quote"

local M = {}

local function name_of(record)
  return quote.qualified(record.schema, record.enum_name)
end

local function create_text(record)
  local labels = {}
  for i, label in ipairs(record.values) do labels[i] = quote.literal(label) end
  return "CREATE TYPE " .. name_of(record) .. " AS ENUM (" .. table.concat(labels, ", ") .. ")"
end

-- CREATE TYPE has no IF NOT EXISTS. An enum that is there must have these values, in this order.
local unless_there = [[

DECLARE
  found oid := pg_catalog.to_regtype({type});
  labels text[] := ARRAY(SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = found ORDER BY enumsortorder);
BEGIN
  IF found IS NULL THEN
    EXECUTE {create};
  ELSIF labels <> {labels} THEN
    RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
      MESSAGE = format('type %s is there already, and is another one', {type}),
      DETAIL = format('there: %s; wanted: %s', array_to_string(labels, ', '), array_to_string({labels}, ', ')),
      HINT = 'op.add_enum_value adds a value.';
  END IF;
END
]]

function M.create_enum(record)
  if not record.if_not_exists then return { create_text(record) } end
  return { block.statement(unless_there, { type = quote.literal(name_of(record)),
    labels = quote.literals(record.values), create = quote.literal(create_text(record)) }) }
end

M.drop_enum = drop("TYPE", name_of)

function M.add_enum_value(record)
  local text = "ALTER TYPE " .. name_of(record) .. " ADD VALUE " .. (record.if_not_exists and "IF NOT EXISTS " or "")
    .. quote.literal(record.value)
  if record.before then text = text .. " BEFORE " .. quote.literal(record.before) end
  if record.after then text = text .. " AFTER " .. quote.literal(record.after) end
  return { text }
end

local has_value = "SELECT FROM pg_catalog.pg_enum WHERE enumtypid = pg_catalog.to_regtype({type})"
  .. " AND enumlabel = {value}"

function M.rename_enum_value(record)
  local rename = "ALTER TYPE " .. name_of(record) .. " RENAME VALUE " .. quote.literal(record.old_value) .. " TO "
    .. quote.literal(record.new_value)
  if not record.if_exists then return { rename } end
  return { block.if_there(has_value, { type = quote.literal(name_of(record)),
    value = quote.literal(record.old_value) }, rename) }
end

return M
