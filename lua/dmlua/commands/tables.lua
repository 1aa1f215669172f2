-- tables: which tables are isolated, for everybody, or a debt that was taken over; and declaring them.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local moving = require "dmlua.moving"
local output = require "dmlua.output"
local params = require "dmlua.params"

local actions = { "list", "adopt", "declare" }

local function arguments(parser)
  parser:argument "action":choices(actions):description
    "show how each stands; declare what is there today as a debt, once; declare tables that are for everybody"
  parser:argument "tables":args "*":argname "TABLE":description
    "for declare: their names, with a schema where one is needed"
  moving.lock_arguments(parser)
end

local function state_of(row)
  if not row.fault then return "isolated" end
  return row.declared or "open"
end

local function list(context)
  local rows = context.session():tables()
  if context.options.json then
    local objects = {}
    for i, row in ipairs(rows) do
      objects[i] = output.object("name", row.name, "state", state_of(row), "fault", row.fault, "reason", row.reason,
        "since", row.since)
    end
    output.json(output.object("tables", objects))
    return 0
  end
  local lines = {}
  for i, row in ipairs(rows) do
    local state = state_of(row)
    lines[i] = { row.name, state, state == "open" and row.fault or row.reason or "" }
  end
  output.columns(lines)
  return 0
end

-- The row that a name means: with its schema, or without one where only one table has it.
local function find(rows, name)
  local found, names = {}, {}
  for i, row in ipairs(rows) do
    local bare = row.name:match '^"[^"]*"%.(.*)$' or row.name:match "^[^.]*%.(.*)$"
    if row.name == name then return row end
    if bare == name or bare == '"' .. name:gsub('"', '""') .. '"' then found[#found + 1] = row end
    names[i] = bare
  end
  if #found == 1 then return found[1] end
  if #found == 0 then errors.usage("there is no table %s%s", name, errors.suggestion(name, names)) end
  local full = {}
  for i, row in ipairs(found) do full[i] = row.name end
  return errors.usage("%s could be %s: say which", name, table.concat(full, " or "))
end

local function chosen(context)
  local options, names = context.options, {}
  if #options.tables == 0 then errors.usage "tables declare: name the tables" end
  local rows = context.session():tables()
  for i, name in ipairs(options.tables) do
    local row = find(rows, name)
    if row.tenants and not options.reason then
      errors.usage("%s has a tenant column, which a table for everybody has not: say why with --reason", row.name)
    end
    names[i] = row.name
  end
  return params.encode(names)
end

local function report(context, added, what)
  local names = {}
  for i, row in ipairs(added) do names[i] = row.name end
  if context.options.json then
    output.json(output.object("added", names))
  elseif #names == 0 then
    engine.log("info", "dmlua", "nothing to do")
  else
    engine.log("info", "dmlua", ("%s: %s"):format(what, table.concat(names, ", ")))
  end
  return 0
end

local function change(context)
  local options = context.options
  if options.lock_wait and options.no_wait then errors.usage "--lock-wait and --no-wait exclude each other" end
  local adopts = options.action == "adopt"
  if adopts and #options.tables > 0 then errors.usage "tables adopt takes all there are: it takes no names" end
  local names
  if not adopts then names = chosen(context) end
  context.announce()
  local added = context.session():declare_tables { names = names, reason = options.reason,
    no_wait = options.no_wait, lock_wait = options.lock_wait }
  return report(context, added, adopts and "adopted as a debt" or "declared global")
end

local function run(context)
  if context.options.action ~= "list" then return change(context) end
  if #context.options.tables > 0 then errors.usage "tables list takes no names" end
  return list(context)
end

return {
  name = "tables",
  summary = "list which tables are isolated, global or a debt; adopt and declare them",
  arguments = arguments,
  run = run,
}
