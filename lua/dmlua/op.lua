-- Alembic's operations. A call reads its arguments into a record; ddl makes SQL of it; bind sends that and does not
-- wait.

local arguments = require "dmlua.arguments"
local ddl = require "dmlua.ddl"
local door = require "dmlua.door"
local errors = require "dmlua.errors"
local execute = require "dmlua.execute"
local null = require "dmlua.null"
local record = require "dmlua.record"
local signatures = require "dmlua.signatures"

local element_kinds = { column = true, primary_key = true, unique = true, check = true, foreign_key = true }
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
  return given
end

function shapes.alter_column(given)
  if given.postgresql_using and not given.type_ then
    arguments.fail("op.alter_column", "postgresql_using must be used with the type_ parameter")
  end
  if record.kind(given.server_default) == "computed" then
    arguments.fail("op.alter_column", "PostgreSQL cannot make a column computed: drop it and add it with sa.Computed")
  end
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

-- Python's `default` and `onupdate` do nothing in a database: say so once a call, where an author may expect otherwise.
local function warn_ignored(bind, made)
  for _, column in ipairs(made.columns or { made.column }) do
    if column.ignored then
      bind:log("warn", ("column %s.%s: %s has no effect in the database; write server_default for a default there")
        :format(made.table_name, column.name, column.ignored))
    end
  end
end

local function send_all(bind, texts)
  local file, line = errors.where()
  for _, text in ipairs(texts) do bind:send(text, nil, file, line) end
end

local function directive(step, name, signature, doors)
  local bind = step.bind
  local shape = shapes[name] or function(given) return given end
  local full = "op." .. name
  return function(...)
    local given = arguments.read(full, signature, ...)
    given.kind = name
    local made = shape(given)
    if given.postgresql_concurrently and not step.in_autocommit then
      arguments.fail(full, "CONCURRENTLY cannot run inside a transaction: put it into %s",
        "op.get_context():autocommit_block(fn)")
    end
    local texts = ddl.render(made)
    warn_ignored(bind, made)
    local tables = checked_tables(made)
    -- Outside a transaction there is no door: where row security is forced, the server refuses the foreign key.
    if #tables == 0 or step.in_autocommit then return send_all(bind, texts) end
    doors.open(tables, function() send_all(bind, texts) end)
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

local M = {}

--- The operations of one step.
function M.new(step, context)
  local doors = door.of(step)
  local execution = execute.new(step)
  local op = { get_bind = execution.get_bind, execute = execution.execute, across_tenants = doors.across_tenants,
    get_context = context.get_context }
  for name, signature in pairs(signatures) do op[name] = directive(step, name, signature, doors) end
  --- f(name): marks a name as final; no naming convention changes it.
  function op.f(...)
    return arguments.read("op.f", { { "name", "name" } }, ...).name
  end
  return with_postgresql(op, step, doors)
end

return M
