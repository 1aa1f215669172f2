-- tenants.each with mode = "resumable": a transaction a tenant, and a rerun that visits the missing ones.

local activity = require "spec.support.activity"
local helper = require "spec.helper"
local loops = require "spec.support.loops"

local says, version, visits = loops.says, loops.version, loops.visits

local visit = 'op.execute("UPDATE customers SET visits = visits + 1")'
local sabotaged = [[
  op.execute("SELECT 1 / (CASE WHEN EXISTS (SELECT FROM sabotage WHERE tenant_id = :t) THEN 0 ELSE 1 END)",
    { t = tenant.id })]]

local function loop(body, options)
  return ("tenants.each(function(tenant) %s end, { mode = 'resumable'%s })"):format(body, options or "")
end

local function project(db, upgrade)
  local folder = helper.project { database = db,
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id" },
    versions = { { revision = "aaaa", upgrade = loops.schema },
      { revision = "bbbb", down = "aaaa", upgrade = upgrade } } }
  assert.are.equal(0, helper.dmlua("upgrade aaaa", { cwd = folder }).code)
  return folder
end

-- Waits until so many tenants have a row, or the loop is over: what was sent is carried out also when its sender is
-- dead.
local function wait_for_rows(db, count)
  helper.eventually(function()
    return helper.value(db, ("SELECT count(*) >= %d OR EXISTS (SELECT FROM alembic_version WHERE version_num = 'bbbb')"
      .. " FROM dmlua_progress WHERE tenant <> ''"):format(count)) == "t"
  end)
end

describe("a resumable loop", function()
  it("visits every tenant once, each in a transaction of its own, and leaves no progress row", function()
    local db = helper.database()
    local folder = project(db, loop(visit))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:12", visits(db))
    assert.are.equal("12", helper.value(db, "SELECT count(DISTINCT xmin::text) FROM customers"))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
    assert.are.equal("bbbb", version(db))
    assert.truthy(helper.value(db, "SELECT note FROM dmlua_ledger WHERE what = 'bbbb' AND part = 1"
      .. " AND outcome = 'done'")
      :find("12 visited", 1, true))
  end)

  it("goes on past failed tenants, does not complete its step, and a rerun visits only the missing ones", function()
    local db = helper.database()
    local folder = project(db, loop(visit .. sabotaged))
    helper.execute(db, "INSERT INTO sabotage VALUES ('t03'), ('t07')")
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    says(result, "2 tenants failed in part 1 of bbbb; 10 done in this run")
    says(result, "t03: 22012 division by zero")
    says(result, "only the missing tenants are visited")
    assert.are.equal("0:2 1:10", visits(db))
    assert.are.equal("aaaa", version(db))
    helper.execute(db, "TRUNCATE sabotage")
    local again = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", again.code == 0 and "" or again.err)
    assert.are.equal("1:12", visits(db))
    assert.are.equal("bbbb", version(db))
  end)

  it("stops early at max_failures", function()
    local db = helper.database()
    local folder = project(db, loop(visit .. sabotaged, ", max_failures = 2"))
    helper.execute(db, "INSERT INTO sabotage SELECT id FROM tenants WHERE id > 't02'")
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    says(result, "2 tenants failed in part 1 of bbbb; 2 done in this run")
    assert.are.equal("0:10 1:2", visits(db))
  end)

  it("takes a callback's own error for that tenant's failure", function()
    local db = helper.database()
    local folder = project(db, loop(visit .. ' if tenant.id == "t05" then error("no") end'))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    says(result, "t05: no")
    assert.are.equal("0:1 1:11", visits(db))
  end)

  it("cannot be told that a failed statement did not happen", function()
    local db = helper.database()
    local folder = project(db,
      loop(visit .. ' pcall(function() op.get_bind():execute("SELECT 1/0") end)', ", max_failures = 1"))
    assert.are.equal(6, helper.dmlua("upgrade head", { cwd = folder }).code)
    assert.are.equal("0:12", visits(db))
  end)

  it("tries again what a lock time-out has ended", function()
    local db = helper.database()
    local folder = project(db, loop([[ op.execute("SET LOCAL lock_timeout = '100ms'") ]] .. visit))
    local connection = helper.connect(db.postgres)
    connection:exec("BEGIN")
    connection:exec("SELECT FROM customers WHERE tenant_id = 't04' FOR UPDATE")
    local running = helper.start("upgrade head", { cwd = folder })
    wait_for_rows(db, 3)
    connection:exec("COMMIT")
    local result = running.wait()
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:12", visits(db))
  end)

  it("that is killed is finished by the next run: every tenant exactly once", function()
    local db = helper.database()
    local folder = project(db, loop(visit .. 'op.execute("SELECT pg_sleep(0.02)")'))
    for tenants = 3, 9, 3 do
      local running = helper.start("upgrade head", { cwd = folder })
      wait_for_rows(db, tenants)
      running.kill("KILL")
      running.wait()
    end
    activity.is_gone(db, "owner")
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:12", visits(db))
  end)

  it("ends where its list has new tenants for ever", function()
    local db = helper.database()
    local folder = project(db, loop 'op.execute("SELECT 1")')
    local settings = helper.read(folder .. "/dmlua.ini")
    settings = settings:gsub("SELECT id FROM tenants ORDER BY id", "SELECT gen_random_uuid()")
    helper.write(folder .. "/dmlua.ini", settings)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(4, result.code)
    says(result, "the tenant list had new tenants each of the 100 times it was read")
    assert.are.equal("aaaa", version(db))
  end)

  it("visits a tenant that appears while it runs", function()
    local db = helper.database()
    local folder = project(db, loop(visit .. 'op.execute("SELECT pg_sleep(0.05)")'))
    local running = helper.start("upgrade head", { cwd = folder })
    wait_for_rows(db, 1)
    helper.execute(db, "INSERT INTO tenants VALUES ('zz'); INSERT INTO customers VALUES ('zz')")
    assert.are.equal(0, running.wait().code)
    assert.are.equal("1:13", visits(db))
  end)

  it("of a runner that was stopped, outlived and continued redoes nothing", function()
    local db = helper.database()
    local folder = project(db, loop(visit .. 'op.execute("SELECT pg_sleep(0.05)")'))
    local stopped = helper.start("upgrade head", { cwd = folder })
    wait_for_rows(db, 3)
    stopped.kill("STOP")
    helper.execute(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
      .. " WHERE usename = 'owner' AND datname = current_database()")
    activity.is_gone(db, "owner")
    local other = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", other.code == 0 and "" or other.err)
    stopped.kill("CONT")
    assert.are.equal(5, stopped.wait().code)
    assert.are.equal("1:12", visits(db))
    assert.are.equal("bbbb", version(db))
  end)

  it("cannot stand inside another loop, or in a run that is one transaction", function()
    local db = helper.database()
    local folder = project(db, ("tenants.each(function() %s end)"):format(loop(visit)))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "tenants.each inside tenants.each")
    assert.are.equal("0:12", visits(db))
  end)
end)
