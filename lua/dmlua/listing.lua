-- What the verbs that list revisions have in common: a revision as a line, a block or JSON.

local output = require "dmlua.output"
local revision_lines = require "dmlua.revision_lines"

local M = {}

--- The ids of a list as a set.
function M.set(ids)
  local set = {}
  for _, id in ipairs(ids or {}) do set[id] = true end
  return set
end

--- A revision as JSON. `current` is nil where no database was asked.
function M.object(it, current)
  return output.object("revision", it.revision, "down_revision", it.down_revision, "branch_labels", it.labels,
    "depends_on", it.depends_on, "message", it.message, "path", it.path, "head", it.head,
    "effective_head", it.effective_head, "branchpoint", it.branchpoint, "mergepoint", it.mergepoint,
    "current", current)
end

--- The block of `show` and `-v`, with the whole comment at the head of the file.
function M.block(tree, it, current)
  local script = tree:find(it.revision)
  it.doc = script and script.doc
  local text = revision_lines.block(it, current)
  it.doc = nil
  return text
end

--- Writes revisions: lines of `line(it, current)`, blocks with -v, or a JSON document with the list under `name`.
--- `ids`: identifiers, or the graph's numbers; `marked`: nil, or the set of identifiers to mark as current.
function M.write(context, ids, line, name, marked)
  local tree, options = context.tree(), context.options
  local graph = tree:graph()
  if options.json then
    output.json_items(name, #ids, function(i)
      local it = graph:describe(ids[i])
      return M.object(it, marked and (marked[it.revision] or false))
    end)
    return 0
  end
  for _, id in ipairs(ids) do
    local it = graph:describe(id)
    local current = marked and marked[it.revision]
    output.line(options.verbose and M.block(tree, it, current) or line(it, current))
  end
  return 0
end

return M
