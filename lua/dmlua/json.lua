-- A value marked as JSON: `json { a = 1 }` travels as one parameter, as JSON text. The same value always gives the same
-- text (names in order), so that what a script sends can be compared between runs.

local errors = require "dmlua.errors"
local json_decode = require "dmlua.json_decode"
local null = require "dmlua.null"

local M = {}

local MAX_DEPTH = 200

local marked = { __name = "dmlua.json" }
local array = { __name = "dmlua.json.array" }

function marked.__tostring(value)
  return value.text
end

--- The shortest text that reads back as this number, for JSON and SQL. NaN and infinities as PostgreSQL writes them.
function M.number(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value then return "NaN" end
  if value == math.huge then return "Infinity" end
  if value == -math.huge then return "-Infinity" end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
end

--- How many values a table holds as a list, or nil and why it is none.
function M.length(list)
  local count, last = 0, 0
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 then return nil, ("it has the key '%s'"):format(tostring(key)) end
    count = count + 1
    if key > last then last = key end
  end
  if count == last then return count end
  local hole = 1
  while list[hole] ~= nil do hole = hole + 1 end
  return nil, ("place %d of the list is nil (write null)"):format(hole)
end

--- Why a string cannot be stored as text, or nil.
function M.fault(text)
  if text:find("\0", 1, true) then return "it holds a NUL byte, which PostgreSQL cannot store in text" end
  local length, at = utf8.len(text)
  if not length then return ("it is not UTF-8 at byte %d (bytes are written decode(:hex, 'hex'))"):format(at) end
end

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(c)
  return escapes[c] or ("\\u%04x"):format(c:byte())
end

local function fail(format, ...)
  errors.raise { kind = "migration", message = "json: " .. format:format(...) }
end

local write -- forward: tables hold values

local writers = {
  boolean = function(out, value) out[#out + 1] = tostring(value) end,
}

function writers.number(out, value)
  if value ~= value or math.abs(value) == math.huge then fail("%s is no number of JSON", M.number(value)) end
  out[#out + 1] = M.number(value)
end

function writers.string(out, value)
  local fault = M.fault(value)
  if fault then fail("the string %q: %s", value, fault) end
  out[#out + 1] = '"' .. value:gsub('[%c"\\]', escape) .. '"'
end

local function write_list(out, list, count, depth)
  out[#out + 1] = "["
  for i = 1, count do
    if i > 1 then out[#out + 1] = "," end
    write(out, list[i], depth)
  end
  out[#out + 1] = "]"
end

local function write_object(out, object, depth)
  local names = {}
  for name in pairs(object) do
    if type(name) ~= "string" then fail("a table is a list or has names: %s", select(2, M.length(object))) end
    names[#names + 1] = name
  end
  table.sort(names)
  out[#out + 1] = "{"
  for i, name in ipairs(names) do
    if i > 1 then out[#out + 1] = "," end
    writers.string(out, name)
    out[#out + 1] = ":"
    write(out, object[name], depth)
  end
  out[#out + 1] = "}"
end

function writers.table(out, value, depth)
  if getmetatable(value) == marked then
    out[#out + 1] = value.text
    return
  end
  if depth > MAX_DEPTH then fail("more than %d tables inside each other, or a table inside itself", MAX_DEPTH) end
  local count = M.length(value)
  if count and (count > 0 or getmetatable(value) == array) then
    write_list(out, value, count, depth + 1)
  else
    write_object(out, value, depth + 1)
  end
end

function write(out, value, depth)
  if value == nil or value == null then
    out[#out + 1] = "null"
    return
  end
  local writer = writers[type(value)] or fail("a %s is no value of JSON", type(value))
  writer(out, value, depth)
end

--- JSON text of a value. An empty table is an object; json.array {} is an empty list.
function M.encode(value)
  local out = {}
  write(out, value, 1)
  return table.concat(out)
end

--- A copy of a list that is one even when it is empty.
function M.array(list)
  return setmetatable(table.move(list, 1, #list, 1, {}), array)
end

--- The value of JSON text; its null is `null`, its integers are integers.
function M.decode(text)
  if type(text) ~= "string" then fail("decode takes text, not a %s", type(text)) end
  local ok, value = pcall(json_decode, text, function() return M.array {} end)
  if not ok then fail("%s", type(value) == "table" and value.message or value) end
  return value
end

--- The JSON text of a value that is marked as JSON, else nil.
function M.text(value)
  if getmetatable(value) == marked then return value.text end
end

return setmetatable(M, {
  __call = function(_, value) return setmetatable({ text = M.encode(value) }, marked) end,
})
