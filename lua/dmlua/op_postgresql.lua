-- The operations that Alembic lacks: what only PostgreSQL has. Made like Alembic's own (op.lua): arguments to a record,
-- ddl makes SQL of it, bind sends that and does not wait.

local arguments = require "dmlua.arguments"
local ddl = require "dmlua.ddl"
local errors = require "dmlua.errors"
local kinds = require "dmlua.kinds_postgresql"
local quote = require "dmlua.quote"
local send_all = require "dmlua.send_all"
local signatures = require "dmlua.signatures_postgresql"

local M = {}

local function fail_both(full, one, other)
  arguments.fail(full, "%s and %s exclude each other", one, other)
end

-- What an argument list becomes, and what the signature cannot say: shape(given, full name, step).
local shapes = {}

local function either(one, other)
  return function(given, full)
    if given[one] and given[other] then fail_both(full, one, other) end
  end
end
shapes.create_policy = either("replace", "if_not_exists")
shapes.add_enum_value = either("before", "after")
shapes.create_sequence = either("minvalue", "nominvalue")

function shapes.create_trigger(given, full)
  either("replace", "if_not_exists")(given, full)
  if not given.update_of then return end
  for _, event in ipairs(given.events) do
    if event == "UPDATE" then return end
  end
  arguments.fail(full, "update_of names columns of UPDATE, which is not among the events")
end

-- A function that runs as its owner must not find tables or operators of its caller's (CVE-2018-1058).
local function check_definer(given, full)
  if given.security_definer and not (given.set and given.set.search_path) then
    arguments.fail(full, 'security_definer needs a search_path of its own: set = { search_path = "pg_catalog, …" }')
  end
end
shapes.create_function, shapes.create_procedure = check_definer, check_definer

-- Where tenants are kept apart by row security, a view over their tables must not be read with its owner's eyes.
local function watch_tenants(given, _, step)
  local settings = step.bind.settings
  if settings.isolation == "rls" then given.tenant_column = settings.tenant_column end
end
shapes.create_materialized_view = watch_tenants

function shapes.create_view(given, full, step)
  watch_tenants(given, full, step)
  if given.tenant_column and given.security_invoker == nil and step.in_autocommit then
    arguments.fail(full, "inside an autocommit_block the view would be open for a moment: say security_invoker")
  end
end

function shapes.comment_on(given, full)
  local way = kinds.comment_objects[given.object]
  if (way == "column" or way == "on_table") and not given.table_name then
    arguments.fail(full, "the comment on a %s needs table_name", given.object:lower())
  end
end

function shapes.detach_partition(given, full, step)
  either("concurrently", "finalize")(given, full)
  if given.concurrently and not step.in_autocommit then
    arguments.fail(full, "CONCURRENTLY cannot run inside a transaction: put it into %s",
      "op.get_context():autocommit_block(fn)")
  end
end

-- Both tables of a foreign key are read when it is validated, with queries of the migrator's own, which forced row
-- security would blind. A check constraint reads its table past row security.
local function validated_tables(given)
  local name = quote.literal(quote.qualified(given.schema, given.table_name))
  return ("(SELECT ARRAY[conrelid::regclass::text, confrelid::regclass::text] FROM pg_catalog.pg_constraint"
    .. " WHERE conrelid = pg_catalog.to_regclass(%s) AND conname = %s AND contype = 'f')")
    :format(name, quote.literal(given.constraint_name))
end

-- What a directive does besides sending its SQL: senders[name](step, doors, given, texts).
local senders = {}

function senders.validate_constraint(step, doors, given, texts)
  if step.in_autocommit then return send_all(step.bind, texts) end
  doors.open({ { given.table_name, schema = given.schema } }, function() send_all(step.bind, texts) end,
    validated_tables(given))
end

local function directive(step, doors, name, signature)
  local full, shape, send = "op." .. name, shapes[name], senders[name]
  return function(...)
    local given = arguments.read(full, signature, ...)
    given.kind = name
    if shape then shape(given, full, step) end
    local texts = ddl.render(given)
    if send then return send(step, doors, given, texts) end
    send_all(step.bind, texts)
  end
end

--- The directives of one step, by name.
function M.new(step, doors)
  local op = {}
  for name, signature in pairs(signatures) do op[name] = directive(step, doors, name, signature) end
  for name, operation in pairs(require("dmlua.backup").new(step, doors)) do op[name] = operation end
  for name, composite in pairs(require("dmlua.online").new(step)) do op[name] = composite end
  op.copy_from = require("dmlua.copy").new(step)
  --- irreversible(why): for a downgrade() that cannot be.
  function op.irreversible(...)
    local given = arguments.read("op.irreversible", { { "why", "string" } }, ...)
    errors.raise { kind = "refused",
      message = ("%s of %s is irreversible: %s"):format(step.bind.direction, step.bind.revision, given.why) }
  end
  return op
end

return M
