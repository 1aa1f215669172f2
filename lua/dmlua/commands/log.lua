-- log: what was run on the database, newest first; the ledger.

local debts = require "dmlua.debts"
local output = require "dmlua.output"

local function count(text)
  local value = math.tointeger(tonumber(text))
  if value and value > 0 then return value end
  return nil, ("-n takes a number above 0, not '%s'"):format(text)
end

local function arguments(parser)
  parser:option "-n --limit":argname "N":convert(count):description "at most so many rows"
end

local keys = { "run", "direction", "revision", "part", "outcome", "started", "duration_ms", "service", "environment",
  "tenant", "who", "client", "rows", "sha256", "reason", "note" }

local function as_object(row)
  local fields = {}
  for i, key in ipairs(keys) do fields[2 * i - 1], fields[2 * i] = key, row[key] end
  return output.object(table.unpack(fields, 1, 2 * #keys))
end

local function duration(ms)
  if not ms then return "" end
  return ms < 1000 and ("%.0f ms"):format(ms) or ("%.1f s"):format(ms / 1000)
end

-- The columns of one row, left to right.
local function cells(row)
  local remarks = {}
  local started = row.started:gsub("%.%d+Z$", "Z")
  if (row.part or 0) > 0 then remarks[1] = ("part %d"):format(row.part) end
  if row.tenant then remarks[#remarks + 1] = "tenant " .. row.tenant end
  if row.rows then remarks[#remarks + 1] = ("%d rows"):format(row.rows) end
  remarks[#remarks + 1] = row.reason
  remarks[#remarks + 1] = row.note
  return { started, row.direction, row.revision or "", row.outcome, duration(row.duration_ms), row.who or "",
    (table.concat(remarks, "; "):gsub("%s*\n%s*", " ")) }
end

local function run(context)
  local session = context.session()
  local rows, owed = session:log { limit = context.options.limit }, session:current().debts
  if context.options.json then
    local list = {}
    for i, row in ipairs(rows) do list[i] = as_object(row) end
    output.json(output.object("log", list, "debts", debts.objects(owed)))
    return 0
  end
  local lines = {}
  for i, row in ipairs(rows) do lines[i] = cells(row) end
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
