-- Reads what an author gave to a directive, by the directive's signature, into a fresh table. Whatever is missing, of
-- the wrong type or misspelt is an error that names directive and argument, at the author's line.
--
-- A signature is { {name, kind, optional = true}…, options = {name = kind}, list = "kind of the arguments that
-- follow" }. Python's keyword arguments are one trailing table; as in Python, a positional argument may stand there
-- too.

local errors = require "dmlua.errors"
local expression = require "dmlua.ddl.expression"
local null = require "dmlua.null"
local record = require "dmlua.record"
local strict = require "dmlua.strict"

local M = {}

--- Raises an error about this call, at the author's line.
function M.fail(directive, format, ...)
  errors.raise { kind = "migration", message = directive .. ": " .. format:format(...) }
end

local function article(kind)
  return (kind:find("^[aeiou]") and "an " or "a ") .. kind
end

local function described(value)
  if value == nil then return "nothing" end
  if value == null then return "null" end
  if (debug.getmetatable(value) or {}).__parameter then return "a tenant's column, which --sql does not know" end
  return article(record.kind(value) or type(value))
end

-- Each kind: value → what is kept, or nil and what was expected.
local kinds = {}

local function plain_kind(name)
  kinds[name] = function(value)
    if type(value) == name then return value end
    return nil, article(name)
  end
end
for _, name in ipairs { "string", "boolean", "number", "function" } do plain_kind(name) end

function kinds.integer(value)
  local whole = type(value) == "number" and math.tointeger(value)
  if whole and whole >= 0 then return whole end
  return nil, "a whole number"
end

function kinds.name(value)
  if type(value) == "string" and value ~= "" then return value end
  return nil, "a name"
end

--- A name, or the `op.f(…)` of one.
kinds.constraint_name = kinds.name

function kinds.nameless(value)
  if value == null then return null end
  return kinds.name(value), "a name, or null for one that is made"
end

local function list_of(kind, expected)
  return function(value)
    if not record.plain(value) or #value == 0 then return nil, expected end
    local copy = {}
    for key, entry in pairs(value) do
      if math.type(key) ~= "integer" or key < 1 or key > #value then return nil, expected end
      copy[key] = kinds[kind](entry)
      if copy[key] == nil then return nil, expected end
    end
    return copy
  end
end

kinds.names = list_of("name", "a list of names")
kinds.texts = list_of("string", "a list of strings")

function kinds.one_or_more_names(value)
  if type(value) == "string" then value = { value } end
  local names = kinds.names(value)
  if names then return names end
  return nil, "a name or a list of names"
end

function kinds.expression(value)
  if type(value) == "string" or expression.kinds[record.kind(value)] then return value end
  return nil, "an SQL expression (a string or sa.text)"
end

-- A column by name, or an expression over columns.
function kinds.column_or_expression(value)
  if type(value) == "string" then return kinds.name(value) end
  return kinds.expression(value)
end
kinds.columns = list_of("column_or_expression", "a list of column names and sa.text expressions")

function kinds.type(value)
  if record.kind(value) == "type" then return value end
  return nil, "a type such as sa.Integer()"
end

function kinds.column(value)
  if record.kind(value) == "column" then return value end
  return nil, "a sa.Column"
end

local operator = "[-+*/<>=~!@#%%^&|`?]+"

-- What EXCLUDE compares: { column or expression, operator }.
function kinds.exclude_element(value)
  local expected = 'a { column or sa.text, "operator" }'
  if not record.plain(value) or #value ~= 2 or type(value[2]) ~= "string" then return nil, expected end
  if not kinds.column_or_expression(value[1]) then return nil, expected end
  if value[2]:find("^" .. operator .. "$") or value[2]:find('^OPERATOR%([%w_."]-' .. operator .. "%)$") then
    return { value[1], value[2] }
  end
  return nil, expected
end

local default_kinds = { text = true, func = true, identity = true, computed = true, literal = true, fetched = true }

function kinds.default(value)
  local t = type(value)
  if value == null or t == "string" or t == "number" or t == "boolean" then return value end
  if default_kinds[record.kind(value)] then return value end
  return nil, "a string, a number, a boolean, sa.text, sa.func or null"
end

function kinds.string_or_null(value)
  if value == null or type(value) == "string" then return value end
  return nil, "a string or null"
end

function kinds.plain_value(value)
  local t = type(value)
  if value == null or t == "string" or t == "number" or t == "boolean" then return value end
  return nil, "a string, a number, a boolean or null"
end

function kinds.string_map(value)
  if not record.plain(value) then return nil, "a table by name" end
  local copy = {}
  for key, entry in pairs(value) do
    if type(key) ~= "string" then return nil, "a table by name" end
    copy[key] = entry
  end
  return copy
end

function kinds.any(value)
  return value
end

local function choice(...)
  local words = { ... }
  return function(value)
    for _, word in ipairs(words) do
      if type(value) == "string" and value:upper() == word then return word end
    end
    local nearest = type(value) == "string" and errors.suggestion(value, words) or ""
    return nil, "one of " .. table.concat(words, ", ") .. nearest
  end
end

kinds.action = choice("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION")
kinds.initially = choice("DEFERRED", "IMMEDIATE")
kinds.match = choice("FULL", "PARTIAL", "SIMPLE")
kinds.on_commit = choice("DROP", "DELETE ROWS", "PRESERVE ROWS", "DELETE_ROWS", "PRESERVE_ROWS")
kinds.constraint_type = choice("FOREIGNKEY", "PRIMARY", "UNIQUE", "CHECK")

function kinds.autoincrement(value)
  if type(value) == "boolean" or value == "auto" or value == "ignore_fk" then return value end
  return nil, 'true, false, "auto" or "ignore_fk"'
end

function kinds.word(value)
  if type(value) == "string" and value:find("^[%a_][%w_]*$") then return value end
  return nil, "a word"
end

--- One value by its kind; raises with the directive and the argument.
function M.value(directive, name, kind, value)
  local kept, expected = kinds[kind](value)
  if kept == nil and value ~= nil then M.fail(directive, "%s must be %s, got %s", name, expected, described(value)) end
  return kept
end

local function known_names(signature)
  local names = strict.names(signature.options or {})
  for _, parameter in ipairs(signature) do names[#names + 1] = parameter[1] end
  return names
end

local function kind_of(signature, name)
  for _, parameter in ipairs(signature) do
    if parameter[1] == name then return parameter[2] end
  end
  return signature.options and signature.options[name]
end

-- SQLAlchemy's dialects: their options may stand beside PostgreSQL's in a ported file.
local other_databases = { sqlite = true, mysql = true, mariadb = true, mssql = true, oracle = true }

local function read_options(directive, signature, options, into)
  for name, value in pairs(options) do
    local kind = type(name) == "string" and kind_of(signature, name)
    local dialect = type(name) == "string" and name:match "^(%l+)_"
    if not kind and other_databases[dialect] then
      M.fail(directive, "%s is for another database: leave it out", name)
    elseif not kind then
      M.fail(directive, "has no option '%s'%s", tostring(name), errors.suggestion(name, known_names(signature)))
    end
    if into[name] ~= nil then M.fail(directive, "%s is given twice", name) end
    into[name] = M.value(directive, name, kind, value)
  end
end

-- Kinds that are tables with names themselves.
local table_kinds = { string_map = true, parameters = true }

-- The trailing table: an author's own table with a string key, or an empty one that no parameter waits for, which is
-- what { schema = schema } is for a helper that was given none.
local function is_options(signature, position, value)
  if not record.plain(value) then return false end
  local key, parameter = next(value), signature[position]
  if key == nil then return not parameter or parameter.optional and kinds[parameter[2]](value) == nil end
  return type(key) == "string" and not (parameter and table_kinds[parameter[2]])
end

local function read_positional(directive, signature, count, values, into)
  for position = 1, count do
    local parameter, value = signature[position], values[position]
    if parameter then
      into[parameter[1]] = M.value(directive, parameter[1], parameter[2], value)
    elseif not signature.list then
      M.fail(directive, "takes %d argument%s and a table of options, got %s more", #signature,
        #signature == 1 and "" or "s", described(value))
    else
      if value == nil then M.fail(directive, "argument %d is nil", position) end
      into[#into + 1] = M.value(directive, "argument " .. position, signature.list, value)
    end
  end
end

-- op:create_table(…) would hand `op` itself over as the first argument.
local function check_dot(directive, first)
  local module = directive:match("^([%w_]+)%.")
  if module and type(first) == "table" and getmetatable(first) == module then
    M.fail(directive, "is called with a dot, not with a colon")
  end
end

--- What was given, as one fresh table: parameters and options by name, what follows them as a list.
function M.read(directive, signature, ...)
  local count, values, into = select("#", ...), { ... }, {}
  check_dot(directive, values[1])
  if not signature.list then
    while count > 0 and values[count] == nil do count = count - 1 end
  end
  local options = count > 0 and is_options(signature, count, values[count]) and values[count]
  read_positional(directive, signature, options and count - 1 or count, values, into)
  if options then read_options(directive, signature, options, into) end
  for _, parameter in ipairs(signature) do
    if into[parameter[1]] == nil and not parameter.optional then
      M.fail(directive, "%s is missing (%s)", parameter[1], select(2, kinds[parameter[2]](nil)))
    end
  end
  return into
end

--- Adds a kind of argument. `with_names`: it is a table with names itself, and no table of options.
function M.kind(name, check, with_names)
  kinds[name], table_kinds[name] = check, with_names or table_kinds[name]
end

return M
