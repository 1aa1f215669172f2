-- What Alembic 1.19 answered for random graphs (spec/fixtures/vectors), asked of the graph. A share of the cases has
-- flags: where Alembic died of a fault of its own, the graph refuses; where its version rows were not the maximal ones,
-- the rows follow the rule.

local graph = require "dmlua.engine.graph"
local json = require "cjson"
local lines = require "dmlua.revision_lines"
local model = require "spec.graph_model"

local folder = (os.getenv "DMLUA_SPEC_ROOT" or ".") .. "/spec/fixtures/vectors/"

local function plain(value)
  if value == json.null then return nil end
  return value
end

local function cases(name)
  local list = {}
  for line in io.lines(folder .. name) do list[#list + 1] = json.decode(line) end
  return list
end

local function revisions_of(case)
  local list = {}
  for i, it in ipairs(case.revisions) do
    list[i] = {
      revision = it.revision,
      down_revision = plain(it.down_revision),
      branch_labels = plain(it.branch_labels),
      depends_on = plain(it.depends_on),
      message = "m " .. it.revision,
      path = "versions/" .. it.revision .. ".lua",
    }
  end
  return list
end

local function load_graph(case)
  return graph.new(revisions_of(case))
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

-- Alembic's word for it: steps and rows.
local function check_answer(case, plan)
  local steps = {}
  for i, step in ipairs(plan.steps) do steps[i] = step.revision end
  if case.command == "stamp" then steps = {} end
  assert.are.same(sorted(case.steps), sorted(steps), case.id)
  if not case.rows_not_maximal then assert.are.same(sorted(case.result_heads), plan.heads, case.id) end
end

local function needs_of(case)
  return model.needs(revisions_of(case))
end

local function check_rows(case, plan)
  if case.command == "stamp" then
    model.change_rows(plan, plan.start)
  else
    model.carry_out(plan, plan.start, needs_of(case))
  end
end

local function run(case)
  local tree = load_graph(case)
  local plan = tree:plan(case.command, case.target, case.current, { sql = plain(case.sql), purge = plain(case.purge) })
  plan.start = case.current
  if case.sql then
    local start = type(case.target) == "string" and case.target:match "^(.-):"
    plan.start = start and tree:resolve(start) or {}
  end
  return plan
end

-- Alembic takes the first of several rows for -N, with a warning; there is no first row, so the graph refuses.
local function refused_here(case)
  return case.warning and case.target:find "^%-%d+$"
end

describe("A plan", function()
  local answered, refused = {}, {}
  for _, case in ipairs(cases "plans.jsonl") do
    local list = (plain(case.error) or refused_here(case)) and refused or answered
    list[#list + 1] = case
  end

  it("has the steps and leaves the rows that Alembic's has and leaves", function()
    for _, case in ipairs(answered) do check_answer(case, run(case)) end
    assert.is_true(#answered > 200)
  end)

  it("puts what is needed first, and leaves after every step the applied revisions that no other one names", function()
    for _, case in ipairs(answered) do check_rows(case, run(case)) end
  end)

  it("is refused with a usage error where Alembic refuses, or fails by a fault of its own", function()
    for _, case in ipairs(refused) do
      local ok, problem = pcall(run, case)
      assert.is_false(ok, case.id)
      assert.are.equal("usage", problem.kind, case.id)
    end
    assert.is_true(#refused > 70)
  end)

  -- What a script may look for: the words before whatever names this very case.
  local same_words = {
    "Can't locate revision identified by '",
    "Multiple head revisions are present for given argument '",
    "Multiple heads are present; please specify a single target revision",
    "is not a valid downgrade target from current head(s)",
    "Ambiguous walk",
    "Walked too far",
    "Relative revision ",
    " migrations",
    "Requested revision ",
    " overlaps with other requested revisions ",
    "Range revision not allowed",
    "downgrade with --sql requires <fromrev>:<torev>",
    "Cycle is detected in revisions (",
    "Self-loop is detected in revisions (",
    "Dependency cycle is detected in revisions (",
    "Dependency self-loop is detected in revisions (",
    " not allowed in revision identifier '",
  }

  it("is refused in Alembic's words", function()
    for _, case in ipairs(refused) do
      local _, problem = pcall(run, case)
      for _, words in ipairs(same_words) do
        if plain(case.error) and not case.internal_error and not case.warning and case.error:find(words, 1, true) then
          assert.is_truthy(problem.message:find(words, 1, true), case.id .. ": " .. problem.message)
        end
      end
    end
  end)
end)

describe("A listing", function()
  -- Labels in one pair of parentheses compare as a set, so both sides are sorted.
  local function normal(line)
    return (line:gsub("%(([^()]*)%)", function(inner)
      local names = {}
      for name in inner:gmatch "[^, ]+" do names[#names + 1] = name end
      table.sort(names)
      return "(" .. table.concat(names, " ") .. ")"
    end))
  end

  -- A branch point's children compare as a set too.
  local function as_set(text)
    local parts = {}
    for line in text:gmatch "[^\n]+" do parts[#parts + 1] = normal(line) end
    table.sort(parts)
    return table.concat(parts, "\n")
  end

  local function compared(list)
    local copy = {}
    for i, text in ipairs(list) do copy[i] = as_set(text) end
    return sorted(copy)
  end

  local function describe_all(tree, ids, format)
    local list = {}
    for i, id in ipairs(ids) do list[i] = format(tree:describe(id)) end
    return list
  end

  local listings = {
    heads = function(tree) return describe_all(tree, tree:heads(), lines.head) end,
    heads_resolved = function(tree) return describe_all(tree, tree:heads(true), lines.head) end,
    current = function(tree, case) return describe_all(tree, tree:current(case.current), lines.current) end,
    history = function(tree, case)
      return describe_all(tree, tree:history(plain(case.target), case.current), lines.history)
    end,
    branches = function(tree)
      local points = {}
      for _, id in ipairs(tree:history()) do
        local it = tree:describe(id)
        if it.branchpoint then
          local point = { lines.branchpoint(it) }
          for _, child in ipairs(it.children) do point[#point + 1] = lines.branch(it, tree:describe(child)) end
          points[#points + 1] = table.concat(point, "\n")
        end
      end
      return points
    end,
  }

  local by_command = {}
  for _, case in ipairs(cases "listings.jsonl") do
    by_command[case.command] = by_command[case.command] or {}
    table.insert(by_command[case.command], case)
  end

  for command, list in pairs(by_command) do
    it("of " .. command .. " has Alembic's lines", function()
      for _, case in ipairs(list) do
        if not plain(case.error) then
          assert.are.same(compared(case.lines), compared(listings[command](load_graph(case), case)), case.id)
        end
      end
    end)
  end

  it("is refused for the ranges that Alembic refuses", function()
    local refused = 0
    for _, case in ipairs(by_command.history) do
      if plain(case.error) then
        local ok, problem = pcall(listings.history, load_graph(case), case)
        assert.is_false(ok, case.id)
        assert.are.equal("usage", problem.kind, case.id)
        refused = refused + 1
      end
    end
    assert.is_true(refused > 20)
  end)

  it("of history is newest first: nothing stands above what needs it", function()
    for _, case in ipairs(by_command.history) do
      if not plain(case.error) then
        local needs, place = needs_of(case), {}
        local ids = load_graph(case):history(plain(case.target), case.current)
        for i, id in ipairs(ids) do place[id] = i end
        for i, id in ipairs(ids) do
          for _, parent in ipairs(needs[id]) do
            assert.is_true((place[parent] or math.huge) > i, case.id .. ": " .. id .. " stands below " .. parent)
          end
        end
      end
    end
  end)
end)
