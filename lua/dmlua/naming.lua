-- SQLAlchemy's naming conventions: names for constraints and indexes that were given none, by the keys
-- naming_convention.ix, .uq, .ck, .fk and .pk. What op.f marked is final. Records are left as they are: what gets a
-- name is a copy.

local errors = require "dmlua.errors"
local null = require "dmlua.null"

local M = {}

local DEFAULT_INDEX = "ix_%(column_0_label)s" -- SQLAlchemy's own, the only one that it has

--- The conventions in force: a template by ix, uq, ck, fk, pk; nil when there is none.
function M.of(settings)
  local conventions
  for _, kind in ipairs { "ix", "uq", "ck", "fk", "pk" } do
    local template = settings["naming_convention." .. kind]
    if template then
      conventions = conventions or {}
      conventions[kind] = template
    end
  end
  return conventions
end

local function fail(format, ...)
  errors.raise { kind = "migration", message = format:format(...) }
end

-- "schema_table_column", as SQLAlchemy labels a column.
local function label(place, column)
  local schema = place.schema and place.schema:gsub("%.", "_") .. "_" or ""
  return schema .. place.table_name .. "_" .. column
end

-- How one column is written, by the last word of its token.
local writers = { name = function(_, column) return column end, label = label }
writers.key = writers.name

local function column_at(kind, columns, index)
  local column = columns[index]
  if column == nil then return nil end -- SQLAlchemy writes nothing for a place beyond the last
  if type(column) ~= "string" then
    fail("naming_convention.%s: column %d is an expression: give the index a name", kind, index - 1)
  end
  return column
end

local function all_columns(kind, place, columns, write, divider)
  local texts = {}
  for i = 1, #columns do texts[i] = write(place, column_at(kind, columns, i)) end
  return table.concat(texts, divider)
end

-- column_0_name, column_1_label, column_0N_name (all of them), column_0_N_name (with "_" between), and the same of what
-- a foreign key refers to.
local function column_token(kind, place, what, token)
  local referred, number, all, word = token:match("^(r?e?f?e?r?r?e?d?_?)column_(%d+)(_?N?)_(%a+)$")
  local write = number and writers[word]
  if not write or (referred ~= "" and referred ~= "referred_") or (all ~= "" and number ~= "0") then return nil end
  local columns = referred == "" and what.columns or what.referred_columns or {}
  if all ~= "" then return all_columns(kind, place, columns, write, all == "_N" and "_" or "") end
  local column = column_at(kind, columns, math.tointeger(tonumber(number)) + 1)
  return column and write(place, column) or ""
end

local tokens = {
  table_name = function(_, place) return place.table_name end,
  referred_table_name = function(_, _, what) return what.referred_table or "" end,
}

function tokens.constraint_name(kind, _, what)
  if what.name then return what.name end
  fail("naming_convention.%s holds %%(constraint_name)s: the constraint needs a name", kind)
end

local function expand(kind, template, place, what)
  return (template:gsub("%%(%(?)([%w_]*)%)?(s?)", function(open, token, letter)
    local write = tokens[token]
    local text = write and write(kind, place, what) or column_token(kind, place, what, token)
    if open == "(" and letter == "s" and text then return text end
    fail("naming_convention.%s: '%%(%s)s' is no token; there are table_name, column_0_name, column_0_label,"
      .. " column_0N_name, column_0_N_name, referred_table_name, referred_column_0_name, constraint_name", kind, token)
  end))
end

-- The name that something gets: its own, unless the convention is for the whole of it or it has none.
local function named(self, kind, place, what)
  local template, name = self.conventions[kind], what.name
  if name ~= nil and (self.final[name] or not template or not template:find("%(constraint_name)s", 1, true)) then
    return name
  end
  return template and expand(kind, template, place, what)
end

local kinds_of = { primary_key = "pk", unique = "uq", check = "ck", foreign_key = "fk" }

local function copy_with(record, fields)
  for name, value in next, record do
    if fields[name] == nil then fields[name] = value end
  end
  return fields
end

-- A constraint with its name; `column` is the one that it was written with.
local function constraint_view(self, place, constraint, column)
  local kind = kinds_of[constraint.kind]
  if not kind then return constraint end
  return copy_with(constraint, { name = named(self, kind, place, {
    name = constraint.name, columns = column and { column.name } or constraint.columns or constraint.local_cols or {},
    referred_table = constraint.referent, referred_columns = constraint.remote_cols or { constraint.remote },
  }) })
end

local function column_view(self, place, column)
  local fields = { foreign_keys = {}, checks = {} }
  for i, key in ipairs(column.foreign_keys) do fields.foreign_keys[i] = constraint_view(self, place, key, column) end
  for i, check in ipairs(column.checks) do fields.checks[i] = constraint_view(self, place, check, column) end
  if column.index then fields.index_name = named(self, "ix", place, { columns = { column.name } }) end
  if column.unique and not column.index then
    fields.unique_name = named(self, "uq", place, { columns = { column.name } })
  end
  return copy_with(column, fields)
end

-- By a record's kind: the record with its names.
local appliers = {}

function appliers.create_table(self, made)
  local fields, key = { columns = {}, constraints = {} }, {}
  for i, column in ipairs(made.columns) do
    fields.columns[i] = column_view(self, made, column)
    if column.primary_key then key[#key + 1] = column.name end
  end
  for i, constraint in ipairs(made.constraints) do fields.constraints[i] = constraint_view(self, made, constraint) end
  if #key > 0 then fields.primary_key_name = named(self, "pk", made, { columns = key }) end
  return copy_with(made, fields)
end

function appliers.add_column(self, made)
  return copy_with(made, { column = column_view(self, made, made.column) })
end

function appliers.alter_column(self, made)
  return copy_with(made, { old_check = made.old_check and constraint_view(self, made, made.old_check),
    new_check = made.new_check and constraint_view(self, made, made.new_check) })
end

function appliers.add_constraint(self, made)
  return copy_with(made, { constraint = constraint_view(self, made, made.constraint) })
end

function appliers.create_index(self, made)
  local name = made.index_name
  if name == null then name = nil end
  return copy_with(made, { index_name = named(self, "ix", made, { name = name, columns = made.columns }) })
end

local constraint_types = { FOREIGNKEY = "fk", PRIMARY = "pk", UNIQUE = "uq", CHECK = "ck" }

function appliers.drop_constraint(self, made)
  local kind = constraint_types[made.type_]
  if not kind then return made end
  return copy_with(made, { constraint_name = named(self, kind, made, { name = made.constraint_name, columns = {} }) })
end

--- The record with names by the conventions; `final` is the set of names that stay. `conventions` may be nil.
function M.apply(conventions, final, made)
  local apply = appliers[made.kind]
  if not apply or not conventions and made.index_name ~= null then return made end
  local own = setmetatable({}, { __index = conventions })
  own.ix = own.ix or DEFAULT_INDEX
  return apply({ conventions = own, final = final }, made)
end

return M
