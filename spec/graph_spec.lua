-- The graph's own promises: what it refuses to hold, what an identifier means, what its errors say. What Alembic
-- answers is in graph_vectors_spec.lua.

local graph = require "dmlua.engine.graph"

-- A graph from rows like { "b", "a", labels = …, depends = … }: id, parents.
local function tree(rows)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = {
      revision = row[1],
      down_revision = row[2],
      branch_labels = row.labels,
      depends_on = row.depends,
      message = row.message or "make " .. row[1],
      path = row.path or "versions/" .. row[1] .. ".lua",
    }
  end
  return graph.new(list)
end

local function refusal(fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  assert.are.equal("usage", problem.kind, tostring(problem))
  return problem
end

local function assert_names(problem, ...)
  for _, text in ipairs { ... } do
    assert.is_truthy(problem.message:find(text, 1, true), ("%q is not in: %s"):format(text, problem.message))
  end
end

local function assert_hints(problem, ...)
  for _, text in ipairs { ... } do
    assert.is_truthy((problem.hint or ""):find(text, 1, true), ("%q is not in: %s"):format(text, problem.hint))
  end
end

local function steps_of(plan)
  local ids = {}
  for i, step in ipairs(plan.steps) do ids[i] = step.revision end
  return table.concat(ids, " ")
end

local function upgrade(it, target, ...)
  return steps_of(it:plan("upgrade", target, { ... }))
end

local function downgrade(it, target, ...)
  return steps_of(it:plan("downgrade", target, { ... }))
end

-- a1 ─ a2 ─ a3, with a fork at a2 to b1 ─ b2.
local function forked()
  return tree {
    { "rev_a1" },
    { "rev_a2", "rev_a1" },
    { "rev_a3", "rev_a2", labels = "web" },
    { "rev_b1", "rev_a2", labels = "shop" },
    { "rev_b2", "rev_b1" },
  }
end

describe("A graph is refused", function()
  it("with two files of one identifier, naming both", function()
    local problem = refusal(tree, { { "aaaa" }, { "bbbb", "aaaa" }, { "aaaa", path = "versions/copy.lua" } })
    assert_names(problem, "Revision aaaa is present more than once", "versions/aaaa.lua", "versions/copy.lua")
  end)

  it("with a parent that no file has, naming it, the file that names it, and what it may mean", function()
    local problem = refusal(tree, { { "abc123" }, { "def456", "acb123" } })
    assert_names(problem, "Revision acb123 referenced from def456 (versions/def456.lua) is not present")
    assert_hints(problem, "did you mean 'abc123' (make abc123)?")
    assert_hints(refusal(tree, { { "abc123", message = "" }, { "def456", "acb123" } }), "did you mean 'abc123'?")
  end)

  it("with a label for a parent, naming the revision that has it", function()
    local problem = refusal(tree, { { "abc123", labels = "web" }, { "def456", "web" } })
    assert_names(problem, "Revision web referenced from def456 (versions/def456.lua) is not present")
    assert_hints(problem, "'web' is a label of abc123, and down_revision takes identifiers.")
  end)

  it("with several missing parents, naming each", function()
    local problem = refusal(tree, { { "aaaa", "gone1" }, { "bbbb", "aaaa", depends = { "gone2" } } })
    assert_names(problem, "Revision gone1 referenced from aaaa", "Revision gone2 referenced from bbbb")
  end)

  it("with a label in place of a parent's identifier", function()
    local problem = refusal(tree, { { "aaaa", labels = "web" }, { "bbbb", "web" } })
    assert_names(problem, "Revision web referenced from bbbb")
  end)

  it("with one label in two places, naming both files", function()
    local problem = refusal(tree, { { "aaaa", labels = "web" }, { "bbbb", labels = { "shop", "web" } } })
    assert_names(problem, "Branch name 'web' in revision bbbb (versions/bbbb.lua) already used by revision aaaa "
      .. "(versions/aaaa.lua)")
  end)

  it("with a label that is also an identifier", function()
    assert_names(refusal(tree, { { "aaaa", labels = "bbbb" }, { "bbbb" } }), "Branch name 'bbbb'", "aaaa", "bbbb")
  end)

  it("with a revision that comes after itself", function()
    local problem = refusal(tree, { { "aaaa", "aaaa" } })
    assert_names(problem, "Self-loop is detected in revisions (aaaa)", "versions/aaaa.lua")
  end)

  it("with a revision that depends on itself, also by its own label", function()
    local problem = refusal(tree, { { "aaaa", depends = "web", labels = "web" } })
    assert_names(problem, "Dependency self-loop is detected in revisions (aaaa)")
  end)

  it("with a cycle, naming every revision and file in it and nothing beside it", function()
    local problem = refusal(tree, { { "root" }, { "aaaa", { "root", "cccc" } }, { "bbbb", "aaaa" },
      { "cccc", "bbbb" }, { "leaf", "cccc" } })
    assert_names(problem, "Cycle is detected in revisions (", "aaaa (versions/aaaa.lua) comes after cccc",
      "bbbb (versions/bbbb.lua) comes after aaaa", "cccc (versions/cccc.lua) comes after bbbb")
    assert.is_falsy(problem.message:find("root", 1, true))
    assert.is_falsy(problem.message:find("leaf", 1, true))
  end)

  it("with two cycles, naming both", function()
    local problem = refusal(tree, { { "a1", "a2" }, { "a2", "a1" }, { "base1" }, { "b1", "b2" }, { "b2", "b1" } })
    assert_names(problem, "a1 (", "a2 (", "b1 (", "b2 (")
  end)

  it("with a cycle through depends_on", function()
    local problem = refusal(tree, { { "aaaa", depends = "dddd" }, { "bbbb", "aaaa" }, { "cccc" },
      { "dddd", "cccc", depends = "bbbb" } })
    assert_names(problem, "Dependency cycle is detected in revisions (", "aaaa (versions/aaaa.lua) comes after dddd",
      "dddd (versions/dddd.lua) comes after bbbb", "bbbb (versions/bbbb.lua) comes after aaaa")
    assert.is_falsy(problem.message:find("cccc", 1, true))
  end)

  it("with a character in an identifier that means something else", function()
    for _, id in ipairs { "ab@cd", "ab-cd", "ab+cd", "ab:cd" } do
      assert_names(refusal(tree, { { id } }), ("Character(s) '%s' not allowed in revision identifier '%s'")
        :format(id:sub(3, 3), id), "versions/" .. id .. ".lua")
    end
  end)

  it("with an identifier that is a word of the command line, or none", function()
    for _, id in ipairs { "head", "heads", "base", "current" } do
      assert_names(refusal(tree, { { id } }), "'" .. id .. "'")
    end
    assert_names(refusal(tree, { { "" } }), "empty")
  end)
end)

describe("An identifier", function()
  it("is an exact id first, even where others begin with it", function()
    local it = tree { { "abcd" }, { "abcd1", "abcd" } }
    assert.are.equal("abcd", upgrade(it, "abcd"))
  end)

  it("may be a prefix of any length that only one name has", function()
    local it = tree { { "1f3a" }, { "2b4c", "1f3a" } }
    assert.are.equal("1f3a 2b4c", upgrade(it, "2"))
  end)

  it("is no prefix of a name of three characters or fewer", function()
    assert_names(refusal(upgrade, tree { { "abc" } }, "ab"), "Can't locate revision identified by 'ab'")
  end)

  it("may be a label, or the beginning of one", function()
    local it = forked()
    assert.are.equal("rev_a1 rev_a2 rev_b1", upgrade(it, "shop"))
    assert.are.equal("rev_a1 rev_a2 rev_b1", upgrade(it, "sh"))
  end)

  it("may keep to the line of a label, an id or a prefix", function()
    local it = forked()
    assert.are.equal("rev_a1 rev_a2 rev_b1 rev_b2", upgrade(it, "shop@head"))
    assert.are.equal("rev_a1 rev_a2 rev_b1 rev_b2", upgrade(it, "rev_b1@heads"))
    assert.are.equal("rev_a1 rev_a2 rev_b1", upgrade(it, "sh@rev_b1"))
    assert.are.equal("", upgrade(it, "shop@base"))
  end)

  it("finds by its label the one of several that a prefix would name", function()
    local it = tree { { "root" }, { "1aaa1", "root", labels = "web" }, { "1aaa2", "root", labels = "shop" } }
    assert.are.equal("root 1aaa2", upgrade(it, "shop@1aaa"))
    assert_names(refusal(upgrade, it, "1aaa"), "Can't locate revision identified by '1aaa'",
      "Multiple revisions start with '1aaa': '1aaa1', '1aaa2'")
  end)

  it("is refused when it is not on the line that was named", function()
    assert_names(refusal(upgrade, forked(), "shop@rev_a3"), "Can't locate revision identified by 'rev_a3'",
      "Revision rev_a3 is not a member of branch 'shop'")
  end)

  it("of heads leaves out the heads that another revision depends on", function()
    local it = tree { { "aaaa" }, { "bbbb", depends = "aaaa" } }
    assert.are.same({ "aaaa", "bbbb" }, it:heads())
    assert.are.same({ "bbbb" }, it:heads(true))
    assert.are.same({ "bbbb" }, it:resolve "heads")
  end)

  it("may be so many steps from where the database is", function()
    local it = tree { { "a1" }, { "a2", "a1" }, { "a3", "a2" }, { "a4", "a3" } }
    assert.are.equal("a1 a2", upgrade(it, "+2"))
    assert.are.equal("a3 a4", upgrade(it, "+2", "a2"))
    assert.are.equal("a3 a2", downgrade(it, "-2", "a3"))
    assert.are.equal("a2 a1", downgrade(it, "-2", "a2"))
  end)

  it("may be so many steps on one branch", function()
    local it = forked()
    assert.are.equal("rev_b1", upgrade(it, "shop@+1", "rev_a2"))
    assert.are.equal("rev_b1", upgrade(it, "shop@+1", "rev_a3"))
    assert.are.equal("rev_a1 rev_a2 rev_b1", upgrade(it, "shop@+3"))
    assert.are.equal("rev_b2", downgrade(it, "shop@-1", "rev_a3", "rev_b2"))
  end)

  it("may be so many steps from another one", function()
    local it = forked()
    assert.are.equal("rev_a1 rev_a2", upgrade(it, "rev_a3-1"))
    assert.are.equal("rev_a1 rev_a2", upgrade(it, "rev_a1+1"))
    assert.are.equal("rev_a1 rev_a2 rev_b1", upgrade(it, "shop@head-1"))
    assert.are.equal("rev_a1 rev_a2 rev_b1 rev_b2", upgrade(it, "shop@rev_a2+2"))
    assert.are.equal("rev_b2", downgrade(it, "rev_b2-1", "rev_b2"))
  end)

  it("may be a label with a dash and a number in it", function()
    local it = tree { { "aaaa" }, { "bbbb", "aaaa", labels = "billing-2" }, { "cccc", "bbbb" } }
    assert.are.equal("aaaa bbbb", upgrade(it, "billing-2"))
    assert.are.equal("aaaa bbbb cccc", upgrade(it, "billing-2@head"))
    assert.are.equal("aaaa", upgrade(it, "billing-2-1"))
  end)

  it("of more steps than there are is refused, and says how many there are", function()
    local it = tree { { "a1" }, { "a2", "a1" }, { "a3", "a2" } }
    local problem = refusal(upgrade, it, "+3", "a1")
    assert_names(problem, "Relative revision +3 didn't produce 3 migrations")
    assert_hints(problem, "only 2 steps can be gone above a1")
    assert_names(refusal(downgrade, it, "-9", "a2"), "Relative revision -9 didn't produce 9 migrations")
    assert_names(refusal(upgrade, it, "a2+7"), "Walked too far")
    assert_names(refusal(upgrade, it, "a2-2"), "Walked too far")
    assert_names(refusal(upgrade, it, "+99999999999999999999"), "Relative revision +99999999999999999999")
    assert_names(refusal(downgrade, it, "a2-99999999999999999999", "a3"), "Walked too far")
  end)

  it("that leads over a fork or a merge is refused, and says what it leads to", function()
    assert_names(refusal(upgrade, forked(), "+2", "rev_a1"), "Ambiguous walk", "rev_a3, rev_b1")
    local merged = tree { { "a1" }, { "b1" }, { "m1", { "a1", "b1" } } }
    assert_names(refusal(downgrade, merged, "-1", "m1"), "Ambiguous walk", "a1, b1")
    assert_names(refusal(upgrade, forked(), "+1", "rev_a3", "rev_b1"),
      "Ambiguous upgrade from multiple current revisions")
  end)

  it("below base is too far, and ambiguous where there are several bases", function()
    local line = tree { { "a1" }, { "a2", "a1" } }
    assert_names(refusal(downgrade, line, "base-2", "a2"), "Walked too far", "base-2")
    local two = tree { { "a1" }, { "b1" } }
    assert_names(refusal(downgrade, two, "base-2", "a1"), "Ambiguous walk", "base-2")
  end)

  it("that is unknown is quoted whole where Alembic takes no relative one", function()
    local it = tree { { "a1" }, { "a2", "a1" } }
    local _, problem = pcall(it.resolve, it, "xyz+1")
    assert_names(problem, "Can't locate revision identified by 'xyz+1'")
    assert_names(refusal(upgrade, it, "xyz+1"), "Can't locate revision identified by 'xyz'")
  end)

  it("-N is refused while the database is at several revisions", function()
    local problem = refusal(downgrade, forked(), "-1", "rev_a3", "rev_b2")
    assert_names(problem, "Ambiguous walk", "downgrade -1 from multiple heads is ambiguous")
    assert_hints(problem, "'rev_a3@-1'")
  end)

  it("downgrades one branch to its base, with all that stands on it", function()
    local it = tree { { "a1", labels = "web" }, { "a2", "a1" }, { "b1", labels = "shop" }, { "b2", "b1" } }
    local plan = it:plan("downgrade", "shop@base", { "a2", "b2" })
    assert.are.equal("b2 b1", steps_of(plan))
    assert.are.same({ "a2" }, plan.heads)
  end)

  it("with an unknown label is refused, even where there is one base only", function()
    local it = tree { { "a1", labels = "web" }, { "a2", "a1" } }
    assert_names(refusal(downgrade, it, "wbe@base", "a2"), "Can't locate revision identified by 'wbe'",
      "No such branch: 'wbe'")
    assert_names(refusal(upgrade, it, "wbe@base"), "No such branch: 'wbe'")
  end)
end)

describe("An error about a revision", function()
  local function ids()
    return tree { { "3f2a91c0", message = "add customers" }, { "77be40d1", "3f2a91c0", message = "add orders" },
      { "9ac4d2e8", "77be40d1", message = "add invoices" } }
  end

  it("names the right one first when a letter is wrong, missing, too many or swapped", function()
    for _, wrong in ipairs { "77be40d2", "77be401", "77be440d1", "77eb40d1", "77BE40d1x", "77eb4" } do
      assert_hints(refusal(upgrade, ids(), wrong), "did you mean '77be40d1' (add orders)")
    end
  end)

  it("takes two swapped letters for one mistake, not for two", function()
    local it = tree { { "bb12dd" }, { "ab12cd", "bb12dd" } }
    assert_hints(refusal(upgrade, it, "ba12cd"), "did you mean 'ab12cd'")
  end)

  it("suggests nothing when nothing is near", function()
    assert.is_falsy(refusal(upgrade, ids(), "zzzzzzzz").hint:find("did you mean", 1, true))
  end)

  it("suggests a label too", function()
    assert_hints(refusal(upgrade, forked(), "shpo@head"), "did you mean 'shop'")
  end)

  it("lists what an ambiguous prefix may be, with messages", function()
    local problem = refusal(upgrade, tree { { "aa11", message = "one" }, { "aa12", "aa11", message = "two" } }, "aa")
    assert_hints(problem, "aa11  one", "aa12  two")
  end)

  it("lists several heads with messages, and the line that merges them", function()
    local problem = refusal(upgrade, forked(), "head")
    assert_names(problem, "Multiple head revisions are present for given argument 'head'; please specify a specific "
      .. "target revision, '<branchname>@head' to narrow to a specific head, or 'heads' for all heads")
    assert_hints(problem, "rev_a3  make rev_a3", "rev_b2  make rev_b2", "dmlua merge -m \"merge heads\" rev_a3 rev_b2")
  end)

  it("says of a row that no file has that the database is ahead of the files, and the ways out", function()
    local problem = refusal(upgrade, forked(), "heads", "rev_a1", "gone1", "gone2")
    assert_names(problem, "Can't locate revision identified by 'gone1', 'gone2'", "version table")
    assert_hints(problem, "rolled back", "dmlua stamp --purge")
  end)

  it("takes a row by its whole id only", function()
    assert_names(refusal(upgrade, forked(), "heads", "rev_a"), "Can't locate revision identified by 'rev_a'")
  end)

  it("says which rows overlap, and how to leave the later one alone", function()
    local problem = refusal(upgrade, forked(), "heads", "rev_a1", "rev_b1", "rev_a3")
    assert_names(problem, " overlaps with other requested revisions rev_a1")
    assert_hints(problem, "dmlua stamp --purge")
  end)

  it("tells several targets in one word apart from a misspelt one", function()
    assert_hints(refusal(upgrade, forked(), "rev_a1,rev_b1"), "one identifier names one revision")
  end)
end)

describe("A step", function()
  it("is told as Alembic's log line tells it", function()
    local it = tree { { "a1" }, { "b1" }, { "m1", { "a1", "b1" } }, { "n1", "m1", depends = "a1" } }
    local told = {}
    for _, step in ipairs(it:plan("upgrade", "heads", {}).steps) do
      told[#told + 1] = step.from .. " -> " .. step.to
    end
    table.sort(told)
    assert.are.same({ " -> a1", " -> b1", "a1, b1 -> m1", "m1 -> n1" }, told)
    local down = it:plan("downgrade", "base", { "n1" }).steps
    assert.are.equal("n1 -> m1", down[1].from .. " -> " .. down[1].to)
    assert.are.equal("m1 -> a1, b1", down[2].from .. " -> " .. down[2].to)
    assert.are.equal("downgrade", down[2].direction)
  end)

  it("of a merge replaces the rows of all that it joins", function()
    local step = tree({ { "a1" }, { "b1" }, { "m1", { "a1", "b1" } } }):plan("upgrade", "m1", { "b1", "a1" }).steps[1]
    assert.are.same({ "a1", "b1" }, step.deletes)
    assert.are.same({ "m1" }, step.inserts)
  end)

  it("of a new branch adds a row and leaves the others", function()
    local step = forked():plan("upgrade", "shop", { "rev_a3" }).steps[1]
    assert.are.same({}, step.deletes)
    assert.are.same({ "rev_b1" }, step.inserts)
  end)

  it("that is undone gives a row to what nothing else applied names", function()
    local it = tree { { "a1" }, { "b1", "a1" }, { "c1" }, { "d1", { "b1", "c1" } }, { "e1", "c1" } }
    local step = it:plan("downgrade", "d1-0", { "d1", "e1" }).steps
    assert.are.same({}, step)
    step = it:plan("downgrade", "b1", { "d1", "e1" }).steps[1]
    assert.are.same({ "d1" }, step.deletes)
    assert.are.same({ "b1" }, step.inserts)
  end)

  it("of a downgrade takes redundant rows, which Alembic may leave, with it", function()
    local plan = tree({ { "a1" }, { "a2", "a1" }, { "a3", "a2" } }):plan("downgrade", "-1", { "a3" })
    assert.are.same({ "a2" }, plan.heads)
    plan = tree({ { "a1" }, { "a2", "a1" }, { "a3", "a2" } }):plan("downgrade", "a2", { "a3", "a1" })
    assert.are.same({ "a1", "a3" }, (function(list) table.sort(list) return list end)(plan.steps[1].deletes))
    assert.are.same({ "a2" }, plan.heads)
  end)
end)

describe("A stamp", function()
  local function told(plan)
    local list = {}
    for i, step in ipairs(plan.steps) do
      list[i] = ("%s -> %s (%s; %s)"):format(step.from, step.to, table.concat(step.deletes, " "),
        table.concat(step.inserts, " "))
    end
    return list
  end

  it("moves the row up or down the line, adds a branch, or takes all away", function()
    local it = forked()
    assert.are.same({ "rev_a1 -> rev_a3 (rev_a1; rev_a3)" }, told(it:plan("stamp", "rev_a3", { "rev_a1" })))
    assert.are.same({ "rev_b2, rev_a3 -> rev_a1 (rev_b2 rev_a3; rev_a1)" },
      told(it:plan("stamp", "rev_a1", { "rev_b2", "rev_a3" })))
    assert.are.same({ " -> rev_b1 (; rev_b1)" }, told(it:plan("stamp", "rev_b1", { "rev_a3" })))
    assert.are.same({ "rev_a3 ->  (rev_a3; )", "rev_b1 ->  (rev_b1; )" },
      told(it:plan("stamp", "base", { "rev_a3", "rev_b1" })))
    assert.are.same({}, told(it:plan("stamp", "rev_a3", { "rev_a3" })))
  end)

  it("takes several targets", function()
    local plan = forked():plan("stamp", { "rev_a3", "rev_b2" }, { "rev_a1" })
    assert.are.same({ "rev_a1 -> rev_a3 (rev_a1; rev_a3)", "rev_a1 -> rev_b2 (; rev_b2)" }, told(plan))
    assert.are.same({ "rev_a3", "rev_b2" }, plan.heads)
  end)

  it("with purge takes rows away that no file has, and those alone that it does not write again", function()
    local it = forked()
    local plan = it:plan("stamp", "rev_a3", { "gone", "rev_a3", "rev_b1" }, { purge = true })
    assert.are.same({ " -> rev_a3 (gone rev_b1; )" }, told(plan))
    assert.are.same({ "rev_a3" }, plan.heads)
    plan = it:plan("stamp", "base", { "gone" }, { purge = true })
    assert.are.same({ "gone ->  (gone; )" }, told(plan))
    assert.are.same({}, plan.heads)
  end)

  it("takes no steps relative to where the database is", function()
    assert_names(refusal(forked().plan, forked(), "stamp", "+1", { "rev_a1" }),
      "Can't locate revision identified by '+1'")
  end)

  it("takes steps relative to a revision, as show and merge do", function()
    for target, id in pairs {
      ["rev_a3-1"] = "rev_a2", ["rev_b1+1"] = "rev_b2", ["shop@rev_a1+2"] = "rev_b1", ["web@head-2"] = "rev_a1",
      ["base+1"] = "rev_a1",
    } do
      assert.are.same({ id }, forked():plan("stamp", target, {}).heads, target)
      assert.are.same({ id }, forked():resolve(target), target)
    end
    assert_names(refusal(forked().resolve, forked(), "rev_a2+1"), "Ambiguous walk")
    assert_names(refusal(forked().resolve, forked(), "rev_a2-2"), "Walked too far")
  end)

  it("at several heads is refused in words of its own", function()
    local problem = refusal(forked().plan, forked(), "stamp", "head", {})
    assert.are.equal("Multiple heads are present; please specify a single target revision", problem.message)
    assert_hints(problem, "rev_a3", "rev_b2")
  end)
end)

describe("History", function()
  local function ids(range, ...)
    return table.concat(forked():history(range, { ... }), " ")
  end

  it("is everything, newest first", function()
    assert.are.equal("rev_a3 rev_b2 rev_b1 rev_a2 rev_a1", ids(nil))
  end)

  it("of a range holds both ends and what lies between", function()
    assert.are.equal("rev_b2 rev_b1 rev_a2", ids "rev_a2:rev_b2")
    assert.are.equal("rev_b2 rev_b1 rev_a2 rev_a1", ids ":shop@head")
    assert.are.equal("rev_b1 rev_a2", ids "rev_a2:shop")
  end)

  it("of a range may count from its other end, or from the database", function()
    assert.are.equal("rev_b2 rev_b1", ids "-1:rev_b2")
    assert.are.equal("rev_b1 rev_a2", ids("-1:current", "rev_b1"))
    assert.are.equal("rev_b2 rev_b1", ids("current:shop@+1", "rev_b1"))
    assert.are.equal("rev_a2 rev_a1", ids "rev_a1:+1")
  end)

  it("of a range that is none is refused", function()
    assert_names(refusal(ids, "rev_a1"), "History range requires [start]:[end], [start]:, or :[end]")
    assert_names(refusal(ids, "rev_a3:rev_b2"), "Requested range rev_a3:rev_b2 does not refer to ancestor/descendant "
      .. "revisions along the same branch")
    local beside = tree { { "a1" }, { "b1", "a1" }, { "c1", "a1", depends = "b1" } }
    assert_names(refusal(beside.history, beside, "b1:c1"), "Requested range b1:c1 does not refer to "
      .. "ancestor/descendant revisions along the same branch")
  end)
end)

describe("A long answer", function()
  it("is asked for piece by piece: the history as numbers, a plan step by step", function()
    local it, ids = forked(), {}
    for _, number in ipairs(it:numbers("rev_a2:")) do ids[#ids + 1] = it:describe(number).revision end
    assert.are.same(it:history("rev_a2:"), ids)
    for _, command in ipairs { "upgrade", "downgrade", "stamp" } do
      local rows, target = { command == "upgrade" and "rev_a1" or "rev_b2" }, command == "upgrade" and "heads" or "base"
      local long, whole = it:long_plan(command, target, rows), it:plan(command, target, rows)
      assert.are.equal(#whole.steps, #long)
      for i, step in ipairs(whole.steps) do
        assert.are.same({ step.revision, step.direction, step.from, step.to }, { long:step(i) })
      end
      assert.are.same(whole.heads, long:heads())
      assert.is_false((pcall(long.step, long, #long + 1)))
    end
  end)

  it("holds the graph that it borrows from", function()
    local long = forked():long_plan("upgrade", "heads", {})
    collectgarbage()
    assert.are.equal("rev_a1", (long:step(1)))
  end)

  it("names the parents in the order of the file", function()
    local it = tree { { "b1" }, { "a1" }, { "m1", { "b1", "a1" } } }
    assert.are.same({ "b1", "a1" }, it:parents "m1")
    assert.is_nil(it:parents "nobody")
    assert.is_false((pcall(it.describe, it, 3)))
  end)
end)

describe("A description", function()
  local function labels(it)
    local found = {}
    for _, id in ipairs(it:order()) do found[#found + 1] = id .. "=" .. table.concat(it:describe(id).labels, ",") end
    table.sort(found)
    return table.concat(found, " ")
  end

  it("has the labels of all that the revision descends from", function()
    assert.are.equal("rev_a1= rev_a2= rev_a3=web rev_b1=shop rev_b2=shop", labels(forked()))
  end)

  it("has a label from above where the line up to its end neither forks nor merges", function()
    assert.are.equal("a1=web a2=web a3=web",
      labels(tree { { "a1" }, { "a2", "a1", labels = "web" }, { "a3", "a2" } }))
    assert.are.equal("a1= b1= m1=web", labels(tree { { "a1" }, { "b1" }, { "m1", { "a1", "b1" }, labels = "web" } }))
    assert.are.equal("a1= a2=web b1= m1=web",
      labels(tree { { "a1" }, { "a2", "a1", labels = "web" }, { "b1" }, { "m1", { "a2", "b1" } } }))
  end)

  it("has each child once, however often the child names it", function()
    local it = tree { { "a1" }, { "a2", { "a1", "a1" }, depends = "a1" } }
    assert.are.same({ "a2" }, it:describe("a1").children)
    assert.is_false(it:describe("a1").branchpoint)
  end)

  it("tells heads, effective heads, branch points and merge points", function()
    local it = tree { { "a1" }, { "a2", "a1" }, { "a3", "a1" }, { "m1", { "a2", "a3" } }, { "b1", depends = "m1" } }
    local marks = {}
    for _, id in ipairs { "a1", "a2", "m1", "b1" } do
      local one, list = it:describe(id), {}
      for _, mark in ipairs { "base", "head", "effective_head", "branchpoint", "mergepoint" } do
        if one[mark] then list[#list + 1] = mark end
      end
      marks[id] = table.concat(list, " ")
    end
    assert.are.same({ a1 = "base branchpoint", a2 = "", b1 = "base head", m1 = "head effective_head mergepoint" },
      marks)
    assert.is_nil(it:describe "nobody")
  end)
end)

describe("What is current", function()
  it("holds the branch heads that the rows' dependencies imply", function()
    local it = tree { { "a1" }, { "a2", "a1" }, { "b1", depends = "a2" } }
    local current = it:current { "b1" }
    table.sort(current)
    assert.are.same({ "a2", "b1" }, current)
  end)
end)
