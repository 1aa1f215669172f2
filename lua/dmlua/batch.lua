-- op.batch_alter_table: several changes of one table. As Alembic does on PostgreSQL, each is an ALTER TABLE of its own;
-- what matters where a table has to be copied is taken and has no effect. Alembic copies a table here, too, when told
-- `recreate = "always"`: to the same table, without its policies, privileges, triggers and comments, and with another
-- sequence. Only its columns may then stand in another order, and that is refused.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"
local record = require "dmlua.record"
local signatures = require "dmlua.signatures"
local strict = require "dmlua.strict"

local M = {}

local names = { "add_column", "alter_column", "drop_column", "create_primary_key", "create_unique_constraint",
  "create_check_constraint", "create_foreign_key", "create_exclude_constraint", "create_index", "drop_index",
  "drop_constraint", "create_table_comment", "drop_table_comment" }

-- The table is the batch's.
local of_table = { table_name = true, source_table = true, schema = true, source_schema = true }

local function without_table(signature)
  local own = { list = signature.list, options = {} }
  for _, parameter in ipairs(signature) do
    if not of_table[parameter[1]] then own[#own + 1] = parameter end
  end
  for name, kind in pairs(signature.options) do
    if not of_table[name] then own.options[name] = kind end
  end
  return own
end

--- What each operation of a batch takes.
M.signatures = {}
for _, name in ipairs(names) do M.signatures[name] = without_table(signatures[name]) end
for _, name in ipairs { "add_column", "alter_column" } do
  local options = M.signatures[name].options
  options.insert_before, options.insert_after = "name", "name"
end

arguments.kind("recreate", function(value)
  if value == "auto" or value == "always" or value == "never" then return value end
  return nil, '"auto", "always" or "never"'
end)

--- What batch_alter_table takes, the function last.
M.signature = { { "table_name", "name" }, { "fn", "function" }, options = {
  schema = "name", recreate = "recreate", partial_reordering = "any", copy_from = "any", table_args = "any",
  table_kwargs = "any", reflect_args = "any", reflect_kwargs = "any", naming_convention = "any",
} }

-- The options stand before the function, or behind it.
local function read(...)
  local name, second, third = ...
  if select("#", ...) == 3 and type(third) == "function" then
    return arguments.read("op.batch_alter_table", M.signature, name, third, second)
  end
  return arguments.read("op.batch_alter_table", M.signature, ...)
end

local function refuse_order(full, what)
  errors.raise { kind = "migration",
    message = full .. ": " .. what .. " asks for another order of columns, for which the table would have to be copied",
    hint = "leave it out: PostgreSQL adds a column behind the others; a copy loses policies, privileges and triggers" }
end

-- In an ALTER, Alembic, too, refuses the place of a new column, and takes that of another one without a word.
local function check_place(bind, name, batch, given)
  local place = given.insert_before and "insert_before" or given.insert_after and "insert_after"
  if not place then return end
  local full = "batch_op." .. name
  if name == "add_column" or batch.recreate == "always" then refuse_order(full, place) end
  bind:log("warn", ("%s: %s has no effect: PostgreSQL changes a table in place, where the order of its columns stays")
    :format(full, place))
end

local function operation(bind, name, batch, perform)
  local full, signature = "batch_op." .. name, M.signatures[name]
  return function(...)
    local given = arguments.read(full, signature, ...)
    check_place(bind, name, batch, given)
    given.table_name, given.schema = batch.table_name, batch.schema
    given.source_table, given.source_schema = batch.table_name, batch.schema
    return perform(name, full, given)
  end
end

-- What a copy would be made for.
local function check_recreate(bind, batch)
  if batch.recreate ~= "always" then return end
  if record.plain(batch.partial_reordering) and next(batch.partial_reordering) then
    refuse_order("op.batch_alter_table", "partial_reordering")
  end
  for _, option in ipairs { "table_args", "table_kwargs" } do
    if record.plain(batch[option]) and next(batch[option]) ~= nil then
      errors.raise { kind = "migration",
        message = "op.batch_alter_table: " .. option .. " would be the copy's, and the table is not copied",
        hint = "say what it adds with an operation: batch_op.create_unique_constraint(…), op.execute(…)" }
    end
  end
  bind:log("warn", 'op.batch_alter_table: recreate = "always" has no effect: the table is changed in place, and keeps '
    .. "its policies, privileges, triggers and sequences, which Alembic's copy would not have")
end

--- Reads the arguments of op.batch_alter_table and calls its function. `perform` carries out a directive.
function M.run(op, bind, perform, ...)
  local batch, batch_op = read(...), {}
  check_recreate(bind, batch)
  for _, name in ipairs { "execute", "f", "get_bind", "get_context", "inline_literal", "invoke" } do
    batch_op[name] = op[name]
  end
  for _, name in ipairs(names) do batch_op[name] = operation(bind, name, batch, perform) end
  local ended = false
  batch.fn(strict.view("batch_op", setmetatable({}, {
    __index = function(_, name)
      if ended then errors.raise { kind = "migration", message = "batch_op has ended with its function" } end
      return batch_op[name]
    end,
    __pairs = function() return pairs(batch_op) end,
  })))
  ended = true
end

return M
