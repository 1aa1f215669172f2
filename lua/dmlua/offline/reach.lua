-- What a function of a script can reach: the files it comes from, and the state that it may leave changed.

local column = require "dmlua.offline.column"
local environment = require "dmlua.environment"

local M = {}

local DEPTH = 4

local function authored(fn)
  local source = debug.getinfo(fn, "S").source
  return source:sub(1, 1) == "@" and source:sub(2)
end

local visit -- forward: tables and functions hold each other

local visitors = {}

visitors["function"] = function(fn, seen, out, depth)
  local file = authored(fn)
  if file then out.files[file] = true end
  for i = 1, 255 do
    local name, value = debug.getupvalue(fn, i)
    if not name then break end
    -- dmlua's own functions between a script's are passed through, and what they keep is not the script's
    if file or type(value) == "function" then visit(value, seen, out, depth, name) end
  end
end

function visitors.table(t, seen, out, depth, name)
  local required, count = environment.required(t), 0
  for _, file in ipairs(required or {}) do out.files[file] = true end
  if depth > DEPTH or not required and debug.getmetatable(t) then return end
  for key, value in next, t do
    count = count + 1
    visit(value, seen, out, depth + 1, type(key) == "string" and (required and key or name .. "." .. key) or name)
  end
  out.state[#out.state + 1] = { name, "#" .. (required and 0 or count) } -- what is read of a library is kept there
end

function visit(value, seen, out, depth, name)
  local fact = column.facts(value)
  local visitor = not fact and visitors[type(value)]
  if not visitor then
    out.state[#out.state + 1] = { name, fact and "tenant." .. fact.name or tostring(value) }
  elseif not seen[value] then
    seen[value] = true
    visitor(value, seen, out, depth, name)
  end
end

--- What `fn` reaches: {files = set, state = list of {name, value}}, in no order.
function M.of(fn)
  local out = { files = {}, state = {} }
  visit(fn, {}, out, 1, "")
  return out
end

local function counted(state)
  local counts = {}
  for _, entry in ipairs(state) do
    local key = entry[1] .. "\0" .. entry[2]
    counts[key] = (counts[key] or 0) + 1
  end
  return counts
end

--- The name of something that differs between two of them, or nil.
function M.difference(before, after)
  local one, other = counted(before.state), counted(after.state)
  for key, count in pairs(other) do
    if one[key] ~= count then return key:match "^[^\0]*" end
  end
  for key in pairs(one) do
    if not other[key] then return key:match "^[^\0]*" end
  end
end

return M
