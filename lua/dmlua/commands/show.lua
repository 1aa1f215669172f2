-- show: one migration.

local listing = require "dmlua.listing"
local output = require "dmlua.output"

local function arguments(parser)
  parser:argument "revision":argname "REV":description "an identifier or its beginning, head, heads, current, …"
end

local function run(context)
  local name, tree = context.options.revision, context.tree()
  local rows = name == "current" and context.session():current().rows or nil
  local graph, json = tree:graph(), {}
  for i, id in ipairs(graph:resolve(name, rows)) do
    local it = graph:describe(id)
    if context.options.json then
      json[i] = listing.object(it)
    else
      output.line(listing.block(tree, it))
    end
  end
  if context.options.json then output.json(output.object("revisions", json)) end
  return 0
end

return {
  name = "show",
  summary = "show one migration",
  headers_only = true,
  arguments = arguments,
  run = run,
}
