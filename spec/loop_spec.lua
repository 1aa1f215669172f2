-- A resumable loop with many tenants on their way: failures, reads, workers, what callbacks leave behind.

local helper = require "spec.helper"
local tenant_loop = require "spec.support.tenant_loop"

local says, visits = tenant_loop.says, tenant_loop.visits

local update = 'op.execute("UPDATE customers SET visits = visits + 1") '
local read = 'local row = op.get_bind():execute("SELECT visits FROM customers"):fetchone() '

describe("a resumable loop whose tenants are on their way together", function()
  it("fails the tenants whose statements fail, and no other, each with its own error", function()
    local db, folder = tenant_loop.project { tenants = 60, upgrade = tenant_loop.loop(update .. [[
      if tenant.id:find "7$" then op.execute("SELECT 1 / 0") end
      if tenant.id:find "8$" then op.execute("INSERT INTO nowhere VALUES (1)") end
      if tenant.id == "t009" then error("own words") end]], "max_failures = 100") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    says(result, "13 tenants failed")
    says(result, "t007: 22012 division by zero")
    says(result, 't058: 42P01 relation "nowhere" does not exist')
    says(result, "t009: own words")
    assert.are.equal("0:13 1:47", visits(db))
  end)

  it("takes for a tenant's failure what only its COMMIT finds out", function()
    local db, folder = tenant_loop.project { tenants = 20, upgrade = tenant_loop.loop(update .. [[
      if tenant.id == "t004" then
        op.execute("INSERT INTO notes VALUES (:t, 99)", { t = tenant.id })
      end]]) }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    says(result, "t004: 23503")
    says(result, '"notes_kind_fkey" at versions/bbbb.lua\n')
    assert.are.equal("0:1 1:19", visits(db))
  end)

  it("keeps to max_failures, where the call gives it, whatever is on its way", function()
    local db, folder = tenant_loop.project { tenants = 40, upgrade = tenant_loop.loop(update .. [[
      if tenant.id > "t020" then op.execute("SELECT 1 / 0") end]], "max_failures = 3, workers = 2") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    says(result, "3 tenants failed")
    assert.are.equal("0:20 1:20", visits(db))
  end)

  it("begins no tenant any more, where the call gives none, once as many have failed as the default allows", function()
    local _, folder = tenant_loop.project { tenants = 900, upgrade = tenant_loop.loop(update .. [[
      if tenant.id > "t300" then op.execute("SELECT 1 / 0") end]]) }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    local failed = tonumber(result.err:match "(%d+) tenants failed in part")
    assert(failed >= 10 and failed < 300, failed) -- 256 may have been on their way when the first one failed
  end)

  it("gives each callback its own answers, on several connections", function()
    local db, folder = tenant_loop.project { tenants = 60, upgrade = tenant_loop.loop([[
      local bind = op.get_bind()
      local who = bind:execute("SELECT current_setting('app.current_tenant_id')"):scalar()
      assert(who == tenant.id, who)
      local ok, value = pcall(function()
        return bind:execute("SELECT visits + :n AS n FROM customers", { n = 1 }):scalar()
      end)
      assert(ok and value == 1)
      op.execute("UPDATE customers SET visits = :n", { n = value })
      assert(bind:execute("SELECT tenant_id FROM customers"):scalar() == tenant.id)]], "workers = 4") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:60", visits(db))
  end)

  it("raises a read's failure in its callback, and fails the tenant although that has caught it", function()
    local db, folder = tenant_loop.project { tenants = 12, upgrade = tenant_loop.loop(update .. [[
      local ok, failure = pcall(function() return op.get_bind():execute("SELECT 1 / 0") end)
      assert(not ok and failure.sqlstate == "22012", "not raised")
      log.info("caught by %s", tenant.id)]], "max_failures = 100, workers = 2") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    says(result, "12 tenants failed")
    says(result, "t003: 22012 division by zero")
    assert.are.equal("0:12", visits(db))
  end)

  it("waits in coroutines of the script's own, in sort and in gsub, also with workers", function()
    local db, folder = tenant_loop.project { tenants = 24, upgrade = tenant_loop.loop(read .. [[
      local rows = coroutine.wrap(function()
        for i = 1, 2 do
          coroutine.yield(op.get_bind():execute("SELECT tenant_id FROM customers"):scalar())
        end
      end)
      assert(rows() == tenant.id and rows() == tenant.id)
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b)
        return op.get_bind():execute("SELECT :a::int < :b::int AS less", { a = a, b = b }):scalar()
      end)
      assert(table.concat(list) == "123")
      local text = ("xy"):gsub(".", function() return op.get_bind():execute("SELECT 'z'"):scalar() end)
      assert(text == "zz")]] .. update, "workers = 3") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:24", visits(db))
  end)

  it("is not brought to a stop by callbacks that wait for each other's rows in coroutines of their own", function()
    local db, folder = tenant_loop.project { tenants = 8, upgrade = tenant_loop.loop([[
      op.get_bind():execute("UPDATE counters SET n = n + 1 RETURNING n")
      coroutine.wrap(function() op.get_bind():execute("UPDATE counters SET n = n + 1 RETURNING n") end)()]] .. "\n"
      .. read .. update, "workers = 4") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:8", visits(db))
    assert.are.equal("16", helper.value(db, "SELECT n FROM counters"))
  end)

  it("refuses a yield of the callback's own, and lets no callback resume another one's thread", function()
    local _, folder = tenant_loop.project { tenants = 3, upgrade = tenant_loop.loop("coroutine.yield()") }
    says(helper.dmlua("upgrade head", { cwd = folder }), "coroutine.yield was called outside of the script's own")
    local db, other = tenant_loop.project { tenants = 6, upgrade = "local threads = {}\n" .. tenant_loop.loop([[
      for id, thread in pairs(threads) do
        local ok = coroutine.resume(thread)
        assert(not ok, "resumed " .. id)
      end
      if tenant.id == "t001" then threads[tenant.id] = coroutine.running() end
      op.get_bind():execute("SELECT pg_sleep(0.1)")]] .. update, "workers = 2") }
    local result = helper.dmlua("upgrade head", { cwd = other })
    assert.are.equal(6, result.code)
    says(result, "1 tenant failed")
    assert.are.equal("0:1 1:5", visits(db))
  end)

  it("lets no setting of one callback reach the next, and keeps those of the step on every connection", function()
    local db, folder = tenant_loop.project { tenants = 30, upgrade = [[
      op.execute("SET statement_timeout = '77s'")
      op.execute("SELECT set_config('app.step', :v, false)", { v = "step's" })
    ]] .. tenant_loop.loop([[
      local row = op.get_bind():execute("SELECT current_setting('search_path') AS path,"
        .. " current_setting('statement_timeout') AS timeout, current_setting('app.step') AS step,"
        .. " current_setting('app.mine', true) AS mine, current_setting('row_security') AS security"):fetchone()
      assert(row.path == '"$user", public', row.path)
      assert(row.timeout == "77s", row.timeout)
      assert(row.step == "step's", row.step)
      assert(row.mine == nil or row.mine == "", row.mine)
      assert(row.security == "on")]] .. "\n" .. update .. [[
      local number = tonumber(tenant.id:match "%d+") % 4
      if number == 0 then op.execute("SET search_path TO pg_catalog; SET statement_timeout = 0") end
      if number == 1 then op.execute("SELECT set_config('app.mine', 'x', false)") end
      if number == 2 then op.execute("SELECT leave_something()") end
      if number == 3 then op.execute("SET ROLE app") end]], "workers = 2") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:30", visits(db))
  end)

  it("goes on when a callback makes the server forget what was prepared", function()
    local db, folder = tenant_loop.project { tenants = 30, upgrade = tenant_loop.loop(update .. [[
      if tenant.id:find "5$" then op.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$") end]],
      "max_failures = 100") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 6 and "" or result.err)
    says(result, "3 tenants failed")
    says(result, "t015: 26000")
    assert.are.equal("0:3 1:27", visits(db))
  end)

  it("takes more from a callback than connection or memory hold, and others go on meanwhile", function()
    local db, folder = tenant_loop.project { tenants = 12, upgrade = tenant_loop.loop([[
      local text = ("x"):rep(100000)
      for i = 1, 40 do op.execute("SELECT length(:text)", { text = text }) end ]] .. update, "workers = 2") }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:12", visits(db))
  end)

  it("hands on what the socket has not taken at once, however much is on its way", function()
    local db, folder = tenant_loop.project { tenants = 400, upgrade = tenant_loop.loop([[
      op.execute("SELECT length(:text)", { text = ("x"):rep(3000 + tonumber(tenant.id:match "%d+")) })
      op.execute("SELECT pg_sleep(0.0005)") ]] .. update) }
    local result = helper.dmlua("upgrade head", { cwd = folder, timeout = 30 })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1:400", visits(db))
  end)

  it("has its log lines in order with the server's answers, and none behind a failure", function()
    local _, folder = tenant_loop.project { tenants = 4, upgrade = tenant_loop.loop([[
      log.info("before %s", tenant.id)
      op.execute("SELECT 1 / " .. (tenant.id == "t002" and 0 or 1))
      log.info("behind %s", tenant.id)]]) }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    local lines = {}
    for when, id in result.err:gmatch "(%w+) (t00%d)\n" do lines[#lines + 1] = when .. " " .. id end
    assert.are.equal("before t001, behind t001, before t002, before t003, behind t003, before t004, behind t004",
      table.concat(lines, ", "))
  end)

  it("refuses in an atomic loop, at the author's line, what only a resumable one has, and wrong numbers", function()
    for options, message in pairs {
      ["workers = 2"] = 'workers needs mode = "resumable": one transaction for all tenants has one connection',
      ["retries = 3"] = 'retries needs mode = "resumable": what has failed takes all tenants with it',
      ["mode = 'atomic', max_failures = 2"] = 'max_failures needs mode = "resumable": the first failure takes all',
      ["workers = 0, mode = 'resumable'"] = "1 to 64",
      ["retries = -1, mode = 'resumable'"] = "0 or more",
    } do
      local _, folder = tenant_loop.project { tenants = 2,
        upgrade = ("tenants.each(function() end, { %s })"):format(options) }
      local result = helper.dmlua("upgrade head", { cwd = folder })
      assert.are.equal(1, result.code)
      says(result, message)
      says(result, "versions/bbbb.lua:11")
    end
  end)
end)
