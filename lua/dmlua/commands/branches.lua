-- branches: the points where the history branches, and what comes after each.

local listing = require "dmlua.listing"
local output = require "dmlua.output"
local revision_lines = require "dmlua.revision_lines"

local function run(context)
  local graph, json = context.tree():graph(), {}
  for _, id in ipairs(graph:order()) do
    local it = graph:describe(id)
    if it.branchpoint then
      local children = {}
      for i, child in ipairs(it.children) do children[i] = graph:describe(child) end
      if context.options.json then
        json[#json + 1] = output.object("revision", listing.object(it), "children", it.children)
      else
        output.line(revision_lines.branches(it, children, context.options.verbose))
        output.line ""
      end
    end
  end
  if context.options.json then output.json(output.object("branches", json)) end
  return 0
end

return { name = "branches", summary = "list the points where the history branches", run = run }
