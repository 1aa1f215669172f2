-- A resumable loop with many tenants on their way, when somebody interferes.

local activity = require "spec.support.activity"
local helper = require "spec.helper"
local tenant_loop = require "spec.support.tenant_loop"

local visits = tenant_loop.visits

local update = 'op.execute("UPDATE customers SET visits = visits + 1") '
local sleep = 'op.execute("SELECT pg_sleep(0.02)") '

local function finish(db, folder, expected)
  activity.is_gone(db, "owner")
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.are.equal("", result.code == 0 and "" or result.err)
  assert.are.equal(expected, visits(db))
end

describe("a resumable loop whose tenants are on their way together", function()
  it("goes on with the others while a tenant waits for its next attempt", function()
    local db, folder = tenant_loop.project { tenants = 30,
      upgrade = tenant_loop.loop([[op.execute("SET LOCAL lock_timeout = '50ms'") ]] .. update) }
    local other = helper.connect(db.postgres)
    other:exec("BEGIN")
    other:exec("SELECT FROM customers WHERE tenant_id = 't004' FOR UPDATE")
    local running = helper.start("upgrade head", { cwd = folder })
    tenant_loop.wait_for_rows(db, 29)
    other:exec("COMMIT")
    local result = running.wait()
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:30", visits(db))
  end)

  it("takes for done what another runner's transaction commits while it waits for that", function()
    local db, folder = tenant_loop.project { tenants = 12,
      upgrade = tenant_loop.loop([[if tenant.id == "t001" then op.execute("SELECT pg_sleep(0.8)") end ]] .. update) }
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function()
      return helper.value(db, "SELECT count(*) FROM dmlua_progress WHERE tenant = '' AND state = 'running'") == "1"
    end)
    local other = helper.connect(db.postgres)
    other:exec("BEGIN")
    local claimed = other:exec([[INSERT INTO dmlua_progress
        (version_table, what, direction, part, run_id, tenant, state)
      SELECT version_table, what, direction, part, run_id, 't012', 'done' FROM dmlua_progress
      WHERE tenant = '' AND state = 'running']])
    assert.truthy(claimed)
    other:exec("UPDATE customers SET visits = visits + 1 WHERE tenant_id = 't012'")
    helper.eventually(function()
      return helper.value(db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        .. " AND wait_event_type = 'Lock'") == "1"
    end)
    other:exec("COMMIT")
    local result = running.wait()
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:12", visits(db))
  end)

  it("ends with exit 5 when one of its connections is lost, and the next run visits who is missing", function()
    local db, folder = tenant_loop.project { tenants = 60, upgrade = tenant_loop.loop(update .. sleep, "workers = 3") }
    local running = helper.start("upgrade head", { cwd = folder })
    tenant_loop.wait_for_rows(db, 6)
    helper.execute(db, "SELECT pg_terminate_backend(max(pid)) FROM pg_stat_activity"
      .. " WHERE usename = 'owner' AND datname = current_database() AND query NOT LIKE '%pg_try_advisory_lock%'")
    assert.are.equal(5, running.wait().code)
    finish(db, folder, "1:60")
  end)

  it("that is interrupted ends with 130, keeps what is done, and counts nobody as failed", function()
    local db, folder = tenant_loop.project { tenants = 60, upgrade = tenant_loop.loop(update .. sleep, "workers = 2") }
    local running = helper.start("upgrade head", { cwd = folder })
    tenant_loop.wait_for_rows(db, 6)
    running.kill "INT"
    local result = running.wait()
    assert.are.equal(130, result.code)
    assert.falsy(result.err:find("failed", 1, true), result.err)
    finish(db, folder, "1:60")
  end)

  it("that is killed leaves nothing half done, whatever of it the server still carries out", function()
    local db, folder = tenant_loop.project { tenants = 60, upgrade = tenant_loop.loop(update .. sleep, "workers = 3") }
    local running = helper.start("upgrade head", { cwd = folder })
    tenant_loop.wait_for_rows(db, 6)
    running.kill "KILL"
    running.wait()
    local result = helper.dmlua("upgrade head", { cwd = folder }) -- at once: it may meet the dead one's transactions
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:60", visits(db))
  end)

  it("says how many connections it asked for when the server has not as many", function()
    local db, folder = tenant_loop.project { tenants = 5, upgrade = tenant_loop.loop(update, "workers = 4") }
    helper.execute(db, ("ALTER DATABASE %s CONNECTION LIMIT 2"):format(db.name))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(5, result.code)
    tenant_loop.says(result, "the loop asks for 4 connections (workers)")
    helper.execute(db, ("ALTER DATABASE %s CONNECTION LIMIT -1"):format(db.name))
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    assert.are.equal("1:5", visits(db))
  end)

  it("opens no more connections than there are tenants", function()
    local db, folder = tenant_loop.project { tenants = 2, upgrade = tenant_loop.loop(
      'op.get_bind():execute("SELECT pg_sleep(0.2)") ' .. update, "workers = 8") }
    local running = helper.start("upgrade head", { cwd = folder })
    local most = 0
    helper.eventually(function()
      most = math.max(most, tonumber(helper.value(db, "SELECT count(*) FROM pg_stat_activity"
        .. " WHERE usename = 'owner' AND datname = current_database()")))
      return visits(db) == "1:2"
    end)
    assert.are.equal(0, running.wait().code)
    assert.truthy(most <= 2, most)
  end)
end)
