-- An ad-hoc fix: what its header says, and how it runs for a tenant.

local errors = require "dmlua.errors"
local strict = require "dmlua.strict"

local M = {}

local fields = { "description", "tables", "max_rows" }
local entries = { "run", "check", "verify" }

local function fail(path, hint, format, ...)
  errors.raise { kind = "usage", message = format:format(...), file = path, hint = hint }
end

-- A misspelt field would silently be nil: no limit, no check.
local function check_misspelt(file)
  local known, missing = {}, {}
  for _, list in ipairs { fields, entries } do
    for _, name in ipairs(list) do
      known[name] = true
      if not file.declared[name] then missing[#missing + 1] = name end
    end
  end
  for _, name in ipairs(strict.names(file.declared)) do
    local meant = not known[name] and #missing > 0 and errors.nearest(name, missing)
    if meant then fail(file.path, nil, "'%s' is no field of a fix (did you mean '%s'?)", name, meant) end
  end
end

local function read_entries(file)
  for _, name in ipairs(entries) do
    local value = rawget(file.env, name)
    if value ~= nil and type(value) ~= "function" then
      fail(file.path, nil, "%s is a %s; it must be a function", name, type(value))
    end
  end
  if rawget(file.env, "run") == nil then
    fail(file.path, "`dmlua run --new NAME -m MESSAGE` writes one",
      "a fix has a function run(tenant); this file has none")
  end
  if rawget(file.env, "undo") ~= nil then
    fail(file.path, "`dmlua run --undo-log` keeps what the rows were, and `dmlua undo` takes it back",
      "a fix has no function undo")
  end
end

local function read_tables(file)
  local value = rawget(file.env, "tables")
  if value == nil then return nil end
  local list = type(value) == "table" and value or { value }
  local result, count = {}, 0
  for _ in next, list do count = count + 1 end
  for i = 1, rawlen(list) do
    result[i] = rawget(list, i)
    if type(result[i]) ~= "string" or result[i] == "" then
      fail(file.path, nil, "tables[%d] is no name of a table", i)
    end
  end
  if count ~= #result then fail(file.path, nil, "tables is a table that is no list of names") end
  return result
end

local function read_max_rows(file)
  local value = rawget(file.env, "max_rows")
  if value == nil then return nil end
  if math.type(value) ~= "integer" or value < 0 then
    fail(file.path, nil, "max_rows is %s; it must be a whole number, 0 or more",
      type(value) == "string" and "'" .. value .. "'" or tostring(value))
  end
  return value
end

--- Reads and checks the header of a fix whose top level has run: {description, tables (a list, or nil: not limited),
-- max_rows (or nil)}. Raises usage errors. file: path, env (its globals), declared (the set of names it assigned),
-- locals (names of a header that are local).
function M.header(file)
  local name = file.locals[1]
  if name then fail(file.path, nil, "%s is local here; remove 'local': it is read from the file's globals", name) end
  check_misspelt(file)
  read_entries(file)
  local description = rawget(file.env, "description")
  if description ~= nil and type(description) ~= "string" then
    fail(file.path, nil, "description is a %s; it must be a string", type(description))
  end
  return { description = description, tables = read_tables(file), max_rows = read_max_rows(file) }
end

-- check and verify say no by an error, or by false and why.
local function ask(env, name, tenant)
  local fn = rawget(env, name)
  if not fn then return end
  local answer, why = fn(tenant)
  if answer ~= false then return end
  errors.raise { kind = "migration",
    message = ("%s(tenant) says no%s"):format(name, why and ": " .. tostring(why) or "") }
end

--- What the host calls in place of upgrade(): the fix's functions for one tenant after the other. `env` are the globals
-- of the script, `bind` is its bind table.
function M.driver(env, bind)
  return function()
    local show = bind.options.show
    bind:fix(function(tenant)
      ask(env, "check", tenant)
      if show then show:before(bind) end
      rawget(env, "run")(tenant)
      if show then show:after(bind) end
      ask(env, "verify", tenant)
    end, bind.tenants, bind.options.on_tenant)
  end
end

return M
