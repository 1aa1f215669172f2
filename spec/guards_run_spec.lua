-- The guards through the program: in a step, as text, in services that are configured differently.

local cjson = require "cjson"
local helper = require "spec.helper"

local all = [[
  op.create_table("orders", sa.Column("id", sa.Integer, { primary_key = true }), sa.Column("email", sa.Text),
    sa.Column("created_at", sa.DateTime()))
  guards.setup_tenant_isolation()
  guards.enable_tenant_isolation_on("orders", { strategy = "rls" })
  guards.ensure_tenant_indexes("orders", {}, { unique = { "email" } })
  guards.validate_tenant_isolation("orders")
  guards.create_tenant_aware_table("lines", sa.Column("id", sa.Integer, { primary_key = true }),
    sa.Column("order_id", sa.Integer, sa.ForeignKey("orders.id", { ondelete = "CASCADE" })))
  guards.add_tenant_aware_column("lines", sa.Column("code", sa.Text, { unique = true }))
  guards.ensure_audit_trigger("orders")
  guards.rename_tenant_aware_table("lines", "items")
  op.backup_table("orders")
  op.restore_table("orders")
  guards.assert_tenant_column("items")
  guards.assert_tenant_indexes("items", {}, { unique = { "code" } })
  guards.assert_tenant_isolation("items")
]]

-- What there is, in one text: the same for two ways to the same tables.
local function picture(database)
  return helper.execute(database, [[
    SELECT c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relacl FROM pg_class c
      WHERE relnamespace = 'public'::regnamespace AND relname !~ 'dmlua|alembic' ORDER BY 1;
    SELECT polrelid::regclass, polname, pg_get_expr(polqual, polrelid) FROM pg_policy ORDER BY polname;
    SELECT indrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
      WHERE relnamespace = 'public'::regnamespace AND relname !~ 'dmlua|alembic' ORDER BY 2;
    SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0 AND contype <> 'c'
      AND connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ 'dmlua|alembic' ORDER BY 1, 2;
    SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2]])
end

describe("guards in a step", function()
  local function project(database, script, settings)
    local merged = { environment = "production", isolation = "rls", app_role = "app", tenant_type = "text" }
    for key, value in pairs(settings or {}) do merged[key] = value end
    return helper.project { database = database, settings = merged, versions = {
      { revision = "aaaa", upgrade = script } } }
  end

  it("do as text what they do in a run", function()
    local run, text = helper.database(), helper.database()
    local folder = project(run, all)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(0, result.code, result.err)
    result = helper.dmlua("upgrade head --sql", { cwd = folder })
    assert.equal(0, result.code, result.err)
    helper.execute(text.owner, result.out)
    assert.equal(picture(run), picture(text))
    assert.matches("orders_tenant_isolation", picture(text), 1, true)
  end)

  it("fail with the table, the names of the checks and the repair, and exit 3", function()
    local database = helper.database()
    helper.execute(database.owner, "CREATE TABLE orders (id int)")
    local folder = project(database, [[guards.assert_tenant_isolation("orders")]])
    local result = helper.dmlua("upgrade head --json", { cwd = folder })
    assert.equal(3, result.code)
    local raised = cjson.decode(result.out:match "[^\n]*\n$").error
    assert.same({ "refused", "ZD002" }, { raised.kind, raised.sqlstate })
    assert.equal("TenantIsolationError: orders has no column tenant_id", raised.message)
    assert.same({ table = "orders", checks = { "tenant_column_missing" },
      repair = { "ALTER TABLE orders ADD COLUMN tenant_id text NOT NULL" } }, cjson.decode(raised.detail))
    assert.equal('guards.ensure_tenant_column("orders") sets it right.', raised.hint)
  end)

  it("leave nothing behind when the step fails later", function()
    local database = helper.database()
    helper.execute(database, [[REVOKE ALL ON SCHEMA public FROM PUBLIC, app;
      GRANT ALL ON SCHEMA public TO owner WITH GRANT OPTION]])
    local state = [[SELECT (SELECT count(*) FROM pg_policy) || ' ' || (SELECT count(*) FROM pg_proc WHERE pronamespace =
      'public'::regnamespace) || ' ' || has_schema_privilege('app', 'public', 'USAGE')]]
    local before = helper.value(database, state)
    local result = helper.dmlua("upgrade head", { cwd = project(database, all .. "op.execute('SELECT 1/0')") })
    assert.equal(1, result.code)
    assert.matches("22012", result.err, 1, true)
    assert.equal(before, helper.value(database, state))
  end)

  it("never hide the statement that failed first, be it the author's or their own", function()
    local database = helper.database()
    for _, script in ipairs {
      [[op.execute("SELEC 1")
        guards.ensure_tenant_isolation("orders")]],
      [[pcall(op.execute, "SELEC 1")
        pcall(guards.ensure_tenant_isolation, "orders")
        pcall(guards.assert_tenant_indexes, "orders")]],
    } do
      local result = helper.dmlua("upgrade head", { cwd = project(database, script) })
      assert.equal(1, result.code)
      assert.matches('FAILED: syntax error at or near "SELEC" (SQLSTATE 42601)', result.err, 1, true)
      assert.falsy(result.err:find("25P02", 1, true))
    end
    helper.execute(database.owner, "CREATE TABLE orders (id int, tenant_id text NOT NULL); INSERT INTO orders VALUES"
      .. " (1, 'a'), (1, 'a')")
    local result = helper.dmlua("upgrade head", { cwd = project(database,
      [[guards.ensure_tenant_indexes("orders", {}, { unique = { "id" } })]]) })
    assert.equal(1, result.code)
    assert.matches("23505", result.err, 1, true) -- what the server says of the rows is not wrapped
    assert.matches("aaaa.lua:11", result.err, 1, true)
  end)

  it("follow each service's own column, setting, type and role", function()
    local one, other = helper.database(), helper.database()
    helper.execute(one, "CREATE ROLE spec_portal LOGIN")
    local script = [[guards.create_tenant_aware_table("orders", sa.Column("id", sa.Integer))
      guards.ensure_audit_trigger("orders")]]
    local folder = helper.project { settings = { environment = "production", isolation = "rls", script_location = "x",
      services = "management isp" }, ini = ([[
[management]
script_location = management
url = %s
app_role = spec_portal
tenant_column = Org
tenant_setting = portal.org
tenant_type = uuid
[isp]
script_location = isp
url = %s
app_role = app
tenant_type = bigint
]]):format(one.owner, other.owner), files = {
      ["management/versions/aaaa.lua"] = helper.revision { revision = "aaaa", upgrade = script },
      ["isp/versions/aaaa.lua"] = helper.revision { revision = "aaaa", upgrade = script },
    } }
    for _, service in ipairs { "management", "isp" } do
      local result = helper.dmlua("--service " .. service .. " upgrade head", { cwd = folder })
      assert.equal(0, result.code, result.err)
    end
    local tenant = "11111111-1111-1111-1111-111111111111"
    assert.equal("1\n0\n1\n", helper.execute(one.owner:gsub("owner@", "spec_portal@"), ([[
      SELECT set_config('portal.org', '%s', false) \gset
      INSERT INTO orders (id, "Org") VALUES (1, '%s'); SELECT count(*) FROM orders;
      SELECT set_config('portal.org', '', false) \gset
      SELECT set_config('app.current_tenant_id', '%s', false) \gset
      SELECT count(*) FROM orders; SELECT set_config('portal.org', '%s', false) \gset
      SELECT count(*) FROM orders_audit]]):format(tenant, tenant, tenant, tenant)))
    assert.equal("1\n", helper.execute(other.app, [[SET app.current_tenant_id = 7;
      INSERT INTO orders (id, tenant_id) VALUES (1, 7); SELECT count(*) FROM orders_audit]]))
    helper.execute(one, "DROP OWNED BY spec_portal; DROP ROLE spec_portal")
  end)

  it("name a strategy that there is none of, and the one of another isolation", function()
    local database = helper.database()
    for strategy, message in pairs { rows = "Unknown isolation strategy: rows", rsl = "did you mean 'rls'",
      schema = "isolation is schema" } do
      for _, call in ipairs { "setup_tenant_isolation({", [[enable_tenant_isolation_on("t", {]] } do
        local result = helper.dmlua("upgrade head", { cwd = project(database,
          ("guards.%s strategy = %q })"):format(call, strategy)) })
        assert.not_equal(0, result.code)
        assert.matches(message, result.err, 1, true)
      end
    end
  end)
end)
