-- op.batch_alter_table: several changes of one table. As Alembic does on PostgreSQL, each is an ALTER TABLE of its own;
-- what matters where a table has to be copied is taken and has no effect.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"
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

local function without_effect(bind, format, ...)
  bind:log("warn", format:format(...) .. ": PostgreSQL changes a table in place, where the order of its columns stays")
end

local function operation(bind, name, batch, perform)
  local full, signature = "batch_op." .. name, M.signatures[name]
  return function(...)
    local given = arguments.read(full, signature, ...)
    local place = given.insert_before and "insert_before" or given.insert_after and "insert_after"
    if place then without_effect(bind, "%s: %s has no effect", full, place) end
    given.table_name, given.schema = batch.table_name, batch.schema
    given.source_table, given.source_schema = batch.table_name, batch.schema
    return perform(name, full, given)
  end
end

--- Reads the arguments of op.batch_alter_table and calls its function. `perform` carries out a directive.
function M.run(op, bind, perform, ...)
  local batch, batch_op = read(...), {}
  if batch.recreate == "always" then without_effect(bind, 'op.batch_alter_table: recreate = "always" has no effect') end
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
