-- Which lines a picture of the history has: from each revision to those of its parents that are drawn too.

local function parents_by_children(list)
  local found = {}
  for _, it in ipairs(list) do
    for _, child in ipairs(it.children) do
      found[child] = found[child] or {}
      table.insert(found[child], it.revision)
    end
  end
  return found
end

-- In the order in which the file names them. One that the file names otherwise, a baseline by what it replaces, stands
-- at the end.
local function ordered(it, parents)
  local place = {}
  for i, id in ipairs(it.down_revision) do place[id] = place[id] or i end
  for i, id in ipairs(parents) do place[id] = place[id] or #it.down_revision + i end
  table.sort(parents, function(a, b) return place[a] < place[b] end)
  return parents
end

--- By revision: the parents that are in the list, too. `list`: what graph:describe says of each revision.
return function(list)
  local found = parents_by_children(list)
  local parents = {}
  for _, it in ipairs(list) do parents[it.revision] = ordered(it, found[it.revision] or {}) end
  return parents
end
