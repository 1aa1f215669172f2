-- Tables of the vocabulary as scripts see them: a name that is not there is an error with the nearest right one, and
-- nothing can be written into them.

local errors = require "dmlua.errors"
local record = require "dmlua.record"

local M = {}

--- The keys of a table, sorted, but those that begin with "_".
function M.names(t)
  local names = {}
  for name in pairs(t) do
    if type(name) == "string" and name:sub(1, 1) ~= "_" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function fail(...)
  errors.raise { kind = "migration", message = string.format(...) }
end

--- A read-only view of `contents`, called `name` in errors; `call`, if given, is what calling the view does.
function M.view(name, contents, call)
  return setmetatable({}, {
    __index = function(_, key)
      local value = contents[key]
      if record.kind(value) then return record.copy(value) end
      if value ~= nil then return value end
      return fail("%s.%s does not exist%s", name, tostring(key), errors.suggestion(key, M.names(contents)))
    end,
    __newindex = function(_, key) fail("%s.%s cannot be set: %s belongs to dmlua", name, tostring(key), name) end,
    __pairs = function() -- the contents themselves are not handed out
      local step, state, key = pairs(contents)
      return function()
        local value
        key, value = step(state, key)
        return key, record.kind(value) and record.copy(value) or value
      end
    end,
    __call = call and function(_, ...) return call(...) end,
    __name = name,
    __metatable = name,
  })
end

--- An object with methods and fields: `fields` is the table itself, `methods` what it falls back to.
function M.object(name, fields, methods, metamethods)
  local mt = { __name = name, __metatable = name }
  for event, fn in pairs(metamethods or {}) do mt[event] = fn end
  function mt.__index(_, key)
    local value = methods[key]
    if value ~= nil then return value end
    return fail("%s has no '%s'%s", name, tostring(key), errors.suggestion(key, M.names(methods)))
  end
  return setmetatable(fields, mt)
end

return M
