-- branches: the points where the history branches, newest first, and what comes after each.

local listing = require "dmlua.listing"
local output = require "dmlua.output"
local revision_lines = require "dmlua.revision_lines"

local function write(context, it, children)
  if context.options.verbose then
    output.line(listing.block(context.tree(), it))
  else
    output.line(revision_lines.branchpoint(it))
  end
  for _, child in ipairs(children) do output.line(revision_lines.branch(it, child, context.options.verbose)) end
  output.line ""
end

local function run(context)
  local graph, json = context.tree():graph(), {}
  for _, id in ipairs(graph:history()) do
    local it = graph:describe(id)
    if it.branchpoint then
      local children = {}
      for i, child in ipairs(it.children) do children[i] = graph:describe(child) end
      if context.options.json then
        json[#json + 1] = output.object("revision", listing.object(it), "children", it.children)
      else
        write(context, it, children)
      end
    end
  end
  if context.options.json then output.json(output.object("branches", json)) end
  return 0
end

return {
  name = "branches",
  summary = "list the points where the history branches",
  headers_only = true,
  run = run,
}
