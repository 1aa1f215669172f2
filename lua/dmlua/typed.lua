-- Values of typed columns and parameters, as what params.encode takes: SQLAlchemy's types turn Python's values into the
-- server's, these turn Lua's.

local json = require "dmlua.json"
local null = require "dmlua.null"
local record = require "dmlua.record"

local M = {}

local function as_json(value)
  return json.text(value) and value or json(value)
end

local converters = {
  JSON = as_json, JSONB = as_json,
  -- bytea reads hexadecimal digits behind \x
  BYTEA = function(value)
    if type(value) ~= "string" then return value end
    return "\\x" .. value:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  end,
}

local function list_of(element_type, values)
  local converted = {}
  for i, value in ipairs(values) do converted[i] = M.value(element_type, value) end
  return converted
end

--- `value` as a value of `type` (nil: as it is). `null` of a JSON type is JSON's own null unless the type says
--- none_as_null, as SQLAlchemy's None is; of any other it is SQL's.
function M.value(type_, value)
  if value == nil or not type_ then return value end
  if value == null then return converters[type_.sql] == as_json and not type_.none_as_null and json(null) or null end
  if type_.item_type and record.plain(value) then return list_of(type_.item_type, value) end
  local convert = converters[type_.sql]
  return convert and convert(value) or value
end

return M
