-- plan: the steps that a verb would run and the heads afterwards; changes nothing.

local debts = require "dmlua.debts"
local engine = require "dmlua.engine"
local output = require "dmlua.output"
local ranges = require "dmlua.ranges"

local function arguments(parser)
  parser:argument "command":choices { "upgrade", "downgrade", "stamp" }:description "the verb to plan"
  parser:argument "targets":args "+":argname "REV":description "what the verb would be given"
  parser:option "--from":argname "ROWS"
    :description "start from these revisions (A,B or base) instead of the database's; reads no database"
  parser:flag "--sql":description "as with the verb's --sql: REV may be START:END, and no database is read"
  parser:flag "--purge":description "as with stamp --purge"
end

-- What --from was given, as whole identifiers.
local function list_of(text, graph)
  local ids = {}
  for name in text:gmatch "[^,%s]+" do
    for _, id in ipairs(graph:resolve(name)) do ids[#ids + 1] = id end
  end
  return ids
end

-- The rows to begin at, and what tenants owe there.
local function start(context, graph)
  local options = context.options
  if options.from then return list_of(options.from, graph), {} end
  if options.sql then return {}, {} end
  local state = context.session():current()
  debts.warn(options, state.debts)
  return state.rows, state.debts
end

local function step_object(graph, revision, direction)
  local it = graph:describe(revision)
  return output.object("revision", revision, "direction", direction,
    "down_revision", it and it.down_revision, "message", it and it.message, "path", it and it.path)
end

local function step_line(graph, revision, direction, from, to)
  local message = graph:message(revision)
  message = message and message ~= "" and ", " .. message or ""
  if from == "" then from = "<base>" end
  if to == "" then to = "<base>" end
  return direction .. " " .. from .. " -> " .. to .. message
end

local function write_json(options, graph, plan)
  output.json_items("steps", #plan, function(i)
    local revision, direction = plan:step(i)
    -- A stamp runs no revision: what it does is told by the heads.
    return direction ~= "stamp" and step_object(graph, revision, direction) or nil
  end, output.object("command", options.command, "target", table.concat(options.targets, " ")),
    output.object("heads", plan:heads()))
end

local function write_text(graph, plan)
  local heads, count = plan:heads(), #plan
  for i = 1, count do output.line(step_line(graph, plan:step(i))) end
  output.line(("%s; heads afterwards: %s"):format(
    count == 0 and "nothing to do" or count == 1 and "1 step" or count .. " steps",
    #heads > 0 and table.concat(heads, ", ") or "<base>"))
end

-- A plan may name what its verb will not run: a file in Python, one without such a function.
local function warn_refused(tree, plan)
  for i = 1, #plan do
    local revision, direction = plan:step(i)
    if direction ~= "stamp" then
      local ok, failure = pcall(tree.check, tree, revision, direction)
      if not ok then
        return engine.log("warn", "dmlua", ("%s will refuse this plan: %s (%s)"):format(direction,
          failure.message, failure.hint))
      end
    end
  end
end

-- Nor does it take back what a tenant owes.
local function warn_owed(plan, owed)
  if #owed == 0 then return end
  for i = 1, #plan do
    local revision, direction = plan:step(i)
    for _, debt in ipairs(owed) do
      if revision == debt.revision and direction ~= debt.direction and direction ~= "stamp" then
        return engine.log("warn", "dmlua", ("%s will refuse this plan: the %s of %s is owed (pay it, or --abandon)")
          :format(direction, debt.direction, debt.revision))
      end
    end
  end
end

local function run(context)
  local options, tree = context.options, context.tree()
  local graph = tree:graph()
  if not options.sql then ranges.refuse(graph, options.command, options.targets) end
  local rows, owed = start(context, graph)
  local plan = graph:long_plan(options.command, options.targets, rows, { sql = options.sql, purge = options.purge })
  if options.json then
    write_json(options, graph, plan)
  else
    write_text(graph, plan)
  end
  warn_refused(tree, plan)
  warn_owed(plan, owed)
  return 0
end

return {
  name = "plan",
  summary = "name the steps that a verb would run; change nothing",
  description = "Names the steps that a verb would run and the heads afterwards. Changes nothing.",
  headers_only = true,
  arguments = arguments,
  run = run,
}
