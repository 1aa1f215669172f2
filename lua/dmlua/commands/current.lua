-- current: the revision that the database is at, what is unfinished, and which files were changed after they ran.

local debts = require "dmlua.debts"
local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local listing = require "dmlua.listing"
local output = require "dmlua.output"
local revision_lines = require "dmlua.revision_lines"

local function arguments(parser)
  parser:flag "--check-heads":description "exit 3 unless the database is at the heads"
end

-- The rows that an unfinished step stands on: a revision's parents on the way up, itself on the way down.
local function stands_on(graph, part, rows)
  if part.direction == "downgrade" then return { part.revision } end
  local it, found = graph:describe(part.revision), {}
  local set = listing.set(rows)
  for _, id in ipairs(it and it.down_revision or {}) do
    if set[id] then found[#found + 1] = id end
  end
  return #found > 0 and found or { "<base>" }
end

-- ", part 1: 10 of 12 tenants, 2 failed".
local function loop_note(part)
  local it = part.tenants
  return (", part %d: %d%s tenants%s"):format(part.started, it.done, it.listed and " of " .. it.listed or "",
    it.failed > 0 and (", %d failed"):format(it.failed) or "")
end

local function part_note(part)
  local done = part.part > 0 and (", part %d done"):format(part.part) or ""
  local started = ""
  if part.started then started = part.tenants and loop_note(part) or (", part %d started"):format(part.started) end
  return (" (%s %s%s%s)"):format(part.direction == "downgrade" and "-" or "+", part.revision, done, started)
end

-- The row on which a debt is told: the revision's own, else the first.
local function owing(state, debt)
  for _, row in ipairs(state.rows) do
    if row == debt.revision then return row end
  end
  return state.rows[1] or "<base>"
end

-- By row: " (+ abc123, part 2 done) (abc123 owed by acme)".
local function notes(graph, state)
  local by_row, owed = {}, {}
  local function add(row, text) by_row[row] = (by_row[row] or "") .. text end
  for _, part in ipairs(state.parts) do
    for _, row in ipairs(stands_on(graph, part, state.rows)) do add(row, part_note(part)) end
  end
  for _, debt in ipairs(state.debts) do
    local row = owing(state, debt)
    owed[row] = owed[row] or {}
    table.insert(owed[row], debt)
  end
  for row, list in pairs(owed) do
    for _, note in ipairs(debts.notes(list)) do add(row, (" (%s)"):format(note)) end
  end
  return by_row
end

local function warn_changed(changed)
  for _, it in ipairs(changed) do
    engine.log("warn", "dmlua", ("%s was changed after %s ran (SHA-256 %s… then, %s… now); put the file back, and "
      .. "write what is to be different as a new revision")
      :format(it.file, it.revision, it.recorded:sub(1, 12), it.sha256:sub(1, 12)))
  end
end

local function part_objects(parts)
  local list = {}
  for i, part in ipairs(parts) do
    local it = part.tenants
    list[i] = output.object("revision", part.revision, "direction", part.direction, "part", part.part,
      "started", part.started,
      "tenants", it and output.object("done", it.done, "listed", it.listed, "failed", it.failed))
  end
  return list
end

local function changed_objects(changed)
  local list = {}
  for i, it in ipairs(changed) do
    list[i] = output.object("revision", it.revision, "path", it.file, "recorded", it.recorded, "sha256", it.sha256)
  end
  return list
end

local function write_json(context, graph, ids, state)
  local revisions = {}
  for i, id in ipairs(ids) do revisions[i] = listing.object(graph:describe(id), true) end
  local config = context.config()
  output.json(output.object("service", config:service(), "environment", config:environment(),
    "database", context.session():describe(), "rows", state.rows, "revisions", revisions,
    "parts", part_objects(state.parts), "debts", debts.objects(state.debts), "changed", changed_objects(state.changed)))
end

-- As Alembic says it: the URL with its password masked. What is no URL is told by what it led to.
local function database(context)
  for _, row in ipairs(context.config():rows()) do
    if row.key == "url" and row.value and row.value:find("://", 1, true) then return row.value end
  end
  return context.session():describe()
end

local function write_text(context, graph, ids, state)
  local verbose, by_row = context.options.verbose, notes(graph, state)
  if verbose then output.line(("Current revision(s) for %s:"):format(database(context))) end
  for _, id in ipairs(ids) do
    local it = graph:describe(id)
    local note = by_row[id] or ""
    if verbose then
      output.line((listing.block(context.tree(), it):gsub("\n", function() return note .. "\n" end, 1)))
    else
      output.line(revision_lines.current(it) .. note)
    end
  end
  if by_row["<base>"] then output.line("<base>" .. by_row["<base>"]) end
end

local function check_heads(graph, rows)
  local heads = graph:heads(true)
  rows = graph:rows(rows)
  local at, wanted = listing.set(rows), listing.set(heads)
  for _, id in ipairs(heads) do at[id] = nil end
  for _, id in ipairs(rows) do wanted[id] = nil end
  if next(at) == nil and next(wanted) == nil then return end
  errors.raise {
    kind = "refused",
    message = "Database is not on all head revisions",
    detail = ("the heads are %s"):format(table.concat(heads, ", ")),
    hint = "`dmlua upgrade heads` runs what is missing",
  }
end

local function run(context)
  local session, tree = context.session(), context.tree() -- the server gets ready while the files are read
  local state, graph = session:current(tree), tree:graph()
  local ids = graph:current(state.rows)
  local write = context.options.json and write_json or write_text
  write(context, graph, ids, state)
  warn_changed(state.changed)
  debts.warn(context.options, state.debts)
  if context.options.check_heads then check_heads(graph, state.rows) end
  return 0
end

return {
  name = "current",
  summary = "show the revision that the database is at",
  arguments = arguments,
  run = run,
}
