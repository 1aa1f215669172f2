-- run: an ad-hoc fix, for one tenant after the other, each in a transaction of its own.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local fix_files = require "dmlua.fix_files"
local moving = require "dmlua.moving"
local output = require "dmlua.output"
local params = require "dmlua.params"
local partial = require "dmlua.partial"
local retyped = require "dmlua.retyped"

local function later(name)
  return function() errors.usage("%s is not there yet", name) end
end

local function count(text)
  local value = math.tointeger(tonumber(text))
  if value and value > 0 then return value end
  return nil, ("--show takes a number above 0, not '%s'"):format(text)
end

local function arguments(parser)
  parser:argument "script":args "?":argname "SCRIPT":description "a file, or the name of one in fixes/"
  parser:option "--tenant":argname "ID":count "*":description "a tenant to run it for; may be repeated"
  parser:flag "--all-tenants":description "run it for every tenant"
  parser:flag "--again":description "also for tenants for whom this very file has run already"
  parser:flag "--dry-run":description "run everything and roll it back; takes real locks"
  parser:option "--show":argname "N":convert(count)
    :description "print the first N rows that it changes, before and after"
  parser:flag "--yes":description "do not ask, in production"
  moving.lock_arguments(parser)
  parser:option "--new":argname "NAME":description "write the file of a new fix into fixes/ instead"
  parser:option "-m --message":argname "MESSAGE":description "what the new fix is for"
  parser:flag "--undo-log":hidden(true):action(later "--undo-log")
end

local function check_words(options)
  if options.new then
    if options.script then errors.usage("--new writes a file; '%s' would run one", options.script) end
    return
  end
  if not options.script then errors.usage "run takes the fix to run; --new NAME writes one" end
  if options.message then errors.usage "-m goes with --new" end
  if options.all_tenants and #options.tenant > 0 then
    errors.usage "--tenant and --all-tenants exclude each other"
  elseif not options.all_tenants and #options.tenant == 0 then
    errors.raise { kind = "usage", message = "for whom? neither --tenant nor --all-tenants is given",
      hint = "--tenant ID, which may be repeated, or --all-tenants" }
  end
  if options.lock_wait and options.no_wait then errors.usage "--lock-wait and --no-wait exclude each other" end
  if options.reason and not utf8.len(options.reason) then errors.usage "--reason is no UTF-8 text" end
end

-- The rows of the tenants by id, and the ids in their order; each once.
local function by_id(rows)
  local rows_of, ids = {}, {}
  for _, row in ipairs(rows) do
    local id = tostring(row[1])
    if not rows_of[id] then
      row.id = id
      rows_of[id], ids[#ids + 1] = row, id
    end
  end
  return rows_of, ids
end

-- The rows of the tenants that the command line names.
local function chosen(options, rows)
  local rows_of, ids = by_id(rows)
  local list, seen = {}, {}
  if #ids == 0 then errors.usage "tenants_query gives no tenant: there is nobody to run it for" end
  for _, id in ipairs(options.all_tenants and ids or options.tenant) do
    if not rows_of[id] then
      errors.raise { kind = "usage", message = ("there is no tenant '%s'%s"):format(id, errors.suggestion(id, ids)),
        hint = "tenants_query lists the tenants" }
    end
    if not seen[id] then list[#list + 1] = rows_of[id] end
    seen[id] = true
  end
  return list
end

-- The oids of the tables that the header names, with those that their audit triggers write, as an array's text; nil
-- where it names none.
local function allowed(header, found)
  if not header.tables then return nil end
  local oids = {}
  for _, it in ipairs(found) do
    if not it.oid then errors.usage("there is no table %s, which tables names", it.name) end
    oids[#oids + 1] = it.oid
    oids[#oids + 1] = it.audit
  end
  return params.encode(oids)
end

local function line(format, ...)
  engine.log("info", "dmlua.fix", format:format(...))
end

-- Leaves those out for whom this very file has run, and says so; says who had another form of it.
local function without_done(fix, list, done, again)
  local same, earlier, left, skipped = {}, {}, {}, {}
  for _, it in ipairs(done) do (it.same and same or earlier)[it.tenant] = it end
  for _, row in ipairs(list) do
    local before, other = same[row.id], earlier[row.id]
    if before and not again then
      skipped[#skipped + 1] = before
      line("%s: %s was run by %s at %s UTC; nothing to do (--again repeats)", row.id, fix.name, before.who, before.at)
    else
      left[#left + 1] = row
      if other and not before then
        line("%s: another version of %s (%s) was run by %s at %s UTC", row.id, fix.name, other.sha256:sub(1, 12),
          other.who, other.at)
      end
    end
  end
  return left, skipped
end

-- Production is asked about, on the terminal, or says --yes.
local function confirm(context, fix, list)
  local options = context.options
  if options.yes or options.dry_run or context.config():environment() ~= "production" then return end
  local what = ("%s for %d tenant%s in production"):format(fix.name, #list, #list == 1 and "" or "s")
  if not engine.terminal().input then
    errors.raise { kind = "refused", message = "running " .. what .. " asks first, and nobody is there to be asked",
      hint = "--yes says that it is meant; --dry-run tries it out" }
  end
  io.stderr:write(("Run %s? [y/N] "):format(what))
  local answer = io.read "l"
  if not answer or not answer:lower():find "^%s*y" then
    errors.raise { kind = "refused", message = "not run: the answer was not yes" }
  end
end

-- What is said of each tenant, and counted.
local function listener(options, counts, show)
  return function(it)
    if show and it.outcome ~= "failed" then show:print(it.tenant, options.json) end
    if it.outcome ~= "failed" then
      counts.done, counts.rows = counts.done + 1, counts.rows + it.rows
      if not options.json then line("%s: %s, %d row%s", it.tenant, it.outcome, it.rows, it.rows == 1 and "" or "s") end
    end
    if options.json then
      output.json(output.object("tenant", it.tenant, "outcome", it.outcome, "rows", it.rows, "seconds", it.seconds,
        "message", it.message))
    end
  end
end

local function report(options, fix, counts, skipped, run)
  if options.json then
    for _, it in ipairs(skipped) do
      output.json(output.object("tenant", it.tenant, "outcome", "skipped", "rows", nil, "seconds", nil, "message",
        ("run by %s at %s UTC"):format(it.who, it.at)))
    end
    output.json(output.object("command", "run", "script", fix.name, "sha256", fix.sha256, "run", run,
      "done", counts.done, "skipped", #skipped, "rows", counts.rows, "dry_run", options.dry_run == true))
  else
    line("%s: %d tenant%s %s, %d passed over, %d row%s", fix.name, counts.done, counts.done == 1 and "" or "s",
      options.dry_run and "tried out and rolled back" or "done", #skipped, counts.rows, counts.rows == 1 and "" or "s")
  end
end

-- The rows that --show asks for, of the tables that the header names.
local function shown_rows(options, header, tables)
  if not options.show then return nil end
  if not header.tables then
    errors.usage "--show compares the tables that the header names; this one names none: tables = { … }"
  end
  return require("dmlua.fix_show").new(options.show, tables, function(text) line("%s", text) end)
end

local function engine_options(options, header, oids, passed_over, show, listen)
  return { show = show, tables = oids, max_rows = header.max_rows and tostring(header.max_rows), again = options.again,
    passed_over = passed_over, dry_run = options.dry_run, on_tenant = listen, lock_wait = options.lock_wait,
    no_wait = options.no_wait, reason = options.reason, x = options.x }
end

local function load_fix(context)
  local path, name = fix_files.find(context.config(), context.options.script)
  local script, header, sha256 = context.tree():fix(path, name)
  return { script = script, header = header, sha256 = sha256, name = name }
end

-- The words that do what an interrupt has left undone. With --again that would be everything: then they do what was
-- never done.
local function resuming(options)
  local words = { "run", retyped.word(options.script) }
  if options.all_tenants then words[3] = "--all-tenants" end
  for _, id in ipairs(options.tenant) do words[#words + 1] = retyped.option("--tenant", id) end
  if options.dry_run then words[#words + 1] = "--dry-run" end
  if options.yes then words[#words + 1] = "--yes" end
  if options.reason then words[#words + 1] = retyped.option("--reason", options.reason) end
  return words
end

local function run(context)
  local options = context.options
  check_words(options)
  if options.new then return require("dmlua.new_fix").write(context, options.new, options.message) end
  local session, fix = context.session(), load_fix(context)
  context.announce()
  local rows = chosen(options, session:fix_tenants(fix.script))
  local state = session:fix_state(fix.script, params.encode(fix.header.tables or {}))
  local oids = allowed(fix.header, state.tables)
  local show = shown_rows(options, fix.header, state.tables)
  local list, skipped = without_done(fix, rows, state.done, options.again or options.dry_run)
  local counts, id = { done = 0, rows = 0 }, nil
  if #list > 0 then
    confirm(context, fix, list)
    if options.dry_run then line "dry run: everything runs here, takes real locks and is rolled back" end
    local settings = engine_options(options, fix.header, oids, #skipped, show, listener(options, counts, show))
    id = partial.resumable(options, resuming(options), function()
      return session:fix_run(fix.script, list, settings)
    end)
  end
  report(options, fix, counts, skipped, id)
  return 0
end

return { name = "run", summary = "run an ad-hoc fix for some tenants, or for all", arguments = arguments, run = run }
