-- What the vocabulary's calls make: plain tables with a `kind`, told from an author's own tables by their metatable. A
-- record is never changed once it is made, so that it may be used twice.

local M = {}

-- By kind: what a record of it answers to with a colon, `sa.text("…"):bindparams(…)`.
local methods = {}

local function method_of(value, name)
  local own = methods[rawget(value, "kind")]
  return own and own[name]
end

-- Types and SQL texts read as the SQL that they are.
local function written(value)
  return rawget(value, "sql") or rawget(value, "text") or rawget(value, "kind")
end

local mt = { __name = "record", __index = method_of, __tostring = written }

--- Gives all records of a kind a method.
function M.method(kind, name, fn)
  methods[kind] = methods[kind] or {}
  methods[kind][name] = fn
end

--- `fields` (with `kind`) as a record.
function M.new(fields)
  return setmetatable(fields, mt)
end

-- A type or an expression that may be written with or without "()": calling it makes another.
local callable = {}

--- A record that can be called; `call(self, …)` says what that makes.
function M.callable(fields, call)
  return setmetatable(fields, { __name = "record", __index = method_of, __tostring = written, __call = call,
    __record = callable })
end

--- The kind of a record; nil for anything else.
function M.kind(value)
  if type(value) ~= "table" then return nil end
  local own = getmetatable(value)
  if own == mt or (type(own) == "table" and own.__record == callable) then return rawget(value, "kind") end
  return nil
end

--- The same once more. What many scripts share is handed out like this, so that none can change it for the others.
function M.copy(value)
  local copy = {}
  for field, content in next, value do copy[field] = content end
  return setmetatable(copy, getmetatable(value))
end

--- Is this one of the author's own tables?
function M.plain(value)
  return type(value) == "table" and getmetatable(value) == nil
end

return M
