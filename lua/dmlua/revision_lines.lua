-- Revisions as text, in Alembic's line formats: one line, or the block of `show` and `-v`.
--
-- A record is what graph:describe(id) returns; the caller may add `doc` (the whole of the file's head comment, for the
-- block). `current` says whether the revision is to be marked as one of the database's.

local M = {}

local function joined(list, none)
  return #list > 0 and table.concat(list, ", ") or none or ""
end

local function parents(it)
  local depends = #it.depends_on > 0 and (" (%s)"):format(joined(it.depends_on)) or ""
  return joined(it.down_revision, "<base>") .. depends .. " -> "
end

local function labels(it)
  return #it.labels > 0 and (" (%s)"):format(joined(it.labels)) or ""
end

-- A head that another branch depends on is "effective": no row of the version table will ever say so.
local function head_mark(it)
  if not it.head then return "" end
  return it.effective_head and " (effective head)" or " (head)"
end

local function current_mark(current)
  return current and " (current)" or ""
end

local function tree_marks(it)
  return (it.branchpoint and " (branchpoint)" or "") .. (it.mergepoint and " (mergepoint)" or "")
end

local function message(it)
  return it.message and it.message ~= "" and ", " .. it.message or ""
end

--- `history`: parents, labels, marks and message.
function M.history(it, current)
  return parents(it) .. it.revision .. labels(it) .. head_mark(it) .. current_mark(current) .. tree_marks(it)
    .. message(it)
end

--- `heads`: labels and the mark of a head.
function M.head(it, current)
  return it.revision .. labels(it) .. head_mark(it) .. current_mark(current)
end

--- `current`: the marks alone.
function M.current(it)
  return it.revision .. head_mark(it) .. tree_marks(it)
end

--- `branches`: a branch point's own line.
function M.branchpoint(it)
  return it.revision .. labels(it) .. head_mark(it) .. tree_marks(it)
end

--- `branches`: the line of what comes after a branch point, set in under it.
function M.branch(it, child, with_message)
  return (" "):rep(utf8.len(it.revision) or #it.revision) .. " -> " .. child.revision .. labels(child)
    .. head_mark(child) .. tree_marks(child) .. (with_message and message(child) or "")
end

local function indented(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = "    " .. line end
  return table.concat(lines, "\n")
end

--- The block of `show` and `-v`; ends with a line break, and a blank line is to follow.
function M.block(it, current)
  local lines = { "Rev: " .. it.revision .. (it.head and " (head)" or "") .. tree_marks(it) .. current_mark(current) }
  local function add(name, list)
    if #list > 0 then lines[#lines + 1] = name .. ": " .. joined(list) end
  end
  lines[2] = (it.mergepoint and "Merges: " or "Parent: ") .. joined(it.down_revision, "<base>")
  add("Also depends on", it.depends_on)
  add("Branches into", it.branchpoint and it.children or {})
  add("Branch names", it.labels)
  lines[#lines + 1] = "Path: " .. (it.path or "")
  lines[#lines + 1] = ""
  lines[#lines + 1] = indented(it.doc or it.message or "")
  return table.concat(lines, "\n") .. "\n"
end

return M
