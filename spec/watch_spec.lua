local helper = require "spec.helper"

describe("the watch over tables", function()
  local database = helper.database()
  local isolation = [[
    guards.ensure_tenant_column("orders")
    guards.ensure_tenant_isolation("orders")]]

  before_each(function()
    helper.execute(database, "DROP OWNED BY owner; DROP SCHEMA IF EXISTS s CASCADE")
    helper.execute(database, "GRANT ALL ON SCHEMA public TO owner")
  end)

  local function project(upgrade, settings, later)
    local all = { environment = "production", isolation = "rls", app_role = "app" }
    for key, value in pairs(settings or {}) do all[key] = value end
    return helper.project { database = database, settings = all, versions = {
      { revision = "aaaa", upgrade = upgrade }, later and { revision = "bbbb", down = "aaaa", upgrade = later } } }
  end

  local function upgrade(...)
    return helper.dmlua("upgrade head", { cwd = project(...) })
  end

  local function refused(result, table_name)
    assert.equal(3, result.code, result.err)
    assert.matches("TenantIsolationError: the step leaves tables neither tenant%-isolated nor declared global",
      result.err)
    assert.matches(table_name, result.err, 1, true)
  end

  local function kept(name)
    return helper.value(database, ("SELECT to_regclass('%s')"):format(name)) ~= nil
  end

  it("refuses a table that is neither isolated nor global, wherever the DDL came from, and keeps nothing", function()
    helper.execute(database.owner, [[CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      BEGIN CREATE TABLE orders (id int); EXCEPTION WHEN others THEN NULL; END; END $$]])
    for _, script in ipairs {
      [[op.create_table("orders", sa.Column("id", sa.Integer))]],
      [[op.execute("CREATE TABLE orders (id int)")]],
      [[op.execute("/* x */ create table orders as select 1 as id")]],
      [[op.execute("SELECT 1 AS id INTO orders")]],
      [[op.execute("SELECT make()")]],
      [[op.get_bind():execute("WITH x AS (SELECT make()) SELECT * FROM x")]],
      [[op.execute("DO $$ BEGIN PERFORM make(); END $$")]],
      [[op.execute("EXPLAIN ANALYZE CREATE TABLE orders AS SELECT 1")]],
    } do
      refused(upgrade(script), "public.orders (it has no column tenant_id)")
      assert.is_false(kept "orders", script)
    end
  end)

  it("lets an isolated table, a temporary one and a declared one pass", function()
    local result = upgrade([[
      op.create_table("orders", sa.Column("id", sa.Integer))]] .. isolation .. [[

      op.create_table("countries", sa.Column("id", sa.Integer), { tenant = "global" })
      op.execute("CREATE TABLE currencies (id int)")
      guards.declare_global("currencies")
      op.execute("CREATE TABLE ref_x (id int); CREATE SCHEMA s; CREATE TABLE s.a (id int)")
      op.execute("CREATE TEMP TABLE t (id int)")]], { global_tables = "ref_*, s.*" })
    assert.equal(0, result.code, result.err)
    assert.equal("public.countries, public.currencies", helper.value(database,
      "SELECT string_agg(name, ', ' ORDER BY name) FROM dmlua_tables WHERE declared = 'global'"))
  end)

  it("takes no pattern for more than it says", function()
    refused(upgrade([[op.execute("CREATE TABLE refx (id int); CREATE TABLE xref_a (id int)")]],
      { global_tables = "ref_*" }), "public.refx (it has no column tenant_id), public.xref_a")
  end)

  it("names what is missing", function()
    local table_with = [[op.execute("CREATE TABLE orders (id int, tenant_id uuid%s)") ]]
    for sql, fault in pairs {
      [ [[ALTER TABLE orders ADD x int]] ] = "tenant_id may be NULL",
      [ [[ALTER TABLE orders ALTER tenant_id SET NOT NULL]] ] = "row security is off",
      [ [[ALTER TABLE orders ALTER tenant_id SET NOT NULL, ENABLE ROW LEVEL SECURITY]] ] =
        "row security does not hold for its owner",
      [ [[ALTER TABLE orders ALTER tenant_id SET NOT NULL, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY]] ] =
        "it has no policy",
    } do
      refused(upgrade(table_with:format("") .. ("op.execute(%q)"):format(sql)), fault)
    end
    refused(upgrade(table_with:format(" NOT NULL") .. [[guards.ensure_tenant_isolation("orders")
      op.execute("CREATE POLICY wide ON orders USING (true)")]]), "its policy wide is not the tenant's")
    refused(upgrade(table_with:format(" NOT NULL") .. [[
      op.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
      op.execute("CREATE POLICY p ON orders USING (tenant_id = (SELECT nullif(current_setting("
        .. "'app.current_tenant_id', true), '')::uuid) OR true)")]]), "its policy p is not the tenant's")
  end)

  it("accepts tenants of every type, other columns and settings, quoted names and partitions", function()
    local result = upgrade([[
      for i, kind in ipairs { "uuid", "bigint", "varchar(9)", "text", "char(3)", "mine", "integer" } do
        if kind == "mine" then op.execute("CREATE DOMAIN mine AS varchar(20)") end
        local name = "The " .. kind
        op.execute('CREATE TABLE "' .. name .. '" (id int, "Org x" ' .. kind .. ' NOT NULL)')
        guards.ensure_tenant_isolation(name)
      end
      op.execute('CREATE TABLE parted (id int, "Org x" text NOT NULL) PARTITION BY LIST (id)')
      op.execute('CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)')
      guards.ensure_tenant_isolation("parted")]], { tenant_column = "Org x", tenant_setting = "my.org" })
    assert.equal(0, result.code, result.err)
  end)

  it("sees a partition that is added without its own row security, but not one of a global table", function()
    local parted = [[
      op.execute("CREATE TABLE orders (id int, tenant_id text NOT NULL) PARTITION BY LIST (id)")
      guards.ensure_tenant_isolation("orders")
      op.execute("CREATE TABLE days (id int) PARTITION BY LIST (id)")
      guards.declare_global("days")]]
    refused(upgrade(parted, nil, [[op.execute("CREATE TABLE day1 PARTITION OF days FOR VALUES IN (1)")
      op.execute("CREATE TABLE part PARTITION OF orders FOR VALUES IN (1)")]]), "detail: public.part (")
  end)

  it("sees isolation that is taken away, a GRANT on a table that has none, and not what is not touched", function()
    helper.execute(database.owner, "CREATE TABLE legacy (id int)")
    local make = [[op.create_table("orders", sa.Column("id", sa.Integer))]] .. isolation
    refused(upgrade(make, nil, [[op.execute("ALTER TABLE orders NO FORCE ROW LEVEL SECURITY")]]), "public.orders")
    refused(upgrade(make, nil, [[op.execute("DROP POLICY orders_tenant_isolation ON orders")]]), "public.orders")
    refused(upgrade(make, nil, [[op.execute("GRANT SELECT ON legacy TO app")]]), "public.legacy")
    assert.equal("aaaa", helper.value(database, "SELECT version_num FROM alembic_version"))
  end)

  it("counts a column alone where row security is not to be set up", function()
    local sql = [[op.execute("CREATE TABLE orders (tenant_id text%s)")]]
    assert.equal(0, upgrade(sql:format " NOT NULL", { skip_rls_setup = "true" }).code)
    helper.execute(database, "DROP TABLE orders, alembic_version")
    refused(upgrade(sql:format "", { skip_rls_setup = "true" }), "tenant_id may be NULL")
  end)

  it("warns in development, and where unsafe migrations are allowed", function()
    for _, settings in ipairs { { environment = "development" }, { allow_unsafe_migrations = "true" } } do
      local result = upgrade([[op.execute("CREATE TABLE orders (id int)")]], settings)
      assert.equal(0, result.code, result.err)
      assert.matches("WARN  %[dmlua%.tenants%] aaaa leaves tables neither tenant%-isolated nor declared global:"
        .. " public%.orders %(it has no column tenant_id%)", result.err)
      helper.execute(database, "DROP TABLE orders, alembic_version")
    end
  end)

  it("warns where the configuration does not ask for isolation: row security is only the default then", function()
    local folder = helper.project { database = database, settings = { environment = "production", app_role = "app" },
      versions = { { revision = "aaaa", upgrade = [[op.execute("CREATE TABLE orders (id int)")]] } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(0, result.code, result.err)
    assert.matches("WARN  [dmlua.tenants] aaaa leaves tables neither tenant-isolated nor declared global", result.err,
      1, true)
  end)

  it("is not there for a service without isolation", function()
    local result = upgrade([[op.execute("CREATE TABLE orders (id int)")]], { isolation = "none" })
    assert.equal(0, result.code, result.err)
  end)

  it("looks at each part of a step, before it is committed", function()
    refused(upgrade [[op.execute("CREATE TABLE orders (id int)")
      context.autocommit_block(function() op.execute("VACUUM alembic_version") end)]], "public.orders")
    assert.is_false(kept "orders")
  end)

  it("is not asked where no statement can have been DDL", function()
    local statements = {
      [ [[op.execute("UPDATE orders SET id = 1 WHERE id = 2")]] ] = false,
      [ [[op.execute("SELECT id FROM orders")]] ] = false,
      [ [[op.bulk_insert(sa.table("orders", sa.column("id")), { { id = 1 } })]] ] = false,
      [ [[op.execute("SELECT count(*) FROM orders")]] ] = true,
      [ [[op.execute("COMMENT ON TABLE orders IS 'x'")]] ] = true,
    }
    for script, asked in pairs(statements) do
      helper.execute(database, "DROP OWNED BY owner; GRANT ALL ON SCHEMA public TO owner")
      helper.execute(database.owner, "CREATE TABLE orders (id int)")
      local result = upgrade(script, { ["sqlalchemy.echo"] = "true" })
      assert.equal(0, result.code, result.err)
      assert.equal(asked, result.err:find("pg_locks k", 1, true) ~= nil, script)
    end
  end)

  it("forgets the declaration of a table that is gone", function()
    local result = upgrade([[op.create_table("orders", sa.Column("id", sa.Integer), { tenant = "global" })]], nil,
      [[op.drop_table("orders")]])
    assert.equal(0, result.code, result.err)
    assert.equal("0", helper.value(database, "SELECT count(*) FROM dmlua_tables"))
  end)
end)
