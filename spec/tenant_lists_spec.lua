-- Which tenants a loop visits: tenants_query, `from`, tenants.ids; ids of whatever kind are only ever values.

local helper = require "spec.helper"

local schema = [[
  op.execute([=[
    CREATE TABLE tenants (id text, name text);
    INSERT INTO tenants VALUES ('acme', 'Acme'), ('globex', 'Globex'), ('initech', 'Initech'), ('acme', 'Acme again');
    CREATE TABLE customers (tenant_id text NOT NULL, visits int NOT NULL DEFAULT 0);
    INSERT INTO customers SELECT DISTINCT id FROM tenants;
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
    ALTER TABLE customers FORCE ROW LEVEL SECURITY;
    CREATE POLICY customers_tenant_isolation ON customers
      USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
    GRANT SELECT, UPDATE ON customers TO app;
  ]=])
]]

local function project(upgrade, more, before)
  local database = helper.database()
  local settings = { app_role = "app", tenants_query = "SELECT id, name FROM tenants ORDER BY id DESC" }
  for key, value in pairs(more or {}) do settings[key] = value or nil end
  local folder = helper.project { database = database, settings = settings, versions = {
    { revision = "aaaa", upgrade = before or schema }, { revision = "bbbb", down = "aaaa", upgrade = upgrade } } }
  return folder, database
end

local function run(...)
  local folder, database = project(...)
  return helper.dmlua("upgrade head", { cwd = folder }), database, folder
end

-- What the script has logged.
local function logged(result)
  local lines = {}
  for line in result.err:gmatch("%[dmlua%.script%] ([^\n]*)") do lines[#lines + 1] = line end
  assert.are.equal("", result.code == 0 and "" or result.err)
  return table.concat(lines, " ")
end

local function failed(result, code, text)
  assert.are.equal(code, result.code)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local say = 'function(tenant) log.info("%s=%s", tenant.id, tenant.name) end'

describe("tenants.ids", function()
  it("lists the tenants once, in the list's order, and a loop visits them in the same one", function()
    assert.are.equal("initech,globex,acme initech=Initech globex=Globex acme=Acme", logged((run([[
      log.info(table.concat(tenants.ids(), ","))
      tenants.each(]] .. say .. ")"))))
  end)

  it("takes the list of a call, and is text whatever the type", function()
    assert.are.equal("string 7,8", logged((run([[
      local ids = tenants.ids { from = "SELECT n FROM unnest(ARRAY[7, 8, 7]) WITH ORDINALITY AS u(n, i) ORDER BY i" }
      log.info("%s %s", type(ids[1]), table.concat(ids, ",")) ]], { tenants_query = "" }))))
  end)

  it("is empty only where that is said or the database was new", function()
    local none = { tenants_query = "SELECT id FROM tenants WHERE false" }
    local result, _, folder = run('log.info("%d", #tenants.ids())', none)
    assert.are.equal("0", logged(result))
    helper.dmlua("downgrade aaaa", { cwd = folder })
    failed(helper.dmlua("upgrade head", { cwd = folder }), 2, "tenants_query gives no tenant")
    failed(run('tenants.ids()', { tenants_query = "SELECT NULL" }), 2, "tenants_query gives NULL as a tenant's id")
  end)

  it("is refused where there is one tenant alone, and with --sql", function()
    failed(run("tenants.each(function() tenants.ids() end)"), 1, "tenants.ids: cannot stand inside tenants.each")
    failed(helper.dmlua("upgrade aaaa:bbbb --sql", { cwd = (project "tenants.ids()") }), 2,
      "tenants.ids needs the database")
  end)

  it("gives a rerun what it gave the run that finished its part", function()
    local upgrade = [[
      for _, id in ipairs(tenants.ids()) do
        tenants.with(id, function() op.execute("UPDATE customers SET visits = visits + 1") end)
      end
      op.get_context():autocommit_block(function() log.info("%d", #tenants.ids()) end)
      op.execute("SELECT 1 / (SELECT count(*)::int FROM go)")]]
    local folder, database = project(upgrade, nil, schema .. 'op.execute("CREATE TABLE go (a int)")')
    failed(helper.dmlua("upgrade head", { cwd = folder }), 1, "division by zero")
    helper.execute(database, "INSERT INTO tenants VALUES ('hooli'); INSERT INTO go VALUES (1)")
    assert.are.equal("3", logged(helper.dmlua("upgrade head", { cwd = folder })))
    assert.are.equal("3", helper.value(database, "SELECT sum(visits) FROM customers"))
  end)
end)

describe("tenants.each with `from`", function()
  it("visits a list of ids once each, in its order, with their rows of tenants_query", function()
    assert.are.equal("acme=Acme initech=Initech", logged((run("tenants.each(" .. say
      .. ', { from = { "acme", "initech", "acme" } })'))))
  end)

  it("gives the callback the rows of a query of its own", function()
    assert.are.equal("globex=GLOBEX", logged((run("tenants.each(" .. say
      .. [[, { from = "SELECT id, upper(name) AS name FROM tenants WHERE id = 'globex'" })]]))))
  end)

  for _, mode in ipairs { "atomic", "resumable" } do
    it(mode .. ": refuses ids that the tenant list does not know before a tenant is visited", function()
      local result, database, folder = run(('tenants.each(%s, { mode = "%s", from = { "acme", "globix", "x" } })')
        :format("function() op.execute('UPDATE customers SET visits = 1') end", mode))
      failed(result, 1, "FAILED: tenants.each: the tenant list does not know 'globix' (did you mean 'globex'?), 'x'\n"
        .. "  at versions/bbbb.lua:")
      assert.are.equal("0", helper.value(database, "SELECT sum(visits) FROM customers"))
      assert.are.equal("0", helper.value(database, "SELECT count(*) FROM dmlua_progress"))
      assert.are.equal("aaaa", helper.value(database, "SELECT version_num FROM alembic_version"))
      assert.are.equal(0, helper.dmlua("current", { cwd = folder }).code)
    end)
  end

  it("refuses unknown ids of a query, of tenants.with and of tenants.ids, and counts what it does not show", function()
    failed(run([[tenants.each(print, { from = "SELECT 'u' || g FROM generate_series(1, 9) g ORDER BY 1" })]]), 1,
      "tenants.each: the tenant list does not know 'u1', 'u2', 'u3', 'u4', 'u5' and 4 more")
    failed(run [[tenants.with("Acme", print)]], 1,
      "tenants.with: the tenant list does not know 'Acme' (did you mean 'acme'?)")
    failed(run [[tenants.each(print) tenants.with("nobody", print)]], 1, "the tenant list does not know 'nobody'")
    failed(run [[tenants.ids { from = { "nobody" } }]], 1, "tenants.ids: the tenant list does not know 'nobody'")
  end)

  it("is refused where it is no list, rather than taken for all tenants", function()
    for _, from in ipairs { "1", "false", "true", "null" } do
      failed(run(("tenants.each(print, { from = %s })"):format(from)), 1,
        "from must be a query whose first column is the id, or a list of ids")
    end
  end)

  it("is the list where no tenants_query is set, and its tenants have an id and nothing else", function()
    local none = { tenants_query = "" }
    assert.are.equal("b a", logged((run('tenants.each(function(t) log.info(t.id) end, { from = { "b", "a" } })',
      none))))
    failed(run([[tenants.with("a", function(t) return t.name end)]], none), 1, "tenant has no 'name'")
    local folder = project("tenants.each(print, { from = {} })", none)
    assert.are.equal(0, helper.dmlua("upgrade aaaa", { cwd = folder }).code)
    failed(helper.dmlua("upgrade head", { cwd = folder }), 2, "tenants.each's list gives no tenant")
  end)

  it("names itself when its query cannot be read", function()
    failed(run [[tenants.each(print, { from = "SELECT id FROM nowhere" })]], 1,
      "the tenant list is the call's own, `from`")
  end)

  it("is a query, and nothing that would end or change the step's transaction", function()
    for _, from in ipairs { "acme", "COMMIT", "DELETE FROM tenants RETURNING id", "" } do
      failed(run(("tenants.each(print, { from = %q })"):format(from)), 2, "tenants.each's list is no query")
    end
    failed(run("tenants.each(print)", { tenants_query = "ROLLBACK" }), 2, "tenants_query is no query")
    assert.are.equal("acme", logged((run("tenants.each(function(t) log.info(t.id) end,"
      .. " { from = \"-- one\\n (VALUES ('acme'))\" })"))))
  end)

  it("is written with --sql as what it does: known ids in order, unknown ones refused", function()
    local loop = "tenants.each(function(t) op.execute('UPDATE customers SET visits = visits + 1 WHERE tenant_id = :t',"
      .. " { t = t.id }) end, { from = { 'globex', 'acme', %s } })"
    for id, unknown in pairs { ["'acme'"] = false, ["'it''s'"] = "the tenant list does not know 'it''s'" } do
      local folder, database = project(loop:format(id:gsub("''", "\\'")))
      assert.are.equal(0, helper.dmlua("upgrade aaaa", { cwd = folder }).code)
      local text = helper.dmlua("upgrade aaaa:bbbb --sql", { cwd = folder }).out
      local result = helper.run(helper.programs .. "/psql", { "-X", "-q", "-v", "ON_ERROR_STOP=1", database.owner },
        { input = text })
      if unknown then
        assert.truthy(result.err:find(unknown, 1, true), result.err)
      else
        assert.are.equal("", result.err)
        assert.are.equal("2", helper.value(database, "SELECT sum(visits) FROM customers"))
      end
    end
  end)

  it("is compared with the list in another service's database, as values of bigint and uuid", function()
    for type, id in pairs { bigint = 7, uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" } do
      local management, isp = helper.database(), helper.database()
      helper.execute(management.owner,
        ("CREATE TABLE tenants (id %s, name text); INSERT INTO tenants VALUES ('%s', 'X')"):format(type, id))
      helper.execute(isp.owner, ("CREATE TABLE t (tenant_id %s); INSERT INTO t VALUES ('%s'), (NULL)"):format(type, id))
      local folder = helper.project { database = isp,
        settings = { services = "management isp", url = "", app_role = "app", global_tables = "*",
          tenants_query = "SELECT id, name FROM tenants" },
        ini = ("[management]\nscript_location = m\nurl = %s\n[isp]\nscript_location = .\n"
          .. "tenants_service = management\nurl = %s\n"):format(management.url, isp.url),
        versions = { { revision = "aaaa", upgrade = ([[
            local id = %s
            tenants.each(%s, { from = { id }, covers = "t" })
            tenants.with(id, %s)
            log.info(table.concat(tenants.ids(), ","))
            tenants.each(%s, { from = "SELECT id, name FROM tenants", mode = "resumable" }) ]])
            :format(math.type(id) and id or ("%q"):format(id), say, say, say) },
          { revision = "bbbb", down = "aaaa", upgrade = "tenants.with(8, print)" } } }
      local result = helper.dmlua("upgrade aaaa --service isp", { cwd = folder })
      local each = id .. "=X"
      assert.are.equal(table.concat({ each, each, id, each }, " "),
        (logged(result):gsub("tenants.each reaches not every row of t: 1 row without a tenant %(NULL%) ", "")))
      failed(helper.dmlua("upgrade head --service isp", { cwd = folder }), 1, "the tenant list does not know '8'")
    end
  end)

  it("lets a script make a tenant behind loops over tenants that it names, and visit it", function()
    assert.are.equal("acme=Acme globex=Globex hooli=H", logged((run([[
      tenants.with("acme", ]] .. say .. [[)
      tenants.each(]] .. say .. [[, { from = { "globex" } })
      op.execute("INSERT INTO tenants VALUES ('hooli', 'H')")
      tenants.with("hooli", ]] .. say .. ")"))))
  end)

  it("sees a tenant that appears behind another loop's list", function()
    failed(run [[
      tenants.with("acme", function() end)
      tenants.each(function() end)
      op.execute("INSERT INTO tenants VALUES ('hooli')")]], 4, "the tenant list has changed while tenants.each ran")
  end)

  it("is no other list because the rows come in another order", function()
    local result = run([[
      tenants.each(function() end)
      op.execute("UPDATE tenants SET name = name WHERE id = 'acme'")
      tenants.each(function() end)]], { tenants_query = "SELECT id FROM tenants" })
    assert.are.equal("", logged(result))
  end)
end)
