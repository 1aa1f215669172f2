local helper = require "spec.helper"
local step = require "spec.step"

describe("a backup of a table", function()
  local database, owner, app

  setup(function()
    database = helper.database()
    owner = helper.connect(database.owner)
    app = helper.connect(database.app)
  end)

  local function run(script, connection)
    connection = connection or owner
    local bind = step.runner(connection, { app_role = "app" })
    connection:exec "BEGIN"
    connection:exec "SET LOCAL row_security = off"
    local ok, message = pcall(step.run, bind, script)
    connection:exec(ok and "COMMIT" or "ROLLBACK")
    if not ok then error(message, 0) end
    return bind
  end

  local function refusal(script, connection)
    local ok, message = pcall(run, script, connection)
    assert.is_false(ok, "nothing was refused")
    return message
  end

  local function as_tenant(id, sql)
    app:exec("SELECT set_config('app.current_tenant_id', $1, false)", { id })
    return app:exec(sql).rows
  end

  local function superuser(sql)
    return helper.sql(database, sql)
  end

  before_each(function()
    owner:exec "DROP SCHEMA IF EXISTS public CASCADE"
    owner:exec "CREATE SCHEMA public"
    owner:exec "GRANT USAGE ON SCHEMA public TO PUBLIC"
    run [[guards.create_tenant_aware_table("customers", sa.Column("id", sa.Integer, { primary_key = true }),
      sa.Column("email", sa.Text, { unique = true }), sa.Column("twice", sa.Text, sa.Computed("email || email")))]]
    for _, id in ipairs { "a", "b" } do
      as_tenant(id, ([[INSERT INTO customers SELECT n + ascii('%s') * 10, '%s', 'mail ' || n
        FROM generate_series(1, 3) n]]):format(id, id))
    end
  end)

  it("has every tenant's rows, and shows each tenant its own", function()
    local bind = run [[op.backup_table("customers")]]
    assert.same({ across_tenants = "customers" }, bind.marks)
    assert.same({ { n = "6" } }, superuser "SELECT count(*) AS n FROM backup_customers")
    assert.equal(3, #as_tenant("a", "SELECT FROM backup_customers"))
    assert.equal(0, #as_tenant("", "SELECT FROM backup_customers"))
    local ok = pcall(as_tenant, "a", "INSERT INTO backup_customers VALUES (1, 'b')")
    assert.is_false(ok)
  end)

  it("has row security, policies, grants and owner of the table, and no other grants", function()
    helper.execute(database, [[ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON TABLES TO PUBLIC;
      GRANT SELECT (email) ON customers TO bypass;
      CREATE POLICY narrow ON customers AS RESTRICTIVE FOR DELETE TO app USING (id > 0)]])
    run [[op.backup_table("customers", { name = "kept" })
      guards.assert_tenant_isolation("kept")]]
    helper.execute(database, "ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE SELECT ON TABLES FROM PUBLIC")
    local function facts(name)
      return superuser(([[SELECT relrowsecurity, relforcerowsecurity, relowner::regrole AS owner,
        (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM aclexplode(relacl) a) AS acl,
        (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attname = 'email') AS columns,
        (SELECT string_agg(concat_ws('|', replace(polname, relname, ''), polpermissive, polcmd, polroles,
          pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), ' ' ORDER BY polname <> 'narrow')
         FROM pg_policy WHERE polrelid = c.oid) AS policies FROM pg_class c WHERE oid = '%s'::regclass]]):format(name))
    end
    assert.same(facts "customers", facts "kept")
    assert.equal("t", facts("kept")[1].relforcerowsecurity)
  end)

  it("belongs to the table's owner, also when a superuser makes it", function()
    local root = helper.connect(database.postgres)
    run([[op.backup_table("customers")]], root)
    assert.same({ { owner = "owner" } },
      superuser "SELECT relowner::regrole AS owner FROM pg_class WHERE relname = 'backup_customers'")
  end)

  it("brings back what was changed or deleted, and leaves rows that have come since", function()
    run [[op.backup_table("customers")]]
    as_tenant("a", "UPDATE customers SET email = 'wrong'  WHERE id = 971")
    as_tenant("b", "DELETE FROM customers")
    as_tenant("b", "INSERT INTO customers VALUES (5, 'b', 'new')")
    run [[
      op.drop_column("customers", "twice")
      op.add_column("customers", sa.Column("later", sa.Text))
      op.restore_table("customers")]]
    assert.same({ { n = "7", wrong = "0" } },
      superuser "SELECT count(*) AS n, count(*) FILTER (WHERE email = 'wrong') AS wrong FROM customers")
    assert.same({ { relforcerowsecurity = "t" }, { relforcerowsecurity = "t" } },
      superuser "SELECT relforcerowsecurity FROM pg_class WHERE relname IN ('customers', 'backup_customers')")
  end)

  it("is refused when rows were kept back, with the tenant and the numbers", function()
    run [[op.backup_table("customers")]]
    helper.execute(database, [[
      CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER no BEFORE INSERT ON customers FOR EACH ROW WHEN (NEW.tenant_id = 'b') EXECUTE FUNCTION no()]])
    as_tenant("b", "DELETE FROM customers")
    local message = refusal [[op.restore_table("customers")]]
    assert.equal("ZD011", message.sqlstate)
    assert.truthy(message.message:find("b: 3 rows", 1, true), message.message)
  end)

  it("is dropped by its name, and nothing else is dropped or restored from", function()
    run [[op.backup_table("customers")
      op.drop_backup("customers")]]
    assert.same({}, superuser "SELECT FROM pg_class WHERE relname = 'backup_customers'")
    run [[op.create_table("backup_customers", sa.Column("id", sa.Integer))]]
    for _, call in ipairs { "drop_backup", "restore_table" } do
      local message = refusal(([[op.%s("customers")]]):format(call))
      assert.equal("ZD011", message.sqlstate)
      assert.truthy(message.message:find("not as a backup of customers", 1, true), message.message)
    end
    assert.truthy(refusal([[op.restore_table("customers", { name = "gone" })]]).message:find("no backup gone", 1, true))
  end)

  it("is restored by the primary key, and refused without one", function()
    run [[op.create_table("plain", sa.Column("a", sa.Text))
      op.execute("INSERT INTO plain VALUES ('x')")
      op.backup_table("plain")]]
    assert.truthy(refusal([[op.restore_table("plain")]]).message:find("no primary key", 1, true))
  end)

  it("is refused to a role that does not own the table", function()
    assert.equal("ZD006", refusal([[op.backup_table("customers")]], app).sqlstate)
    local bypass = helper.connect(database.bypass)
    assert.equal("ZD005", refusal([[op.backup_table("customers")]], bypass).sqlstate)
  end)

  it("works for names that have to be quoted, in another schema, with any kind of tenant", function()
    run [[
      op.create_schema("It's %s")
      op.execute([=[CREATE TABLE "It's %s"."a {b} %I" ("Id" int PRIMARY KEY, tenant_id bigint NOT NULL)]=])
      op.execute([=[INSERT INTO "It's %s"."a {b} %I" VALUES (1, 7), (2, 8)]=])
      guards.ensure_tenant_isolation("a {b} %I", { schema = "It's %s" })
      op.backup_table("a {b} %I", { schema = "It's %s" })
      op.across_tenants({ { "a {b} %I", schema = "It's %s" } }, function()
        op.execute([=[DELETE FROM "It's %s"."a {b} %I"]=])
      end)
      op.restore_table("a {b} %I", { schema = "It's %s" })]]
    assert.same({ { n = "2" } }, superuser [[SELECT count(*) AS n FROM "It's %s"."a {b} %I"]])
    owner:exec [[DROP SCHEMA "It's %s" CASCADE]]
  end)
end)
