-- Work tenant by tenant. What a loop is (its transaction, its role, its context) is the engine's business; here its
-- arguments are read.

local arguments = require "dmlua.arguments"
local quote = require "dmlua.quote"
local record = require "dmlua.record"

local M = {}

-- Ids as the query that answers them; it may run on the database that holds the tenants.
local function query_of(ids)
  return "SELECT unnest(" .. quote.literals(ids) .. ") AS id"
end

local function is_id(value)
  return type(value) == "string" or math.type(value) == "integer"
end

arguments.kind("tenant", function(value)
  if is_id(value) then return tostring(value) end
  return nil, "a tenant's id"
end)

arguments.kind("tenants", function(value)
  local expected = "a query whose first column is the id, or a list of ids"
  if type(value) == "string" then return value end
  if record.kind(value) == "text" then return value.text end
  if not record.plain(value) then return nil, expected end
  local ids = {}
  for key, id in pairs(value) do
    if math.type(key) ~= "integer" or not is_id(id) then return nil, expected end
    ids[key] = tostring(id)
  end
  return query_of(ids)
end)

arguments.kind("loop_mode", function(value)
  if value == "atomic" or value == "resumable" then return value end
  return nil, '"atomic" (one transaction for all tenants) or "resumable" (one for each)'
end)

local each = {
  { "fn", "function" },
  options = { from = "tenants", mode = "loop_mode", allow_empty = "boolean", retries = "integer",
    max_failures = "integer" },
}

--- The loops of one step.
function M.new(step)
  local bind, tenants = step.bind, {}

  -- What stands inside a loop has to know: it would be the tenant's role that stands before op.across_tenants' door.
  local function visit(fn, options)
    step.tenant = true
    local _ <close> = setmetatable({}, { __close = function() step.tenant = nil end })
    bind:each(fn, options)
  end

  --- each(fn, {from, mode, allow_empty, retries, max_failures}): calls fn(tenant) for every tenant, in its context.
  --- Atomic: in the step's transaction, all or none. Resumable: in a transaction each, with a row that says it is done;
  --- what a deadlock ended is tried again (`retries` times, 5), from the callback's beginning; the loop goes on past
  --- failed tenants up to `max_failures` (10), the step is then not complete (exit 6), and a rerun visits the missing.
  function tenants.each(...)
    local given = arguments.read("tenants.each", each, ...)
    visit(given.fn, { from = given.from, mode = given.mode, allow_empty = given.allow_empty,
      retries = given.retries, max_failures = given.max_failures })
  end

  --- with(id, fn): calls fn(tenant) for one tenant, in its context.
  function tenants.with(...)
    local given = arguments.read("tenants.with", { { "id", "tenant" }, { "fn", "function" } }, ...)
    visit(given.fn, { from = query_of { given.id } })
  end

  return tenants
end

return M
