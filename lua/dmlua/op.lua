-- Alembic's operations. A call reads its arguments into a record; ddl makes SQL of it; bind sends that and does not
-- wait.

local arguments = require "dmlua.arguments"
local ddl = require "dmlua.ddl"
local door = require "dmlua.door"
local enum = require "dmlua.enum"
local errors = require "dmlua.errors"
local execute = require "dmlua.execute"
local null = require "dmlua.null"
local record = require "dmlua.record"
local send_all = require "dmlua.send_all"
local signatures = require "dmlua.signatures"
local strict = require "dmlua.strict"

local element_kinds = { column = true, primary_key = true, unique = true, check = true, foreign_key = true,
  exclude = true }
arguments.kind("table_element", function(value)
  local kind = record.kind(value)
  if element_kinds[kind] and not (kind == "foreign_key" and not value.local_cols) then return value end
  return nil, "a sa.Column or a table constraint"
end)

local function nameless(name)
  if name ~= null then return name end
end

-- What an argument list becomes, where the record is more than the arguments.
local shapes = {}

function shapes.create_table(given)
  local columns, constraints = {}, {}
  for _, element in ipairs(given) do
    local list = element.kind == "column" and columns or constraints
    list[#list + 1] = element
  end
  given.columns, given.constraints = columns, constraints
  if given.tenant and given.tenant ~= "global" then
    arguments.fail("op.create_table", 'tenant is "global", for a table without tenants, got "%s"', given.tenant)
  end
  return given
end

function shapes.alter_column(given)
  if given.postgresql_using and not given.type_ then
    arguments.fail("op.alter_column", "postgresql_using must be used with the type_ parameter")
  end
  if record.kind(given.server_default) == "fetched" then
    arguments.fail("op.alter_column", "sa.FetchedValue is no default: server_default = null takes one away")
  end
  if record.kind(given.server_default) == "computed" then
    arguments.fail("op.alter_column", "PostgreSQL cannot make a column computed: drop it and add it with sa.Computed")
  end
  if given.server_default == false then
    arguments.fail("op.alter_column", 'server_default = false changes nothing in Alembic: write sa.false_() for the '
      .. "default, null for none")
  end
  if not given.type_ then return given end
  given.old_check = enum.check(given.column_name, given.existing_type)
  given.new_check = enum.check(given.new_column_name or given.column_name, given.type_)
  return given
end

-- ALTER TABLE … ADD of one constraint.
local function adding(kind)
  return function(given)
    local constraint = {}
    for name, value in pairs(given) do constraint[name] = value end
    constraint.kind, constraint.name = kind, nameless(given.constraint_name)
    return { kind = "add_constraint", table_name = given.table_name, schema = given.schema, constraint = constraint }
  end
end
shapes.create_primary_key = adding "primary_key"
shapes.create_unique_constraint = adding "unique"
shapes.create_check_constraint = adding "check"

function shapes.create_exclude_constraint(given)
  given.elements = table.move(given, 1, #given, 1, {})
  if #given.elements == 0 then arguments.fail("op.create_exclude_constraint", "names no column") end
  return adding("exclude")(given)
end

function shapes.create_foreign_key(given)
  if #given.local_cols ~= #given.remote_cols then
    arguments.fail("op.create_foreign_key", "local_cols has %d columns, remote_cols %d", #given.local_cols,
      #given.remote_cols)
  end
  given.table_name, given.schema, given.referent = given.source_table, given.source_schema, given.referent_table
  return adding("foreign_key")(given)
end

-- Tables on both sides of the foreign keys that a record adds: PostgreSQL checks them with queries of the migrator's
-- own, which forced row security would blind. A new table holds nothing to check.
local function checked_tables(made)
  local tables = {}
  local function add(schema, name) tables[#tables + 1] = { name, schema = schema } end
  local keys = made.kind == "add_column" and made.column.foreign_keys or {}
  if made.kind == "add_constraint" and made.constraint.kind == "foreign_key" then keys = { made.constraint } end
  for _, key in ipairs(keys) do
    if not key.postgresql_not_valid then add(key.referent_schema, key.referent) end
  end
  if #tables > 0 then add(made.schema, made.table_name) end
  return tables
end

local instead = { default = "write server_default for a default there", onupdate = "there a trigger would do it" }

-- Python's `default` and `onupdate` do nothing in a database: say so, loudly once a step, where an author may expect
-- otherwise.
local function warn_ignored(step, made)
  for _, column in ipairs(made.columns or { made.column }) do
    if column.ignored then
      step.bind:log(step.warned_ignored and "debug" or "warn", ("column %s.%s: %s has no effect in the database; %s")
        :format(made.table_name, column.name, column.ignored, instead[column.ignored]))
      step.warned_ignored = true
    end
  end
end

-- See constraint_lines of ddl/table.lua.
local function warn_use_alter(bind, made)
  local keys = {}
  for _, column in ipairs(made.columns) do
    table.move(column.foreign_keys, 1, #column.foreign_keys, #keys + 1, keys)
  end
  table.move(made.constraints, 1, #made.constraints, #keys + 1, keys)
  for _, key in ipairs(keys) do
    if key.use_alter then
      bind:log("warn", ("op.create_table: table %s: the foreign key %sto %s says use_alter and is not made, as by "
        .. "Alembic; make it with op.create_foreign_key when both tables are there"):format(made.table_name,
        key.name and key.name .. " " or "", key.referent))
    end
  end
end

-- What create_table answers with, for bulk_insert.
local function made_table(made)
  if made.kind == "create_table" then
    return record.new { kind = "table", name = made.table_name, schema = made.schema, columns = made.columns }
  end
end

-- The operations that Alembic lacks are loaded when a script asks for a name that is not Alembic's.
local function with_postgresql(op, step, doors)
  local function load()
    setmetatable(op, nil)
    for name, operation in pairs(require("dmlua.op_postgresql").new(step, doors)) do op[name] = operation end
  end
  return setmetatable(op, {
    __index = function(_, name) load() return op[name] end,
    __pairs = function() load() return pairs(op) end,
  })
end

local function declare_global(bind, made)
  local settings = bind.settings
  local place = { table = made.table_name, schema = made.schema, column = settings.tenant_column }
  send_all(bind, { require("dmlua.guards.declare").block(place, settings.schema) })
end

local function rename_declared(bind, made)
  send_all(bind, { require("dmlua.guards.declare").rename(made.old_table_name, made.new_table_name, made.schema,
    bind.settings.schema) })
end

-- Carries out the directive `name`, called `full` in errors, on arguments that have been read.
local function perform(step, doors, name, full, given)
  given.kind = name
  local bind, shape = step.bind, shapes[name]
  local made = shape and shape(given) or given
  if step.conventions or given.index_name == null then
    made = require("dmlua.naming").apply(step.conventions, step.final, made)
  end
  if given.postgresql_concurrently and not step.in_autocommit then
    arguments.fail(full, "CONCURRENTLY cannot run inside a transaction: put it into %s",
      "op.get_context():autocommit_block(fn)")
  end
  local texts = ddl.render(made)
  warn_ignored(step, made)
  if name == "create_table" then warn_use_alter(bind, made) end
  local tables = checked_tables(made)
  -- Outside a transaction there is no door: where row security is forced, the server refuses the foreign key.
  if #tables == 0 or step.in_autocommit then
    send_all(bind, texts)
  else
    doors.open(tables, function() send_all(bind, texts) end)
  end
  if made.tenant == "global" then declare_global(bind, made) end
  if name == "rename_table" and bind.settings.declarations then rename_declared(bind, made) end
  return made_table(made)
end

local M = {}

-- Operations that a tree registers in its lib/, as Alembic's: `register_operation` gives op a name, `invoke` carries an
-- operation out by what `implementation_for` its kind says.
local function add_registry(op)
  local registered, implementations, view = {}, {}, strict.view("op", op)

  --- register_operation(name, fn): from now on op.name(…) is fn(op, …).
  function op.register_operation(...)
    local given = arguments.read("op.register_operation", { { "name", "word" }, { "fn", "function" } }, ...)
    if op[given.name] ~= nil and not registered[given.name] then
      arguments.fail("op.register_operation", "op.%s is there already", given.name)
    end
    registered[given.name] = true
    op[given.name] = function(...) return given.fn(view, ...) end
  end

  --- implementation_for(kind, fn): what carries out operations { kind = kind, … }, fn(op, operation).
  function op.implementation_for(...)
    local given = arguments.read("op.implementation_for", { { "kind", "word" }, { "fn", "function" } }, ...)
    implementations[given.kind] = given.fn
  end

  --- invoke(operation): carries out an operation, { kind = …, … }.
  function op.invoke(...)
    local operation = arguments.read("op.invoke", { { "operation", "string_map" } }, ...).operation
    local kind = tostring(operation.kind)
    local implementation = implementations[kind]
    if not implementation then
      arguments.fail("op.invoke", "no op.implementation_for '%s'%s", kind,
        errors.suggestion(kind, strict.names(implementations)))
    end
    return implementation(view, operation)
  end
end

local function add_directives(op, step, doors)
  for name, signature in pairs(signatures) do
    local full = "op." .. name
    op[name] = function(...) return perform(step, doors, name, full, arguments.read(full, signature, ...)) end
  end

  --- batch_alter_table(table, options, fn): fn(batch_op) says what changes about one table.
  function op.batch_alter_table(...)
    require("dmlua.batch").run(op, step.bind, function(...) return perform(step, doors, ...) end, ...)
  end

  --- bulk_insert(table, rows, {multiinsert}): rows by column name.
  function op.bulk_insert(...)
    require("dmlua.bulk").insert(step.bind, ...)
  end
end

local convention_keys = { "ix", "uq", "ck", "fk", "pk" }

-- Most services have no naming convention: what applies one is loaded where there is one.
local function conventions_of(settings)
  for _, kind in ipairs(convention_keys) do
    if settings["naming_convention." .. kind] then return require("dmlua.naming").of(settings) end
  end
end

--- The operations of one step.
function M.new(step, context)
  local doors = door.of(step)
  local execution = execute.new(step)
  step.final, step.conventions = {}, step.bind and conventions_of(step.bind.settings)
  local op = { get_bind = execution.get_bind, execute = execution.execute, across_tenants = doors.across_tenants,
    get_context = context.get_context }
  add_directives(op, step, doors)
  add_registry(op)
  step.op = op

  --- f(name): marks a name as final; no naming convention changes it.
  function op.f(...)
    local name = arguments.read("op.f", { { "name", "name" } }, ...).name
    step.final[name] = true
    return name
  end

  --- inline_literal(value): the value as it is written in SQL.
  function op.inline_literal(...)
    local given = arguments.read("op.inline_literal", { { "value", "plain_value" },
      { "type_", "any", optional = true } }, ...)
    return record.new { kind = "literal", value = given.value }
  end

  return with_postgresql(op, step, doors)
end

return M
