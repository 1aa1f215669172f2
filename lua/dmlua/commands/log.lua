-- log: what was run on the database, newest first; the ledger.

local debts = require "dmlua.debts"
local engine = require "dmlua.engine"
local output = require "dmlua.output"
local text_width = require "dmlua.text_width"

local WIDTH = 60 -- columns of a tenant's id; --json has all of it

local function count(text)
  local value = math.tointeger(tonumber(text))
  if value and value > 0 then return value end
  return nil, ("-n takes a number above 0, not '%s'"):format(text)
end

local function arguments(parser)
  parser:argument "revision":args "?":argname "REVISION":description "of this revision, or this fix, alone"
  parser:flag "--tenants":description "the rows that each tenant's statements have written"
  parser:option "-n --limit":argname "N":convert(count)
    :description "at most so many rows, else 100; of --tenants else all"
end

local keys = { "run", "direction", "revision", "part", "outcome", "started", "duration_ms", "service", "environment",
  "tenant", "who", "client", "rows", "tenants", "unknown", "sha256", "reason", "note" }
local tenant_keys = { "run", "direction", "revision", "part", "tenant", "statement", "rows" }

local function as_object(row, names)
  local fields = {}
  for i, name in ipairs(names) do fields[2 * i - 1], fields[2 * i] = name, row[name] end
  return output.object(table.unpack(fields, 1, 2 * #names))
end

local function duration(ms)
  if not ms then return "" end
  return ms < 1000 and ("%.0f ms"):format(ms) or ("%.1f s"):format(ms / 1000)
end

-- The tenants that loops have visited, by their notes.
local function visited(row)
  local sum = 0
  for number in (row.note or ""):gmatch "tenants: (%d+) visited" do sum = sum + math.tointeger(number) end
  return sum
end

-- The tenants whose rows nobody has counted: of a resumable loop they have rows of their own; the others' are all
-- written behind one COMMIT.
local function unknown(row)
  if row.outcome ~= "done" or not row.note then return row.unknown end
  local missing = math.max(0, visited(row) - (row.tenants or 0)) + (row.unknown or 0)
  return (row.tenants or missing > 0) and missing or nil
end

local function rows_text(rows)
  return ("%d row%s"):format(rows, rows == 1 and "" or "s")
end

local function counted(row)
  if not row.rows then return nil end
  local text = rows_text(row.rows)
  return row.tenants and ("%s of %d tenant%s"):format(text, row.tenants, row.tenants == 1 and "" or "s") or text
end

-- The columns of one row, left to right.
local function cells(row)
  local remarks = {}
  local started = row.started:gsub("%.%d+Z$", "Z")
  if (row.part or 0) > 0 then remarks[1] = ("part %d"):format(row.part) end
  if row.tenant then remarks[#remarks + 1] = "tenant " .. row.tenant end
  remarks[#remarks + 1] = counted(row)
  if (row.unknown or 0) > 0 then
    remarks[#remarks + 1] = ("rows of %d tenant%s unknown"):format(row.unknown, row.unknown == 1 and "" or "s")
  end
  remarks[#remarks + 1] = row.reason
  remarks[#remarks + 1] = row.note
  return { started, row.direction, row.revision or "", row.outcome, duration(row.duration_ms), row.who or "",
    (table.concat(remarks, "; "):gsub("%s*\n%s*", " ")) }
end

-- What stands in the ledger under this name: the revision that it means, or the name of a fix.
local function what_of(context, name)
  if not name then return nil end
  local ok, ids = pcall(function() return context.tree():graph():resolve(name) end)
  return ok and #ids == 1 and ids[1] or name
end

local function say_nothing(what, rows)
  if what and #rows == 0 then engine.log("info", "dmlua.log", ("nothing was run of %s"):format(what)) end
end

local function print_tenants(context, what)
  local rows, list, lines = context.session():tallies { limit = context.options.limit, what = what }, {}, {}
  say_nothing(what, rows)
  for i, row in ipairs(rows) do
    list[i] = as_object(row, tenant_keys)
    lines[i] = { text_width.cut((row.tenant:gsub("%c", " ")), WIDTH), row.rows and rows_text(row.rows) or "unknown",
      row.statement or "", row.direction, row.revision, row.part and ("part %d"):format(row.part) or "" }
  end
  if context.options.json then output.json(output.object("tenants", list)) else output.columns(lines) end
  return 0
end

local function run(context)
  local what = what_of(context, context.options.revision)
  if context.options.tenants then return print_tenants(context, what) end
  local session = context.session()
  local rows, owed = session:log { limit = context.options.limit or 100, what = what }, session:current().debts
  local list, lines = {}, {}
  say_nothing(what, rows)
  for i, row in ipairs(rows) do
    row.unknown = unknown(row)
    list[i], lines[i] = as_object(row, keys), cells(row)
  end
  if context.options.json then
    output.json(output.object("log", list, "debts", debts.objects(owed)))
    return 0
  end
  output.columns(lines)
  debts.warn(context.options, owed)
  return 0
end

return {
  name = "log",
  summary = "list what was run on the database, newest first",
  arguments = arguments,
  run = run,
}
