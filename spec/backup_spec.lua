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

  it("says how many rows of how many tenants, and is made once under one name", function()
    owner:notices()
    run [[op.backup_table("customers")]]
    assert.equal("dmlua: customers: 6 rows of 2 tenants copied to backup_customers", owner:notices()[1].message)
    local message = refusal [[op.backup_table("customers")]]
    assert.equal("ZD011", message.sqlstate)
    assert.equal("backup_customers is there already (dmlua: backup of customers, 6 rows)", message.message)
    assert.truthy(message.hint:find("op.drop_backup", 1, true))
    as_tenant("a", "DELETE FROM customers WHERE id <> 971")
    as_tenant("b", "DELETE FROM customers")
    run [[op.backup_table("customers", { name = "second" })]]
    assert.equal("dmlua: customers: 1 row of 1 tenant copied to second", owner:notices()[1].message)
  end)

  it("asks for another name where its own would be cut", function()
    local name = ("x"):rep(60)
    run(("op.create_table(%q, sa.Column('id', sa.Integer, { primary_key = true }))"):format(name))
    for _, directive in ipairs { "backup_table", "restore_table", "drop_backup" } do
      assert.truthy(refusal(("op.%s(%q)"):format(directive, name)).message:find("keeps 63 bytes of its 67", 1, true))
    end
    run(("op.backup_table(%q, { name = 'short' }) op.restore_table(%q, { name = 'short' })"):format(name, name))
  end)

  it("keeps others from changing the table while it is copied or restored, for a superuser too", function()
    local root = helper.connect(database.postgres)
    app:exec "SET lock_timeout = '50ms'"
    for _, directive in ipairs { "backup_table", "restore_table" } do
      root:exec "BEGIN"
      step.run(step.runner(root, { app_role = "app" }), ([[op.%s("customers")]]):format(directive))
      local ok, message = pcall(as_tenant, "a", "INSERT INTO customers VALUES (7, 'a', 'new')")
      assert.is_false(ok)
      assert.equal("55P03", message.sqlstate)
      root:exec "COMMIT"
    end
    app:exec "RESET lock_timeout"
  end)

  it("brings back identities, sequences and what a table that was made anew has lost", function()
    local make = [[op.execute("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
      .. " tenant_id uuid NOT NULL, number serial, down int DEFAULT 5, code int GENERATED ALWAYS AS IDENTITY)")
      guards.ensure_tenant_isolation("t")]]
    local id = "11111111-1111-1111-1111-111111111111"
    run(make)
    for _ = 1, 3 do as_tenant(id, ("INSERT INTO t (tenant_id) VALUES ('%s')"):format(id)) end
    run [[op.backup_table("t")]]
    as_tenant(id, "UPDATE t SET number = 70 WHERE id = 2")
    run [[op.restore_table("t")]]
    assert.same({ { n = "6" } }, superuser "SELECT sum(number) AS n FROM t")
    run([[op.drop_table("t")]] .. make .. [[op.restore_table("t")
      op.drop_backup("t")]])
    as_tenant(id, ("INSERT INTO t (tenant_id) VALUES ('%s')"):format(id))
    assert.same({ { id = "4", number = "4", code = "4" } }, superuser "SELECT id, number, code FROM t WHERE id = 4")
  end)

  it("takes partitioned tables, and of a table that others inherit from its own rows", function()
    run [[op.execute("CREATE TABLE parted (id int, tenant_id text NOT NULL, PRIMARY KEY (tenant_id, id))"
        .. " PARTITION BY LIST (tenant_id)")
      op.execute("CREATE TABLE of_a PARTITION OF parted FOR VALUES IN ('a')")
      op.execute("CREATE TABLE others PARTITION OF parted DEFAULT")
      guards.ensure_tenant_isolation("parted")
      op.execute("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent)")
      op.execute("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2)")]]
    as_tenant("a", "INSERT INTO parted VALUES (1, 'a')")
    as_tenant("b", "INSERT INTO parted VALUES (1, 'b')")
    run [[op.backup_table("parted")
      op.backup_table("parent")]]
    as_tenant("a", "DELETE FROM parted")
    run [[op.execute("DELETE FROM ONLY parent")
      op.restore_table("parted")
      op.restore_table("parent")]]
    assert.same({ { a = "2", b = "1", c = "2" } }, superuser [[SELECT (SELECT count(*) FROM parted) AS a,
      (SELECT count(*) FROM of_a) AS b, (SELECT count(*) FROM parent) AS c]])
  end)

  it("has policies that name the table itself, and is made of rows that break what was never validated", function()
    run [[op.execute("CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, parent int)")
      op.execute("INSERT INTO t VALUES (1, -1); ALTER TABLE t ADD CHECK (parent > 0) NOT VALID")
      op.execute("CREATE POLICY p ON t USING (EXISTS (SELECT FROM parents p WHERE p.id = t.parent AND 'a%b' <> ''))")
      op.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
      op.backup_table("t")]]
    assert.same({ { n = "t" } }, superuser [[SELECT count(DISTINCT replace(pg_get_expr(polqual, polrelid), 'backup_',
      '')) = 1 AS n FROM pg_policy WHERE polname = 'p']])
    assert.same({ { n = "1" } }, superuser "SELECT count(*) AS n FROM backup_t")
  end)

  it("brings rows back as they were past triggers that change them, which fire again afterwards", function()
    run [[op.execute("ALTER TABLE customers ADD changed timestamptz NOT NULL DEFAULT '2020-01-01'")
      op.execute("CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        .. " 'BEGIN NEW.changed := clock_timestamp(); RETURN NEW; END'")
      op.execute("CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch()")
      op.execute("ALTER TABLE customers ENABLE ALWAYS TRIGGER touch")
      guards.ensure_audit_trigger("customers")
      op.backup_table("customers")]]
    as_tenant("a", "UPDATE customers SET email = 'wrong ' || id")
    as_tenant("b", "DELETE FROM customers")
    run [[op.restore_table("customers")]]
    assert.same({ { n = "6", year = "2020" } }, superuser [[SELECT count(*) AS n,
      max(extract(year FROM changed)) AS year FROM customers]])
    assert.same({ { tgenabled = "A" } }, superuser "SELECT tgenabled FROM pg_trigger WHERE tgname = 'touch'")
  end)

  it("restores children behind their parents, whose foreign keys are checked", function()
    run [[guards.create_tenant_aware_table("orders", sa.Column("id", sa.Integer, { primary_key = true }),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id", { ondelete = "CASCADE" })))]]
    as_tenant("a", "INSERT INTO orders VALUES (1, 'a', 971)")
    run [[op.backup_table("customers")
      op.backup_table("orders")]]
    as_tenant("a", "DELETE FROM customers")
    assert.equal("23503", refusal([[op.restore_table("orders")]]).sqlstate)
    run [[op.restore_table("customers")
      op.restore_table("orders")]]
    assert.equal(1, #as_tenant("a", "SELECT FROM orders"))
  end)

  it("brings back what referred to a row that is gone, and a value that another row has now", function()
    owner:exec "ALTER TABLE customers ADD boss int REFERENCES customers ON DELETE SET NULL"
    superuser "UPDATE customers SET boss = 971 WHERE id = 973"
    run [[op.backup_table("customers")]]
    superuser "DELETE FROM customers WHERE id = 971; UPDATE customers SET email = 'mail 1' WHERE id = 972"
    run [[op.restore_table("customers")]]
    assert.same({ { id = "971", email = "mail 1" }, { id = "972", email = "mail 2" },
      { id = "973", email = "mail 3", boss = "971" } },
      superuser "SELECT id, email, boss FROM customers WHERE tenant_id = 'a' ORDER BY id")
  end)

  it("takes tables whose key is deferrable, and rows without a tenant", function()
    owner:exec [[CREATE TABLE later (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, tenant_id text, n int)]]
    superuser "INSERT INTO later VALUES (1, 'a', 1), (2, 'b', 2), (3, NULL, 3)"
    run [[op.backup_table("later")]]
    superuser "UPDATE later SET n = 0; DELETE FROM later WHERE id <> 1"
    run [[op.restore_table("later")]]
    assert.same({ { n = "1" }, { n = "2" }, { n = "3" } }, superuser "SELECT n FROM later ORDER BY id")
  end)

  it("is dropped when its table is gone, by who owns it", function()
    run [[op.backup_table("customers")
      op.drop_table("customers")]]
    local bypass = helper.connect(database.bypass)
    assert.truthy(refusal([[op.drop_backup("customers")]], bypass).hint:find("GRANT owner TO bypass", 1, true))
    run [[op.drop_backup("customers")]]
    assert.same({}, superuser "SELECT FROM pg_class WHERE relname = 'backup_customers'")
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
