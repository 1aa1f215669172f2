-- What a migration file says about itself: the header fields among its globals.

local errors = require "dmlua.errors"
local strict = require "dmlua.strict"

local M = {}

local fields = { "revision", "down_revision", "branch_labels", "depends_on", "replaces" }
local entries = { "upgrade", "downgrade" }
local longest = 255 -- characters of an id; a longer one is surely a mistake

local function fail(path, line, hint, format, ...)
  errors.raise { kind = "usage", message = format:format(...), file = path, line = line, hint = hint }
end

-- Where a name is first assigned or declared, for errors only.
local function line_of(text, name)
  local number = 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    if line:find("^%s*local%s.*%f[%w_]" .. name .. "%f[^%w_]") or line:find("^%s*" .. name .. "%f[^%w_]")
      or line:find("^%s*function%s+" .. name .. "%f[^%w_]") then
      return number
    end
  end
end

-- Alembic's four characters for ids; a label may hold "-" and "+" there. The others would break lines or lists.
local illegal = { revision = "[@%-+:]", down_revision = "[@%-+:]", branch_labels = "[@:]", depends_on = "[@:]",
  replaces = "[@%-+:]" }

-- Why a name cannot be an id or a label; nil when it can.
local function name_fault(field, name)
  local character = name:match(illegal[field])
  if name == "" then
    return ("%s is empty"):format(field)
  elseif character then -- Alembic's words
    return ("Character(s) '%s' not allowed in revision identifier '%s'"):format(character, name)
  elseif name:find("[%c%s,]") or not utf8.len(name) then
    return ("%s %q holds a space, a comma, a control character or bytes that are no UTF-8"):format(field, name)
  elseif utf8.len(name) > longest then
    return ("%s is %d characters long; at most %d make sense"):format(field, utf8.len(name), longest)
  end
end

-- Names of nothing but these need no second look: nearly all.
local plain = "^[%w_.]+$"

local function check_name(file, field, name)
  if #name <= longest and name:find(plain) then return end
  local fault = name_fault(field, name)
  if fault then fail(file.path, line_of(file.text, field), "use letters, digits and '_'", "%s", fault) end
end

local function check_list(file, field, list)
  local count = 0
  for _ in next, list do count = count + 1 end
  if count ~= rawlen(list) then
    fail(file.path, line_of(file.text, field), nil, "%s is a table that is no list of strings", field)
  end
end

-- What a number should have been.
local function quoted_hint(field, value)
  return type(value) == "number" and ('write %s = "%s"'):format(field, value) or nil
end

-- nil, a string or a list of strings, as a list.
local function read_list(file, field, value)
  if value == nil then return {} end
  local list = type(value) == "string" and { value } or value
  if type(list) ~= "table" then
    fail(file.path, line_of(file.text, field), quoted_hint(field, value),
      "%s is a %s; it must be nil, a string or a list of strings", field, type(value))
  end
  check_list(file, field, list)
  local result, seen = {}, {}
  for i = 1, rawlen(list) do
    local name = rawget(list, i)
    if type(name) ~= "string" then
      fail(file.path, line_of(file.text, field), nil, "%s[%d] is a %s; it must be a string", field, i, type(name))
    end
    check_name(file, field, name)
    if seen[name] then fail(file.path, line_of(file.text, field), nil, "%s names '%s' twice", field, name) end
    seen[name], result[i] = true, name
  end
  return result
end

-- The ids without doubles.
local function union(...)
  local list, has = {}, {}
  for _, ids in ipairs { ... } do
    for _, id in ipairs(ids) do
      if not has[id] then list[#list + 1] = id end
      has[id] = true
    end
  end
  return list
end

-- A baseline's `replaces = { heads = { "c" }, "a", "b" }`: all ids that it stands for, and the heads among them. A
-- single id is the head.
local function read_replaces(file)
  local value = rawget(file.env, "replaces")
  if type(value) ~= "table" or rawget(value, "heads") == nil then
    local list = union(read_list(file, "replaces", value))
    if #list < 2 then return list, list end
    fail(file.path, line_of(file.text, "replaces"), 'write replaces = { heads = { "…" }, … }: a database that has the '
      .. "heads has everything", "replaces has %d revisions and does not say which of them are the heads", #list)
  end
  local rest = {}
  for key, id in next, value do
    if key ~= "heads" then rest[key] = id end
  end
  local heads = union(read_list(file, "replaces", rawget(value, "heads")))
  local list = union(heads, read_list(file, "replaces", rest))
  if #heads == 0 and #list > 0 then
    fail(file.path, line_of(file.text, "replaces"), nil, "replaces.heads is empty")
  end
  return list, heads
end

local function check_replaces(file, result)
  for _, id in ipairs(result.replaces) do
    if id == result.revision then fail(file.path, line_of(file.text, "replaces"), nil, "%s replaces itself", id) end
  end
end

local function read_revision(file)
  local revision = rawget(file.env, "revision")
  if revision == nil then
    -- Alembic's words
    fail(file.path, nil, 'a migration says revision = "…"; a file of another kind belongs under lib/ or fixes/',
      "Could not determine revision id from filename %s. Be sure the 'revision' variable is declared inside the "
        .. "script.", file.path:match("[^/]*$"))
  elseif type(revision) ~= "string" then
    fail(file.path, line_of(file.text, "revision"), quoted_hint("revision", revision),
      "revision is a %s; it must be a string", type(revision))
  end
  check_name(file, "revision", revision)
  return revision
end

-- Lua folds a constant away: `local revision <const> = "a"` leaves no local. Indented, it may be a function's own.
local function folded_local(file)
  if not file.text:find("<%s*const") then return nil end
  for _, list in ipairs { fields, entries } do
    for _, name in ipairs(list) do
      local pattern = "\nlocal%s[^\n=]*%f[%w_]" .. name .. "%s*<%s*const"
      if rawget(file.env, name) == nil and ("\n" .. file.text):find(pattern) then return name end
    end
  end
end

local function check_locals(file, locals)
  local name = locals[1] or folded_local(file)
  if not name then return end
  local what = file.is_entry[name] and "functions are looked up" or "header is read"
  fail(file.path, line_of(file.text, name), nil, "%s is local here; remove 'local': the %s in the file's globals", name,
    what)
end

-- A misspelt field would silently be nil: another base, a missing downgrade.
local function check_misspelt(file)
  local missing = {}
  for _, list in ipairs { fields, entries } do
    for _, name in ipairs(list) do
      if not file.declared[name] then missing[#missing + 1] = name end
    end
  end
  if #missing == 0 then return end
  for _, name in ipairs(strict.names(file.declared)) do
    local meant = not file.known[name] and errors.nearest(name, missing)
    if meant then
      fail(file.path, line_of(file.text, name), nil, "'%s' is no field of a header (did you mean '%s'?)", name, meant)
    end
  end
end

local function check_entries(file)
  for _, name in ipairs(entries) do
    local value = rawget(file.env, name)
    if value ~= nil and type(value) ~= "function" then
      fail(file.path, line_of(file.text, name), nil, "%s is a %s; it must be a function", name, type(value))
    end
  end
end

--- Raises unless a file may have that name in `field`: "revision" or "branch_labels".
function M.check_name(field, name)
  local fault = name_fault(field, name)
  if fault then fail(nil, nil, "use letters, digits and '_'", "%s", fault) end
end

--- Checks the names in the header of a Python file: path, text, revision, and the lists down, labels, depends. Raises
-- usage errors.
function M.python(file)
  check_name(file, "revision", file.revision)
  for field, list in pairs { down_revision = file.down, branch_labels = file.labels, depends_on = file.depends } do
    for _, name in ipairs(list) do check_name(file, field, name) end
  end
end

local known = { run = true, undo = true }
local is_entry = {}
for _, name in ipairs(fields) do known[name] = true end
for _, name in ipairs(entries) do known[name], is_entry[name] = true, true end

--- Reads and checks the header of a file whose top level has run: {revision, down, labels, depends, replaces,
-- replaced_heads (lists), has_upgrade, has_downgrade}. Raises usage errors.
-- file: path, text, env (its globals), declared (the set of names it assigned), locals (header names that are local).
function M.read(file)
  file.known, file.is_entry = known, is_entry
  check_locals(file, file.locals)
  check_misspelt(file)
  local result = { revision = read_revision(file) }
  result.down = read_list(file, "down_revision", rawget(file.env, "down_revision"))
  result.labels = read_list(file, "branch_labels", rawget(file.env, "branch_labels"))
  result.depends = read_list(file, "depends_on", rawget(file.env, "depends_on"))
  result.replaces, result.replaced_heads = read_replaces(file)
  check_replaces(file, result)
  check_entries(file)
  result.has_upgrade = rawget(file.env, "upgrade") ~= nil
  result.has_downgrade = rawget(file.env, "downgrade") ~= nil
  return result
end

return M
