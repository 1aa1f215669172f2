-- A resumable loop that has partly run, and tenants that come and go meanwhile.

local activity = require "spec.support.activity"
local cjson = require "cjson"
local helper = require "spec.helper"
local loops = require "spec.support.loops"

local loop, project, refused, rewrite, sabotage, says, succeeded, version, visit, visits =
  loops.loop, loops.project, loops.refused, loops.rewrite, loops.sabotage, loops.says,
  loops.succeeded, loops.version, loops.visit, loops.visits

describe("a loop that has partly run", function()
  local function stopped(more)
    local run, db, folder = project(loop(), more)
    sabotage(db, "t03", "t07")
    assert.are.equal(6, run("upgrade head").code)
    return run, db, folder
  end

  it("is shown by current with its tenants", function()
    local run = stopped()
    assert.are.equal("aaaa (+ bbbb, part 1: 10 of 12 tenants, 2 failed)\n", run("current").out)
    assert.are.same({ { revision = "bbbb", direction = "upgrade", part = 0, started = 1,
      tenants = { done = 10, listed = 12, failed = 2 } } }, cjson.decode(run("current --json").out).parts)
  end)

  it("refuses downgrade and stamp", function()
    local run = stopped()
    for _, verb in ipairs { "downgrade base", "stamp head", "stamp base" } do
      refused(run(verb), 3, "upgrade of bbbb is unfinished: part 1 is a tenant loop that has done 10 of 12 tenants")
    end
  end)

  it("is forgotten with --abandon, which says how many tenants' work stays", function()
    local run, db = stopped()
    local result = run "stamp bbbb --abandon"
    succeeded(result)
    says(result, "part 1 of upgrade of bbbb, a tenant loop; the work of 10 tenants stays in the database")
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
    assert.are.equal("0:2 1:10", visits(db))
  end)

  it("visits everybody anew once it was abandoned", function()
    local run, db = stopped()
    sabotage(db)
    succeeded(run "upgrade head --abandon")
    assert.are.equal("1:2 2:10", visits(db))
  end)

  it("refuses a file that has changed, and says for how many tenants the former one ran", function()
    local run, db, folder = stopped()
    sabotage(db)
    rewrite(folder, loop 'op.execute("UPDATE customers SET visits = visits + 100")')
    local result = run "upgrade head"
    refused(result, 3, "versions/bbbb.lua has changed since part 1 of bbbb was run for 10 tenants")
    says(result, "--accept-changed")
    says(result, "database is at aaaa; the work of 10 tenants of bbbb was kept; correct versions/bbbb.lua")
    assert.are.equal("0:2 1:10", visits(db))
    result = run { "upgrade", "head", "--accept-changed", "--reason", "a typo" }
    succeeded(result)
    says(result, "has changed since part 1 of bbbb was run for 10 tenants; accepted")
    assert.are.equal("1:10 100:2", visits(db))
    assert.are.same({ { reason = "a typo", note = "changed file: accepted after 10 tenants; tenants: 2 visited" } },
      helper.sql(db, "SELECT reason, note FROM dmlua_ledger WHERE what = 'bbbb' AND part = 1 AND outcome = 'done'"))
  end)

  it("asks once: a file that was accepted is the loop's own from then on", function()
    local run, db, folder = stopped()
    rewrite(folder, loop() .. "-- changed")
    assert.are.equal(6, run("upgrade head --accept-changed").code)
    assert.are.equal(6, run("upgrade head").code)
    rewrite(folder, loop())
    assert.are.equal(3, run("upgrade head").code)
    assert.are.equal("0:2 1:10", visits(db))
  end)

  it("takes any file when no tenant is done yet", function()
    local run, db, folder = project(loop 'op.execute("SELECT 1/0")')
    assert.are.equal(6, run("upgrade head").code)
    rewrite(folder, loop())
    succeeded(run "upgrade head")
    assert.are.equal("1:12", visits(db))
  end)
end)

describe("a tenant", function()
  -- Waits until the statement runs.
  local function wait_for(db, pattern)
    activity.runs(db, pattern)
  end

  it("that appears behind the loop is visited before the step ends", function()
    local run, db, folder = project(loop() .. 'op.execute("CREATE TABLE behind (a int)")\n'
      .. 'op.get_bind():execute("SELECT pg_sleep(CASE WHEN count(*) = 12 THEN 1.5 ELSE 0 END) FROM tenants")')
    local running = helper.start("upgrade head", { cwd = folder })
    wait_for(db, "SELECT pg_sleep%")
    helper.execute(db, "INSERT INTO tenants VALUES ('zz'); INSERT INTO customers VALUES ('zz')")
    local result = running.wait()
    succeeded(result)
    says(result, "tenant zz")
    assert.are.equal("1:13", visits(db))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
    assert.are.equal("bbbb", version(db))
    succeeded(run "downgrade aaaa")
  end)

  it("that appears behind the loop, in a step with more parts, is visited, and no part is done twice", function()
    local _, db, folder = project(loop() .. [[
      op.get_context():autocommit_block(function()
        op.execute("CREATE TABLE parts (a int)")
        op.execute("VACUUM parts")
      end)
      op.get_bind():execute("SELECT pg_sleep(CASE WHEN count(*) = 12 THEN 1.5 ELSE 0 END) FROM tenants")
    ]] .. loop())
    local running = helper.start("upgrade head", { cwd = folder })
    wait_for(db, "SELECT pg_sleep%")
    helper.execute(db, "INSERT INTO tenants VALUES ('zz'); INSERT INTO customers VALUES ('zz')")
    succeeded(running.wait())
    assert.are.equal("2:13", visits(db))
  end)

  it("that appears after its loop was closed, before a rerun finishes the step, is visited by the rerun", function()
    local run, db, folder = project(loop() .. 'op.execute("SELECT 1/0")')
    assert.are.equal(1, run("upgrade head").code)
    helper.execute(db, "INSERT INTO tenants VALUES ('zz'); INSERT INTO customers VALUES ('zz')")
    rewrite(folder, loop() .. "-- mended")
    refused(run "upgrade head", 3, "has changed since part 1 of bbbb was run for 12 tenants")
    succeeded(run "upgrade head --accept-changed")
    assert.are.equal("1:13", visits(db))
  end)

  it("that failed and disappears while the loop runs is no failure", function()
    local _, db, folder = project(loop(visit .. [[ if tenant.id == "t12" then op.execute("SELECT pg_sleep(1.5)") end]]))
    sabotage(db, "t03")
    local running = helper.start("upgrade head", { cwd = folder })
    wait_for(db, "SELECT pg_sleep%")
    helper.execute(db, "DELETE FROM tenants WHERE id = 't03'")
    local result = running.wait()
    succeeded(result)
    says(result, "tenant t03 failed, and is in the list no more")
    assert.are.equal("0:1 1:11", visits(db))
  end)

  it("that failed and has disappeared since is not visited again, and the step completes", function()
    local run, db = project(loop())
    sabotage(db, "t03")
    assert.are.equal(6, run("upgrade head").code)
    helper.execute(db, "DELETE FROM tenants WHERE id = 't03'")
    succeeded(run "upgrade head")
    assert.are.equal("0:1 1:11", visits(db))
    assert.are.same({}, cjson.decode(run("current --json").out).debts)
  end)
end)
