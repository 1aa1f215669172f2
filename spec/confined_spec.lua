-- What holds a loop's callback: a role that the policies hold, the context, and the server's look back at both, whoever
-- the migrator is.

local cjson = require "cjson"
local helper = require "spec.helper"

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants VALUES ('acme'), ('globex');
  CREATE TABLE customers (tenant_id text NOT NULL, n int NOT NULL DEFAULT 0);
  INSERT INTO customers SELECT id FROM tenants;
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, UPDATE ON customers TO app;
]]

local update = 'op.execute("UPDATE customers SET n = n + 1")'

-- The database is made by the role that migrates it. `settings` with a false take a key away.
local function project(role, body, settings, files)
  local database = helper.database()
  helper.execute(database, "GRANT CREATE ON SCHEMA public TO bypass")
  helper.execute(database[role], schema)
  local options = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id", global_tables = "*",
    environment = "production" }
  for key, value in pairs(settings or {}) do options[key] = value or nil end
  return helper.project { database = database[role], settings = options, files = files,
    versions = { { revision = "aaaa", upgrade = body or "" } } }, database
end

local function loop(body, mode)
  return ("tenants.each(function(tenant) %s end, { mode = '%s' })"):format(body, mode)
end

local function counts(database)
  return helper.value(database, "SELECT string_agg(tenant_id || n, ' ' ORDER BY tenant_id) FROM customers")
end

local fix = { ["fixes/mend.lua"] = 'description = "x"\nfunction run(tenant) ' .. update .. " end\n" }
local sneaks = {
  context = [[DO $$ BEGIN PERFORM set_config('app.current_tenant_id', 'acme', true); END $$]],
  role = [[DO $$ BEGIN EXECUTE 'RESET ROLE'; END $$]],
  ["row security"] = [[DO $$ BEGIN PERFORM set_config('row_security', 'off', true); END $$]],
}

-- Writes another upgrade into the project's one file.
local function rewrite(folder, body)
  helper.write(folder .. "/versions/aaaa.lua", helper.revision { revision = "aaaa", upgrade = body })
end

for _, role in ipairs { "owner", "bypass", "postgres" } do
  describe("with the migrator " .. role, function()
    for _, mode in ipairs { "atomic", "resumable" } do
      it("a callback is held, and what a DO block changes behind its back is seen: " .. mode, function()
        local folder, database = project(role)
        for name, sneak in pairs(sneaks) do
          rewrite(folder, loop(("%s if tenant.id == 'globex' then op.execute([[%s]]) end"):format(update, sneak), mode))
          local result = helper.dmlua("upgrade head --accept-changed", { cwd = folder })
          assert.are.equal(mode == "atomic" and 3 or 6, result.code, name)
          assert.truthy(result.err:find("has changed the tenant context or the role", 1, true), result.err)
          assert.are.equal(mode == "atomic" and "acme0 globex0" or "acme1 globex0", counts(database))
        end
        rewrite(folder, loop(update, mode))
        local result = helper.dmlua("upgrade head --accept-changed", { cwd = folder })
        assert.are.equal("", result.code == 0 and "" or result.err)
        assert.are.equal("acme1 globex1", counts(database))
        assert.falsy(result.err:find("unconfined", 1, true))
      end)
    end

    it("a fix is held by the tenants' role", function()
      local folder, database = project(role, "", nil, fix)
      assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
      assert.are.equal(0, helper.dmlua("run mend --all-tenants --yes", { cwd = folder }).code)
      assert.are.equal("acme1 globex1", counts(database))
    end)
  end)
end

describe("without a tenants' role", function()
  it("a plain owner is held by the policies that are FORCE'd", function()
    local folder, database = project("owner", loop(update, "atomic") .. "\n" .. loop(update, "resumable"),
      { app_role = false })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("acme2 globex2", counts(database))
  end)

  for _, role in ipairs { "bypass", "postgres" } do
    it(role .. " is refused but in development, which warns and notes it", function()
      local folder, database = project(role, "", { app_role = false }, fix)
      local refusal = "as role " .. role .. ", which passes row security"
      for _, mode in ipairs { "atomic", "resumable" } do
        rewrite(folder, loop(update, mode))
        for _, environment in ipairs { "production", "staging" } do
          local result = helper.dmlua("upgrade head --env " .. environment, { cwd = folder })
          assert.are.equal(3, result.code)
          assert.truthy(result.err:find("TenantIsolationError: tenants.each would run " .. refusal, 1, true),
            result.err)
          assert.are.equal("acme0 globex0", counts(database))
        end
        local result = helper.dmlua("upgrade head --env development", { cwd = folder })
        assert.are.equal("", result.code == 0 and "" or result.err)
        assert.truthy(result.err:find("WARN  %[dmlua.tenants%] role " .. role .. " passes row"), result.err)
        assert.truthy(helper.value(database, "SELECT string_agg(note, ' ') FROM dmlua_ledger WHERE outcome = 'done'"
          .. " AND kind = 'upgrade'"):find("unconfined", 1, true))
        helper.execute(database, "UPDATE customers SET n = 0; DELETE FROM dmlua_ledger; DELETE FROM alembic_version")
      end
      local result = helper.dmlua("run mend --all-tenants --yes", { cwd = folder })
      assert.are.equal(3, result.code)
      assert.truthy(result.err:find("TenantIsolationError: the fix would run " .. refusal, 1, true), result.err)
      assert.are.equal(0, helper.dmlua("run mend --all-tenants --env development", { cwd = folder }).code)
      local log = cjson.decode(helper.dmlua("log mend --json", { cwd = folder }).out).log
      assert.are.equal(2, #log)
      for _, row in ipairs(log) do assert.truthy(row.note:find("unconfined", 1, true)) end
    end)
  end

  it("an owner is judged again when the step has made a table at which it is not held", function()
    local folder, database = project("owner", 'tenants.each(function() end) op.execute([[ALTER TABLE customers NO FORCE'
      .. " ROW LEVEL SECURITY]]) " .. loop(update, "atomic"), { app_role = false })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(3, result.code, result.err)
    assert.truthy(result.err:find("would run as role owner, which passes row security", 1, true), result.err)
    assert.are.equal("acme0 globex0", counts(database))
  end)
end)

describe("a loop inside op.across_tenants", function()
  it("is refused: the door has taken away what would hold it", function()
    for _, call in ipairs { "tenants.each(print)", 'tenants.each(print, { mode = "resumable" })',
      'tenants.with("acme", print)' } do
      local folder = project("owner", ('op.across_tenants({ "customers" }, function() %s end)'):format(call))
      local result = helper.dmlua("upgrade head", { cwd = folder })
      assert.are.equal(1, result.code)
      assert.truthy(result.err:find("cannot stand inside op.across_tenants", 1, true), result.err)
    end
  end)
end)
