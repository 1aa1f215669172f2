-- The graph of a tree with baselines: what rows, targets and parents mean that a baseline replaces.

local graph = require "dmlua.engine.graph"

local function base(id, heads, others, down)
  local replaces = { table.unpack(heads) }
  for _, other in ipairs(others or {}) do replaces[#replaces + 1] = other end
  return { revision = id, down_revision = down, replaces = replaces, replaced_heads = heads }
end

-- { "upgrade a", "stamp b" } and the heads afterwards.
local function plan(tree, command, target, rows)
  local made = tree:plan(command, { target }, rows)
  local steps = {}
  for i, step in ipairs(made.steps) do steps[i] = step.direction .. " " .. step.revision end
  return steps, made.heads, made.steps
end

local function refused(tree, command, target, rows)
  local ok, failure = pcall(tree.plan, tree, command, { target }, rows)
  assert.is_false(ok)
  return failure.message
end

describe("a graph with a baseline", function()
  local tree = graph.new { base("b", { "x", "y" }, { "o" }), { revision = "c", down_revision = "b" } }

  it("adopts rows that are all of the replaced heads, before anything else, for each verb", function()
    for verb, expected in pairs { upgrade = { "stamp b", "upgrade c" }, stamp = { "stamp b", "stamp c" } } do
      local steps, heads, all = plan(tree, verb, "c", { "y", "x" })
      assert.same(expected, steps)
      assert.same({ "c" }, heads)
      assert.same({ "x", "y" }, all[1].deletes)
      assert.same({ "b" }, all[1].inserts)
    end
    assert.same({ "stamp b", "downgrade b" }, (plan(tree, "downgrade", "base", { "x", "y" })))
    assert.same({ "b" }, tree:current({ "x", "y" }))
    assert.same({ "b" }, tree:rows({ "x", "y" }))
  end)

  it("runs the baseline where there are no rows, and nothing of it where it is a row", function()
    assert.same({ "upgrade b", "upgrade c" }, (plan(tree, "upgrade", "head", {})))
    assert.same({ "upgrade c" }, (plan(tree, "upgrade", "head", { "b" })))
    assert.same({}, (plan(tree, "upgrade", "head", { "c" })))
  end)

  it("refuses rows that are a part of what is replaced", function()
    for _, rows in ipairs { { "x" }, { "y" }, { "o" }, { "x", "o" }, { "x", "y", "o" }, { "c", "x" } } do
      assert.matches("in the middle of the history that b replaces", refused(tree, "upgrade", "head", rows), 1, true)
    end
    assert.matches("no migration file here has", refused(tree, "upgrade", "head", { "x", "y", "z" }))
  end)

  it("forgets any rows with --purge", function()
    local made = tree:plan("stamp", { "c" }, { "o", "x", "q" }, { purge = true })
    assert.same({ "c" }, made.heads)
    assert.same({ "o", "x", "q" }, made.steps[1].deletes)
  end)

  it("takes a replaced identifier as a name of the baseline", function()
    assert.same({ "b" }, tree:resolve("x"))
    assert.same({ "upgrade b" }, (plan(tree, "upgrade", "o", {})))
  end)
end)

describe("a baseline that others stand on", function()
  local tree = graph.new { base("b", { "x" }, { "o" }), { revision = "c", down_revision = "x" },
    { revision = "d", depends_on = "x" }, base("e", { "p" }, {}, "b") }

  it("is had by a row that comes after it, and then is no row of its own", function()
    local steps, heads, all = plan(tree, "upgrade", "c", { "c", "x" })
    assert.same({ "stamp b" }, steps)
    assert.same({ "c" }, heads)
    assert.same({}, all[1].inserts)
    assert.same({}, (plan(tree, "upgrade", "c", { "c" })))
    assert.same({ "upgrade b", "upgrade d" }, (plan(tree, "upgrade", "d", {})))
  end)

  it("is adopted together with another that comes after it", function()
    local steps, heads = plan(tree, "upgrade", "e", { "p" })
    assert.same({ "stamp e" }, steps)
    assert.same({ "e" }, heads)
    steps, heads = plan(tree, "upgrade", "e", { "p", "x" })
    assert.same({ "stamp e", "stamp b" }, steps)
    assert.same({ "e" }, heads)
  end)

  it("replaces nothing that is present, and nothing that another one replaces", function()
    local ok, failure = pcall(graph.new, { base("b", { "x" }), { revision = "x" } })
    assert.is_false(ok)
    assert.equal("Revision b replaces revision x, which is present", failure.message)
    ok, failure = pcall(graph.new, { base("b", { "x" }), base("c", { "x" }) })
    assert.is_false(ok)
    assert.equal("Revision x is replaced twice, by b and c", failure.message)
  end)
end)
