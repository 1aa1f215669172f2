-- Work tenant by tenant. What a loop is (its transaction, its role, its context) is the engine's business; here its
-- arguments are read.

local arguments = require "dmlua.arguments"
local tenant_batches = require "dmlua.tenant_batches"
local tenant_lists = require "dmlua.tenant_lists"

local M = {}

arguments.kind("loop_mode", function(value)
  if value == "atomic" or value == "resumable" then return value end
  return nil, '"atomic" (one transaction for all tenants) or "resumable" (one for each)'
end)

local WORKERS_MOST = 64 -- host/loop/lane.h

arguments.kind("workers", function(value)
  if math.type(value) == "integer" and value >= 1 and value <= WORKERS_MOST then return value end
  return nil, ("a number of connections, 1 to %d"):format(WORKERS_MOST)
end)

arguments.kind("times", function(value)
  if math.type(value) == "integer" and value >= 0 and value <= 1000000000 then return value end
  return nil, "a whole number, 0 or more"
end)

arguments.kind("failures", function(value)
  if math.type(value) == "integer" and value >= 1 and value <= 1000000000 then return value end
  return nil, "a whole number, 1 or more: the failure that ends the loop"
end)

local each = {
  { "fn", "function" },
  options = { from = "tenants", mode = "loop_mode", allow_empty = "boolean", retries = "times",
    max_failures = "failures", workers = "workers", covers = "any", batch = "batch" },
}

-- What only a transaction a tenant can have: the name of an option, why it is refused elsewhere.
local only_resumable = {
  workers = "one transaction for all tenants has one connection",
  batch = "a batch is a transaction of its own",
  retries = "what has failed takes all tenants with it",
  max_failures = "the first failure takes all tenants back",
}

local function check_mode(given)
  for name, why in pairs(only_resumable) do
    if given[name] and given.mode ~= "resumable" then
      arguments.fail("tenants.each", '%s needs mode = "resumable": %s', name, why)
    end
  end
end

--- The loops of one step.
function M.new(step)
  local bind, tenants, known_row = step.bind, {}, nil

  -- What the engine reads, and what it asks back.
  local function list(call, from, allow_empty, mode)
    return { needed_by = call, mode = mode, from = from and from.query, ids = from and from.ids,
      allow_empty = allow_empty, known = not from or bind.settings.tenants_query ~= nil,
      choose = function(rows, known)
        if known and mode ~= "resumable" then -- whose list is not looked at again at the step's end
          known_row = {}
          for _, row in ipairs(known) do known_row[row.id] = row end
        end
        return from and tenant_lists.choose(call, from, rows, known) or known
      end }
  end

  -- The rows of these tables that the loop will not reach are counted before it begins, in the step's transaction.
  local function report_cover(given, options)
    local known
    local choose = options.choose
    options.needed_by = "tenants.each { covers = … }"
    function options.choose(rows, all)
      local visited = choose(rows, all)
      known = all or visited
      return visited
    end
    require("dmlua.covers").report(step, "tenants.each", given.covers, bind:tenants(options), known)
    options.choose = choose
  end

  -- What stands inside a loop has to know: it would be the tenant's role that stands before op.across_tenants' door.
  local function visit(call, fn, options)
    if (step.open_doors or 0) > 0 then
      arguments.fail(call, "cannot stand inside op.across_tenants, which takes away what would hold the callback")
    end
    step.tenant = true
    local _ <close> = setmetatable({}, { __close = function() step.tenant = nil end })
    bind:each(fn, options)
  end

  --- each(fn, {from, mode, allow_empty, retries, max_failures, workers, covers, batch}): calls fn(tenant) for every
  --- tenant, in its context.
  --- Atomic: in the step's transaction, all or none. Resumable: in a transaction each, with a row that says it is done;
  --- what a deadlock ended is tried again (`retries` times, 5), from the callback's beginning; the loop goes on past
  --- failed tenants up to `max_failures` (10), the step is then not complete (exit 6), and a rerun visits the missing.
  --- `covers`: tables whose rows that no tenant reaches are counted and named.
  --- `workers` connections carry it (1). `batch`: fn(tenant, batch) is called for each batch of a tenant's rows, in a
  --- transaction that also keeps the cursor.
  function tenants.each(...)
    local given = arguments.read("tenants.each", each, ...)
    check_mode(given)
    local options = list("tenants.each", given.from, given.allow_empty, given.mode)
    options.retries, options.max_failures = given.retries, given.max_failures
    options.workers = given.workers
    if given.covers ~= nil and not step.tenant then report_cover(given, options) end
    local fn = given.fn
    options.batch = given.batch
    if type(given.batch) == "table" and not step.tenant then
      options.batch, fn = tenant_batches.ranges(step, given.batch, fn)
    end
    visit("tenants.each", fn, options)
  end

  --- with(id, fn): calls fn(tenant) for one tenant, in its context.
  function tenants.with(...)
    local given = arguments.read("tenants.with", { { "id", "tenant" }, { "fn", "function" } }, ...)
    local options, row = list("tenants.with", { ids = { given.id } }), known_row and known_row[given.id]
    if row then -- the step has read the list, which is looked at again before it ends
      options.known, options.choose = false, function() return { row } end
    end
    visit("tenants.with", given.fn, options)
  end

  --- ids({from, allow_empty}): the tenants' ids as texts, each once, in the list's order.
  function tenants.ids(...)
    local given = arguments.read("tenants.ids", { options = { from = "tenants", allow_empty = "boolean" } }, ...)
    if step.tenant or bind.fix then
      arguments.fail("tenants.ids", "cannot stand inside tenants.each or run(tenant), where one tenant is all there is")
    end
    local ids = {}
    for i, row in ipairs(bind:tenants(list("tenants.ids", given.from, given.allow_empty))) do ids[i] = row.id end
    return ids
  end

  return tenants
end

return M
