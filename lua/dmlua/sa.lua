-- SQLAlchemy's names: columns, constraints, types, SQL text. Each call makes a plain record; ddl makes SQL of it.

local arguments = require "dmlua.arguments"
local enum = require "dmlua.enum"
local errors = require "dmlua.errors"
local record = require "dmlua.record"
local signatures = require "dmlua.signatures_sa"
local target_of = require "dmlua.target"
local types = require "dmlua.types"

local M = {}
types.generic(M)

local function read(name, ...)
  return arguments.read("sa." .. name, signatures[name], ...)
end

arguments.kind("column_item", function(value)
  local kind = record.kind(value)
  if kind == "foreign_key" or kind == "check" or kind == "identity" or kind == "computed" then return value end
  return nil, "sa.ForeignKey, sa.CheckConstraint, sa.Identity or sa.Computed"
end)

local function by_kind(items)
  local sorted = { foreign_key = {}, check = {}, identity = {}, computed = {} }
  for _, item in ipairs(items) do
    local list = sorted[item.kind]
    list[#list + 1] = item
  end
  return sorted
end

local function generated(given, items)
  local default = given.server_default
  local kind = record.kind(default)
  local identity = items.identity[1] or kind == "identity" and default or nil
  local computed = items.computed[1] or kind == "computed" and default or nil
  return identity, computed
end

local function checks_of(given, checks)
  checks[#checks + 1] = enum.check(given.name, given.type)
  return checks
end

--- Column(name, type, [ForeignKey…], options)
function M.Column(...)
  local given = read("Column", ...)
  local items = by_kind(given)
  local identity, computed = generated(given, items)
  local nullable = given.nullable
  if nullable == nil then nullable = not given.primary_key and not identity end
  local ignored
  for _, name in ipairs { "onupdate", "default" } do
    if given[name] ~= nil then ignored = name end
  end
  local default
  if not identity and not computed and record.kind(given.server_default) ~= "fetched" then
    default = given.server_default
  end
  return record.new {
    kind = "column", name = given.name, type = given.type, nullable = nullable, primary_key = given.primary_key,
    server_default = default, index = given.index, unique = given.unique, comment = given.comment,
    autoincrement = given.autoincrement, foreign_keys = items.foreign_key, checks = checks_of(given, items.check),
    identity = identity, computed = computed, ignored = ignored,
  }
end

--- ForeignKey("table.column", options): of one column.
function M.ForeignKey(...)
  local given = read("ForeignKey", ...)
  given.kind = "foreign_key"
  given.referent_schema, given.referent, given.remote = target_of("sa.ForeignKey", given.column)
  return record.new(given)
end

--- PrimaryKeyConstraint("column"…, options)
function M.PrimaryKeyConstraint(...)
  local given = read("PrimaryKeyConstraint", ...)
  given.kind, given.columns = "primary_key", table.move(given, 1, #given, 1, {})
  return record.new(given)
end

--- UniqueConstraint("column"…, options)
function M.UniqueConstraint(...)
  local given = read("UniqueConstraint", ...)
  given.kind, given.columns = "unique", table.move(given, 1, #given, 1, {})
  if #given.columns == 0 then arguments.fail("sa.UniqueConstraint", "names no column") end
  return record.new(given)
end

--- CheckConstraint("condition", options)
function M.CheckConstraint(...)
  local given = read("CheckConstraint", ...)
  given.kind, given.condition = "check", given.sqltext
  return record.new(given)
end

--- ForeignKeyConstraint({"column"…}, {"table.column"…}, options)
function M.ForeignKeyConstraint(...)
  local directive = "sa.ForeignKeyConstraint"
  local given = read("ForeignKeyConstraint", ...)
  if #given.columns ~= #given.refcolumns then
    arguments.fail(directive, "has %d columns and %d they refer to", #given.columns, #given.refcolumns)
  end
  given.kind, given.local_cols, given.remote_cols = "foreign_key", given.columns, {}
  for i, text in ipairs(given.refcolumns) do
    local schema, name, remote = target_of(directive, text)
    if i > 1 and (schema ~= given.referent_schema or name ~= given.referent) then
      arguments.fail(directive, "refers to more than one table")
    end
    given.referent_schema, given.referent, given.remote_cols[i] = schema, name, remote
  end
  return record.new(given)
end

--- Identity(options): GENERATED … AS IDENTITY.
function M.Identity(...)
  local given = read("Identity", ...)
  given.kind = "identity"
  return record.new(given)
end

--- Computed("expression", options): GENERATED ALWAYS AS (…) STORED.
function M.Computed(...)
  local given = read("Computed", ...)
  if given.persisted == false then arguments.fail("sa.Computed", "PostgreSQL stores what it computes (persisted)") end
  given.kind = "computed"
  return record.new(given)
end

--- DefaultClause(default): what server_default is made of in any case.
function M.DefaultClause(...)
  return read("DefaultClause", ...).arg
end

--- FetchedValue(): a trigger or the like gives the column its value; there is no default.
function M.FetchedValue(...)
  read("FetchedValue", ...)
  return record.new { kind = "fetched" }
end

--- text("…"): SQL as it stands.
function M.text(...)
  local given = read("text", ...)
  return record.new { kind = "text", text = given.text }
end
M.literal_column = M.text

--- bindparam(key, value, {type_}): a parameter's value, or its type alone.
function M.bindparam(...)
  local given = read("bindparam", ...)
  if given.expanding then
    arguments.fail("sa.bindparam", "expanding is not needed: a list is an array, write column = ANY(:%s)", given.key)
  end
  return record.new { kind = "bindparam", key = given.key, value = given.value, type_ = given.type_ }
end

arguments.kind("bindparam", function(value)
  if record.kind(value) == "bindparam" then return value end
  return nil, "a sa.bindparam"
end)

-- sa.text(…):bindparams(…): the same text with values for its parameters, by name or as sa.bindparam.
record.method("text", "bindparams", function(self, ...)
  local count, last, bound = select("#", ...), nil, {}
  for name, value in pairs(rawget(self, "bound") or {}) do bound[name] = value end
  if count > 0 then last = select(count, ...) end
  local by_name = record.plain(last) and last or {}
  local listed = table.pack(...)
  for i = 1, record.plain(last) and count - 1 or count do
    local given = arguments.value("sa.text:bindparams", "argument " .. i, "bindparam", listed[i])
    if not given then arguments.fail("sa.text:bindparams", "argument %d is nil", i) end
    bound[given.key] = given
  end
  for name, value in pairs(by_name) do bound[name] = { value = value } end
  return record.new { kind = "text", text = self.text, bound = bound }
end)

-- A constant that may be written with or without "()".
local function constant(sql)
  return record.callable({ kind = "text", text = sql }, function(self) return self end)
end
M.true_, M.false_, M.null = constant("true"), constant("false"), constant("NULL")

-- What may be called, or be a schema: sa.func.now(), sa.func.billing.next_number().
local function sql_function(prefix, called)
  return setmetatable({}, {
    __index = function(_, name) return sql_function(prefix .. tostring(name) .. ".", prefix .. tostring(name)) end,
    __newindex = function() arguments.fail("sa.func", "cannot be changed") end,
    __call = called and function(_, ...)
      return record.new { kind = "func", name = called, arguments = table.pack(...) }
    end,
    __metatable = "sa.func",
  })
end

--- func.name(arguments…), func.schema.name(…): a call of an SQL function.
M.func = sql_function ""

--- ExcludeConstraint({"column", "operator"}…, options)
function M.ExcludeConstraint(...)
  local given = read("ExcludeConstraint", ...)
  given.kind, given.elements = "exclude", table.move(given, 1, #given, 1, {})
  if #given.elements == 0 then arguments.fail("sa.ExcludeConstraint", "names no column") end
  return record.new(given)
end

arguments.kind("table_column", function(value)
  if record.kind(value) == "table_column" or record.kind(value) == "column" then return value end
  return nil, "a sa.column"
end)

--- column(name, type): of a sa.table.
function M.column(...)
  local given = read("column", ...)
  given.kind = "table_column"
  return record.new(given)
end

-- SQLAlchemy's operators of columns and functions.
for _, name in ipairs { "asc", "desc", "nulls_first", "nulls_last", "nullsfirst", "nullslast", "is_", "is_not", "isnot",
  "is_distinct_from", "in_", "not_in", "notin_", "like", "ilike", "not_like", "between", "cast", "collate", "op",
  "label", "astext", "contains", "startswith", "any_" } do
  for kind, shown in pairs { table_column = "sa.column", func = "sa.func" } do
    record.method(kind, name, function()
      errors.raise { kind = "migration", message = ("%s has no '%s': write SQL, sa.text(\"…\")"):format(shown, name) }
    end)
  end
end

--- table(name, sa.column(…)…, {schema}): what op.bulk_insert writes to.
function M.table(...)
  local given = read("table", ...)
  return record.new { kind = "table", name = given.name, schema = given.schema,
    columns = table.move(given, 1, #given, 1, {}) }
end

--- inspect(bind): reads the catalogue, see inspect.lua.
function M.inspect(...)
  return require("dmlua.inspect").new(read("inspect", ...).bind)
end

-- SQLAlchemy's query builder is not built again: SQL is as short.
for _, name in ipairs { "select", "insert", "update", "delete", "case", "and_", "or_", "not_", "cast", "exists",
  "union", "distinct", "MetaData", "Table" } do
  M[name] = function()
    arguments.fail("sa." .. name, 'is not there: write SQL, op.execute("…", { name = value }) or, for rows, %s',
      'op.get_bind():execute("…", { name = value })')
  end
end

return M
