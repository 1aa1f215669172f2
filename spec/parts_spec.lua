-- Steps that leave their transaction: parts, reruns, what is refused meanwhile.

local activity = require "spec.support.activity"
local helper = require "spec.helper"

local function revision(upgrade)
  return { revision = "abcd", upgrade = upgrade, downgrade = 'op.execute("DROP TABLE IF EXISTS t")' }
end

local function project(db, upgrade)
  return helper.project { database = db, versions = { revision(upgrade) } }
end

local function rewrite(folder, upgrade)
  helper.write(folder .. "/versions/abcd.lua", helper.revision(revision(upgrade)))
end

local function says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local function progress(db)
  return helper.sql(db, "SELECT part, state FROM dmlua_progress ORDER BY part")
end

local concurrently = [[
  op.execute("CREATE TABLE t (a int)")
  op.get_context():autocommit_block(function()
    op.execute("CREATE INDEX CONCURRENTLY t_a ON t (a)")
  end)
  op.execute("COMMENT ON TABLE t IS 'done'")
]]

local failing = concurrently:gsub("COMMENT ON TABLE t", "COMMENT ON TABLE missing")

describe("a step with parts", function()
  it("runs what refuses a transaction block alone, and leaves no progress row", function()
    local db = helper.database()
    local result = helper.dmlua("upgrade head", { cwd = project(db, concurrently) })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.same({}, progress(db))
    assert.are.equal("t", helper.value(db, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass"))
    assert.are.same({ { part = "1" }, { part = "2" }, { part = "3" } },
      helper.sql(db, "SELECT part FROM dmlua_ledger WHERE outcome = 'done' ORDER BY id"))
    assert.are.equal("abcd", helper.value(db, "SELECT version_num FROM alembic_version"))
  end)

  it("that fails keeps its finished parts, and a rerun does only the missing ones", function()
    local db = helper.database()
    local folder = project(db, failing)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "database is at base; parts 1 to 2 of abcd were kept")
    assert.are.same({ { part = "1", state = "done" }, { part = "2", state = "done" } }, progress(db))
    local current = helper.dmlua("current", { cwd = folder })
    assert.truthy(current.out:find("(+ abcd, part 2 done)", 1, true))
    rewrite(folder, concurrently)
    local again = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", again.code == 0 and "" or again.err)
    assert.are.same({}, progress(db))
    assert.are.equal("done", helper.value(db, "SELECT obj_description('t'::regclass)"))
  end)

  it("refuses downgrade and stamp until it is finished or abandoned", function()
    local db = helper.database()
    local folder = project(db, failing)
    helper.dmlua("upgrade head", { cwd = folder })
    for _, verb in ipairs { "downgrade base", "stamp head" } do
      local result = helper.dmlua(verb, { cwd = folder })
      assert.are.equal(3, result.code)
      says(result, "upgrade of abcd is unfinished")
      says(result, "--abandon")
    end
    local result = helper.dmlua("stamp head --abandon", { cwd = folder })
    assert.are.equal(0, result.code)
    says(result, "what it made stays in the database")
    assert.are.same({}, progress(db))
  end)

  it("names the last part and the way to finish it when it goes down", function()
    local db = helper.database()
    local folder = helper.project { database = db, versions = { { revision = "abcd", upgrade = "", downgrade = [[
      op.get_context():autocommit_block(function() op.execute("VACUUM; ANALYZE") end)
      op.execute("SELECT 1/0")]] } } }
    helper.dmlua("upgrade head", { cwd = folder })
    helper.dmlua("downgrade base", { cwd = folder })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(3, result.code)
    assert.truthy(result.err:find("downgrade of abcd is unfinished: part 2 is done", 1, true))
    assert.truthy(result.err:find("finish it with `dmlua downgrade abcd-1`", 1, true))
    assert.truthy(helper.dmlua("downgrade abcd-1", { cwd = folder }).err:find("division by zero", 1, true))
  end)

  it("whose finished statements have changed is refused, showing both, unless that is accepted", function()
    local db = helper.database()
    local folder = project(db, failing)
    helper.dmlua("upgrade head", { cwd = folder })
    rewrite(folder, (concurrently:gsub("%(a int%)", "(a int, b int)")))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(3, result.code)
    says(result, "CREATE TABLE t (a int)")
    says(result, "CREATE TABLE t (a int, b int)")
    assert.are.equal(0, helper.dmlua("upgrade head --accept-changed", { cwd = folder }).code)
    assert.are.equal("abcd", helper.value(db, "SELECT version_num FROM alembic_version"))
  end)

  it("is refused when a finished part goes through tenants now and did not then", function()
    local db = helper.database()
    local folder = project(db, failing)
    helper.dmlua("upgrade head", { cwd = folder })
    rewrite(folder, "tenants.each(function() end, { from = \"SELECT 'a'\" })\n" .. concurrently)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(3, result.code)
    says(result, "part 1 of abcd was done by an earlier run, which did not read this")
  end)

  it("gets the answers of its finished parts' reads again", function()
    local db = helper.database()
    local body = [[
      op.execute("CREATE TABLE IF NOT EXISTS t (a int)")
      local row = op.get_bind():execute(
        "SELECT 7 AS n, NULL::text AS nothing, 'x y' AS word, clock_timestamp()::text AS now"):fetchone()
      assert(row.nothing == nil and row.n == 7 and row.word == "x y")
      op.get_context():autocommit_block(function() op.execute("CREATE INDEX CONCURRENTLY t_a ON t (a)") end)
      op.execute("CREATE TABLE seen AS SELECT CAST(:now AS text) AS now", { now = row.now })
      op.execute("SELECT 1/0")
    ]]
    local folder = project(db, body)
    assert.are.equal(1, helper.dmlua("upgrade head", { cwd = folder }).code)
    local kept = helper.value(db, "SELECT answers FROM dmlua_progress WHERE part = 1")
    rewrite(folder, (body:gsub('op.execute%("SELECT 1/0"%)', "")))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.truthy(kept:find(helper.value(db, "SELECT now FROM seen"), 1, true))
  end)

  it("gets the number of rows that its finished parts touched again", function()
    local db = helper.database()
    local body = [[
      op.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
      local touched = op.get_bind():execute("UPDATE t SET a = a + 1").rowcount
      op.get_context():autocommit_block(function() op.execute("VACUUM t") end)
      op.execute("CREATE TABLE seen AS SELECT CAST(:n AS int) AS n", { n = touched })
      op.execute("SELECT 1/0")
    ]]
    local folder = project(db, body)
    assert.are.equal(1, helper.dmlua("upgrade head", { cwd = folder }).code)
    rewrite(folder, (body:gsub('op.execute%("SELECT 1/0"%)', "")))
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    assert.are.equal("2", helper.value(db, "SELECT n FROM seen"))
  end)

  it("whose statement alone failed goes on with the corrected one", function()
    local db = helper.database()
    local folder = project(db, (concurrently:gsub("t %(a%)", "t (missing)")))
    assert.are.equal(1, helper.dmlua("upgrade head", { cwd = folder }).code)
    rewrite(folder, concurrently)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.truthy(result.err:find("part 2 of abcd had failed as CREATE INDEX CONCURRENTLY t_a ON t (missing)", 1, true))
    assert.are.equal("t", helper.value(db, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass"))
  end)

  it("whose DROP INDEX CONCURRENTLY failed fails again, until it is corrected", function()
    local db = helper.database()
    local body = [[
      op.execute("CREATE TABLE t (a int); CREATE INDEX t_a ON t (a)")
      op.get_context():autocommit_block(function() op.execute("DROP INDEX CONCURRENTLY t_b") end)
    ]]
    local folder = project(db, body)
    for _ = 1, 2 do
      local result = helper.dmlua("upgrade head", { cwd = folder })
      assert.are.equal(1, result.code)
      assert.truthy(result.err:find('index "t_b" does not exist', 1, true))
    end
    rewrite(folder, (body:gsub("t_b\"", "t_a\"")))
    local again = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", again.code == 0 and "" or again.err)
    assert.is_nil(helper.value(db, "SELECT to_regclass('t_a')"))
  end)

  it("keeps its settings from part to part, in a rerun too, and leaves none to the next step", function()
    local db = helper.database()
    local body = [[
      op.execute("SET work_mem = '33MB'")
      op.get_context():autocommit_block(function()
        op.execute("SET maintenance_work_mem = '44MB'")
        op.execute("CREATE TABLE t (a int)")
        op.execute("VACUUM t")
      end)
      log.info("%s %s", op.get_bind():scalar("SHOW work_mem"), op.get_bind():scalar("SHOW maintenance_work_mem"))
    ]]
    local folder = project(db, body .. 'op.execute("SELECT 1/0")')
    helper.write(folder .. "/versions/beef.lua", helper.revision { revision = "beef", down = "abcd",
      upgrade = 'log.info("then %s", op.get_bind():scalar("SHOW work_mem"))', downgrade = "" })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.truthy(result.err:find("33MB 44MB", 1, true))
    rewrite(folder, body)
    result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.truthy(result.err:find("33MB 44MB", 1, true))
    assert.falsy(result.err:find("then 33MB", 1, true))
  end)

  it("may ask the bind for a statement that refuses a transaction block", function()
    local db = helper.database()
    local result = helper.dmlua("upgrade head", { cwd = project(db, [[
      op.get_context():autocommit_block(function()
        local answer = op.get_bind():execute("VACUUM (ANALYZE)")
        assert(not answer.returns_rows and not pcall(answer.fetchone, answer))
      end)]]) })
    assert.are.equal("", result.code == 0 and "" or result.err)
  end)

  it("finds an index that a killed run left invalid, drops it and builds it again", function()
    local db = helper.database()
    local folder = project(db, concurrently)
    -- what a run killed within CREATE INDEX CONCURRENTLY leaves: part 1 done, part 2 started, an invalid index
    helper.execute(db, "CREATE TABLE blocker (a int)")
    local holder = helper.start({ "--help" }, { cwd = folder })
    holder.wait()
    rewrite(folder, (concurrently:gsub('"COMMENT', '"SELECT 1/0; COMMENT')))
    assert.are.equal(1, helper.dmlua("upgrade head", { cwd = folder }).code)
    helper.execute(db, "UPDATE dmlua_progress SET state = 'started' WHERE part = 2;"
      .. " UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_a'::regclass")
    local before = helper.value(db, "SELECT 't_a'::regclass::oid")
    rewrite(folder, concurrently)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    says(result, "was left invalid by an earlier run")
    assert.are_not.equal(before, helper.value(db, "SELECT 't_a'::regclass::oid"))
    assert.are.equal("t", helper.value(db, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass"))
  end)

  it("killed while CREATE INDEX CONCURRENTLY waits is finished by the next run", function()
    local db = helper.database()
    local folder = project(db, concurrently)
    rewrite(folder, (concurrently:gsub('op.execute%("CREATE TABLE t %(a int%)"%)', "")))
    helper.execute(db, "SET ROLE owner; CREATE TABLE t (a int)")
    local connection = helper.connect(db.postgres)
    connection:exec("BEGIN")
    connection:exec("INSERT INTO t VALUES (1)") -- CREATE INDEX CONCURRENTLY waits for this transaction
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function()
      return helper.value(db, "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid") == "1"
    end)
    running.kill("KILL")
    running.wait()
    connection:exec("COMMIT")
    activity.is_gone(db, "owner")
    assert.are.equal("", helper.value(db, "SELECT coalesce(string_agg(version_num, ','), '') FROM alembic_version"))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("t", helper.value(db, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass"))
    assert.are.same({}, progress(db))
  end)

  it("killed between two parts is finished by the next run, which repeats none", function()
    local db = helper.database()
    local folder = project(db, [[
      op.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
      op.get_context():autocommit_block(function() op.execute("VACUUM t") end)
      op.execute("SELECT pg_advisory_xact_lock(1)") -- held by the spec
      op.execute("INSERT INTO t VALUES (2)")
    ]])
    local connection = helper.connect(db.postgres)
    connection:exec("SELECT pg_advisory_lock(1)")
    local running = helper.start("upgrade head", { cwd = folder })
    activity.waits_for_advisory_lock(db)
    running.kill("KILL")
    running.wait()
    activity.is_gone(db, "owner") -- client_connection_check_interval: what was sent already is not carried out
    connection:exec("SELECT pg_advisory_unlock(1)")
    assert.are.equal("1", helper.value(db, "SELECT string_agg(a::text, ',' ORDER BY a) FROM t"))
    assert.are.same({ { part = "1", state = "done" }, { part = "2", state = "done" } }, progress(db))
    assert.are.equal("1,2", helper.value(db, "SELECT string_agg(part::text, ',' ORDER BY id) FROM dmlua_ledger"))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("1,2", helper.value(db, "SELECT string_agg(a::text, ',' ORDER BY a) FROM t"))
    assert.are.equal("abcd", helper.value(db, "SELECT version_num FROM alembic_version"))
  end)

  it("is not that of another tree whose version table stands in the same schema", function()
    local db = helper.database()
    helper.dmlua("upgrade head", { cwd = project(db, failing) })
    local other = helper.project { database = db, settings = { version_table = "other_version" },
      versions = { revision 'op.execute("CREATE TABLE other (a int)")' } }
    assert.are.equal("", helper.dmlua("current", { cwd = other }).out)
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = other }).code)
    assert.are.equal("", helper.dmlua("log", { cwd = other }).out:match "failed" or "")
    assert.are.same({ { part = "1", state = "done" }, { part = "2", state = "done" } }, progress(db))
    assert.are.equal(0, helper.dmlua("downgrade base", { cwd = other }).code)
  end)

  it("cannot be cut inside a transaction that is the whole run's", function()
    local db = helper.database()
    local folder = helper.project { database = db, versions = { revision(concurrently) },
      settings = { transaction_per_migration = "false" } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(3, result.code)
    assert.is_nil(helper.value(db, "SELECT to_regclass('t')"))
  end)
end)
