local helper = require "spec.helper"
local watched_database = require "spec.support.watched"

describe("the watch over tables", function()
  local watched = watched_database.new()
  local database = watched.database
  local isolation = [[
    guards.ensure_tenant_column("orders")
    guards.ensure_tenant_isolation("orders")]]

  local project, upgrade, refused = watched.project, watched.upgrade, watched.refused

  before_each(watched.empty)

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

  it("names every table that was made, whichever way", function()
    helper.execute(database.owner, [[
      CREATE SCHEMA s;
      CREATE TABLE legacy (id int, tenant_id text);
      CREATE FUNCTION make(name text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('CREATE TABLE %I (id int)', name); RETURN 1; END $$;
      CREATE FUNCTION make_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM make('by_trigger_' || lower(TG_OP)); RETURN NULL; END $$;
      CREATE TABLE plain (id int); CREATE TABLE granted (id int); CREATE TABLE parent (id int);
      CREATE TABLE filled (id int); INSERT INTO filled VALUES (1), (2);
      CREATE TRIGGER t AFTER INSERT OR UPDATE ON plain FOR EACH STATEMENT EXECUTE FUNCTION make_it();
      CREATE PROCEDURE make_all() LANGUAGE plpgsql AS $$ BEGIN PERFORM make('by_call'); END $$]])
    local script = { "op.create_table('isolated', sa.Column('id', sa.Integer))",
      "guards.ensure_tenant_column('isolated') guards.ensure_tenant_isolation('isolated')" }
    local made = {
      by_do = "DO $$ BEGIN CREATE TABLE by_do (id int); END $$",
      by_as = "CREATE TABLE by_as AS SELECT * FROM legacy", by_into = "SELECT * INTO by_into FROM legacy",
      by_like = "CREATE TABLE by_like (LIKE isolated INCLUDING ALL)",
      by_unlogged = "CREATE UNLOGGED TABLE by_unlogged ()",
      by_inheritance = "CREATE TABLE by_inheritance () INHERITS (isolated)",
      by_insert = "INSERT INTO granted SELECT make('by_insert')", by_values = "VALUES (make('by_values'))",
      by_update = "UPDATE filled SET id = 8 + make('by_update') WHERE id = 2", by_call = "CALL make_all()",
      by_delete = "DELETE FROM filled WHERE id = 1 RETURNING make('by_delete')",
      by_trigger_update = "UPDATE plain SET id = 1", by_trigger_insert = "INSERT INTO plain DEFAULT VALUES",
      by_prepare = "PREPARE p AS SELECT make('by_prepare'); EXECUTE p",
      by_cursor = "DECLARE c CURSOR FOR SELECT make('by_cursor'); FETCH c",
      by_savepoint = "DO $$ BEGIN BEGIN CREATE TABLE by_savepoint (); EXCEPTION WHEN others THEN NULL; END; END $$",
      ["s.by_schema"] = "CREATE SCHEMA IF NOT EXISTS s; CREATE TABLE s.by_schema (id int)",
      moved = "ALTER TABLE parent RENAME TO moved", granted = [[DO $$ BEGIN BEGIN GRANT SELECT ON granted TO app;
        EXCEPTION WHEN others THEN NULL; END; END $$]],
      attached = [[CREATE TABLE parted (LIKE isolated) PARTITION BY LIST (id); CREATE TABLE attached (LIKE isolated);
        ALTER TABLE parted ATTACH PARTITION attached FOR VALUES IN (1)]],
      by_execute = "DO $$ BEGIN EXECUTE 'CREATE TAB' || 'LE by_execute ()'; END $$",
      ['"By Name"'] = 'CREATE TABLE "By Name" (id int)',
    }
    for _, sql in pairs(made) do script[#script + 1] = ("op.execute(%q)"):format(sql) end
    local result = upgrade(table.concat(script, "\n"))
    assert.equal(3, result.code, result.err)
    local detail = result.err:match "\n  detail: ([^\n]*)"
    for name in pairs(made) do
      assert.truthy(detail:find((name:find(".", 1, true) and "" or "public.") .. name .. " (", 1, true), name .. detail)
    end
    assert.falsy(detail:find("public.isolated", 1, true))
    for name in pairs(made) do
      if name:find "^by_" then assert.is_false(kept(name), name) end
    end
  end)

  it("sees what takes a table's isolation away", function()
    local make = [[op.create_table("orders", sa.Column("id", sa.Integer))]] .. isolation .. [[

      op.execute("CREATE TABLE other (LIKE orders)")
      guards.ensure_tenant_isolation("other")]]
    helper.execute(database, "GRANT owner TO bypass; GRANT app TO owner; GRANT CREATE ON SCHEMA public TO app")
    for sql, fault in pairs {
      ["ALTER TABLE orders DISABLE ROW LEVEL SECURITY"] = "row security is off",
      ["ALTER TABLE orders NO FORCE ROW LEVEL SECURITY"] = "row security does not hold for its owner",
      ["CREATE POLICY p ON orders FOR SELECT USING (id > 0)"] = "its policy p is not the tenant's",
      ["ALTER POLICY orders_tenant_isolation ON orders USING (true)"] =
        "its policy orders_tenant_isolation is not the tenant's",
      ["ALTER POLICY orders_tenant_isolation ON orders WITH CHECK (true)"] =
        "its policy orders_tenant_isolation is not the tenant's",
      ["ALTER TABLE orders RENAME tenant_id TO tenant"] = "it has no column tenant_id",
      ["ALTER TABLE orders DROP COLUMN tenant_id CASCADE"] = "it has no column tenant_id",
      ["ALTER TABLE orders ALTER tenant_id DROP NOT NULL"] = "tenant_id may be NULL",
      ["ALTER TABLE orders OWNER TO app"] = "it belongs to app, who can turn row security off",
      ["DO $$ BEGIN BEGIN ALTER TABLE orders NO FORCE ROW LEVEL SECURITY; EXCEPTION WHEN others THEN NULL; END; END $$"]
        = "row security does not hold for its owner",
    } do
      refused(upgrade(make, nil, ("op.execute(%q)"):format(sql)), "public.orders (" .. fault .. ")")
      helper.execute(database, "DROP TABLE orders, other, alembic_version")
    end
    helper.execute(database, "REVOKE owner FROM bypass")
  end)

  it("refuses views through which the application would see every tenant's rows", function()
    local make = [[op.create_table("orders", sa.Column("id", sa.Integer))]] .. isolation .. [[

      op.create_table("days", sa.Column("id", sa.Integer), { tenant = "global" })
      op.execute("CREATE VIEW owners AS SELECT * FROM orders; GRANT SELECT ON owners TO app")
      op.execute("CREATE VIEW below AS SELECT * FROM orders")
      op.execute("CREATE MATERIALIZED VIEW unread AS SELECT * FROM orders WITH NO DATA")
      op.execute("CREATE MATERIALIZED VIEW of_days AS SELECT * FROM days; GRANT SELECT ON of_days TO PUBLIC")]]
    local result = upgrade(make, { url = database.postgres }, [[
      op.execute("CREATE VIEW mine AS SELECT id FROM below; GRANT SELECT (id) ON mine TO app")
      op.execute("CREATE VIEW said WITH (security_invoker = false) AS SELECT * FROM orders")
      op.execute("GRANT SELECT ON said TO app")
      op.execute("CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM orders; GRANT SELECT ON invoker TO app")
      op.execute("CREATE MATERIALIZED VIEW copied AS SELECT * FROM below; GRANT SELECT ON copied TO app")]])
    assert.equal(3, result.code, result.err)
    assert.truthy(result.err:find("detail: public.owners (a view shows the application, with the eyes of a role that"
      .. " passes policies, rows of public.orders)\n", 1, true), result.err)
    helper.execute(database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION owner")
    result = upgrade(make, nil, [[
      op.execute("CREATE MATERIALIZED VIEW copied AS SELECT * FROM below WITH NO DATA")
      op.execute("GRANT SELECT ON copied TO app")]])
    assert.equal(3, result.code, result.err)
    assert.truthy(result.err:find("detail: public.copied (a materialized view that the application may read keeps rows"
      .. " of public.orders)\n", 1, true), result.err)
    assert.is_true(kept "owners") -- a plain owner's eyes are under forced row security
    assert.falsy(helper.dmlua("tables list", { cwd = project "" }).out:find("owners", 1, true))
  end)

  it("refuses a table to become a tenants' one while the application sees its rows through a view", function()
    local views = {
      ["CREATE VIEW below AS SELECT * FROM plans; CREATE VIEW shown AS SELECT id FROM below"] = database.postgres,
      ["CREATE MATERIALIZED VIEW shown AS SELECT * FROM plans"] = database.owner,
    }
    for sql, url in pairs(views) do
      local make = [[op.create_table("plans", sa.Column("id", sa.Integer), { tenant = "global" })
        op.execute("]] .. sql .. [[; GRANT SELECT ON shown TO app") ]]
      local result = upgrade(make, { url = url }, 'guards.enable_tenant_isolation_on("plans")')
      assert.equal(3, result.code, result.err)
      assert.matches("detail: public%.shown %(a [^()]+ rows of public%.plans%)\n", result.err)
      watched.empty()
    end
  end)

  it("sees a GRANT of a view's columns", function()
    local make = 'op.create_table("orders", sa.Column("id", sa.Integer)) ' .. isolation .. [[

      op.execute("CREATE MATERIALIZED VIEW shown AS SELECT * FROM orders WITH NO DATA") ]]
    refused(upgrade(make, nil, 'op.execute("GRANT SELECT (id) ON shown TO app")'), "public.shown")
  end)

  it("sees that the application's role passes policies, where a table is touched", function()
    helper.execute(database, "CREATE ROLE passes")
    local make = 'op.create_table("orders", sa.Column("id", sa.Integer)) ' .. isolation
    local result = upgrade(make, { url = database.postgres, app_role = "passes" }, [[
      op.execute("ALTER ROLE passes BYPASSRLS; ALTER TABLE orders ADD n int")]])
    helper.execute(database, "DROP OWNED BY passes; DROP ROLE passes")
    refused(result, "public.orders (row security does not hold for passes, the application's role)")
  end)

  it("refuses a foreign table, and lets one pass that is declared, and an extension's tables", function()
    local foreign = [[op.execute("CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw")
      op.execute("CREATE FOREIGN TABLE there (id int) SERVER far")]]
    local settings = { url = database.postgres }
    refused(upgrade(foreign, settings), "public.there (a foreign table has no row security)")
    local result = upgrade(foreign .. [[guards.declare_global("there")
      op.execute("CREATE TABLE of_extension (id int); ALTER EXTENSION postgres_fdw ADD TABLE of_extension")]], settings)
    assert.equal(0, result.code, result.err)
    helper.execute(database, "DROP EXTENSION postgres_fdw CASCADE; DROP TABLE alembic_version")
  end)

  it("looks at a tenant's transaction of a resumable loop", function()
    helper.execute(database, "GRANT CREATE ON SCHEMA public TO app")
    local result = upgrade([[tenants.each(function() op.execute("CREATE TABLE IF NOT EXISTS orders (id int)") end,
      { mode = "resumable" })]], { tenants_query = "VALUES ('a'), ('b')" })
    assert.not_equal(0, result.code)
    assert.matches("TenantIsolationError: the step leaves tables neither tenant%-isolated nor declared", result.err)
    assert.is_false(kept "orders")
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

  it("is asked where a statement can have been DDL, by a function or a trigger too, and nowhere else", function()
    local statements = {
      [ [[op.execute("UPDATE orders SET id = 1 WHERE id = 2")]] ] = true,
      [ [[op.execute("SELECT id FROM orders")]] ] = false,
      [ [[op.execute("SET LOCAL work_mem = '1MB'; LOCK TABLE orders; SHOW work_mem")]] ] = false,
      [ [[op.bulk_insert(sa.table("orders", sa.column("id")), { { id = 1 } })]] ] = true,
      [ [[op.execute("SELECT count(*) FROM orders")]] ] = true,
      [ [[op.execute("COMMENT ON TABLE orders IS 'x'")]] ] = true,
      [""] = false,
    }
    for script, asked in pairs(statements) do
      helper.execute(database, "DROP OWNED BY owner; GRANT ALL ON SCHEMA public TO owner")
      helper.execute(database.owner, "CREATE TABLE orders (id int)")
      local result = upgrade(script, { ["sqlalchemy.echo"] = "true" })
      assert.equal(0, result.code, result.err)
      assert.equal(asked, result.err:find("pg_locks k", 1, true) ~= nil, script)
    end
  end)

  it("lets the backup of a table pass that is for everybody, or a debt, and refuses a copy by hand", function()
    local make = [[op.execute("CREATE TABLE ref_x (id int PRIMARY KEY)")
      op.create_table("days", sa.Column("id", sa.Integer), { tenant = "global" })
      op.create_table("orders", sa.Column("id", sa.Integer, { primary_key = true }))]] .. isolation
    local settings = { global_tables = "ref_*" }
    local result = upgrade(make, settings, [[
      op.backup_table("ref_x") op.backup_table("days") op.backup_table("orders")]])
    assert.equal(0, result.code, result.err)
    assert.equal("public.backup_days, public.backup_ref_x", helper.value(database, [[SELECT
      string_agg(name, ', ' ORDER BY name) FROM dmlua_tables WHERE reason LIKE 'backup of %']]))
    helper.execute(database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION owner")
    refused(upgrade(make, settings, [[op.execute("CREATE TABLE kept AS SELECT * FROM ref_x")]]), "public.kept")
  end)
end)
