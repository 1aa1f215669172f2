-- run: an ad-hoc fix, for one tenant after the other, each in a transaction of its own.

local errors = require "dmlua.errors"
local fix_files = require "dmlua.fix_files"
local fix_report = require "dmlua.fix_report"
local moving = require "dmlua.moving"
local output = require "dmlua.output"
local params = require "dmlua.params"
local partial = require "dmlua.partial"
local undo_log = require "dmlua.undo_log"

local line = fix_report.line

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
  parser:flag "--undo-log":description "keep what the rows were, so that `dmlua undo` can take it back"
  parser:flag "--yes":description "do not ask, in production"
  moving.lock_arguments(parser)
  parser:option "--new":argname "NAME":description "write the file of a new fix into fixes/ instead"
  parser:option "-m --message":argname "MESSAGE":description "what the new fix is for"
end

local function check_words(options)
  if options.new then
    if options.script then errors.usage("--new writes a file; '%s' would run one", options.script) end
    return
  end
  if not options.script then errors.usage "run takes the fix to run; --new NAME writes one" end
  if options.message then errors.usage "-m goes with --new" end
  fix_report.check_tenants(options)
  fix_report.check_options(options)
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

local named_at_most = 10

-- Says who had another form of it and is not in this run. `earlier`: those by id, in the order of `done`.
local function say_others(fix, list, done, earlier)
  local here, ids, others = {}, {}, 0
  for _, row in ipairs(list) do here[row.id] = true end
  for _, it in ipairs(done) do
    if earlier[it.tenant] == it and not here[it.tenant] then
      others = others + 1
      if others <= named_at_most then ids[others] = it.tenant end
    end
  end
  if others == 0 then return end
  line("another version of %s was run for %s more: %s%s", fix.name, fix_report.count(others, "tenant"),
    table.concat(ids, ", "), others > named_at_most and ", …" or "")
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
  for id in pairs(same) do earlier[id] = nil end
  say_others(fix, list, done, earlier)
  return left, skipped
end

local function report(options, fix, counts, skipped, run)
  if options.json then
    fix_report.skipped(skipped, "run")
    output.json(output.object("command", "run", "script", fix.name, "sha256", fix.sha256, "run", run,
      "done", counts.done, "skipped", #skipped, "rows", counts.rows, "dry_run", options.dry_run == true))
  else
    line("%s: %s %s, %d passed over, %s", fix.name, fix_report.count(counts.done, "tenant"),
      options.dry_run and "tried out and rolled back" or "done", #skipped, fix_report.count(counts.rows, "row"))
    if options.undo_log and not options.dry_run and counts.done > 0 then
      line("`dmlua undo %s --tenant ID` or `--all-tenants` takes it back", run:sub(1, 8))
    end
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

local function engine_options(options, header, oids, passed_over, show, log, listen)
  return { show = show, undo_log = log, tables = oids, max_rows = header.max_rows and tostring(header.max_rows),
    again = options.again, passed_over = passed_over, dry_run = options.dry_run, on_tenant = listen,
    lock_wait = options.lock_wait, no_wait = options.no_wait, reason = options.reason, x = options.x }
end

local function load_fix(context)
  local path, name = fix_files.find(context.config(), context.options.script)
  local script, header, sha256 = context.tree():fix(path, name)
  return { script = script, header = header, sha256 = sha256, name = name }
end

-- The words that do what an interrupt has left undone. With --again that would be everything: then they do what was
-- never done.
local function resuming(options)
  local words = fix_report.words(options, "run", options.script)
  if options.undo_log then words[#words + 1] = "--undo-log" end
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
  local log = options.undo_log and undo_log.new(session, context.config(), fix.header, state)
  local list, skipped = without_done(fix, rows, state.done, options.again or options.dry_run)
  local counts, id = { done = 0, rows = 0 }, nil
  if #list > 0 then
    fix_report.confirm(context, "run", fix.name, list)
    if options.dry_run then line "dry run: everything runs here, takes real locks and is rolled back" end
    local listener = fix_report.listener(options, counts, show, "done")
    local settings = engine_options(options, fix.header, oids, #skipped, show, log, listener)
    id = partial.resumable(options, resuming(options), function()
      return session:fix_run(fix.script, list, settings)
    end)
  end
  report(options, fix, counts, skipped, id)
  return 0
end

return { name = "run", summary = "run an ad-hoc fix for some tenants, or for all", arguments = arguments, run = run }
