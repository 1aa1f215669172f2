-- Rows by tenant and statement: counted from the command tags, written behind the work, shown by `dmlua log`.

local cjson = require "cjson"
local helper = require "spec.helper"

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants VALUES ('acme'), ('globex'), ('initech');
  CREATE TABLE customers (tenant_id text NOT NULL, n int);
  INSERT INTO customers SELECT t, g FROM unnest(ARRAY['acme', 'globex', 'initech']) WITH ORDINALITY u(t, i),
    generate_series(1, i) g;
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO app;
]]

local function project(versions, settings, fix)
  local database = helper.database()
  helper.execute(database.owner, schema)
  local options = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id", global_tables = "*" }
  for key, value in pairs(settings or {}) do options[key] = value end
  return helper.project { database = database, versions = versions, settings = options,
    files = { ["fixes/mend.lua"] = fix } }, database
end

local function dmlua(words, folder, code)
  local result = helper.dmlua(words, { cwd = folder })
  assert.are.equal(code or 0, result.code, result.err)
  return result
end

-- "acme 1 versions/aaaa.lua:3" of each line of the ledger, in order; without the place "-".
local function tallies(folder, words)
  local list = {}
  for i, row in ipairs(cjson.decode(dmlua("log --tenants --json " .. (words or ""), folder).out).tenants) do
    list[i] = ("%s %s %s"):format(row.tenant, row.rows == cjson.null and "unknown" or math.tointeger(row.rows),
      row.statement == cjson.null and "-" or row.statement)
  end
  return list
end

local function log_of(folder, revision)
  for _, row in ipairs(cjson.decode(dmlua("log --json " .. (revision or ""), folder).out).log) do
    if row.tenants ~= cjson.null or row.unknown ~= cjson.null then return row end
  end
end

local two = [[tenants.each(function(tenant)
  op.execute("UPDATE customers SET n = n + 1")
  op.execute("SELECT 1")
  for i = 1, 2 do op.execute("DELETE FROM customers WHERE n > :n", { n = 5 - i }) end
end%s)]]

local expected = { "acme 1 versions/aaaa.lua:12", "acme 0 versions/aaaa.lua:14", "globex 2 versions/aaaa.lua:12",
  "globex 0 versions/aaaa.lua:14", "initech 3 versions/aaaa.lua:12", "initech 1 versions/aaaa.lua:14" }

describe("the rows that a loop's statements write", function()
  for mode, options in pairs { atomic = "", resumable = ", { mode = 'resumable' }" } do
    it("are counted by tenant and line: " .. mode, function()
      local folder = project { { revision = "aaaa", upgrade = two:format(options) } }
      dmlua("upgrade head", folder)
      assert.are.same(expected, tallies(folder, "aaaa"))
      local row = log_of(folder)
      assert.are.same({ 7, 3, 0 }, { row.rows, row.tenants, row.unknown })
      local text = dmlua("log", folder).out
      assert.truthy(text:find("7 rows of 3 tenants; ", 1, true), text)
      assert.falsy(text:find("counted", 1, true), text)
      text = dmlua("log aaa --tenants -n 2", folder).out
      assert.truthy(text:find("^acme  1 row   versions/aaaa.lua:12  upgrade  aaaa"), text)
    end)

    it("say of a tenant that it was visited, also where none was written: " .. mode, function()
      local folder = project { { revision = "aaaa", upgrade = ([[tenants.each(function(tenant)
        if tenant.id == "acme" then op.execute("SELECT 1") end
        if tenant.id == "globex" then op.execute("UPDATE customers SET n = 0") end
      end%s)]]):format(options) } }
      dmlua("upgrade head", folder)
      local list = tallies(folder)
      table.sort(list)
      assert.are.same({ "acme 0 -", "globex 2 versions/aaaa.lua:13", "initech 0 -" }, list)
    end)
  end

  it("are those of what was kept: neither of a failed tenant nor of an attempt that was taken back", function()
    local folder, database = project { { revision = "aaaa", upgrade = [[tenants.each(function(tenant)
      op.execute("UPDATE customers SET n = n + 1")
      if tenant.id == "globex" then op.execute("SELECT 1 / (SELECT count(*)::int - 1 FROM customers_done)") end
      if tenant.id == "initech" then
        op.execute("DO $$ BEGIN IF nextval('tries') < 3 THEN RAISE SQLSTATE '40P01'; END IF; END $$")
      end
    end, { mode = "resumable" })]] } }
    helper.execute(database.owner, [[CREATE SEQUENCE tries; CREATE TABLE customers_done AS SELECT 1;
      GRANT SELECT ON customers_done TO app; GRANT USAGE ON tries TO app]])
    dmlua("upgrade head", folder, 6)
    local list = tallies(folder)
    table.sort(list)
    assert.are.same({ "acme 1 versions/aaaa.lua:12", "initech 3 versions/aaaa.lua:12" }, list)
    helper.execute(database.owner, "INSERT INTO customers_done VALUES (2)")
    dmlua("upgrade head", folder)
    list = tallies(folder)
    assert.are.same({ "globex 2 versions/aaaa.lua:12", 3 }, { list[1], #list })
  end)

  it("are none where an atomic loop failed, and belong to each step of a chain and each part of a step", function()
    local loop = 'tenants.each(function() op.execute("UPDATE customers SET n = n + 1") end)\n'
    local cut = 'op.get_context():autocommit_block(function() op.execute("VACUUM tenants") end)\n'
    local folder = project { { revision = "aaaa", upgrade = loop },
      { revision = "bbbb", down = "aaaa", upgrade = loop .. cut .. loop },
      { revision = "cccc", down = "bbbb", upgrade = loop .. 'op.execute("SELECT 1 / 0")' } }
    dmlua("upgrade head", folder, 1)
    assert.are.same({}, tallies(folder, "cccc"))
    assert.are.equal(3, #tallies(folder, "aaaa"))
    local parts = {}
    for _, row in ipairs(cjson.decode(dmlua("log bbbb --tenants --json", folder).out).tenants) do
      parts[row.part] = (parts[row.part] or 0) + 1
    end
    assert.are.same({ 3, nil, 3 }, { parts[1], parts[2], parts[3] })
  end)

  it("are counted where the whole run is one transaction", function()
    local loop = 'tenants.with("%s", function() op.execute("UPDATE customers SET n = n + 1") end)\n'
    local folder = project({ { revision = "aaaa", upgrade = loop:format "acme" },
      { revision = "bbbb", down = "aaaa", upgrade = loop:format "globex" } }, { transaction_per_migration = "false" })
    dmlua("upgrade head", folder)
    assert.are.same({ "acme 1 versions/aaaa.lua:11" }, tallies(folder, "aaaa"))
    assert.are.same({ "globex 2 versions/bbbb.lua:11" }, tallies(folder, "bbbb"))
  end)

  it("are counted by `run` too, but not by a dry run", function()
    local folder = project({ { revision = "aaaa" } }, nil, [[
      description = "x"
      function run(tenant)
        op.execute("UPDATE customers SET n = 0")
        if tenant.id == "globex" then error("no") end
      end]])
    dmlua("upgrade head", folder)
    dmlua("run mend --all-tenants --dry-run", folder, 6)
    assert.are.same({}, tallies(folder))
    dmlua("run mend --all-tenants", folder, 6)
    assert.are.same({ "acme 1 fixes/mend.lua:3", "initech 3 fixes/mend.lua:3" }, tallies(folder, "mend"))
  end)

  it("are unknown, and said to be so, where the run was killed before it wrote them", function()
    local folder, database = project { { revision = "aaaa", upgrade = two:format "" } }
    dmlua("upgrade head", folder)
    helper.execute(database, "DELETE FROM dmlua_ledger WHERE outcome = 'counted'") -- as a kill behind COMMIT leaves it
    local row = log_of(folder)
    assert.are.same({ cjson.null, 3 }, { row.rows, row.unknown })
    assert.truthy(dmlua("log", folder).out:find("rows of 3 tenants unknown", 1, true))
  end)

  -- A run that hangs at its third tenant, by a lock that is held until release(); the others are done.
  local function hanging()
    local upgrade = two:format ", { mode = 'resumable' }":gsub("op.execute%(\"SELECT 1\"%)",
      'if tenant.id == "initech" then op.execute("LOCK TABLE gate IN ACCESS SHARE MODE") end')
    local folder, database = project { { revision = "aaaa", upgrade = upgrade } }
    helper.execute(database.owner, "CREATE TABLE gate (id int); GRANT SELECT ON gate TO app")
    local gate = helper.connect(database.owner)
    gate:exec "BEGIN"
    gate:exec "LOCK TABLE gate"
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function()
      return helper.value(database, "SELECT to_regclass('dmlua_progress') IS NOT NULL") == "t"
        and helper.value(database, "SELECT count(*) FROM dmlua_progress WHERE state = 'done'") == "2"
    end)
    return folder, running, function() gate:exec "ROLLBACK" end
  end

  it("are unknown, tenant by tenant, where a resumable loop was killed before it wrote them", function()
    local folder, running, release = hanging()
    running.kill("KILL")
    running.wait()
    release()
    dmlua("upgrade head", folder)
    local list = tallies(folder)
    table.sort(list)
    assert.are.same({ "acme unknown -", "globex unknown -", "initech 1 versions/aaaa.lua:14",
      "initech 3 versions/aaaa.lua:12" }, list)
    local text = dmlua("log", folder).out
    assert.truthy(text:find("4 rows of 1 tenant; rows of 2 tenants unknown; tenants: 1 visited", 1, true), text)
  end)

  it("are written when Ctrl-C ends a loop", function()
    local folder, running, release = hanging()
    running.kill("INT")
    assert.are.equal(130, running.wait().code)
    release()
    assert.are.same({ "acme 1 versions/aaaa.lua:12", "acme 0 versions/aaaa.lua:14", "globex 2 versions/aaaa.lua:12",
      "globex 0 versions/aaaa.lua:14" }, tallies(folder))
  end)

  it("are nobody's failure where they cannot be written", function()
    local folder, database = project { { revision = "aaaa" },
      { revision = "bbbb", down = "aaaa", upgrade = two:format "" }, { revision = "cccc", down = "bbbb" } }
    dmlua("upgrade aaaa", folder)
    helper.execute(database, "ALTER TABLE dmlua_ledger ADD CHECK (outcome <> 'counted')")
    dmlua("upgrade head", folder)
    assert.are.equal("cccc", helper.value(database, "SELECT version_num FROM alembic_version"))
    assert.truthy(dmlua("log", folder).out:find("rows of 3 tenants unknown", 1, true))
  end)
end)
