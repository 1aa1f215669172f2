-- The engine: transactions, checks, records, one runner at a time.

local activity = require "spec.support.activity"
local helper = require "spec.helper"

-- A chain of revisions a, b, c … from their upgrade bodies; a body may be { upgrade, downgrade }.
local function chain(bodies)
  local versions, down = {}, nil
  for i, body in ipairs(bodies) do
    local id = string.char(96 + i):rep(4)
    if type(body) == "string" then body = { body } end
    versions[i] = { revision = id, down = down, upgrade = body[1], downgrade = body[2] }
    down = id
  end
  return versions
end

local function project(database, bodies, settings)
  return helper.project { database = database, versions = chain(bodies), settings = settings }
end

local function rows(database)
  return helper.value(database,
    "SELECT coalesce(string_agg(version_num, ',' ORDER BY version_num), '') FROM alembic_version")
end

local function has(database, relation)
  return helper.value(database, ("SELECT to_regclass('%s') IS NOT NULL"):format(relation)) == "t"
end

local function says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local function ledger(database)
  return helper.sql(database, "SELECT kind, what, part, outcome, note FROM dmlua_ledger ORDER BY id")
end

describe("a step", function()
  it("runs its script, moves the version row and writes the ledger row in one transaction", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE one (id int)") ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.out)
    assert.are.equal(0, result.code)
    says(result, "Running upgrade  -> aaaa, aaaa")
    assert.are.equal("aaaa", rows(db))
    local record = helper.sql(db, [[SELECT r.kind, r.what, r.outcome, r.who, r.environment, length(r.sha256) AS hash,
      r.xmin = v.xmin AS together FROM dmlua_ledger r, alembic_version v]])
    assert.are.same({ { kind = "upgrade", what = "aaaa", outcome = "done", who = "owner", environment = "development",
      hash = "64", together = "t" } }, record)
  end)

  it("that fails keeps nothing, names the author's line and says where the database stands", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE one (id int)") ]],
      'op.execute("CREATE TABLE two (id int)")\nop.execute("SELECT 1/0")\nop.execute("CREATE TABLE three (id int)")' })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "FAILED: division by zero (SQLSTATE 22012)")
    says(result, "versions/bbbb.lua:12")
    says(result, "database is at aaaa; nothing of bbbb was kept; correct versions/bbbb.lua:12 and run upgrade again")
    assert.are.equal("aaaa", rows(db))
    assert.is_false(has(db, "two"))
    assert.is_false(has(db, "three"))
    local last = ledger(db)[2]
    assert.are.same({ "upgrade", "bbbb", "failed", "22012: division by zero" },
      { last.kind, last.what, last.outcome, last.note })
  end)

  it("fails with what the server said first, although the script tripped later over something else", function()
    local db = helper.database()
    local folder = project(db, { 'op.execute("SELECT 1/0")\nerror("later")' })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "division by zero")
  end)

  it("fails with what the server said also while a text is sent that fills the socket", function()
    local db = helper.database()
    local folder = project(db, { [[
      op.execute("SELECT 1/0")
      op.get_bind():execute("SELECT length('" .. ("x"):rep(8000000) .. "')")]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "division by zero")
  end)

  it("cannot hide a failed statement behind pcall", function()
    local db = helper.database()
    local folder = project(db, { 'pcall(function() op.get_bind():execute("SELECT 1/0") end)' })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "division by zero")
    assert.are.equal("", rows(db))
  end)

  it("that breaks a deferred constraint fails at COMMIT and keeps nothing", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE p (id int PRIMARY KEY);"
      .. "CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (1)") ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "SQLSTATE 23503")
    assert.is_false(has(db, "c"))
    assert.are.equal("", rows(db))
  end)

  it("names the schema that is missing for dmlua's tables", function()
    local db = helper.database()
    local folder = helper.project { database = db, settings = { version_table_schema = "No Such" },
      versions = { { revision = "aaaa" } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, 'hint: CREATE SCHEMA "No Such", or correct version_table_schema')
  end)

  it("names the grant that is missing where the role may not make or use dmlua's tables", function()
    local db = helper.database()
    local folder = project(db, { "" })
    local stranger = "--url " .. db.app
    local result = helper.dmlua("upgrade head " .. stranger, { cwd = folder })
    says(result, "GRANT CREATE, USAGE ON SCHEMA public TO app")
    helper.dmlua("upgrade head", { cwd = folder })
    for _, verb in ipairs { "upgrade head ", "current ", "log " } do
      result = helper.dmlua(verb .. stranger, { cwd = folder })
      assert.are.equal(1, result.code)
      says(result, "belong to the role that made them")
      assert.falsy(result.err:find("statement:", 1, true))
    end
  end)

  it("may not leave another role behind", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("SET ROLE app") ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "the script has left the session changed")
    says(result, "current_user is app, was owner")
  end)

  it("may not leave a tenant context behind", function()
    local db = helper.database()
    local folder = project(db, { [[
      op.execute("DO $$ BEGIN PERFORM set_config('app.current_tenant_id', 'acme', false); END $$")]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "app.current_tenant_id is set")
  end)

  it("may not leave row security open behind an error that it has caught", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE t (tenant_id text);"
      .. "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY")
      pcall(op.across_tenants, { "t" }, function() error("caught") end) ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "has not put row security back")
    assert.is_false(has(db, "t"))
  end)

  it("may not leave its transaction while row security is open", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE t (tenant_id text);"
      .. "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY")
      op.across_tenants({ "t" }, function()
        op.get_context():autocommit_block(function() op.execute("VACUUM t") end)
      end) ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "stands inside op.across_tenants")
    assert.is_false(has(db, "t"))
  end)

  it("cannot commit in the middle, however it tries", function()
    local db = helper.database()
    local folder = project(db, { 'op.execute("CREATE TABLE one (id int)")\nop.execute("DO $$ BEGIN COMMIT; END $$")' })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "2D000")
    assert.is_false(has(db, "one"))
  end)

  it("does not see the settings that the one before left behind", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("SELECT pg_catalog.set_config('search_path', '', false)") ]],
      [[ op.execute("CREATE TABLE two (id int)") ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.is_true(has(db, "public.two"))
  end)

  it("moves the version with nobody else's operator", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute [=[
      CREATE TABLE called (name text);
      CREATE FUNCTION same(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO public.called VALUES ('='); RETURN CAST($1 AS text) = CAST($2 AS text); END $$;
      CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same);
    ]=] ]], [[ op.execute("CREATE TABLE two (id int)") ]] })
    for _, words in ipairs { "upgrade head", "downgrade -1" } do
      local result = helper.dmlua(words, { cwd = folder })
      assert.are.equal("", result.code == 0 and "" or result.err)
    end
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM called"))
  end)

  it("is told what -x gave on the command line, before and behind the verb", function()
    local folder = project(helper.database(), { [[
      local x = context.get_x_argument({ as_dictionary = true })
      assert(x.tenant == "a=b" and x.flag == "" and #context.get_x_argument() == 2) ]] })
    local result = helper.dmlua("-x tenant=a=b upgrade head -x flag", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
  end)

  it("names the line of a fault in a text whose line feeds are written \\n", function()
    local folder = project(helper.database(), {
      'op.execute("SELECT 1,\\n 2,\\n nope")\nop.execute("SELECT 1")\nop.execute("SELECT 2")' })
    says(helper.dmlua("upgrade head", { cwd = folder }), "at versions/aaaa.lua:11\n")
  end)

  it("says in Alembic's words which version row it missed", function()
    local db = helper.database()
    local folder = project(db, { { "", 'op.execute("DELETE FROM alembic_version")' } })
    helper.dmlua("upgrade head", { cwd = folder })
    says(helper.dmlua("downgrade base", { cwd = folder }),
      "Online migration expected to match one row when deleting 'aaaa' in 'alembic_version'; 0 found")
    assert.are.equal("aaaa", rows(db))
  end)

  it("goes down as it went up", function()
    local db = helper.database()
    local folder = project(db, { { [[ op.execute("CREATE TABLE one (id int)") ]], [[ op.execute("DROP TABLE one") ]] },
      { [[ op.execute("CREATE TABLE two (id int)") ]], [[ op.execute("DROP TABLE two") ]] } })
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    local result = helper.dmlua("downgrade -1", { cwd = folder })
    says(result, "Running downgrade bbbb -> aaaa, bbbb")
    assert.are.equal("aaaa", rows(db))
    assert.is_false(has(db, "two"))
    assert.are.equal(0, helper.dmlua("downgrade base", { cwd = folder }).code)
    assert.are.equal("", rows(db))
    assert.is_false(has(db, "one"))
  end)

  it("is not begun when its id does not fit into the version table", function()
    local db = helper.database()
    local id = ("x"):rep(33)
    local folder = helper.project { database = db, versions = { { revision = id } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(2, result.code)
    says(result, "has 33 characters, but public.alembic_version holds 32")
    assert.are.equal("", rows(db))
  end)
end)

describe("row security", function()
  it("is off outside tenant loops: what would touch no row in silence is an error that names the table", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE customers (id int, tenant_id text, status text);"
      .. "ALTER TABLE customers ENABLE ROW LEVEL SECURITY; ALTER TABLE customers FORCE ROW LEVEL SECURITY;"
      .. "CREATE POLICY p ON customers USING (tenant_id = current_setting('app.current_tenant_id', true))") ]],
      [[ op.execute("UPDATE customers SET status = 'active'") ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "TenantIsolationError: No tenant context set: UPDATE customers outside tenants.each")
    assert.are.equal("aaaa", rows(db))
  end)
end)

describe("with transaction_per_migration = false", function()
  it("a run is one transaction: a late failure takes the early steps back", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE one (id int)") ]], [[ op.execute("SELECT 1/0") ]] },
      { transaction_per_migration = "false" })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "nothing of this run was kept")
    assert.is_false(has(db, "one"))
    assert.are.equal("", rows(db))
  end)

  it("a run that succeeds is at head", function()
    local db = helper.database()
    local folder = project(db, { 'op.execute("CREATE TABLE one (id int)")', 'op.execute("CREATE TABLE two (id int)")' },
      { transaction_per_migration = "false" })
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    assert.are.equal("bbbb", rows(db))
    assert.are.equal("1", helper.value(db, "SELECT count(DISTINCT xmin::text) FROM dmlua_ledger"))
  end)
end)

describe("runners", function()
  it("started together apply each revision once", function()
    local db = helper.database()
    local bodies = {}
    for i = 1, 10 do bodies[i] = ('op.execute("CREATE TABLE t%d (id int)")'):format(i) end
    local folder = project(db, bodies)
    local running = {}
    for i = 1, 4 do running[i] = helper.start("upgrade head", { cwd = folder }) end
    for i = 1, 4 do
      local result = running[i].wait()
      assert.are.equal("", result.code == 0 and "" or result.err)
    end
    assert.are.equal("10", helper.value(db, "SELECT count(*) FROM dmlua_ledger WHERE outcome = 'done'"))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_ledger WHERE outcome <> 'done'"))
  end)

  it("wait for one another, or with --no-wait exit with 4 and name the holder", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("SELECT pg_sleep(3)") ]] })
    local first = helper.start("upgrade head", { cwd = folder })
    activity.runs(db, "%pg_sleep(3)%")
    local second = helper.dmlua("upgrade head --no-wait", { cwd = folder })
    assert.are.equal(4, second.code)
    assert.truthy(second.err:find("another runner is at work: process %d+ %(owner"))
    assert.are.equal(0, first.wait().code)
  end)

  it("cannot move a database that somebody else has moved since the plan was made", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("SELECT 1") ]], [[ op.get_bind():execute("SELECT pg_sleep(1)") ]], "" })
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function() return has(db, "alembic_version") and rows(db) == "aaaa" end)
    -- waits for the step's own lock, then moves the row before the next step
    helper.execute(db, "BEGIN; LOCK TABLE alembic_version IN EXCLUSIVE MODE;"
      .. "UPDATE alembic_version SET version_num = 'gone'; COMMIT")
    local result = running.wait()
    assert.are.equal(4, result.code)
    says(result, "the database is not where the plan left it")
  end)

  it("killed in the middle of a step leave version, schema and ledger agreeing; running again finishes", function()
    local db = helper.database()
    local folder = project(db, { [[ op.execute("CREATE TABLE one (id int)") ]],
      [[ op.execute("CREATE TABLE two (id int)")
         op.execute("SELECT pg_sleep(CASE WHEN EXISTS (SELECT FROM dmlua_ledger WHERE what = 'x')"
           .. " THEN 0 ELSE 30 END)") ]] })
    local running = helper.start("upgrade head", { cwd = folder })
    activity.runs(db, "SELECT pg_sleep%")
    running.kill("KILL")
    assert.are.equal(137, running.wait().code)
    activity.is_gone(db, "owner") -- client_connection_check_interval
    assert.are.equal("aaaa", rows(db))
    assert.is_false(has(db, "two"))
    assert.are.equal(1, #ledger(db))
    helper.execute(db, "INSERT INTO dmlua_ledger (version_table, run_id, kind, what, environment, who, started,"
      .. " duration, outcome) VALUES ('x', gen_random_uuid(), 'test', 'x', 'x', 'x', now(), '0', 'x')")
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    assert.are.equal("bbbb", rows(db))
    assert.is_true(has(db, "two"))
  end)

  it("that are interrupted cancel the statement, roll back and exit with 130", function()
    local db = helper.database()
    local folder = project(db, { 'op.execute("CREATE TABLE one (id int)")\nop.execute("SELECT pg_sleep(30)")' })
    local running = helper.start("upgrade head", { cwd = folder })
    activity.runs(db, "SELECT pg_sleep%")
    running.kill("INT")
    local result = running.wait(10)
    assert.are.equal(130, result.code)
    says(result, "database is at base; nothing of aaaa was kept")
    assert.is_false(has(db, "one"))
  end)

  it("that are interrupted end although the server does not answer any more", function()
    local db = helper.database()
    local proxy = require("spec.support.proxy").start()
    local folder = helper.project { database = proxy.url(db), versions = {
      { revision = "aaaa", upgrade = 'op.execute("SELECT pg_sleep(30)")' } } }
    local running = helper.start("upgrade head", { cwd = folder })
    activity.runs(db, "SELECT pg_sleep%")
    proxy.kill("STOP")
    running.kill("INT")
    local result = running.wait(10)
    proxy.kill("CONT")
    assert.are.equal(130, result.code)
    says(result, "FAILED: interrupted")
  end)
end)
