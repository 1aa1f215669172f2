-- Skipping and paying when the worst comes in between: a session that ends at each point of the work, a second runner,
-- a runner that was stopped and outlived, Ctrl-C.

local activity = require "spec.support.activity"
local cjson = require "cjson"
local helper = require "spec.helper"
local killer_of = require "spec.support.killer"
local loops = require "spec.support.loops"

local loop, project, refused, sabotage, says, succeeded, version, visits =
  loops.loop, loops.project, loops.refused, loops.sabotage, loops.says, loops.succeeded, loops.version, loops.visits

local skip = { "upgrade", "head", "--skip-tenant", "t03", "--skip-tenant", "t07", "--reason", "x" }

-- The debts: "bbbb 1 t03, …".
local function owed(run)
  local list = {}
  for i, debt in ipairs(cjson.decode(run("current --json").out).debts) do
    list[i] = ("%s %d %s"):format(debt.revision, debt.part, debt.tenant)
  end
  return table.concat(list, ", ")
end

-- Runs dmlua again and again as long as its connection is lost, and answers the result of the last time.
local function survive(killer, run, words)
  local result
  killer.wake()
  for _ = 1, 100 do
    local given = words()
    if not given then break end
    result = run(given)
    if result.code ~= 5 then break end
  end
  killer.sleep()
  return result
end

-- A loop that takes its time for t03 and t04.
local function slow(seconds)
  return loop(([[
    op.execute("UPDATE customers SET visits = visits + 1")
    op.execute("SELECT pg_sleep(CASE WHEN :t IN ('t03', 't04') THEN %s ELSE 0 END)", { t = tenant.id })
  ]]):format(seconds))
end

local function count(db, condition)
  return tonumber(helper.value(db, "SELECT count(*) FROM dmlua_ledger WHERE " .. condition))
end

describe("killed at any point and run again", function()
  it("a run that skips leaves each tenant visited once, or owing once", function()
    local run, db = project(loop() .. 'op.execute("CREATE TABLE behind (a int)")')
    local killer = killer_of.new(db)
    succeeded(survive(killer, run, function() return skip end))
    assert.truthy(killer.struck() >= 6, killer.struck())
    assert.are.equal("bbbb", version(db))
    assert.are.equal("0:2 1:10", visits(db))
    assert.are.equal("bbbb 1 t03, bbbb 1 t07", owed(run))
    assert.are.equal(2, count(db, "outcome = 'skipped'"))
  end)

  it("a run that pays settles each debt once, together with the tenant's work", function()
    local run, db = project(loop())
    succeeded(run(skip))
    local killer = killer_of.new(db)
    survive(killer, run, function()
      local words = { "upgrade", "bbbb" }
      for tenant in owed(run):gmatch "t%d+" do
        words[#words + 1], words[#words + 2] = "--only-tenant", tenant
      end
      return #words > 2 and words
    end)
    assert.truthy(killer.struck() >= 3, killer.struck())
    assert.are.equal("", owed(run))
    assert.are.equal("1:12", visits(db))
    assert.are.equal(2, count(db, "kind = 'pay' AND outcome = 'done'"))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
  end)
end)

describe("two runners", function()
  it("that skip the same tenants leave one debt of each", function()
    local run, db, folder = project(slow(0.5))
    local first, second = helper.start(skip, { cwd = folder }), helper.start(skip, { cwd = folder })
    local results = { first.wait(), second.wait() }
    table.sort(results, function(a, b) return a.code < b.code end)
    succeeded(results[1])
    refused(results[2], 2, "there is nothing to upgrade")
    assert.are.equal("bbbb 1 t03, bbbb 1 t07", owed(run))
    assert.are.equal(2, count(db, "outcome = 'skipped'"))
    assert.are.equal("0:2 1:10", visits(db))
  end)

  it("that pay the same debt pay it once", function()
    local run, db, folder = project(slow(0.5))
    succeeded(run(skip))
    local words = { "upgrade", "bbbb", "--only-tenant", "t03" }
    local first, second = helper.start(words, { cwd = folder }), helper.start(words, { cwd = folder })
    local results = { first.wait(), second.wait() }
    table.sort(results, function(a, b) return a.code < b.code end)
    succeeded(results[1])
    refused(results[2], 2, "tenant 't03' does not owe the upgrade of bbbb")
    assert.are.equal("0:1 1:11", visits(db))
  end)

  it("of which the one that pays was stopped and outlived: it redoes nothing", function()
    local run, db, folder = project(slow(1))
    succeeded(run(skip))
    local words = { "upgrade", "bbbb", "--only-tenant", "t03" }
    local stopped = helper.start(words, { cwd = folder })
    activity.runs(db, "SELECT pg_sleep%")
    stopped.kill("STOP")
    helper.execute(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
      .. " WHERE usename = 'owner' AND datname = current_database()")
    activity.is_gone(db, "owner")
    succeeded(run(words))
    stopped.kill("CONT")
    assert.are.equal(5, stopped.wait().code)
    assert.are.equal("0:1 1:11", visits(db))
    assert.are.equal("bbbb 1 t07", owed(run))
  end)
end)

describe("a loop that Ctrl-C has ended", function()
  it("tells which tenants had failed until then, and the ledger has them", function()
    local _, db, folder = project(loop(loops.visit .. [[ if tenant.id == "t12" then
      op.get_bind():execute("SELECT pg_sleep(30)") end]]))
    sabotage(db, "t03")
    local running = helper.start("upgrade head", { cwd = folder })
    activity.runs(db, "SELECT pg_sleep%")
    running.kill("INT")
    local result = running.wait()
    assert.are.equal(130, result.code, result.err)
    says(result, "\n  t03: 22012 division by zero at versions/bbbb.lua:13\n")
    assert.are.equal(1, count(db, "outcome = 'failed' AND tenant = 't03'"))
  end)
end)

describe("a tenant in batches", function()
  -- Three batches of one row each; the second one fails for a tenant that sabotage names.
  local batches = [[tenants.each(function(tenant, batch)
    local n = tonumber(batch.cursor or "0") + 1
    op.execute("UPDATE customers SET visits = visits + 1, note = coalesce(note, '') || CAST(:n AS text)", { n = n })
    if n == 2 then
      op.execute("SELECT 1 / (CASE WHEN EXISTS (SELECT FROM sabotage WHERE tenant_id = :t) THEN 0 ELSE 1 END)",
        { t = tenant.id })
    end
    return n < 3 and tostring(n) or nil
  end, { mode = "resumable", batch = 1 })]]

  it("that was skipped in the middle goes on behind its last batch when it pays", function()
    local run, db = project(batches)
    sabotage(db, "t03")
    assert.are.equal(6, run("upgrade head").code)
    succeeded(run "upgrade head --skip-tenant t03 --reason x")
    assert.are.equal("1:1 3:11", visits(db))
    assert.are.equal(6, run("upgrade bbbb --only-tenant t03").code)
    assert.are.equal("bbbb 1 t03", owed(run))
    sabotage(db)
    succeeded(run "upgrade bbbb --only-tenant t03")
    assert.are.equal("3:12", visits(db))
    assert.are.equal("123", helper.value(db, "SELECT DISTINCT note FROM customers"))
    assert.are.equal("", owed(run))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
  end)
end)

describe("a loop on several connections", function()
  it("skips and pays like any other", function()
    local run, db = project(loop(nil, ", workers = 3"))
    sabotage(db, "t03", "t07")
    refused(run "upgrade head", 6, "2 tenants failed in part 1 of bbbb; 10 done in this run")
    succeeded(run(skip))
    sabotage(db)
    succeeded(run "upgrade bbbb --only-tenant t03 --only-tenant t07")
    assert.are.equal("1:12", visits(db))
    assert.are.equal("", owed(run))
  end)
end)
