-- Tenants that a resumable loop leaves out owe its revision: --skip-tenant, --only-tenant, and what is shown.

local cjson = require "cjson"
local helper = require "spec.helper"
local loops = require "spec.support.loops"

local count, loop, project, refused, rewrite, sabotage, says, succeeded, version, visits =
  loops.count, loops.loop, loops.project, loops.refused, loops.rewrite, loops.sabotage, loops.says,
  loops.succeeded, loops.version, loops.visits

local function silent_of(result, text)
  assert.falsy(result.err:find(text, 1, true), result.err)
end

describe("--skip-tenant", function()
  local skip = { "upgrade", "head", "--skip-tenant", "t03", "--skip-tenant", "t07", "--reason", "no card on file" }

  it("completes the step without the tenants, whose debt stays with its reason, who and when", function()
    local run, db = project(loop() .. 'op.execute("UPDATE sabotage SET tenant_id = tenant_id")')
    sabotage(db, "t03", "t07")
    assert.are.equal(6, run("upgrade head").code)
    local result = run(skip)
    succeeded(result)
    assert.are.equal("bbbb", version(db))
    assert.are.equal("0:2 1:10", visits(db))
    says(result, "tenant t03 owes the upgrade of bbbb: left out of part 1 by owner at ")
    says(result, "(no card on file); pay it with: dmlua upgrade bbbb --only-tenant t03\n")
    assert.are.same({ { tenant = "t03", state = "skipped" }, { tenant = "t07", state = "skipped" } },
      helper.sql(db, "SELECT tenant, state FROM dmlua_progress WHERE tenant <> '' ORDER BY tenant"))
    assert.are.same({ { tenant = "t03", reason = "no card on file" }, { tenant = "t07", reason = "no card on file" } },
      helper.sql(db, "SELECT tenant, reason FROM dmlua_ledger WHERE outcome = 'skipped' ORDER BY id"))
  end)

  it("is shown by current, log, plan and every later upgrade", function()
    local run, db = project(loop(), { versions = { { revision = "cccc", down = "bbbb" } } })
    sabotage(db, "t03", "t07")
    succeeded(run { "upgrade", "bbbb", "--skip-tenant", "t03", "--skip-tenant", "t07", "--reason", "later" })
    local current = run "current"
    assert.are.equal("bbbb (bbbb owed by t03, t07)\n", current.out)
    for _, verb in ipairs { "current", "log", "plan upgrade head", "upgrade head", "upgrade head", "downgrade bbbb" } do
      local result = run(verb)
      succeeded(result)
      assert.are.equal(1, count(result.err, "tenant t03 owes the upgrade of bbbb"))
      assert.are.equal(1, count(result.err, "tenant t07 owes the upgrade of bbbb"))
    end
    local state = cjson.decode(run("current --json").out)
    assert.are.equal(2, #state.debts)
    assert.are.equal("t03", state.debts[1].tenant)
    assert.are.equal("bbbb", state.debts[1].revision)
    assert.are.equal("later", state.debts[1].reason)
    assert.are.equal("owner", state.debts[1].who)
    assert.truthy(state.debts[1].since:find "^%d+%-%d%d%-%d%dT")
    assert.are.same({}, state.parts)
    assert.are.equal(2, #cjson.decode(run("log --json").out).debts)
    assert.are.equal(2, #cjson.decode(run("upgrade head --json").out:match "[^\n]*\n$").debts)
  end)

  it("asks for a reason", function()
    local run = project(loop())
    refused(run "upgrade head --skip-tenant t03", 2, "--skip-tenant asks for a reason")
    refused(run { "upgrade", "head", "--skip-tenant", "t03", "--reason", " " }, 2, "--skip-tenant asks for a reason")
  end)

  it("refuses a tenant that the list does not have, with the nearest, before anything has run", function()
    local run, db = project(loop())
    local result = run "upgrade head --skip-tenant t033 --reason x"
    refused(result, 2, "there is no tenant 't033' in the loop's list")
    says(result, "did you mean 't03'?")
    says(result, "database is at aaaa; correct the command and run it again")
    assert.are.equal("0:12", visits(db))
    succeeded(run "stamp aaaa") -- nothing of the step is begun
  end)

  it("counts a tenant once that is named twice", function()
    local run, db = project(loop())
    succeeded(run "upgrade head --skip-tenant t03 --skip-tenant t03 --reason x")
    assert.are.equal("1", helper.value(db, "SELECT count(*) FROM dmlua_ledger WHERE outcome = 'skipped'"))
    succeeded(run "upgrade bbbb --only-tenant t03 --only-tenant t03")
    assert.are.equal("1:12", visits(db))
  end)

  it("refuses a tenant that is done", function()
    local run, db = project(loop())
    sabotage(db, "t03")
    assert.are.equal(6, run("upgrade head").code)
    refused(run "upgrade head --skip-tenant t03 --skip-tenant t04 --reason x", 2,
      "tenant 't04' is done already in part 1 of bbbb")
    assert.are.equal("aaaa", version(db))
  end)

  it("refuses to be given where no resumable loop runs", function()
    local run, db = project 'tenants.each(function() end)'
    refused(run "upgrade head --skip-tenant t03 --reason x", 2, "no resumable loop has run")
    assert.are.equal("aaaa", version(db))
    refused(run "upgrade aaaa --skip-tenant t03 --reason x", 2, "there is nothing to upgrade")
    refused(run "upgrade head --sql --skip-tenant t03 --reason x", 2, "--skip-tenant")
  end)

  it("leaves a step that fails behind the loop to be finished by the same command, or without it", function()
    for _, again in ipairs { table.concat(skip, " ", 1, 6) .. " --reason x", "upgrade head" } do
      local run, db, folder = project(loop() .. 'op.execute("SELECT 1/0")')
      sabotage(db, "t03", "t07")
      assert.are.equal(1, run(skip).code)
      assert.are.equal("aaaa", version(db))
      assert.are.same({}, cjson.decode(run("current --json").out).debts)
      rewrite(folder, loop())
      succeeded(run(again))
      assert.are.equal("bbbb", version(db))
      assert.are.equal("bbbb (head) (bbbb owed by t03, t07)\n", run("current").out)
      assert.are.equal("0:2 1:10", visits(db))
    end
  end)

  it("counts for the run alone: where other tenants failed, a rerun without it visits the tenant", function()
    local run, db = project(loop())
    sabotage(db, "t03", "t07")
    local result = run "upgrade head --skip-tenant t03 --reason x"
    refused(result, 6, "1 tenant failed in part 1 of bbbb; 10 done in this run")
    says(result, "dmlua upgrade head --skip-tenant t03 --reason x\n") -- to retry
    says(result, "dmlua upgrade head --skip-tenant t03 --skip-tenant t07 --reason x\n") -- to go on
    sabotage(db)
    succeeded(run "upgrade head")
    assert.are.equal("1:12", visits(db))
    assert.are.same({}, cjson.decode(run("current --json").out).debts)
  end)

  it("holds for every resumable loop of the run", function()
    local run, db = project(loop() .. loop(), { versions = { { revision = "cccc", down = "bbbb", upgrade = loop() } } })
    sabotage(db, "t03")
    succeeded(run "upgrade head --skip-tenant t03 --reason x")
    assert.are.equal("0:1 3:11", visits(db))
    local owed = cjson.decode(run("current --json").out).debts
    local function place(debt) return ("%s %d"):format(debt.revision, debt.part) end
    assert.are.same({ "bbbb 1", "bbbb 2", "cccc 1" },
      { place(owed[1]), place(owed[2]), place(owed[3]) })
    local current = run "current"
    assert.are.equal("cccc (head) (bbbb owed by t03) (cccc owed by t03)\n", current.out)
    assert.are.equal(1, count(current.err, "tenant t03 owes the upgrade of bbbb: left out of parts 1, 2 by owner"))
  end)

  it("stands in a downgrade, too", function()
    local run, db = project("", { downgrade = loop() })
    succeeded(run "upgrade head")
    sabotage(db, "t03")
    refused(run "downgrade aaaa", 6, "dmlua downgrade aaaa --skip-tenant t03 --reason TEXT")
    succeeded(run "downgrade aaaa --skip-tenant t03 --reason x")
    assert.are.equal("aaaa", version(db))
    assert.are.equal("aaaa (downgrade of bbbb owed by t03)\n", run("current").out)
    says(run "current", "pay it with: dmlua downgrade bbbb --only-tenant t03")
  end)
end)

describe("--only-tenant", function()
  -- A database at bbbb that t03 and t07 owe.
  local function owing(upgrade, more)
    local run, db, folder = project(upgrade or loop(), more)
    sabotage(db, "t03", "t07")
    succeeded(run("upgrade bbbb --skip-tenant t03 --skip-tenant t07 --reason x"))
    sabotage(db)
    return run, db, folder
  end

  local function owed(run)
    local list = {}
    for i, debt in ipairs(cjson.decode(run("current --json").out).debts) do
      list[i] = ("%s %d %s"):format(debt.revision, debt.part, debt.tenant)
    end
    return table.concat(list, ", ")
  end

  it("pays: runs the loop for the tenant, and nothing else", function()
    local run, db = owing('op.execute("CREATE TABLE before (a int)")\n' .. loop()
      .. 'op.execute("CREATE TABLE behind (a int)")')
    local result = run "upgrade bbbb --only-tenant t03"
    succeeded(result)
    says(result, "1 debt of bbbb paid; 1 left")
    silent_of(result, "tenant t03 owes")
    says(result, "tenant t07 owes the upgrade of bbbb")
    assert.are.equal("0:1 1:11", visits(db))
    assert.are.equal("bbbb", version(db))
    assert.are.equal("bbbb 2 t07", owed(run))
    succeeded(run "upgrade bbbb --only-tenant t07")
    assert.are.equal("1:12", visits(db))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
    assert.are.same({ { tenant = "t03", outcome = "done" }, { tenant = "t07", outcome = "done" } },
      helper.sql(db, "SELECT tenant, outcome FROM dmlua_ledger WHERE kind = 'pay' AND outcome <> 'counted'"
        .. " ORDER BY id"))
    silent_of(run "upgrade head", "owes")
  end)

  it("pays for several tenants at once, and a tenant's debts of all loops of the file", function()
    local run, db = owing(loop() .. 'op.execute("CREATE TABLE between (a int)")\n' .. loop())
    assert.are.equal("bbbb 1 t03, bbbb 1 t07, bbbb 3 t03, bbbb 3 t07", owed(run))
    local result = run "upgrade bbbb --only-tenant t03 --only-tenant t07 --json"
    succeeded(result)
    local told = cjson.decode(result.out:match "[^\n]*\n$")
    assert.are.equal(4, told.paid)
    assert.are.same({}, told.debts)
    assert.are.equal("2:12", visits(db))
  end)

  it("runs under the tenant's context, role and read-back, as the loop does", function()
    local run, db = owing(loop [[op.execute("UPDATE customers SET note = current_user || ' '"
      .. " || current_setting('app.current_tenant_id')")]])
    succeeded(run "upgrade bbbb --only-tenant t03")
    assert.are.equal("app t03", helper.value(db, "SELECT note FROM customers WHERE tenant_id = 't03'"))
    assert.are.equal("1", helper.value(db, "SELECT count(*) FROM customers WHERE note LIKE '%t03'"))
    local other, other_db, folder = owing()
    rewrite(folder, loop [[op.execute("DO $$ BEGIN PERFORM set_config('app.current_tenant_id', 't01', true); END $$")]])
    refused(other "upgrade bbbb --only-tenant t03 --accept-changed", 6, "has changed the tenant context or the role")
    assert.are.equal("0:2 1:10", visits(other_db))
  end)

  it("gives reads outside the loop the answers of then, and sends nothing for them", function()
    local run, db = owing([[
      local n = op.get_bind():scalar("SELECT count(*) FROM tenants") -- 12 then
      op.execute("CREATE TABLE seen (n int)")
    ]] .. loop 'op.execute("UPDATE customers SET visits = visits + :n", { n = n })' .. [[
      local late = op.get_bind():scalar("SELECT count(*) FROM seen")
      op.execute("INSERT INTO seen VALUES (:n)", { n = late })
    ]], { versions = { { revision = "cccc", down = "bbbb", upgrade = 'op.execute("DROP TABLE seen")' } } })
    helper.execute(db, "INSERT INTO tenants VALUES ('t13')")
    succeeded(run "upgrade head")
    succeeded(run "upgrade bbbb --only-tenant t03 --only-tenant t07")
    assert.are.equal("12:12", visits(db))
  end)

  it("that fails is exit 6, names the tenant once with what to type, and the debt stays", function()
    local run, db = owing()
    sabotage(db, "t03")
    local result = run "upgrade bbbb --only-tenant t03"
    refused(result, 6, "\n  t03: 22012 division by zero at versions/bbbb.lua:13\n")
    says(result, "what is still owed of bbbb stays owed")
    says(result, "dmlua upgrade bbbb --only-tenant t03\n")
    silent_of(result, "--skip-tenant")
    assert.are.equal("bbbb 1 t03, bbbb 1 t07", owed(run))
    assert.are.equal("22012: division by zero at versions/bbbb.lua:13",
      helper.value(db, "SELECT note FROM dmlua_ledger WHERE kind = 'pay' AND outcome = 'failed' AND tenant = 't03'"))
    assert.are.equal("0:2 1:10", visits(db))
  end)

  it("refuses a tenant that owes nothing, and names who owes what", function()
    local run = owing()
    refused(run "upgrade bbbb --only-tenant t04", 2, "tenant 't04' does not owe the upgrade of bbbb")
    says(run "upgrade bbbb --only-tenant t04", "owed are: bbbb by t03, bbbb by t07")
    refused(run "upgrade aaaa --only-tenant t03", 2, "tenant 't03' does not owe the upgrade of aaaa")
    refused(run "downgrade bbbb --only-tenant t03", 2, "tenant 't03' does not owe the downgrade of bbbb")
    refused(run "upgrade nowhere --only-tenant t03", 2, "Can't locate revision identified by 'nowhere'")
    succeeded(run "upgrade bbbb --only-tenant t03 --only-tenant t07")
    refused(run "upgrade bbbb --only-tenant t03", 2, "no tenant owes anything")
  end)

  it("names a tenant once that several loops of a revision have left out", function()
    local run = project(loop() .. loop())
    succeeded(run { "upgrade", "head", "--skip-tenant", "t03", "--skip-tenant", "t07", "--reason", "later" })
    says(run "upgrade bbbb --only-tenant t04", "owed are: bbbb by t03, bbbb by t07\n")
  end)

  it("takes the revision by the beginning of its name, and by head", function()
    local run = owing()
    succeeded(run "upgrade bb --only-tenant t03")
    says(run "upgrade head --only-tenant t07", "1 debt of bbbb paid")
  end)

  it("refuses a file that has changed since, unless that is accepted", function()
    local run, db, folder = owing()
    rewrite(folder, loop 'op.execute("UPDATE customers SET visits = visits + 10")')
    refused(run "upgrade bbbb --only-tenant t03", 3, "versions/bbbb.lua has changed since its loop ran")
    assert.are.equal("0:2 1:10", visits(db))
    succeeded(run "upgrade bbbb --only-tenant t03 --accept-changed")
    assert.are.equal("0:1 1:10 10:1", visits(db))
    rewrite(folder, "")
    refused(run "upgrade bbbb --only-tenant t07 --accept-changed", 3, "no longer comes to the loop")
    assert.are.equal("bbbb 1 t07", owed(run))
  end)

  it("gives a debt up with --write-off and a reason, also of a tenant that is gone", function()
    local run, db = owing()
    helper.execute(db, "DELETE FROM tenants WHERE id = 't03'")
    refused(run "upgrade bbbb --only-tenant t03", 2, "tenant t03 is not in the loop's list any more")
    says(run "upgrade bbbb --only-tenant t03", "--write-off")
    assert.are.equal("t", helper.value(db, "SELECT bool_and(p.started >= u.started) FROM dmlua_ledger p, (SELECT"
      .. " min(started) AS started FROM dmlua_ledger WHERE kind = 'upgrade') u"
      .. " WHERE p.kind = 'pay' AND p.outcome = 'failed'"))
    refused(run "upgrade bbbb --only-tenant t03 --write-off", 2, "--write-off asks for a reason")
    refused(run "upgrade bbbb --write-off --reason x", 2, "--write-off goes with --only-tenant")
    succeeded(run { "upgrade", "bbbb", "--only-tenant", "t03", "--write-off", "--reason", "has left" })
    assert.are.equal("bbbb 1 t07", owed(run))
    assert.are.equal("has left", helper.value(db,
      "SELECT reason FROM dmlua_ledger WHERE kind = 'pay' AND outcome = 'written off' AND tenant = 't03'"))
    assert.are.equal("0:2 1:10", visits(db))
  end)

  it("does not go with what runs steps", function()
    local run = owing()
    for _, other in ipairs { "--skip-tenant t04 --reason x", "--sql", "--abandon" } do
      assert.are.equal(2, run("upgrade bbbb --only-tenant t03 " .. other).code)
    end
  end)

  it("pays what a downgrade's loop left out", function()
    local run, db = project("", { downgrade = loop() })
    succeeded(run "upgrade head")
    sabotage(db, "t03")
    succeeded(run "downgrade aaaa --skip-tenant t03 --reason x")
    sabotage(db)
    succeeded(run "downgrade bbbb --only-tenant t03")
    assert.are.equal("1:12", visits(db))
    assert.are.equal("", owed(run))
    assert.are.equal("aaaa", version(db))
  end)
end)

describe("a debt", function()
  local function owing(more)
    local run, db, folder = project(loop(), more)
    sabotage(db, "t03", "t07")
    succeeded(run "upgrade bbbb --skip-tenant t03 --skip-tenant t07 --reason x")
    sabotage(db)
    return run, db, folder
  end

  it("keeps its revision from being taken back or stamped away, until it is paid", function()
    local run, db = owing { downgrade = loop() }
    for _, verb in ipairs { "downgrade aaaa", "downgrade base", "stamp aaaa", "stamp --purge base" } do
      local result = run(verb)
      refused(result, 3, "tenant t03 owes the upgrade of bbbb, which this would take back")
      says(result, "dmlua upgrade bbbb --only-tenant ID")
      assert.are.equal("bbbb", version(db))
    end
    says(run "plan downgrade base", "downgrade will refuse this plan: the upgrade of bbbb is owed")
    succeeded(run "upgrade bbbb --only-tenant t03 --only-tenant t07")
    succeeded(run "downgrade aaaa")
    assert.are.equal("2:12", visits(db))
  end)

  it("goes with its revision when --abandon says so, which the ledger keeps", function()
    for _, verb in ipairs { "downgrade aaaa --abandon", "stamp aaaa --abandon" } do
      local run, db = owing()
      succeeded(run(verb))
      assert.are.equal("aaaa\n", run("current").out)
      assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
      assert.are.equal("2", helper.value(db,
        "SELECT count(*) FROM dmlua_ledger WHERE outcome = 'abandoned' AND tenant IN ('t03', 't07') AND what = 'bbbb'"))
      succeeded(run "upgrade head")
      assert.are.equal("1:2 2:10", visits(db))
    end
  end)

  it("of a downgrade keeps its revision from being run again", function()
    local run, db = project("", { downgrade = loop() })
    succeeded(run "upgrade head")
    succeeded(run "downgrade aaaa --skip-tenant t03 --reason x")
    refused(run "upgrade head", 3, "tenant t03 owes the downgrade of bbbb, which this would take back")
    succeeded(run "downgrade base")
    succeeded(run "downgrade bbbb --only-tenant t03")
    assert.is_nil(helper.value(db, "SELECT to_regclass('nothing')"))
  end)

  it("is not in the way of what goes on from its revision", function()
    local run = owing { versions = { { revision = "cccc", down = "bbbb" }, { revision = "dddd", down = "cccc" } } }
    succeeded(run "upgrade head")
    succeeded(run "downgrade bbbb")
    succeeded(run "stamp head")
    succeeded(run "upgrade bbbb --only-tenant t03")
    assert.are.equal("dddd (head) (bbbb owed by t07)\n", run("current").out)
  end)
end)
