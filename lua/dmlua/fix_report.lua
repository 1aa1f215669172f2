-- What run and undo have in common: the question in production, and what is said of each tenant.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local output = require "dmlua.output"
local retyped = require "dmlua.retyped"

local M = {}

--- A line on stderr.
function M.line(format, ...)
  engine.log("info", "dmlua.fix", format:format(...))
end

--- "1 row", "2 rows".
function M.count(number, noun)
  return ("%d %s%s"):format(number, noun, number == 1 and "" or "s")
end

--- Checks the options that say for whom; `hint` says what else there is.
function M.check_tenants(options)
  if options.all_tenants and #options.tenant > 0 then
    errors.usage "--tenant and --all-tenants exclude each other"
  elseif not options.all_tenants and #options.tenant == 0 then
    errors.raise { kind = "usage", message = "for whom? neither --tenant nor --all-tenants is given",
      hint = "--tenant ID, which may be repeated, or --all-tenants" }
  end
end

--- Checks the options of every run.
function M.check_options(options)
  if options.lock_wait and options.no_wait then errors.usage "--lock-wait and --no-wait exclude each other" end
  if options.reason and not utf8.len(options.reason) then errors.usage "--reason is no UTF-8 text" end
end

--- The words of the command, as they are typed again.
function M.words(options, verb, target)
  local words = { verb, retyped.word(target) }
  if options.all_tenants then words[3] = "--all-tenants" end
  for _, id in ipairs(options.tenant) do words[#words + 1] = retyped.option("--tenant", id) end
  if options.dry_run then words[#words + 1] = "--dry-run" end
  if options.yes then words[#words + 1] = "--yes" end
  if options.reason then words[#words + 1] = retyped.option("--reason", options.reason) end
  return words
end

local doing = { run = "running", undo = "undoing", forget = "dropping" }

--- Production is asked about, on the terminal, or says --yes. `verb`: "run", "undo" or "forget".
function M.confirm(context, verb, name, list)
  local options = context.options
  if options.yes or options.dry_run or context.config():environment() ~= "production" then return end
  local what = ("%s for %s in production"):format(name, M.count(#list, "tenant"))
  local terminal = engine.terminal()
  if not (terminal.input and terminal.errors) then -- who does not see the question cannot answer it
    errors.raise { kind = "refused",
      message = ("%s %s asks first, and nobody is there to be asked"):format(doing[verb], what),
      hint = "--yes says that it is meant" .. (verb == "forget" and "" or "; --dry-run tries it out") }
  end
  io.stderr:write(("%s %s? [y/N] "):format(verb:gsub("^%l", string.upper), what))
  io.stderr:flush() -- which is written line by line
  local answer = (io.read "l" or ""):lower():match "^%s*(.-)%s*$"
  if answer ~= "y" and answer ~= "yes" then
    errors.raise { kind = "refused", message = "nothing was done: the answer was not yes" }
  end
end

--- What is said of each tenant once its transaction is over, and counted. `word`: what is said in place of "done".
function M.listener(options, counts, show, word)
  return function(it)
    if show and it.outcome ~= "failed" then show:print(it.tenant, options.json) end
    if it.outcome ~= "failed" then
      counts.done, counts.rows = counts.done + 1, counts.rows + it.rows
      if not options.json then
        M.line("%s: %s, %s", it.tenant, it.outcome == "done" and word or it.outcome, M.count(it.rows, "row"))
      end
    end
    if options.json then
      output.json(output.object("tenant", it.tenant, "outcome", it.outcome, "rows", it.rows, "seconds", it.seconds,
        "message", it.message))
    end
  end
end

--- A line of JSON for each tenant that was passed over: {tenant, who, at}; `what`: "run", "undone".
function M.skipped(list, what)
  for _, it in ipairs(list) do
    output.json(output.object("tenant", it.tenant, "outcome", "skipped", "rows", nil, "seconds", nil, "message",
      ("%s by %s at %s UTC"):format(what, it.who, it.at)))
  end
end

return M
