-- A column's type as the catalogue has it → a type of the vocabulary: name, SQL and parameters as SQLAlchemy has them.

local record = require "dmlua.record"

local M = {}

local affinities = { integer = "integer", smallint = "smallint", bigint = "bigint", numeric = "numeric" }

local function sized(word)
  return function(rest)
    local length = math.tointeger(tonumber(rest:match("^%((%d+)%)$")))
    return { name = word, sql = length and ("%s(%d)"):format(word, length) or word, length = length }
  end
end

local function timed(word)
  return function(rest)
    local precision = math.tointeger(tonumber(rest:match("^%((%d+)%)")))
    local zone = rest:find("with time zone", 1, true) ~= nil
    local sql = ("%s%s %s TIME ZONE"):format(word, precision and ("(%d)"):format(precision) or "",
      zone and "WITH" or "WITHOUT")
    return { name = word, sql = sql, timezone = zone, precision = precision }
  end
end

local function numeric(rest)
  local precision, scale = rest:match("^%((%d+),(-?%d+)%)$")
  if not precision then return { name = "NUMERIC", sql = "NUMERIC" } end
  return { name = "NUMERIC", sql = ("NUMERIC(%s, %s)"):format(precision, scale),
    precision = math.tointeger(tonumber(precision)), scale = math.tointeger(tonumber(scale)) }
end

-- "interval day to second(2)", "interval(3)" → "INTERVAL DAY TO SECOND (2)", "INTERVAL (3)"
local function interval(rest)
  local fields, precision = rest:match("^(.-)%(?(%d*)%)?$")
  local words = fields ~= "" and "INTERVAL " .. fields:upper() or "INTERVAL"
  return { name = "INTERVAL", sql = precision ~= "" and ("%s (%s)"):format(words, precision) or words,
    fields = fields ~= "" and fields:upper() or nil, precision = math.tointeger(tonumber(precision)) }
end

-- By the words that format_type begins with; the rest is handed over.
local readers = {
  { "character varying", sized "VARCHAR" }, { "character", sized "CHAR" }, { "bit varying", sized "BIT VARYING" },
  { "bit", sized "BIT" }, { "timestamp", timed "TIMESTAMP" }, { "time", timed "TIME" }, { "numeric", numeric },
  { "interval", interval },
}

local function fields_of(text)
  for _, reader in ipairs(readers) do
    local words = reader[1]
    local rest = text:sub(#words + 1)
    if text:sub(1, #words) == words and not rest:find("^[%w_]") then return reader[2]((rest:gsub("^ ", ""))) end
  end
  if text:find("^[a-z0-9 ]+$") then return { name = text:upper(), sql = text:upper() } end
  return { name = text:match("^[%w_]+") and text:match("^[%w_]+"):upper() or text, sql = text }
end

local function enum_of(found)
  return { name = "ENUM", type_name = found.type_name, schema = found.type_schema, sql = found.type,
    labels = found.labels, enums = found.labels, create_type = false }
end

--- The type of a column: `found.type` is format_type's text; `labels`, `type_name`, `type_schema` are an enum's (or
--- those of an array of enums).
function M.read(found)
  local element = found.type:match("^(.*)%[%]$")
  local fields
  if element then
    local inner = {}
    for name, value in pairs(found) do inner[name] = value end
    inner.type = element
    local item = M.read(inner)
    fields = { name = "ARRAY", sql = item.sql .. "[]", item_type = item }
  else
    fields = found.labels and enum_of(found) or fields_of(found.type)
    fields.affinity = affinities[found.type:match("^%a+")]
  end
  fields.kind = "type"
  return record.new(fields)
end

return M
