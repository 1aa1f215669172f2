-- The rules of plans, on random graphs and on large ones.

local graph = require "dmlua.engine.graph"
local model = require "spec.graph_model"

-- A random graph: chains, forks, merges, several bases, dependencies, some on labels.
local function random_revisions(count)
  local list, labelled = {}, {}
  local function id(i) return ("r%03d"):format(i) end
  local function some(names)
    local sorted = {}
    for name in pairs(names) do sorted[#sorted + 1] = name end
    table.sort(sorted)
    return sorted
  end
  for i = 1, count do
    local parents, depends = {}, {}
    if i > 1 and math.random() > 0.06 then
      for _ = 1, math.random() < 0.2 and math.random(2, 5) or 1 do
        parents[id(math.random() < 0.6 and i - 1 or math.random(1, i - 1))] = true
      end
    end
    while i > 1 and math.random() < 0.15 do depends[id(math.random(1, i - 1))] = true end
    if #labelled > 0 and math.random() < 0.05 then depends[labelled[math.random(#labelled)]] = true end
    list[i] = { revision = id(i), down_revision = some(parents), depends_on = some(depends) }
    if math.random() < 0.05 then
      list[i].branch_labels = "label" .. i
      labelled[#labelled + 1] = "label" .. i
    end
  end
  return list
end

describe("On random graphs", function()
  local graphs = {}
  math.randomseed(20261122)
  for i = 1, 60 do
    local revisions = random_revisions(math.random(1, 40))
    graphs[i] = { tree = graph.new(revisions), needs = model.needs(revisions), revisions = revisions }
  end

  local function any(it, count)
    local ids = {}
    for i = 1, count do ids[i] = it.revisions[math.random(#it.revisions)].revision end
    return ids
  end

  it("an upgrade runs the target's ancestors that are not applied, and every prefix of it leaves valid rows", function()
    for _, it in ipairs(graphs) do
      local start = model.maximal(model.ancestors(any(it, 2), it.needs), it.needs)
      local target = any(it, 1)[1]
      local applied = model.carry_out(it.tree:plan("upgrade", target, start), start, it.needs)
      local wanted = model.ancestors(start, it.needs)
      for id in pairs(model.ancestors({ target }, it.needs)) do wanted[id] = true end
      assert.are.same(wanted, applied)
    end
  end)

  it("a downgrade takes the children of the target and all that needs them, and nothing else", function()
    for _, it in ipairs(graphs) do
      local rows = it.tree:heads(true)
      local target = any(it, 1)[1]
      local dropped = {}
      for _, child in ipairs(it.tree:describe(target).children) do dropped[child] = true end
      for _, one in ipairs(it.revisions) do -- in order: what one needs was looked at before
        for _, parent in ipairs(it.needs[one.revision]) do
          dropped[one.revision] = dropped[one.revision] or dropped[parent]
        end
      end
      if next(dropped) or #rows == 1 and rows[1] == target then
        local applied = model.carry_out(it.tree:plan("downgrade", target, rows), rows, it.needs)
        for _, one in ipairs(it.revisions) do
          assert.are.equal(not dropped[one.revision], applied[one.revision] or false)
        end
      end
    end
  end)

  it("up to the heads, down to base and up again comes back to the same rows", function()
    for _, it in ipairs(graphs) do
      local up = it.tree:plan("upgrade", "heads", {})
      model.carry_out(up, {}, it.needs)
      local down = it.tree:plan("downgrade", "base", up.heads)
      assert.are.same({}, model.carry_out(down, up.heads, it.needs))
      assert.are.same({}, down.heads)
      assert.are.equal(#up.steps, #down.steps)
      assert.are.same(up.heads, it.tree:plan("upgrade", "heads", {}).heads)
    end
  end)

  it("a plan that stops after any step goes on from there", function()
    for _, it in ipairs(graphs) do
      local plan = it.tree:plan("upgrade", "heads", {})
      local cut = math.random(0, #plan.steps)
      local applied = {}
      for i = 1, cut do applied[plan.steps[i].revision] = true end
      local rest = it.tree:plan("upgrade", "heads", model.maximal(applied, it.needs))
      assert.are.equal(#plan.steps - cut, #rest.steps)
      assert.are.same(plan.heads, rest.heads)
    end
  end)

  it("plans are the same each time, and the order lists parents and dependencies first", function()
    for _, it in ipairs(graphs) do
      assert.are.same(it.tree:plan("upgrade", "heads", {}), graph.new(it.revisions):plan("upgrade", "heads", {}))
      local seen = {}
      for _, id in ipairs(it.tree:order()) do
        for _, parent in ipairs(it.needs[id]) do assert.is_true(seen[parent]) end
        seen[id] = true
      end
      assert.are.equal(#it.revisions, #it.tree)
    end
  end)
end)

describe("A large graph", function()
  it("as one long chain overflows nothing", function()
    local list = { { revision = "r1", branch_labels = "long" } }
    for i = 2, 100000 do list[i] = { revision = "r" .. i, down_revision = "r" .. i - 1 } end
    local it = graph.new(list)
    assert.are.equal(#list, #it:plan("upgrade", "long@head", {}).steps)
    assert.are.equal(#list - 1, #it:plan("downgrade", "r1", { "r" .. #list }).steps)
    assert.are.equal(#list, #it:history())
    list[1].down_revision = "r" .. #list
    local ok, problem = pcall(graph.new, list)
    assert.is_false(ok)
    assert.is_truthy(problem.message:find("r777 comes after r776", 1, true))
  end)

  it("with more than ten million paths from base to head is planned like any other", function()
    local list, tip, paths = {}, nil, 1
    for merge = 1, 35 do
      local parents = {}
      local width = 2 + merge % 4
      list[#list + 1] = { revision = "fork" .. merge, down_revision = tip }
      for k = 1, width do
        parents[k] = ("m%dw%d"):format(merge, k)
        list[#list + 1] = { revision = parents[k], down_revision = "fork" .. merge }
      end
      paths = paths * width
      tip = "join" .. merge
      list[#list + 1] = { revision = tip, down_revision = parents }
    end
    assert.is_true(paths > 1e7)
    local it = graph.new(list)
    assert.are.equal(#list, #it:plan("upgrade", "head", {}).steps)
    assert.are.equal(#list, #it:plan("downgrade", "base", { tip }).steps)
    assert.are.equal(#list, #it:history())
    assert.are.same({ tip }, it:current { tip })
  end)
end)
