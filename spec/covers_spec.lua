-- tenants.each { covers = … }: rows that no tenant of the loop reaches are counted and named; they stop nobody.

local cjson = require "cjson"
local helper = require "spec.helper"

local policy = [[
  ALTER TABLE %s ENABLE ROW LEVEL SECURITY;
  ALTER TABLE %s FORCE ROW LEVEL SECURITY;
  CREATE POLICY isolation ON %s
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::%s));
  GRANT SELECT, UPDATE ON %s TO app;
]]

local function isolated(name, type) return policy:format(name, name, name, type or "text", name) end

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants VALUES ('acme'), ('globex'), ('initech');
  CREATE TABLE "Old customers" (tenant_id text, n int);
  INSERT INTO "Old customers" SELECT t, g FROM unnest(ARRAY['acme', 'globex', 'ghost', 'unknown', NULL]) t,
    generate_series(1, CASE t WHEN 'ghost' THEN 3 WHEN 'globex' THEN 2 ELSE 1 END) g;
  CREATE TABLE clean (tenant_id text NOT NULL);
  INSERT INTO clean SELECT id FROM tenants;
  CREATE TABLE countries (code text);
  CREATE VIEW seen AS SELECT * FROM clean;
]] .. isolated '"Old customers"' .. isolated "clean"

local function run(upgrade, options)
  options = options or {}
  local database = helper.database()
  helper.execute(database, "GRANT CREATE ON SCHEMA public TO bypass, app")
  helper.execute(database[options.by or options.as or "owner"], options.schema or schema)
  helper.execute(database, options.rows or "")
  local folder = helper.project { database = database[options.as or "owner"], versions = {
      { revision = "aaaa", upgrade = upgrade } },
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id", global_tables = "*" } }
  return helper.dmlua(options.verb or "upgrade head", { cwd = folder }), database, folder
end

local function says(result, code, text)
  assert.are.equal(code, result.code, result.err)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local found = '"Old customers": 1 row without a tenant (NULL); '
  .. "4 rows of ids that the tenant list does not know: 'ghost' 3, 'unknown' 1"

describe("covers", function()
  for _, role in ipairs { "owner", "bypass", "postgres" } do
    for _, mode in ipairs { "atomic", "resumable" } do
      it("counts and names the rows that no tenant reaches: " .. mode .. ", as " .. role, function()
        local result, database, folder = run(([[tenants.each(function()
            op.execute('UPDATE "Old customers" SET n = 9')
          end, { covers = "Old customers", mode = "%s" })]]):format(mode), { as = role })
        says(result, 0, "WARN  [dmlua.script] tenants.each reaches not every row of " .. found)
        assert.are.equal("3", helper.value(database, 'SELECT count(*) FROM "Old customers" WHERE n = 9'))
        assert.are.equal("t", helper.value(database,
          "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'Old customers'"))
        local notes = {}
        for i, row in ipairs(cjson.decode(helper.dmlua("log --json", { cwd = folder }).out).log) do
          notes[i] = row.note ~= cjson.null and row.note or ""
        end
        assert.truthy(table.concat(notes, "\n"):find("covers: " .. found, 1, true), table.concat(notes, "\n"))
      end)
    end
  end

  it("takes several tables, and says of `from` whose rows it leaves out", function()
    local result, database = run [[tenants.each(function() end, { from = { "acme" },
      covers = { "clean", { "Old customers", schema = "public" } } })]]
    says(result, 0, "clean: 2 rows of tenants that the call's `from` leaves out: 'globex' 1, 'initech' 1\n")
    says(result, 0, "2 rows of tenants that the call's `from` leaves out: 'globex' 2; 1 row without a tenant (NULL); 4")
    assert.truthy(helper.value(database, "SELECT note FROM dmlua_ledger"):find('covers: clean: 2 rows', 1, true))
  end)

  it("warns of nothing where every row is reached, and says so in the ledger", function()
    local result, database = run [[tenants.each(function() end, { covers = "clean" })]]
    says(result, 0, "")
    assert.falsy(result.err:find("WARN", 1, true), result.err)
    assert.truthy(helper.value(database, "SELECT note FROM dmlua_ledger")
      :find("covers: clean: every row is of a tenant that is visited", 1, true))
  end)

  it("compares ids as values of the column's type", function()
    for type, list in pairs { uuid = { "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" },
      bigint = { "007", "8" }, ["varchar(5)"] = { "acme", "acme1" } } do
      local result = run([[tenants.each(function() end, { covers = "t" })]], { schema = ([[
        CREATE TABLE tenants (id text);
        INSERT INTO tenants VALUES ('%s');
        CREATE TABLE t (tenant_id %s);
        INSERT INTO t VALUES ('%s'), ('%s');
      ]]):format(list[1], type, list[1]:lower(), list[2]) .. isolated("t", (type:gsub("%(.*", ""))) })
      says(result, 0, ("t: 1 row of ids that the tenant list does not know: '%s' 1\n"):format(list[2]))
    end
  end)

  it("shows five ids of a kind, those with the most rows, and counts the others", function()
    says(run([[tenants.each(function() end, { covers = "clean" })]], {
      rows = "INSERT INTO clean SELECT 'g' || g FROM generate_series(1, 8) g, generate_series(1, g)" }), 0,
      "36 rows of ids that the tenant list does not know: 'g8' 8, 'g7' 7, 'g6' 6, 'g5' 5, 'g4' 4 and 3 more")
  end)

  it("refuses a table that is not there or has no tenant column, and whoever may not see all rows", function()
    says(run [[tenants.each(print, { covers = "gone" })]], 1, "tenants.each: covers: there is no table gone\n  at")
    says(run [[tenants.each(print, { covers = { "clean", "countries" } })]], 1,
      "tenants.each: covers: table countries has no column tenant_id")
    says(run [[tenants.each(print, { covers = "seen" })]], 1, "tenants.each: covers: seen is no table")
    says(run [[tenants.each(print, { covers = 7 })]], 1, "covers must be a list of tables")
    says(run [[tenants.each(print, { covers = { tabel = "x" } })]], 1, "covers must be a list of tables")
    says(run([[tenants.each(print, { covers = "clean" })]], { verb = "upgrade head --sql" }), 2,
      "tenants.each { covers = … } needs the database")
  end)

  it("asks a migrator that owns nothing for the GRANT", function()
    local result = run([[tenants.each(print, { covers = "clean" })]], {
      as = "app", by = "owner", rows = "GRANT SELECT ON tenants TO app" })
    says(result, 3, "TenantIsolationError: role app may not see all rows of clean")
    says(result, 3, "GRANT owner TO app")
  end)
end)
