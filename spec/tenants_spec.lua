-- tenants.each: one tenant after the other, under its context and a role that the policies hold.

local activity = require "spec.support.activity"
local helper = require "spec.helper"

local schema = [[
  op.execute([=[
    CREATE TABLE tenants (id text PRIMARY KEY, name text);
    INSERT INTO tenants VALUES ('acme', 'Acme'), ('globex', 'Globex'), ('o''neill', 'O''Neill'), ('acme-evil', 'Evil');
    CREATE TABLE customers (tenant_id text NOT NULL, n int, status text, seen_as text, by_role text);
    INSERT INTO customers SELECT t.id, g, 'new' FROM tenants t, generate_series(1, 3) g;
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
    ALTER TABLE customers FORCE ROW LEVEL SECURITY;
    CREATE POLICY customers_tenant_isolation ON customers
      USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
    GRANT SELECT, INSERT, UPDATE ON customers TO app;
  ]=])
]]

local settings = { app_role = "app", tenants_query = "SELECT id, name FROM tenants ORDER BY id" }

local function run(loop, more)
  local database = helper.database()
  local options = { app_role = settings.app_role, tenants_query = settings.tenants_query }
  for key, value in pairs(more or {}) do options[key] = value or nil end
  local folder = helper.project { database = more and more.url or database, settings = options, versions = {
    { revision = "aaaa", upgrade = schema }, { revision = "bbbb", down = "aaaa", upgrade = loop } } }
  return database, helper.dmlua("upgrade head", { cwd = folder }), folder
end

local function succeeded(result)
  assert.are.equal("", result.code == 0 and "" or result.err)
end

local function says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local function refused(result, code, text)
  assert.are.equal(code, result.code)
  assert.truthy(result.err:find(text, 1, true), result.err)
  says(result, "database is at aaaa; nothing of bbbb was kept")
end

-- A service whose tenants are listed in another one's database; tenant "a" is there.
local function two_services(upgrade)
  local management, isp = helper.database(), helper.database()
  helper.execute(management, "CREATE TABLE tenants (id text, name text); INSERT INTO tenants VALUES ('a');"
    .. "GRANT SELECT ON tenants TO owner")
  local folder = helper.project { database = isp,
    settings = { services = "management isp", url = "", app_role = "app", tenants_query = settings.tenants_query },
    ini = ("[management]\nscript_location = m\nurl = %s\n[isp]\nscript_location = .\ntenants_service = management\n"
      .. "url = %s\n"):format(management.url, isp.url),
    versions = { { revision = "aaaa", upgrade = upgrade } } }
  return management, folder, isp
end

describe("tenants.each", function()
  it("visits every tenant once, in the list's order, with its row", function()
    local _, result = run [[ tenants.each(function(tenant) log.info("%s is %s", tenant.id, tenant.name) end) ]]
    succeeded(result)
    local order = {}
    for line in result.err:gmatch("%[dmlua%.script%] ([^\n]*)") do order[#order + 1] = line end
    assert.are.same({ "acme is Acme", "acme-evil is Evil", "globex is Globex", "o'neill is O'Neill" }, order)
  end)

  it("shows a callback the rows of its tenant alone, whatever the statement says", function()
    local db, result = run [[ tenants.each(function()
      op.execute("UPDATE customers SET seen_as = current_setting('app.current_tenant_id'), by_role = current_user")
    end) ]]
    succeeded(result)
    assert.are.equal("12",
      helper.value(db, "SELECT count(*) FROM customers WHERE seen_as = tenant_id AND by_role = 'app'"))
  end)

  it("refuses TRUNCATE, which row security does not hold", function()
    for _, sql in ipairs { "/* all */ TRUNCATE customers", "SELECT 1; truncate table only customers" } do
      local db, result = run(("tenants.each(function() op.execute('%s') end)"):format(sql))
      refused(result, 3, "TenantIsolationError: op.execute: TRUNCATE in a tenant's loop takes the rows of all tenants")
      assert.are.equal("12", helper.value(db, "SELECT count(*) FROM customers"))
    end
  end)

  it("binds a tenant's id beside the SQL, with whatever quotes it has", function()
    local db, result = run [[ tenants.each(function(tenant)
      op.execute("UPDATE customers SET status = :t WHERE tenant_id = :t", { t = tenant.id }) end) ]]
    succeeded(result)
    assert.are.equal("12", helper.value(db, "SELECT count(*) FROM customers WHERE status = tenant_id"))
  end)

  it("lets a callback read, and gives the step its own role and silence back afterwards", function()
    local db, result = run [[ tenants.each(function(tenant)
        local n = op.get_bind():execute("SELECT count(*) AS n FROM customers"):scalar()
        assert(n == 3, n)
      end)
      op.execute("CREATE TABLE after AS SELECT current_user AS who,"
        .. " current_setting('app.current_tenant_id') AS context") ]]
    succeeded(result)
    assert.are.same({ { who = "owner", context = "" } }, helper.sql(db, "SELECT who, context FROM after"))
  end)

  it("is all or nothing: the failure of one tenant takes back the others and names it", function()
    local db, result = run [[ tenants.each(function(tenant)
      op.execute("UPDATE customers SET n = 1 / (CASE WHEN tenant_id = 'globex' THEN 0 ELSE 1 END)") end) ]]
    refused(result, 1, "division by zero")
    says(result, "tenant: globex")
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM customers WHERE n = 1 AND n <> n"))
    assert.are.equal("8", helper.value(db, "SELECT count(*) FROM customers WHERE n > 1"))
  end)

  it("names the tenant whose callback raised", function()
    local _, result = run [[ tenants.each(function(tenant) if tenant.id == "globex" then error("no") end end) ]]
    refused(result, 1, "no")
    says(result, "tenant: globex")
  end)

  it("catches a callback that changes the context or the role behind its back", function()
    for _, statement in ipairs {
      [[DO $$ BEGIN PERFORM set_config('app.current_tenant_id', 'acme', true); END $$]],
      [[DO $$ BEGIN EXECUTE 'RESET ROLE'; END $$]],
      [[DO $$ BEGIN PERFORM set_config('row_security', 'off', true); END $$]],
    } do
      local _, result = run(([=[ tenants.each(function(tenant)
        if tenant.id == "globex" then op.execute([==[%s]==]) end end) ]=]):format(statement))
      refused(result, 3,
        "TenantIsolationError: the callback of tenants.each has changed the tenant context or the role")
    end
  end)

  it("refuses an empty list, unless the call allows it or the database was new when the run began", function()
    local nobody = { tenants_query = "SELECT id FROM tenants WHERE false" }
    local db, new, folder = run([[ tenants.each(function() end) ]], nobody)
    succeeded(new)
    assert.are.equal(0, helper.dmlua("downgrade aaaa", { cwd = folder }).code)
    refused(helper.dmlua("upgrade head", { cwd = folder }), 2, "tenants_query gives no tenant")
    helper.write(folder .. "/versions/bbbb.lua", helper.revision { revision = "bbbb", down = "aaaa",
      upgrade = [[ tenants.each(function() end, { allow_empty = true }) ]] })
    succeeded(helper.dmlua("upgrade head", { cwd = folder }))
    assert.are.equal("bbbb", helper.value(db, "SELECT version_num FROM alembic_version"))
  end)

  it("refuses a NULL among the ids, a list that cannot be read, and no list at all, naming the key", function()
    local _, null = run([[ tenants.each(function() end) ]], { tenants_query = "SELECT NULL::text" })
    refused(null, 2, "tenants_query gives NULL as a tenant's id")
    local _, missing = run([[ tenants.each(function() end) ]], { tenants_query = "SELECT id FROM nowhere" })
    refused(missing, 1, 'relation "nowhere" does not exist')
    says(missing, "tenants_query")
    local _, none = run([[ tenants.each(function() end) ]], { tenants_query = "" })
    refused(none, 2, "no tenants_query is set")
  end)

  it("refuses a role that passes the policies, or that the migrator may not take", function()
    local _, bypass = run([[ tenants.each(function() end) ]], { tenant_role = "bypass" })
    refused(bypass, 3, "TenantIsolationError: tenants.each would run as role bypass")
    local _, missing = run([[ tenants.each(function() end) ]], { tenant_role = "nobody_here" })
    refused(missing, 3, "which does not exist")
  end)

  it("without a role warns in development where the migrator passes the policies, and refuses elsewhere", function()
    local database = helper.database()
    for _, environment in ipairs { "production", "development" } do
      local folder = helper.project { database = database.postgres,
        settings = { environment = environment, tenants_query = settings.tenants_query, global_tables = "tenants" },
        versions = { { revision = "aaaa", upgrade = (schema:gsub("GRANT[^;]*;", "")) },
          { revision = "bbbb", down = "aaaa", upgrade = [[ tenants.each(function() end) ]] } } }
      local result = helper.dmlua("upgrade head", { cwd = folder })
      if environment == "production" then
        refused(result, 3, "passes row security")
      else
        succeeded(result)
        says(result, "callbacks run unconfined")
        assert.truthy(helper.value(database, "SELECT note FROM dmlua_ledger WHERE what = 'bbbb' AND outcome = 'done'")
          :find("unconfined", 1, true))
      end
    end
  end)

  it("reads the list from the database of tenants_service", function()
    local _, folder = two_services [[ tenants.each(function(tenant) log.info("id %s", tenant.id) end) ]]
    local result = helper.dmlua("upgrade head --service isp", { cwd = folder })
    succeeded(result)
    says(result, "id a")
  end)

  it("names the call's own list when that is what is wrong, and refuses an id that is an empty text", function()
    local _, null = run [[ tenants.each(function() end, { from = "SELECT NULL" }) ]]
    refused(null, 2, "tenants.each's list gives NULL as a tenant's id, in row 1")
    local _, empty = run [[ tenants.each(function() end, { from = "SELECT ''" }) ]]
    refused(empty, 2, "tenants.each's list gives an empty text as a tenant's id, in row 1")
  end)

  it("says nothing of the list where a statement of the script failed", function()
    local _, result = run [[ tenants.each(function() op.execute("SELECT 1/0") end) ]]
    refused(result, 1, "division by zero")
    assert.falsy(result.err:find("tenants_query", 1, true), result.err)
  end)

  it("refuses a loop inside a loop or an autocommit_block at the author's line", function()
    local _, inside = run [[ tenants.each(function() tenants.each(function() end) end) ]]
    refused(inside, 1, "FAILED: tenants.each inside tenants.each\n  at versions/bbbb.lua:")
    local _, cut = run [[ op.get_context():autocommit_block(function() tenants.each(function() end) end) ]]
    refused(cut, 1, "FAILED: tenants.each inside autocommit_block")
  end)

  it("shuts op.across_tenants: no GRANT to the tenant role may be the way out", function()
    local _, result = run [[ tenants.each(function() op.across_tenants({ "customers" }, function() end) end) ]]
    refused(result, 1, "op.across_tenants: cannot stand inside tenants.each")
  end)

  it("refuses a step during which the list has changed: the next run sees the new list", function()
    local management, folder, isp = two_services(
      'tenants.each(function() end)\nop.get_bind():execute("SELECT pg_sleep(1.5)")')
    local running = helper.start("upgrade head --service isp", { cwd = folder })
    activity.runs(isp, "SELECT pg_sleep%")
    helper.execute(management, "INSERT INTO tenants VALUES ('b')")
    local result = running.wait()
    assert.are.equal(4, result.code)
    says(result, "the tenant list has changed while tenants.each ran")
    assert.are.equal(0, helper.dmlua("upgrade head --service isp", { cwd = folder }).code)
  end)
end)
