-- Results, on stdout: text, or JSON whose keys stand in the order in which they were given.

local engine = require "dmlua.engine"
local shown = require "dmlua.shown"

local M = {}

local object = {}

--- An object of key, value, key, value, …; a nil value is null.
function M.object(...)
  return setmetatable({ n = select("#", ...), ... }, object)
end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(char)
  return escapes[char] or ("\\u%04x"):format(char:byte())
end

-- JSON is UTF-8 (RFC 8259): a byte that is none of it is written as the code point of its number.
local function encode_string(text)
  if not text:find '["\\%c\x80-\xff]' then return '"' .. text .. '"' end
  local parts, from = { '"' }, 1
  repeat
    local length, bad = utf8.len(text, from)
    parts[#parts + 1] = text:sub(from, (bad or 0) - 1):gsub('[%c"\\]', escape)
    if bad then
      parts[#parts + 1] = escape(text:sub(bad, bad))
      from = bad + 1
    end
  until length
  parts[#parts + 1] = '"'
  return table.concat(parts)
end

local encode

-- '"key":', with the comma before all but the first; there are few keys.
local first_keys = setmetatable({}, { __index = function(known, key)
  known[key] = encode_string(key) .. ":"
  return known[key]
end })
local other_keys = setmetatable({}, { __index = function(known, key)
  known[key] = "," .. encode_string(key) .. ":"
  return known[key]
end })

local function encode_object(value)
  local parts = {}
  for i = 1, value.n, 2 do
    parts[i] = (i > 1 and other_keys or first_keys)[value[i]]
    parts[i + 1] = encode(value[i + 1])
  end
  return "{" .. table.concat(parts) .. "}"
end

local function encode_list(value)
  if #value == 0 then return "[]" end
  local parts = {}
  for i, item in ipairs(value) do parts[i] = encode(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- A plain table with keys is an object too; its keys are sorted, so that the same value is always the same text.
local function encode_map(value)
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = encode_string(key) .. ":" .. encode(value[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
  if value == nil then return "null" end
  if type(value) == "string" then return encode_string(value) end
  if type(value) ~= "table" then return tostring(value) end
  if getmetatable(value) == object then return encode_object(value) end
  return (#value == 0 and next(value) ~= nil) and encode_map(value) or encode_list(value)
end

--- The JSON text of a value: nil, boolean, number, string, list, an object of M.object, or a table of named values.
M.encode = encode

--- Writes one line of text; a block of several lines is one too.
function M.line(text)
  engine.write(shown(text) .. "\n")
end

--- Writes lines of text.
function M.lines(list)
  for _, text in ipairs(list) do M.line(text) end
end

--- Writes lines that hold nothing harmful, but may hold colours.
function M.painted(list)
  if #list > 0 then engine.write(table.concat(list, "\n") .. "\n") end
end

--- Writes rows of cells (texts) with each column as wide as its widest cell.
function M.columns(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
  end
  for _, row in ipairs(rows) do
    local parts = {}
    for i, cell in ipairs(row) do parts[i] = cell .. (" "):rep(widths[i] - (utf8.len(cell) or #cell)) end
    M.line((table.concat(parts, "  "):gsub("%s+$", "")))
  end
end

-- The fields of an object, as they stand between others.
local function fields(value, before, after)
  local text = value and encode(value):sub(2, -2) or ""
  return text ~= "" and before .. text .. after or ""
end

--- Writes one JSON document {…, name: [item(1), …, item(count)], …} as the items are made: none waits for the others.
--- An item that is nil is left out. `first`, `last`: nil, or objects whose fields stand before and after the list.
function M.json_items(name, count, item, first, last)
  local comma = ""
  engine.write("{" .. fields(first, "", ",") .. encode_string(name) .. ":[")
  for i = 1, count do
    local value = item(i)
    if value then
      engine.write(comma .. encode(value))
      comma = ","
    end
  end
  engine.write("]" .. fields(last, ",", "") .. "}\n")
end

--- Writes one JSON document, or one of the objects of a stream, on a line of its own.
function M.json(value)
  engine.write(encode(value) .. "\n")
end

return M
