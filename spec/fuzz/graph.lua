-- Random graphs, broken ones too, and random identifiers, for so many seconds: nothing may crash, every refusal is a
-- usage error with a message, and every plan keeps the rules of spec/graph_model.lua. No part of the suite.
--
--   lua5.4 spec/fuzz/graph.lua [seconds] [seed]
--
-- with LUA_PATH and LUA_CPATH as in scripts/test; best on the asan build, its library first in LD_PRELOAD.

local graph = require "dmlua.engine.graph"
local errors = require "dmlua.errors"
local model = require "spec.graph_model"

local seconds, seed = tonumber(arg[1]) or 60, tonumber(arg[2]) or os.time()
math.randomseed(seed)
print("seed " .. seed)

local pieces = { "a", "b", "ab", "abcd", "abce", "0", "00", "0001", "@", "@", "+", "-", "+1", "-1", "-2",
  "+99999999999", ":", "head", "heads", "base", "current", "web", "we", "ü", " ", ",", ".", "_", "" }

local function text(most)
  local parts = {}
  for i = 1, math.random(1, most) do parts[i] = pieces[math.random(#pieces)] end
  return table.concat(parts)
end

local function some(list, most)
  local chosen = {}
  for i = 1, math.random(0, most) do chosen[i] = list[math.random(#list)] end
  return chosen
end

-- Mostly sound; now and then a name is anything.
local function random_revisions()
  local list, ids = {}, {}
  for i = 1, math.random(0, 12) do
    local id = math.random() < 0.03 and text(3) or pieces[math.random(8)] .. i
    local known = math.random() < 0.02 and { text(2) } or ids
    list[i] = { revision = id, message = math.random() < 0.5 and text(4) or nil }
    if #known > 0 then
      list[i].down_revision = math.random() < 0.8 and known[#known] or some(known, 3)
      list[i].depends_on = math.random() < 0.2 and some(known, 2) or nil
    end
    if math.random() < 0.1 then list[i].branch_labels = "web" .. i end
    ids[#ids + 1] = id
    if list[i].branch_labels and math.random() < 0.2 then ids[#ids + 1] = list[i].branch_labels end
  end
  return list, ids
end

local counts = { answered = 0, refused = 0 }

local function try(fn, ...)
  local answer = table.pack(pcall(fn, ...))
  if answer[1] then
    counts.answered = counts.answered + 1
    return table.unpack(answer, 2)
  end
  local problem = answer[2]
  assert(errors.is(problem) and problem.kind == "usage" and #problem.message > 0, tostring(problem))
  counts.refused = counts.refused + 1
end

local function plan_all(tree, revisions, ids)
  local needs = model.needs(revisions)
  local applied = {}
  for _, id in ipairs(some(ids, 2)) do
    if needs[id] then applied = model.ancestors({ id }, needs) end
  end
  local rows = model.maximal(applied, needs)
  for _, command in ipairs { "upgrade", "downgrade", "stamp" } do
    local target = math.random() < 0.5 and text(4) or ids[math.random(#ids)] .. pieces[math.random(#pieces)]
    local plan = try(tree.plan, tree, command, target, rows)
    if plan and command == "stamp" then model.change_rows(plan, rows) end
    if plan and command ~= "stamp" then model.carry_out(plan, rows, needs) end
    try(tree.plan, tree, command, { text(3), text(3) }, { text(2) }, { sql = math.random() < 0.5, purge = true })
  end
  try(tree.history, tree, text(3) .. ":" .. text(3), rows)
  try(tree.resolve, tree, text(4), rows)
  try(tree.current, tree, rows)
end

local stop = os.time() + seconds
while os.time() < stop do
  local revisions, ids = random_revisions()
  local tree = try(graph.new, revisions)
  if tree then
    for _, id in ipairs(tree:order()) do assert(tree:describe(id).revision == id) end
    if #ids > 0 then plan_all(tree, revisions, ids) end
  end
end
print(("%d answered, %d refused, nothing found"):format(counts.answered, counts.refused))
