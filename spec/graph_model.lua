-- The rules of plans and version rows once more, in the plainest words and without a thought for time, for specs to
-- compare the graph with. Revisions are as graph.new takes them.

local M = {}

local function as_list(value)
  return type(value) == "table" and value or { value }
end

--- Parents and dependencies of every revision, labels resolved: id → list of ids.
function M.needs(revisions)
  local labelled, needs = {}, {}
  for _, it in ipairs(revisions) do
    for _, label in ipairs(as_list(it.branch_labels)) do labelled[label] = it.revision end
  end
  for _, it in ipairs(revisions) do
    local list = table.move(as_list(it.down_revision), 1, #as_list(it.down_revision), 1, {})
    for _, name in ipairs(as_list(it.depends_on)) do list[#list + 1] = labelled[name] or name end
    needs[it.revision] = list
  end
  return needs
end

--- The revisions and all that they need, as a set.
function M.ancestors(ids, needs)
  local set, stack = {}, table.move(ids, 1, #ids, 1, {})
  while #stack > 0 do
    local id = table.remove(stack)
    if not set[id] then
      set[id] = true
      table.move(needs[id], 1, #needs[id], #stack + 1, stack)
    end
  end
  return set
end

--- The members of a set that no other member needs, sorted: what the version table has to hold.
function M.maximal(applied, needs)
  local named, list = {}, {}
  for id in pairs(applied) do
    for _, parent in ipairs(needs[id]) do named[parent] = true end
  end
  for id in pairs(applied) do
    if not named[id] then list[#list + 1] = id end
  end
  table.sort(list)
  return list
end

local function change(step, present)
  for _, row in ipairs(step.deletes) do
    assert(present[row], step.revision .. " deletes a row that is not there: " .. row)
    present[row] = nil
  end
  for _, row in ipairs(step.inserts) do
    assert(not present[row], step.revision .. " inserts a row that is there: " .. row)
    present[row] = true
  end
end

--- Carries a plan's changes out on the rows, and calls after_step(step, rows). Every change must be possible, and the
--- rows that are left must be the plan's heads.
function M.change_rows(plan, rows, after_step)
  local present = {}
  local function sorted()
    local list = {}
    for row in pairs(present) do list[#list + 1] = row end
    table.sort(list)
    return list
  end
  for _, row in ipairs(rows) do present[row] = true end
  for _, step in ipairs(plan.steps) do
    change(step, present)
    if after_step then after_step(step, sorted()) end
  end
  assert(table.concat(sorted(), " ") == table.concat(plan.heads, " "), "the plan's heads are not what its steps leave")
end

--- Carries an upgrade or downgrade out: every step finds what it needs, and leaves the maximal rows. Returns the set
--- of what is applied afterwards.
function M.carry_out(plan, rows, needs)
  local applied = M.ancestors(rows, needs)
  M.change_rows(plan, rows, function(step, left)
    local up = step.direction == "upgrade"
    assert((applied[step.revision] or false) == not up, step.revision .. " is done twice")
    for _, parent in ipairs(up and needs[step.revision] or {}) do
      assert(applied[parent], step.revision .. " comes before " .. parent)
    end
    applied[step.revision] = up or nil
    local expected = table.concat(M.maximal(applied, needs), " ")
    assert(table.concat(left, " ") == expected, ("after %s the rows are %s, not %s"):format(step.revision,
      table.concat(left, " "), expected))
  end)
  return applied
end

return M
