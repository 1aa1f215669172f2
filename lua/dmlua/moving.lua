-- What upgrade, downgrade and stamp have in common: their options, the call of the engine, the report.

local debts = require "dmlua.debts"
local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local output = require "dmlua.output"
local partial = require "dmlua.partial"
local paying = require "dmlua.paying"
local ranges = require "dmlua.ranges"
local retyped = require "dmlua.retyped"

local M = {}

local function refuse(text)
  return function() errors.usage("%s", text) end
end

local function seconds(text)
  local value = tonumber(text)
  if value and value >= 0 then return value end
  return nil, ("--lock-wait takes seconds, not '%s'"):format(text)
end

--- Adds the options for waiting to the parser of a verb that takes the runner's lock.
function M.lock_arguments(parser)
  parser:option "--lock-wait":argname "SECONDS":convert(seconds)
    :description "how long to wait for another runner of this database, else 300"
  parser:flag "--no-wait":description "do not wait for another runner: exit 4"
end

--- Adds --sql and -o to a verb's parser.
function M.sql_arguments(parser)
  parser:flag "--sql":description "write a script for psql instead; nothing is connected to"
  parser:option "-o --output":argname "FILE":description "where --sql writes; else to standard output"
end

--- Adds --skip-tenant to a verb's parser.
function M.tenant_arguments(parser)
  parser:option "--skip-tenant":argname "ID":count "*"
    :description "leave a tenant out of the resumable loops of this run; it owes them; needs --reason; may be repeated"
  paying.arguments(parser)
end

--- Adds the options to a verb's parser.
function M.arguments(parser)
  M.lock_arguments(parser)
  parser:flag "--accept-changed":description "go on with a migration whose finished parts read otherwise now"
  parser:flag "--abandon":description "give up the finished parts of a migration; says what stays in the database"
  M.sql_arguments(parser)
  parser:flag "--dry-run":hidden(true)
    :action(refuse "--dry-run is not there yet; `dmlua plan` names the steps, and a copy of the database runs them")
  parser:option "--tag":hidden(true):action(refuse "--tag is not there: it is read by an env.py, and dmlua has none")
end

-- One line of JSON a step, once it is committed.
local function step_writer(graph)
  return function(step)
    local it = graph:describe(step.revision)
    output.json(output.object("revision", step.revision, "direction", step.direction, "from", step.from,
      "to", step.to, "message", it and it.message, "path", it and it.path, "seconds", step.seconds))
  end
end

local function check_skipped(options)
  options.skip_tenant = retyped.each_once("--skip-tenant", options.skip_tenant)
  if #options.skip_tenant == 0 then return end
  if options.sql then errors.usage "--skip-tenant is of a run; --sql only writes" end
  if not options.reason or not options.reason:find "%S" then
    errors.raise { kind = "usage", message = "--skip-tenant asks for a reason",
      hint = "--reason TEXT; the ledger and `dmlua current` show it until the debt is paid" }
  end
end

local function engine_options(options, tree, on_debts)
  if options.lock_wait and options.no_wait then errors.usage "--lock-wait and --no-wait exclude each other" end
  if options.reason and not utf8.len(options.reason) then errors.usage "--reason is no UTF-8 text" end
  return {
    purge = options.purge,
    x = options.x,
    accept_changed = options.accept_changed,
    abandon = options.abandon,
    lock_wait = options.lock_wait,
    no_wait = options.no_wait,
    reason = options.reason,
    skip = options.skip_tenant,
    on_step = options.json and step_writer(tree:graph()) or nil,
    on_debts = on_debts,
  }
end

local function describe(result)
  local heads = #result.heads > 0 and table.concat(result.heads, ", ") or "base"
  if result.steps == 0 then return ("nothing to do; database is at %s"):format(heads) end
  return ("%d step%s done; database is at %s"):format(result.steps, result.steps == 1 and "" or "s", heads)
end

-- The whole text or none of it: a script that broke off in the middle would be run by somebody.
local function write_script(options, text)
  if not options.output then return engine.write(text) end
  local file, message = io.open(options.output, "w")
  if not file then errors.usage("%s", message) end
  local ok, fault = file:write(text)
  if ok then ok, fault = file:close() end
  if not ok then errors.usage("%s cannot be written: %s", options.output, fault) end
end

--- Writes the script that --sql asked for. Returns the exit code.
function M.write_sql(context, text)
  local options = context.options
  if options.json then errors.usage "--sql prints SQL: it does not go with --json" end
  write_script(options, text)
  return 0
end

local function write_plan(context, method, targets)
  local options, config = context.options, context.config()
  if options.purge then errors.usage "Can't use --purge with --sql mode" end
  config:require_service()
  return M.write_sql(context, require("dmlua.offline").text(config, context.tree(), method, targets, options.x))
end

-- Only where it looks like one: the files are read while the server gets ready.
local function refuse_ranges(context, method, targets)
  if table.concat(targets):find(":", 1, true) then ranges.refuse(context.tree():graph(), method, targets) end
end

--- Runs `method` of the session ("upgrade", "downgrade", "stamp") with the targets. Returns the exit code.
function M.run(context, method, targets)
  check_skipped(context.options)
  if paying.asked(context.options) then
    return paying.run(context, method, targets[1], engine_options(context.options, context.tree()))
  end
  if context.options.sql then return write_plan(context, method, targets) end
  if context.options.output then errors.usage "-o goes with --sql" end
  refuse_ranges(context, method, targets)
  local session, tree = context.session(), context.tree() -- the server gets ready while the files are read
  local told
  local options = engine_options(context.options, tree, function(list)
    told = list
    debts.warn(context.options, list)
  end)
  context.announce()
  local result = partial.guarded(context.options, partial.ways(context.options, method, targets[1]), function()
    return session[method](session, tree, targets, options)
  end)
  debts.warn(context.options, debts.new(result.debts, told))
  if context.options.json then
    output.json(output.object("command", method, "steps", result.steps, "heads", result.heads,
      "debts", debts.objects(result.debts)))
  else
    engine.log("info", "dmlua", describe(result))
  end
  return 0
end

return M
