-- A script that sets the tenant context by itself: refused before anything is sent, at its line.

local helper = require "spec.helper"
local step = require "spec.step"

local function error_of(script)
  local bind = step.recorder()
  bind.settings.app_role, bind.settings.tenant_role = "app", "Tenant"
  local failure = step.error_of(bind, script)
  return failure, bind.sent
end

-- As a Lua long string.
local function call(text) return ("op.execute([==[%s]==])"):format(text) end

describe("setting the tenant context by hand", function()
  it("is refused however the setting is written, and names the calls that do it", function()
    for _, text in ipairs {
      "SET app.current_tenant_id = 'acme'", "set local App.Current_Tenant_Id TO acme",
      'SET SESSION "app.current_tenant_id" = $$acme$$', 'SET /* x */ app . "current_tenant_id" TO DEFAULT',
      "SELECT set_config('app.current_tenant_id', 'acme', true)",
      "SELECT 1, Pg_Catalog.\"set_config\"(E'APP.current_tenant_id', id, false) FROM tenants",
      "WITH c AS (SELECT set_config($a$app.current_tenant_id$a$, f(1, 2), true)) SELECT 1 FROM c",
      "SELECT set_config(new_value => 'x', setting_name => 'app.current_tenant_id'::text, is_local => true)",
      "ALTER ROLE app SET app.current_tenant_id = 'acme'", "ALTER DATABASE d SET \"app.current_tenant_id\" TO acme",
      "ALTER ROLE ALL IN DATABASE d SET App.current_tenant_id = 'x'",
      "SELECT count(*) FROM t WHERE set_config(CAST('app.current_tenant_id' AS text), t.id, true) <> ''",
    } do
      local failure, sent = error_of(call(text))
      assert(failure, text)
      assert.same({ "refused", "TenantIsolationError: op.execute sets app.current_tenant_id by hand", 1 },
        { failure.kind, failure.message, failure.line })
      assert.truthy(failure.hint:find("tenants.each", 1, true) and failure.hint:find("tenants.with", 1, true))
      assert.same({}, sent)
    end
  end)

  it("is refused with a parameter for the setting's name, and through op.get_bind()", function()
    assert.truthy(error_of [[op.execute("SELECT set_config(:n, :v, true)",
      { n = "app.current_tenant_id", v = "acme" })]])
    assert.equal("TenantIsolationError: bind:execute sets app.current_tenant_id by hand",
      error_of([[op.get_bind():scalar("SELECT set_config('app.current_tenant_id', $1, true)", { "acme" })]]).message)
  end)

  it("sends nothing of a text, and names the line of the statement", function()
    local failure, sent = error_of 'op.execute("CREATE TABLE t (a int); SET app.current_tenant_id = 1; SELECT 1")'
    assert.same({ "refused", {} }, { failure.kind, sent })
  end)

  it("is refused for the tenants' role and for row_security too", function()
    for text, what in pairs {
      ['SET ROLE "Tenant"'] = "takes the tenants' role Tenant", ["SET LOCAL ROLE 'Tenant'"] = "takes the tenants' role",
      ["SET role TO 'Tenant'"] = "takes the tenants' role", ['SET SESSION AUTHORIZATION "Tenant"'] = "takes the tenant",
      ["SELECT set_config('role', 'Tenant', true)"] = "takes the tenants' role",
      ["SET row_security = on"] = "turns row_security on",
      ["SET LOCAL row_security TO DEFAULT"] = "turns row_security on",
      ["SELECT set_config('row_security', 'true', false)"] = "turns row_security on",
    } do
      local failure = error_of(call(text))
      assert.truthy(failure and failure.message:find(what, 1, true), text)
    end
  end)

  it("is not what other settings, other roles, strings and comments do", function()
    local allowed = {
      "SET app.other = 'app.current_tenant_id'", "SET search_path TO app, current_tenant_id", "SET ROLE owner",
      "SET ROLE NONE", "RESET ROLE", "RESET app.current_tenant_id", "SET row_security = off",
      "SET LOCAL row_security TO 'false'",
      "SELECT set_config('app.other', 'app.current_tenant_id', true)", "SELECT 1 -- set_config('app.current_tenant_id'",
      "SELECT 'set_config(''app.current_tenant_id'', ''x'', true)'", "UPDATE t SET app = 'app.current_tenant_id'",
      "SELECT current_setting('app.current_tenant_id'), set_config('work_mem', '1MB', true)",
      "ALTER ROLE app SET app.current_tenant_id = ''", "ALTER DATABASE d SET app.current_tenant_id TO DEFAULT",
      "ALTER ROLE app RESET app.current_tenant_id", "ALTER ROLE app SET row_security = on",
      "ALTER TABLE t ALTER COLUMN a SET DEFAULT 'app.current_tenant_id'", "ALTER USER app SET search_path = a, b",
      "SET TIME ZONE LOCAL", "SET CONSTRAINTS ALL DEFERRED", "SET NAMES 'UTF8'", "SELECT set_config(a, b, c) FROM t",
    }
    for _, text in ipairs(allowed) do assert.is_nil((error_of(call(text)))) end
  end)
end)

describe("a step that sets the tenant context where only the server sees it", function()
  it("is refused before it commits", function()
    local database = helper.database()
    local folder = helper.project { database = database, settings = { app_role = "app" }, versions = { {
      revision = "aaaa", upgrade = [[ op.execute("CREATE TABLE t (a int)")
        op.execute("DO $$ BEGIN PERFORM set_config('app.current_tenant_id', 'acme', false); END $$")]] } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(1, result.code)
    assert.truthy(result.err:find("app.current_tenant_id is set", 1, true), result.err)
    assert.equal("", helper.value(database, "SELECT coalesce(to_regclass('t')::text, '')"))
  end)
end)
