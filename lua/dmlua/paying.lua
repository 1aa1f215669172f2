-- --only-tenant: paying what tenants owe that a loop left out, or giving it up.

local debts = require "dmlua.debts"
local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local output = require "dmlua.output"
local partial = require "dmlua.partial"
local retyped = require "dmlua.retyped"

local M = {}

--- Adds the options to a verb's parser.
function M.arguments(parser)
  parser:option "--only-tenant":argname "ID":count "*"
    :description "pay what a tenant owes of REV: run its loops for this tenant, and nothing else; may be repeated"
  parser:flag "--write-off":description "with --only-tenant: give up what the tenant owes; needs --reason"
end

local function refuse_beside(options, name, flag)
  if options[name] then errors.usage("--only-tenant runs no step: it does not go with %s", flag) end
end

--- Do the options ask for it? Raises what does not go together.
function M.asked(options)
  options.only_tenant = retyped.each_once("--only-tenant", options.only_tenant)
  if #options.only_tenant == 0 then
    if options.write_off then errors.usage "--write-off goes with --only-tenant ID" end
    return false
  end
  if #options.skip_tenant > 0 then errors.usage "--only-tenant and --skip-tenant exclude each other" end
  refuse_beside(options, "sql", "--sql")
  refuse_beside(options, "abandon", "--abandon")
  refuse_beside(options, "output", "-o")
  if options.write_off and not (options.reason and options.reason:find "%S") then
    errors.raise { kind = "usage", message = "--write-off asks for a reason",
      hint = "--reason TEXT; the ledger keeps it" }
  end
  return true
end

local function describe(options, result)
  local n = result.paid
  return ("%d debt%s of %s %s; %s"):format(n, n == 1 and "" or "s", result.revision,
    options.write_off and "given up" or "paid",
    #result.debts == 0 and "nothing is owed" or ("%d left"):format(#result.debts))
end

--- Pays. `settings` are the engine's options of a run. Returns the exit code.
function M.run(context, direction, revision, settings)
  local options = context.options
  local session, tree = context.session(), context.tree()
  settings.only, settings.write_off = options.only_tenant, options.write_off
  context.announce()
  local words = { direction, retyped.word(revision) }
  for _, id in ipairs(options.only_tenant) do words[#words + 1] = retyped.option("--only-tenant", id) end
  words[#words + 1] = options.accept_changed and "--accept-changed" or nil
  local result = partial.guarded(options, { retry = words }, function()
    return session:pay(tree, direction, revision, settings)
  end)
  debts.warn(options, result.debts)
  if options.json then
    output.json(output.object("command", direction, "revision", result.revision, "paid", result.paid,
      "debts", debts.objects(result.debts)))
  else
    engine.log("info", "dmlua", describe(options, result))
  end
  return 0
end

return M
