-- The types of enumerations: record → statements. CREATE TYPE has no IF NOT EXISTS: the server looks first. Pure.

local block = require "dmlua.block"
local quote = require "dmlua.quote"

local M = {}

-- `to_regtype` finds a name as CREATE TABLE will, by the search path.
local unless_there = [[

DECLARE
  found oid := pg_catalog.to_regtype({name});
  there text[] := ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = found);
  missing text := pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.unnest({labels}) EXCEPT
    SELECT pg_catalog.unnest(there)), ', ');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = found AND t.typtype = 'e') THEN
    {create};
  ELSIF missing <> '' THEN
    {otherwise}
  END IF;
END
]]

local refused = [[RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
      MESSAGE = pg_catalog.format('enum %s is there already, without: %s', {name}, missing),
      HINT = 'ALTER TYPE … ADD VALUE adds them; { create_type = false } takes the type as it is.';]]

local warned = [[RAISE WARNING 'enum % is there already, without: %', {name}, missing;]]

local function create_statement(enum)
  local labels = {}
  for i, label in ipairs(enum.labels) do labels[i] = quote.literal(label) end
  return ("CREATE TYPE %s AS ENUM (%s)"):format(enum.sql, table.concat(labels, ", "))
end

local function create_unless_there(enum, otherwise)
  local name, labels = quote.literal(enum.sql), quote.literals(enum.labels)
  local values = { name = name, labels = labels, create = create_statement(enum) }
  values.otherwise = block.fill(otherwise, values)
  return block.statement(unless_there, values)
end

--- CREATE TYPE; with `checkfirst` only where there is none of its name.
function M.create_enum_type(record)
  if not record.checkfirst then return { create_statement(record.enum) } end
  return { create_unless_there(record.enum, warned) }
end

function M.drop_enum_type(record)
  return { (record.checkfirst and "DROP TYPE IF EXISTS " or "DROP TYPE ") .. record.enum.sql }
end

local function enum_of(column)
  local type = column.type
  while type.item_type do type = type.item_type end
  return type.labels and type.create_type ~= false and #type.labels > 0 and type or nil
end

--- The statements that make the types of these columns: each once, as SQLAlchemy does before CREATE TABLE. A type that
--- is there serves, if it has all the labels.
function M.needed(columns)
  local statements, seen = {}, {}
  for _, column in ipairs(columns) do
    local enum = enum_of(column)
    if enum and not seen[enum.sql] then
      seen[enum.sql] = true
      statements[#statements + 1] = create_unless_there(enum, refused)
    end
  end
  return statements
end

return M
