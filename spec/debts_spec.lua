-- A resumable loop in which tenants fail: what is told, and the ways on: retry, skip, pay.

local cjson = require "cjson"
local helper = require "spec.helper"

local function says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local function silent_of(result, text)
  assert.falsy(result.err:find(text, 1, true), result.err)
end

local function succeeded(result)
  assert.are.equal("", result.code == 0 and "" or result.err)
end

local function refused(result, code, text)
  assert.are.equal(code, result.code, result.err)
  says(result, text)
end

-- How often `text` stands in `whole`.
local function count(whole, text)
  local n, at = 0, 1
  while true do
    local from, to = whole:find(text, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end

local schema = [[ op.execute([=[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants SELECT 't' || lpad(g::text, 2, '0') FROM generate_series(1, 12) g;
  CREATE TABLE customers (tenant_id text NOT NULL, visits int NOT NULL DEFAULT 0, note text);
  INSERT INTO customers SELECT id FROM tenants;
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY customers_tenant_isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, UPDATE ON customers TO app;
  CREATE TABLE sabotage (tenant_id text);
  GRANT SELECT ON sabotage TO app;
]=]) ]]

-- Visits the tenant, or fails for one that sabotage names.
local visit = [[
  op.execute("UPDATE customers SET visits = visits + 1")
  op.execute("SELECT 1 / (CASE WHEN EXISTS (SELECT FROM sabotage WHERE tenant_id = :t) THEN 0 ELSE 1 END)",
    { t = tenant.id })
]]

local function loop(body, options)
  return ("tenants.each(function(tenant)\n%s end, { mode = 'resumable'%s })\n"):format(body or visit, options or "")
end

-- A database at aaaa, with bbbb (and what else `more` has) to come.
local function project(upgrade, more)
  local db = helper.database()
  more = more or {}
  local versions = { { revision = "aaaa", upgrade = schema },
    { revision = "bbbb", down = "aaaa", upgrade = upgrade, downgrade = more.downgrade } }
  for _, version in ipairs(more.versions or {}) do versions[#versions + 1] = version end
  local folder = helper.project { database = db, versions = versions,
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id", global_tables = "sabotage" } }
  succeeded(helper.dmlua("upgrade aaaa", { cwd = folder }))
  local function run(...)
    return helper.dmlua(..., { cwd = folder })
  end
  return run, db, folder
end

local function sabotage(db, ...)
  helper.execute(db, "TRUNCATE sabotage")
  for _, id in ipairs { ... } do
    helper.execute(db, "INSERT INTO sabotage VALUES ('" .. id:gsub("'", "''") .. "')")
  end
end

local function rewrite(folder, upgrade, more)
  helper.write(folder .. "/versions/bbbb.lua", helper.revision { revision = "bbbb", down = "aaaa", upgrade = upgrade,
    downgrade = more and more.downgrade })
end

-- How often tenants were visited: "1:12" is all twelve once.
local function visits(db)
  return helper.value(db, "SELECT string_agg(visits || ':' || n, ' ' ORDER BY visits)"
    .. " FROM (SELECT visits, count(*) AS n FROM customers GROUP BY visits) v")
end

local function version(db)
  return helper.value(db, "SELECT string_agg(version_num, ' ') FROM alembic_version")
end

describe("a loop with failures", function()
  it("names each failed tenant once: id, SQLSTATE, message, file and line", function()
    local run, db = project(loop())
    sabotage(db, "t03", "t07")
    local result = run "upgrade head"
    refused(result, 6, "2 tenants failed in part 1 of bbbb; 10 done in this run")
    says(result, "\n  t03: 22012 division by zero at versions/bbbb.lua:13\n")
    says(result, "\n  t07: 22012 division by zero at versions/bbbb.lua:13\n")
    assert.are.equal(2, count(result.err, "division by zero"))
    says(result, "database is at aaaa; bbbb waits for the tenants that failed")
    assert.are.equal("aaaa", version(db))
  end)

  it("starts no later step", function()
    local run, db = project(loop(), { versions = { { revision = "cccc", down = "bbbb",
      upgrade = 'op.execute("UPDATE tenants SET id = id")' } } })
    sabotage(db, "t03")
    assert.are.equal(6, run("upgrade head").code)
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_ledger WHERE what = 'cccc'"))
  end)

  it("says what to type next, with the options that were given, and it can be typed as it stands", function()
    local run, db, folder = project(loop(), { versions = { { revision = "cccc", down = "bbbb" } } })
    sabotage(db, "t03", "t'0 4")
    helper.execute(db, "INSERT INTO tenants VALUES ('t''0 4'), ('-t05'); INSERT INTO sabotage VALUES ('-t05');")
    helper.write(folder .. "/my conf.ini", helper.read(folder .. "/dmlua.ini"))
    local result = run { "upgrade", "-c", "my conf.ini", "head", "--env", "development" }
    local global = "dmlua -c 'my conf.ini' --env development "
    says(result, "\n      " .. global .. "log -n 4\n")
    says(result, "\n      " .. global .. "upgrade head\n")
    local skip = result.err:match "\n +dmlua([^\n]*%-%-skip%-tenant [^\n]*)\n"
    assert.are.equal(" -c 'my conf.ini' --env development upgrade head --skip-tenant=-t05"
      .. " --skip-tenant 't'\\''0 4' --skip-tenant t03 --reason TEXT", skip)
  end)

  it("has a row in the ledger for the run and for each failed tenant, which log shows", function()
    local run, db = project(loop())
    sabotage(db, "t03", "t07")
    run "upgrade head"
    assert.are.same({ { tenant = "t03", note = "22012: division by zero at versions/bbbb.lua:13" },
      { tenant = "t07", note = "22012: division by zero at versions/bbbb.lua:13" },
      { note = "2 tenants failed in part 1 of bbbb; 10 done in this run" } },
      helper.sql(db, "SELECT tenant, note FROM dmlua_ledger WHERE what = 'bbbb' AND outcome = 'failed' ORDER BY id"))
    local log = run "log -n 3"
    assert.truthy(log.out:find("tenant t07; 22012: division by zero", 1, true), log.out)
  end)

  it("lists the failed tenants in its JSON error", function()
    local run, db = project(loop())
    sabotage(db, "t03", "t07")
    local result = run "upgrade head --json"
    assert.are.equal(6, result.code)
    local failure = cjson.decode(result.out:match "[^\n]*\n$").error
    assert.are.equal("partial", failure.kind)
    assert.are.same({
      { tenant = "t03", sqlstate = "22012", message = "division by zero", file = "versions/bbbb.lua", line = 13 },
      { tenant = "t07", sqlstate = "22012", message = "division by zero", file = "versions/bbbb.lua", line = 13 },
    }, failure.tenants)
  end)

  it("tells an error of the callback's own without a SQLSTATE, at its line", function()
    local run = project(loop 'if tenant.id == "t05" then error("no") end')
    refused(run "upgrade head", 6, "\n  t05: no at versions/bbbb.lua:12\n")
  end)

  it("does not print an id so that a terminal obeys it or a line is broken", function()
    local run, db = project(loop())
    helper.execute(db, [[INSERT INTO tenants VALUES (E'a\n\x1b[31mb'); INSERT INTO sabotage SELECT max(id) FROM tenants
      WHERE id LIKE 'a%']])
    local result = run "upgrade head"
    refused(result, 6, "--skip-tenant $'a\\012\\033[31mb' --reason TEXT")
    silent_of(result, "\27")
  end)
end)

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
    assert.are.equal("0:12", visits(db))
    succeeded(run "stamp aaaa") -- nothing of the step is begun
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
      helper.sql(db, "SELECT tenant, outcome FROM dmlua_ledger WHERE kind = 'pay' ORDER BY id"))
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

  it("takes the revision by the beginning of its name, and by head", function()
    local run = owing()
    succeeded(run "upgrade bb --only-tenant t03")
    succeeded(run "upgrade head --only-tenant t07")
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
