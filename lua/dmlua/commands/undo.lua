-- undo: takes back what an ad-hoc fix has changed, for one tenant after the other.

local errors = require "dmlua.errors"
local fix_report = require "dmlua.fix_report"
local moving = require "dmlua.moving"
local output = require "dmlua.output"
local partial = require "dmlua.partial"

local line = fix_report.line

local function arguments(parser)
  parser:argument "run":argname "RUN"
    :description "its id, the beginning of it, or the fix's name, for each tenant's last run of it"
  parser:option "--tenant":argname "ID":count "*":description "a tenant to undo it for; may be repeated"
  parser:flag "--all-tenants":description "undo it for every tenant that it was run for"
  parser:flag "--dry-run":description "undo everything and roll it back; takes real locks"
  parser:flag "--forget":description "undo nothing: drop the run's pre-images; it cannot be undone afterwards"
  parser:flag "--yes":description "do not ask, in production"
  moving.lock_arguments(parser)
end

local function check_words(options)
  fix_report.check_options(options)
  if not options.forget then return fix_report.check_tenants(options) end
  if options.all_tenants or #options.tenant > 0 then
    errors.usage "--forget drops the pre-images of all tenants of the run; it takes neither --tenant nor --all-tenants"
  elseif options.dry_run then
    errors.usage "--forget and --dry-run exclude each other"
  end
end

-- Runs whose id begins with $1 or whose fix has that name, the last one first.
local runs_text = [[
SELECT CAST(l.run_id AS text) AS run, l.what AS name, pg_catalog.max(l.sha256) AS sha256,
  pg_catalog.count(*) AS tenants, pg_catalog.max(l.who) AS who,
  pg_catalog.to_char(pg_catalog.min(l.started) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at
FROM {s}.dmlua_ledger l WHERE l.version_table = {t} AND l.kind = 'run' AND l.outcome = 'done'
  AND (l.what = CAST($1 AS text) OR pg_catalog.starts_with(CAST(l.run_id AS text), pg_catalog.lower($1)))
GROUP BY l.run_id, l.what ORDER BY pg_catalog.max(l.id) DESC]]

local names_text = [[
SELECT what AS name FROM {s}.dmlua_ledger WHERE version_table = {t} AND kind = 'run' AND outcome = 'done'
GROUP BY what ORDER BY pg_catalog.max(id) DESC LIMIT 1000]]

-- The tenants of the run $1, or of the fix $2, each with its last run; of its pre-images the state (kept, done: undone,
-- forgotten; null: none were kept), and by whom and when. The last one first: where tenants share rows, those are as it
-- left them.
local tenants_text = [[
SELECT * FROM (SELECT DISTINCT ON (l.tenant) l.tenant, l.id, CAST(l.run_id AS text) AS run, l.sha256, p.state, u.who,
    u.at
  FROM {s}.dmlua_ledger l
  LEFT JOIN {s}.dmlua_progress p ON p.version_table = {t} AND p.what = CAST(l.run_id AS text)
    AND p.direction = 'undo' AND p.tenant = l.tenant
  LEFT JOIN LATERAL (SELECT w.who,
      pg_catalog.to_char(w.started AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at
    FROM {s}.dmlua_ledger w WHERE w.version_table = {t} AND w.kind = 'undo' AND w.run_id = p.run_id
    AND coalesce(w.tenant, l.tenant) = l.tenant ORDER BY w.id DESC LIMIT 1) u ON true
  WHERE l.version_table = {t} AND l.kind = 'run' AND l.outcome = 'done'
    AND (l.run_id = CAST($1 AS uuid) OR l.what = CAST($2 AS text))
  ORDER BY l.tenant, l.id DESC) t ORDER BY t.id DESC]]

local function describe(it)
  return ("%s %s, %s by %s at %s UTC"):format(it.run, it.name, fix_report.count(it.tenants, "tenant"), it.who, it.at)
end

local function no_run(session, word)
  local names = {}
  for i, row in ipairs(session:has_tables() and session:read(names_text) or {}) do names[i] = row.name end
  errors.raise { kind = "usage", message = ("there is no run %s%s"):format(word, errors.suggestion(word, names)),
    hint = "`dmlua log` shows what was run, with --json the run's id; only what is done can be undone" }
end

-- What the word means: {name, runs}: one run, by its id or the beginning of it, or all runs of the fix of that name,
-- by_name, the last one first.
local function find_runs(session, word)
  local name = word:match "[^/]*$":gsub("%.lua$", "")
  local by_id, by_name = {}, {}
  if name == "" then errors.usage("'%s' names no run: its id, the beginning of it, or the fix's name", word) end
  if not session:has_tables() then no_run(session, name) end
  for _, row in ipairs(session:read(runs_text, { name })) do
    if row.run == name:lower() then return { name = row.name, runs = { row } } end
    local list = row.name == name and by_name or by_id
    list[#list + 1] = row
  end
  if #by_name > 0 and #by_id == 0 then return { name = name, runs = by_name, by_name = true } end
  if #by_name == 0 and #by_id == 1 then return { name = by_id[1].name, runs = by_id } end
  table.move(by_name, 1, #by_name, #by_id + 1, by_id)
  if #by_id == 0 then no_run(session, name) end
  local lines = {}
  for i, row in ipairs(by_id) do lines[i] = describe(row) end
  errors.raise { kind = "usage", message = ("%s may mean %d runs"):format(name, #by_id),
    detail = table.concat(lines, "\n"), hint = "give more of the id" }
end

-- The tenants that the command line names, of those that it was run for.
local function chosen(options, found, tenants)
  if options.all_tenants then return tenants end
  local by_id, ids, list, named = {}, {}, {}, {}
  for i, it in ipairs(tenants) do by_id[it.tenant], ids[i] = it, it.tenant end
  for _, id in ipairs(options.tenant) do
    named[id] = true
    if not by_id[id] then
      errors.raise { kind = "usage",
        message = ("%s was not run for a tenant '%s'%s"):format(found.name, id, errors.suggestion(id, ids)),
        hint = ("it was for %s"):format(fix_report.count(#ids, "tenant")) }
    end
  end
  for _, it in ipairs(tenants) do
    if named[it.tenant] then list[#list + 1] = it end
  end
  return list
end

-- Why the tenant cannot be undone any more, and what to do then.
local function lost(found, it)
  if it.state == "forgotten" then
    return ("the pre-images of run %s were dropped by %s at %s UTC"):format(it.run:sub(1, 8), it.who, it.at),
      "write the way back as a fix of its own"
  elseif not it.state then
    return ("run %s of %s kept no pre-images"):format(it.run:sub(1, 8), found.name),
      "`dmlua run --undo-log` keeps them; write the way back as a fix of its own"
  end
end

-- Leaves those out that are undone, and says who did it. One that cannot be undone is refused where it was named, or
-- where there is no other.
local function without_done(options, found, list)
  local left, skipped, refusal = {}, {}, nil
  for _, it in ipairs(list) do
    local why, hint = lost(found, it)
    if why then
      refusal = { kind = "refused", message = ("%s: %s"):format(it.tenant, why), hint = hint }
      if not options.all_tenants then errors.raise(refusal) end
      line("%s", refusal.message)
    elseif it.state == "done" then
      skipped[#skipped + 1] = it
      line("%s: %s was undone by %s at %s UTC; nothing to do", it.tenant, found.name, it.who, it.at)
    else
      it.id = it.tenant
      left[#left + 1] = it
    end
  end
  if refusal and #left + #skipped == 0 then errors.raise(refusal) end
  return left, skipped
end

local function report(options, found, it)
  if options.json then
    output.json(output.object("command", "undo", "script", found.name, "sha256", it.sha256, "undoes", it.undoes,
      "run", it.run, "done", it.done, "skipped", it.skipped, "rows", it.rows, "dry_run", options.dry_run == true))
  else
    line("%s: %s %s, %d passed over, %s", found.name, fix_report.count(it.done, "tenant"),
      options.dry_run and "tried out and rolled back" or "undone", it.skipped, fix_report.count(it.rows, "row"))
  end
end

-- The tenants by their run, the last run first.
local function groups_of(found, list)
  local groups = {}
  for _, run in ipairs(found.runs) do
    local group = { run = run.run, name = found.name, sha256 = run.sha256 }
    for _, it in ipairs(list) do
      if it.run == run.run then group[#group + 1] = it end
    end
    if #group > 0 then groups[#groups + 1] = group end
  end
  return groups
end

-- One run's tenants. What fails is raised when the others are done, too.
local function undo_group(session, options, group)
  local counts = { done = 0, rows = 0 }
  local settings = { dry_run = options.dry_run, lock_wait = options.lock_wait, no_wait = options.no_wait,
    reason = options.reason, on_tenant = fix_report.listener(options, counts, nil, "undone") }
  local ok, answer = pcall(partial.resumable, options, fix_report.words(options, "undo", options.run), function()
    return session:undo_run(group, group, settings)
  end)
  if not ok and not (errors.is(answer) and answer.kind == "partial") then error(answer, 0) end
  return { undoes = group.run, sha256 = group.sha256, run = ok and answer or nil, done = counts.done,
    rows = counts.rows, skipped = 0, failure = not ok and answer or nil }
end

local function undo(context, session, found)
  local options = context.options
  local tenants = session:read(tenants_text, found.by_name and { false, found.name } or { found.runs[1].run, false })
  local list, skipped = without_done(options, found, chosen(options, found, tenants))
  local groups, failure = groups_of(found, list), nil
  if options.json then fix_report.skipped(skipped, "undone") end
  if #list == 0 then
    report(options, found, { undoes = found.runs[1].run, sha256 = found.runs[1].sha256, done = 0, rows = 0,
      skipped = #skipped })
    return 0
  end
  fix_report.confirm(context, "undo", found.name, list)
  if options.dry_run then line "dry run: everything is undone here, takes real locks and is rolled back" end
  for i, group in ipairs(groups) do
    local done = undo_group(session, options, group)
    if i == 1 then done.skipped = #skipped end
    failure = failure or done.failure
    if not done.failure then report(options, found, done) end
  end
  if failure then error(failure, 0) end
  return 0
end

-- The runs that have pre-images left, and for how many tenants; raises where there are none, and says why.
local function with_kept(session, found)
  local kept, tenants, why, hint = {}, {}, nil, nil
  for _, run in ipairs(found.runs) do
    local before = #tenants
    for _, it in ipairs(session:read(tenants_text, { run.run, false })) do
      if it.state == "kept" then tenants[#tenants + 1] = it end
      if not why then why, hint = lost(found, it) end
    end
    if #tenants > before then kept[#kept + 1] = run end
  end
  if #kept == 0 and why then errors.raise { kind = "refused", message = why, hint = hint } end
  return kept, tenants
end

local function forget(context, session, found)
  local options, rows = context.options, 0
  local runs, tenants = with_kept(session, found)
  if #runs > 0 then fix_report.confirm(context, "forget", "the pre-images of " .. found.name, tenants) end
  for _, run in ipairs(runs) do rows = rows + session:undo_forget(run, options) end
  if options.json then
    output.json(output.object("command", "undo", "script", found.name, "forgotten", rows))
  else
    line("%s: the pre-images of %s were dropped", found.name, fix_report.count(rows, "row"))
  end
  return 0
end

local function run(context)
  check_words(context.options)
  local session = context.session()
  context.announce()
  local found = find_runs(session, context.options.run)
  return (context.options.forget and forget or undo)(context, session, found)
end

return {
  name = "undo",
  summary = "take back what an ad-hoc fix has changed",
  arguments = arguments,
  run = run,
}
