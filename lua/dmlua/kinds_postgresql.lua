-- The kinds of arguments that only the directives of PostgreSQL take.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"
local null = require "dmlua.null"
local record = require "dmlua.record"

local M = {}

local function listed(words)
  return "one of " .. table.concat(words, ", ")
end

-- One of the words, in any case; kept in upper case.
local function word_of(words, value)
  if type(value) ~= "string" then return nil, listed(words) end
  local upper = value:upper():gsub("%s+", " ")
  for _, word in ipairs(words) do
    if upper == word then return word end
  end
  return nil, listed(words) .. errors.suggestion(upper, words)
end

local function choice(name, ...)
  local words = { ... }
  arguments.kind(name, function(value) return word_of(words, value) end)
end

choice("check_option", "LOCAL", "CASCADED")
choice("volatility", "IMMUTABLE", "STABLE", "VOLATILE")
choice("parallel", "SAFE", "RESTRICTED", "UNSAFE")
choice("timing", "BEFORE", "AFTER", "INSTEAD OF")
choice("for_each", "ROW", "STATEMENT")
choice("policy_command", "ALL", "SELECT", "INSERT", "UPDATE", "DELETE")
choice("default_kind", "TABLES", "SEQUENCES", "FUNCTIONS", "ROUTINES", "TYPES", "SCHEMAS")
choice("privilege_kind", "TABLE", "SEQUENCE", "SCHEMA", "DATABASE", "FUNCTION", "PROCEDURE", "ROUTINE", "TYPE",
  "DOMAIN", "LANGUAGE", "TABLESPACE", "FOREIGN SERVER", "FOREIGN DATA WRAPPER", "ALL TABLES IN SCHEMA",
  "ALL SEQUENCES IN SCHEMA", "ALL FUNCTIONS IN SCHEMA", "ALL PROCEDURES IN SCHEMA", "ALL ROUTINES IN SCHEMA")

--- How the object of a comment is named: by its name alone, with its schema, beside a table, as a column, with
--- arguments.
M.comment_objects = {
  TABLE = "qualified", VIEW = "qualified", ["MATERIALIZED VIEW"] = "qualified", INDEX = "qualified",
  SEQUENCE = "qualified", TYPE = "qualified", DOMAIN = "qualified", ["FOREIGN TABLE"] = "qualified",
  STATISTICS = "qualified", COLLATION = "qualified", COLUMN = "column", CONSTRAINT = "on_table", TRIGGER = "on_table",
  POLICY = "on_table", RULE = "on_table", FUNCTION = "routine", PROCEDURE = "routine", ROUTINE = "routine",
  AGGREGATE = "routine", SCHEMA = "plain", EXTENSION = "plain", DATABASE = "plain", ROLE = "plain",
  LANGUAGE = "plain", TABLESPACE = "plain", PUBLICATION = "plain", SUBSCRIPTION = "plain", SERVER = "plain",
  ["EVENT TRIGGER"] = "plain",
}
local object_names = {}
for name in pairs(M.comment_objects) do object_names[#object_names + 1] = name end
table.sort(object_names)
choice("comment_object", table.unpack(object_names))

-- A word or a list of words, without repetition.
local function words_kind(name, words, expected)
  arguments.kind(name, function(value)
    if type(value) == "string" then value = { value } end
    if not record.plain(value) or #value == 0 then return nil, expected end
    local kept, seen = {}, {}
    for i, entry in ipairs(value) do
      local word, why = word_of(words, entry)
      if not word then return nil, expected .. ": " .. why end
      if not seen[word] then kept[#kept + 1] = word end
      seen[word] = i
    end
    return kept
  end)
end

words_kind("events", { "INSERT", "UPDATE", "DELETE", "TRUNCATE" }, "an event or a list of events")
words_kind("privileges", { "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN",
  "USAGE", "EXECUTE", "CREATE", "CONNECT", "TEMPORARY", "ALL" }, "a privilege or a list of privileges")

arguments.kind("signed", function(value)
  local whole = type(value) == "number" and math.tointeger(value)
  if whole then return whole end
  return nil, "a whole number"
end)

arguments.kind("restart", function(value)
  local whole = type(value) == "number" and math.tointeger(value)
  if whole or value == true then return whole or value end
  return nil, "true or a whole number"
end)

arguments.kind("column_or_none", function(value)
  if value == null or type(value) == "string" and value:find("^[^.]+%.[^.]") then return value end
  return nil, '"table.column" or null'
end)

arguments.kind("query", function(value)
  local text = record.kind(value) == "text" and value.text or value
  if type(text) ~= "string" or not text:find("%S") then return nil, "a query (a string or sa.text)" end
  return (text:gsub("[%s;]+$", ""))
end)

-- What stands between the parentheses of a function: text, or a list of texts.
arguments.kind("routine_arguments", function(value)
  if type(value) == "string" then return value end
  if not record.plain(value) then return nil, 'arguments, such as "a integer, b text"' end
  for _, entry in ipairs(value) do
    if type(entry) ~= "string" then return nil, "a list of arguments" end
  end
  return table.concat(value, ", ")
end)

arguments.kind("settings_map", function(value)
  local expected = 'settings by name, such as { search_path = "pg_catalog, public" }'
  if not record.plain(value) then return nil, expected end
  local copy = {}
  for name, setting in pairs(value) do
    local kind = type(setting)
    if type(name) ~= "string" or kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      return nil, expected
    end
    copy[name] = setting
  end
  return copy
end)

local bound_shapes = { { "from", "to" }, { "values" }, { "modulus", "remainder" }, { "default" } }

local function list_of(value)
  if record.plain(value) then return table.move(value, 1, #value, 1, {}) end
  return { value }
end

-- The bounds of a partition: exactly the keys of one of the shapes.
arguments.kind("bounds", function(value)
  local expected = "bounds: { from = …, to = … }, { values = { … } }, { modulus = …, remainder = … }"
    .. " or { default = true }"
  if not record.plain(value) then return nil, expected end
  local given = 0
  for _ in pairs(value) do given = given + 1 end
  for _, shape in ipairs(bound_shapes) do
    local bounds = {}
    for _, key in ipairs(shape) do bounds[key] = value[key] ~= nil and list_of(value[key]) or nil end
    if bounds[shape[1]] and bounds[shape[#shape]] and given == #shape then return bounds end
  end
  return nil, expected
end, true)

return M
