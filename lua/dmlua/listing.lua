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
--- `marked`: nil, or the set of revisions to mark as current.
function M.write(context, ids, line, name, marked)
  local tree, options = context.tree(), context.options
  local graph, list = tree:graph(), {}
  for i, id in ipairs(ids) do
    local it = graph:describe(id)
    local current = marked and marked[id] or nil
    if options.json then
      list[i] = output.encoded(M.object(it, marked and marked[id] or marked and false))
    else
      output.line(options.verbose and M.block(tree, it, current) or line(it, current))
    end
  end
  if options.json then output.json(output.object(name, list)) end
  return 0
end

return M
