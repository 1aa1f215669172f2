-- Errors as facts: the one place where an error table is made.
--
-- Fields: kind (a name of host/error.h: migration, usage, refused, busy, connection, partial, interrupted), message,
-- sqlstate, detail, hint, file, line, source (that line), revision, tenant, statement, position, traceback, state.

local distance = require "dmlua.distance"

local M = {}

local mt = { __name = "dmlua.error" }

function mt.__tostring(e)
  local place = e.file and (e.line and ("%s:%d: "):format(e.file, e.line) or e.file .. ": ") or ""
  return place .. e.message
end

--- The fields as an error table.
function M.new(fields)
  return setmetatable(fields, mt)
end

--- Is this value an error table of ours?
function M.is(value)
  return getmetatable(value) == mt
end

-- An author's chunk name begins with "@"; ours, embedded, with "=". Run from files, by the specs, ours lie in this
-- one's folder.
local own_folder = debug.getinfo(1, "S").source:match("^(@.*/)[^/]*$")

local function authored(source)
  return source:sub(1, 1) == "@" and not (own_folder and source:sub(1, #own_folder) == own_folder)
end

--- File and line of the nearest frame that an author wrote, or nil.
function M.where()
  local level = 2
  while true do
    local frame = debug.getinfo(level, "Sl")
    if not frame then return nil end
    if frame.what ~= "C" and authored(frame.source) then return frame.source:sub(2), frame.currentline end
    level = level + 1
  end
end

--- Raises an error of this kind at the author's line.
function M.raise(fields)
  if not fields.file then fields.file, fields.line = M.where() end
  error(M.new(fields), 0)
end

--- Raises a usage error (exit 2).
function M.usage(format, ...)
  error(M.new { kind = "usage", message = format:format(...) }, 0)
end

-- The shortest candidate that begins as `name` does, one of them being a beginning of the other.
local function longer_or_shorter(name, candidates)
  local found
  for _, candidate in ipairs(candidates) do
    local length = math.min(#name, #candidate)
    if length >= 4 and name:sub(1, length) == candidate:sub(1, length) and (not found or #candidate < #found) then
      found = candidate
    end
  end
  return found
end

--- The candidate nearest to `name`, or nil when none is near. `candidates` is an array of strings.
function M.nearest(name, candidates)
  local limit = math.max(1, math.min(3, #name // 3))
  local best, nearest = limit + 1, nil
  for _, candidate in ipairs(candidates) do
    local d = distance(name, candidate, limit)
    if d < best then best, nearest = d, candidate end
  end
  return nearest or longer_or_shorter(name, candidates)
end

--- " (did you mean 'x'?)", or "".
function M.suggestion(name, candidates)
  local nearest = M.nearest(tostring(name), candidates)
  return nearest and (" (did you mean '%s'?)"):format(nearest) or ""
end

return M
