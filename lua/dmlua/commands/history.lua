-- history: the migrations, newest first.

local diagram = require "dmlua.diagram"
local drawing = require "dmlua.drawing"
local errors = require "dmlua.errors"
local listing = require "dmlua.listing"
local output = require "dmlua.output"
local revision_lines = require "dmlua.revision_lines"
local terminal = require "dmlua.terminal"

local function count(text)
  local value = math.tointeger(tonumber(text))
  if value and value > 0 then return value end
  return nil, ("-n takes a number above 0, not '%s'"):format(text)
end

local function arguments(parser)
  parser:option "-r --rev-range":argname "[A]:[B]"
    :description "from A to B; either may be empty, current, or relative: -3: or :+2"
  parser:flag "-i --indicate-current":description "mark the revisions that the database is at"
  parser:flag "--reverse":description "oldest first"
  parser:flag "--graph":description "draw branches and merges"
  parser:flag "--dot":description "print a graph for Graphviz: dmlua history --dot | dot -Tsvg"
  parser:flag "--mermaid":description "print a graph for a ```mermaid block of a README"
  parser:option "-n --limit":argname "N":convert(count):description "at most so many"
end

local function reversed(list)
  local other = {}
  for i = #list, 1, -1 do other[#other + 1] = list[i] end
  return other
end

-- Only these ask the database: -N and +N count from the other end of the range.
local function needs_rows(options)
  return options.indicate_current or (options.rev_range or ""):find("current", 1, true)
end

local pictures = { "graph", "dot", "mermaid" }

-- The picture that was asked for, or nil.
local function picture_of(options)
  local chosen
  for _, name in ipairs(pictures) do
    if options[name] then
      if chosen then errors.usage("--%s and --%s exclude each other", chosen, name) end
      chosen = name
    end
  end
  for _, other in ipairs { "reverse", "json" } do
    if chosen and options[other] then errors.usage("--%s and --%s exclude each other", chosen, other) end
  end
  return chosen
end

-- What depends_on means: identifiers, also where it has labels.
local function resolver(graph)
  return function(it)
    local found = {}
    for i, name in ipairs(it.depends_on) do found[i] = graph:resolve(name)[1] end
    return found
  end
end

-- What graph:describe says of each, made when it is asked for: a long history is not held as a whole.
local function described(graph, numbers)
  return setmetatable({}, { __index = function(_, i) return numbers[i] and graph:describe(numbers[i]) end })
end

-- The parents of a revision that are drawn, too: all of them, unless only a part of the history is.
local function drawn_parents(graph, list, whole)
  if whole then return function(it) return graph:parents(it.revision) end end
  local drawn = {}
  for _, it in ipairs(list) do drawn[it.revision] = true end
  return function(it)
    local found = {}
    for _, id in ipairs(graph:parents(it.revision)) do found[#found + 1] = drawn[id] and id end
    return found
  end
end

local function draw(context, picture, numbers, current)
  local tree, options = context.tree(), context.options
  local graph = tree:graph()
  local list = described(graph, numbers)
  if picture ~= "graph" then
    list = table.move(list, 1, #numbers, 1, {})
    output.lines(diagram[picture](list, { current = current, dependencies = resolver(graph) }))
    return 0
  end
  local function block(it) return listing.block(tree, it, current and current[it.revision]) end
  drawing.draw(list, drawn_parents(graph, list, #numbers == #graph), {
    current = current, width = terminal.width(), colour = terminal.colours(options),
    block = options.verbose and block or nil,
  }, output.painted)
  return 0
end

local function run(context)
  local options = context.options
  local picture, range = picture_of(options), options.rev_range
  if range and not range:find(":", 1, true) then
    errors.usage "History range requires [start]:[end], [start]:, or :[end]"
  end
  local rows = needs_rows(options) and context.session():current().rows or nil
  local ids = context.tree():graph():numbers(range, rows)
  if options.reverse then ids = reversed(ids) end
  if options.limit then ids = table.move(ids, 1, options.limit, 1, {}) end
  local current = options.indicate_current and listing.set(rows) or nil
  if picture then return draw(context, picture, ids, current) end
  return listing.write(context, ids, revision_lines.history, "history", current)
end

return {
  name = "history",
  summary = "list the migrations, newest first",
  headers_only = true,
  arguments = arguments,
  run = run,
}
