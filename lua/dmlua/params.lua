-- Parameters: a Lua value as the text that travels beside a statement. The server reads it as the type it finds for it.

local json = require "dmlua.json"
local null = require "dmlua.null"

local M = {}

-- PostgreSQL's MAXDIM; a table inside itself ends here too.
local MAX_DIMENSIONS = 6

local encode_list -- forward: an element may be a list

--- The marker for JSON, as scripts have it: json { a = 1 }.
M.json = json

local function encode_text(value)
  local fault = json.fault(value)
  if fault then return nil, fault end
  return value
end

local encoders = { number = json.number, boolean = tostring, string = encode_text }

-- The text of one value that is no list; false for NULL; or nil and why not.
local function encode_scalar(value)
  if value == null then return false end
  if value == nil then return nil, "it is nil (write null for NULL)" end
  local text = json.text(value)
  if text then return text end
  local encode = encoders[type(value)]
  if not encode then return nil, ("a %s cannot be a parameter"):format(type(value)) end
  return encode(value)
end

-- An element as array_in reads it. What might be read otherwise (NULL, braces, commas, blanks) stands in quotes.
local function encode_element(value, depth)
  if type(value) == "table" and not json.text(value) then return encode_list(value, depth + 1) end
  local text, why = encode_scalar(value)
  if text == false then return "NULL" end
  if text and type(value) ~= "number" and type(value) ~= "boolean" then
    text = '"' .. text:gsub('[\\"]', "\\%0") .. '"'
  end
  return text, why
end

function encode_list(list, depth)
  if depth > MAX_DIMENSIONS then return nil, ("an array has at most %d dimensions"):format(MAX_DIMENSIONS) end
  local count, why = json.length(list)
  if not count then return nil, "a table is a list, or marked: json { … }; here " .. why end
  local elements = {}
  for i = 1, count do
    elements[i], why = encode_element(list[i], depth)
    if not elements[i] then return nil, ("element %d: %s"):format(i, why) end
  end
  return "{" .. table.concat(elements, ",") .. "}"
end

--- The text of a value; false for `null`; or nil and why it cannot be a parameter. Lists become array literals, what is
--- marked json becomes JSON.
function M.encode(value)
  if type(value) == "table" and (getmetatable(value) or {}).__parameter then return value end -- the server knows
  if type(value) == "table" and not json.text(value) then return encode_list(value, 1) end
  return encode_scalar(value)
end

return M
