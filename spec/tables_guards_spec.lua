local helper = require "spec.helper"
local step = require "spec.step"

describe("the guards of tables", function()
  local database, owner, app, settings, bind

  setup(function()
    database = helper.database()
    owner = helper.connect(database.owner)
    app = helper.connect(database.app)
  end)

  before_each(function()
    settings = { app_role = "app" }
    bind = step.runner(owner, settings)
    owner:exec "DROP SCHEMA IF EXISTS public CASCADE"
    owner:exec "CREATE SCHEMA public"
    owner:exec "GRANT USAGE ON SCHEMA public TO PUBLIC"
    owner:exec "SET row_security = off"
    app:exec "SELECT set_config('app.current_tenant_id', '', false)"
    owner:notices()
  end)

  -- As a step does: in one transaction.
  local function run(script)
    owner:exec "BEGIN"
    local ok, message = pcall(step.run, bind, script)
    owner:exec(ok and "COMMIT" or "ROLLBACK")
    if not ok then error(message, 0) end
  end

  local function refusal(script)
    local ok, message = pcall(run, script)
    assert.is_false(ok, "nothing was refused")
    return message
  end

  local function changes()
    local texts = {}
    for i, notice in ipairs(owner:notices()) do texts[i] = notice.message end
    return texts
  end

  local function as_tenant(id, sql, params)
    app:exec("SELECT set_config('app.current_tenant_id', $1, false)", { id })
    return app:exec(sql, params)
  end

  local function value(sql)
    return owner:exec(sql).rows[1][1]
  end

  local customers = [[
    guards.create_tenant_aware_table("customers", sa.Column("id", sa.Integer, { primary_key = true }),
      sa.Column("email", sa.Text, { unique = true }), sa.Column("city", sa.Text, { index = true }))
  ]]
  local orders = customers .. [[
    guards.create_tenant_aware_table("orders", sa.Column("id", sa.Integer, { primary_key = true }),
      sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id", { ondelete = "CASCADE" })))
  ]]

  describe("create_tenant_aware_table", function()
    it("makes an isolated table, whose indexes, unique columns and keys begin with the tenant", function()
      run(orders)
      local columns = {}
      for i, row in ipairs(owner:exec([[SELECT attname FROM pg_attribute WHERE attrelid = 'customers'::regclass
        AND attnum > 0 ORDER BY attnum]]).rows) do columns[i] = row[1] end
      assert.same({ "id", "tenant_id", "email", "city" }, columns)
      run [[guards.assert_tenant_isolation("customers")
        guards.assert_tenant_indexes("customers", { "city" }, { unique = { "email" } })]]
      as_tenant("a", "INSERT INTO customers VALUES (1, 'a', 'x@y')")
      as_tenant("b", "INSERT INTO customers VALUES (2, 'b', 'x@y')")
      assert.equal(1, #app:exec("SELECT FROM customers").rows)
      assert.equal("FOREIGN KEY (tenant_id, customer_id) REFERENCES customers(tenant_id, id) ON DELETE CASCADE",
        value "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'")
    end)

    it("confines constraints of the table, and refers to tables for everybody and to the tenants plainly", function()
      owner:exec "CREATE TABLE countries (code char(2) PRIMARY KEY)"
      owner:exec "CREATE TABLE tenants (id text PRIMARY KEY)"
      owner:exec "INSERT INTO tenants VALUES ('a'), ('b')"
      run(customers .. [[
      guards.create_tenant_aware_table("orders", sa.Column("id", sa.Integer, { primary_key = true }),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenants.id"), { nullable = false }),
        sa.Column("number", sa.Text), sa.Column("customer_id", sa.Integer),
        sa.Column("country", sa.CHAR(2), sa.ForeignKey("countries.code")),
        sa.UniqueConstraint("number", { name = "once" }), sa.UniqueConstraint("tenant_id", "country"),
        sa.ForeignKeyConstraint({ "customer_id" }, { "customers.id" }, { name = "k", ondelete = "SET NULL" }))]])
      local definitions = {}
      for i, row in ipairs(owner:exec([[SELECT pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid = 'orders'::regclass ORDER BY 1]]).rows) do definitions[i] = row[1] end
      assert.same({ "FOREIGN KEY (country) REFERENCES countries(code)",
        "FOREIGN KEY (tenant_id) REFERENCES tenants(id)",
        "FOREIGN KEY (tenant_id, customer_id) REFERENCES customers(tenant_id, id) ON DELETE SET NULL (customer_id)",
        "PRIMARY KEY (id)", "UNIQUE (tenant_id, country)", "UNIQUE (tenant_id, number)" }, definitions)
    end)

    it("leaves a tenant column where the author has put it, of the author's type", function()
      run [[guards.create_tenant_aware_table("t", sa.Column("id", sa.Integer), sa.Column("tenant_id", sa.UUID()))]]
      assert.equal("uuid", value [[SELECT format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = 't'::regclass AND attname = 'tenant_id' AND attnotnull]])
    end)

    it("takes the type and the name of the tenant column from the configuration, or the call", function()
      settings.tenant_type, settings.tenant_column = "bigint", "organization"
      run [[guards.create_tenant_aware_table("t", sa.Column("id", sa.Integer))
        guards.create_tenant_aware_table("u", sa.Column("id", sa.Integer), { column = "Owner" })]]
      assert.equal("bigint bigint", value [[SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attrelid)
        FROM pg_attribute WHERE attnotnull AND attname IN ('organization', 'Owner')]])
    end)
  end)

  describe("add_tenant_aware_column", function()
    it("adds a column whose index, uniqueness and key begin with the tenant", function()
      run(orders)
      run [[
        guards.add_tenant_aware_column("orders", sa.Column("number", sa.Text, { unique = true }))
        guards.add_tenant_aware_column("orders", sa.Column("payer_id", sa.Integer, sa.ForeignKey("customers.id")))
        guards.assert_tenant_indexes("orders", {}, { unique = { "number" } })]]
      assert.equal(2, #owner:exec("SELECT FROM pg_constraint WHERE contype = 'f' AND cardinality(conkey) = 2").rows)
    end)

    it("refuses a table that is not isolated", function()
      run [[op.create_table("t", sa.Column("tenant_id", sa.Text, { nullable = false }))]]
      assert.equal("ZD004", refusal([[guards.add_tenant_aware_column("t", sa.Column("a", sa.Text))]]).sqlstate)
    end)
  end)

  describe("ensure_tenant_foreign_key", function()
    local key = [[guards.ensure_tenant_foreign_key("orders", "customers", "customer_id", "id")]]

    before_each(function()
      owner:exec "CREATE TABLE customers (id int, tenant_id text NOT NULL)"
      owner:exec "CREATE TABLE orders (id int, tenant_id text NOT NULL, customer_id int)"
      run [[guards.ensure_tenant_isolation("customers")
        guards.ensure_tenant_isolation("orders")]]
      changes()
    end)

    it("ties a row to one of its own tenant, and makes the unique index that this needs, once", function()
      run(key)
      assert.same({ "dmlua: orders: unique index on customers (tenant_id, id) added; foreign key to customers"
        .. " (tenant_id, id) added" }, changes())
      run(key)
      assert.same({}, changes())
      as_tenant("a", "INSERT INTO customers VALUES (1, 'a')")
      as_tenant("a", "INSERT INTO orders VALUES (1, 'a', 1)")
      local _, message = pcall(as_tenant, "b", "INSERT INTO orders VALUES (2, 'b', 1)")
      assert.equal("23503", message.sqlstate)
    end)

    it("takes a unique index with the columns in another order, but no partial or deferrable one", function()
      owner:exec "CREATE UNIQUE INDEX ON customers (id, tenant_id) WHERE id > 0"
      owner:exec "ALTER TABLE customers ADD UNIQUE (tenant_id, id) DEFERRABLE"
      run(key)
      assert.truthy(changes()[1]:find("unique index", 1, true))
      run "op.drop_table('orders')"
      owner:exec "CREATE TABLE orders (id int, tenant_id text NOT NULL, customer_id int)"
      run [[op.execute("DROP INDEX customers_tenant_id_id_idx")
        op.execute("CREATE UNIQUE INDEX ON customers (id, tenant_id)")]]
      run(key)
      assert.falsy(changes()[1]:find("unique index", 1, true))
    end)

    it("refuses rows that refer to another tenant's, also where forced row security hides them", function()
      owner:exec "ALTER TABLE customers NO FORCE ROW LEVEL SECURITY"
      owner:exec "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY"
      owner:exec "INSERT INTO customers VALUES (1, 'a')"
      owner:exec "INSERT INTO orders VALUES (1, 'b', 1)"
      owner:exec "ALTER TABLE customers FORCE ROW LEVEL SECURITY"
      owner:exec "ALTER TABLE orders FORCE ROW LEVEL SECURITY"
      assert.equal("23503", refusal(key).sqlstate)
    end)

    it("validates a key that is there and was not, and refuses one with another action", function()
      owner:exec "CREATE UNIQUE INDEX ON customers (tenant_id, id)"
      owner:exec [[ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer_id, tenant_id)
        REFERENCES customers (id, tenant_id) NOT VALID]]
      run(key)
      assert.same({ "dmlua: orders: foreign key k validated" }, changes())
      local message = refusal [[guards.ensure_tenant_foreign_key("orders", "customers", "customer_id", "id",
        { ondelete = "CASCADE" })]]
      assert.equal("ZD008", message.sqlstate)
      assert.truthy(message.detail:find("foreign_key_differs", 1, true))
    end)

    it("sets only the author's columns NULL when the referent goes", function()
      run [[guards.ensure_tenant_foreign_key("orders", "customers", "customer_id", "id", { ondelete = "SET NULL" })]]
      as_tenant("a", "INSERT INTO customers VALUES (1, 'a')")
      as_tenant("a", "INSERT INTO orders VALUES (1, 'a', 1)")
      as_tenant("a", "DELETE FROM customers")
      assert.same({ tenant_id = "a" }, app:exec("SELECT tenant_id, customer_id FROM orders").rows[1])
    end)

    it("refuses a referent that is not there or has no tenants", function()
      owner:exec "CREATE TABLE countries (id int PRIMARY KEY)"
      for _, name in ipairs { "countries", "nothing" } do
        local message = refusal(([[guards.ensure_tenant_foreign_key("orders", %q, "customer_id", "id")]]):format(name))
        assert.truthy(message.message:find(name, 1, true), message.message)
      end
    end)
  end)

  describe("rename_tenant_aware_table", function()
    it("keeps uniqueness, predicates, policies and keys: it renames and makes nothing anew", function()
      run(orders)
      owner:exec "CREATE UNIQUE INDEX idx_customers_active ON customers (tenant_id, email) WHERE city IS NOT NULL"
      local before = owner:exec [[SELECT indexrelid::text, indisunique, pg_get_expr(indpred, indrelid) AS predicate
        FROM pg_index WHERE indrelid = 'customers'::regclass ORDER BY 1]].rows
      run [[guards.rename_tenant_aware_table("customers", "clients")]]
      assert.same(before, owner:exec([[SELECT indexrelid::text, indisunique, pg_get_expr(indpred, indrelid)
        AS predicate FROM pg_index WHERE indrelid = 'clients'::regclass ORDER BY 1]]).rows)
      assert.equal("clients_tenant_isolation",
        value "SELECT polname FROM pg_policy WHERE polrelid = 'clients'::regclass")
      assert.equal("0", value [[SELECT count(*)::text FROM pg_class WHERE relname LIKE '%customers%'
        AND relnamespace = 'public'::regnamespace]])
      as_tenant("a", "INSERT INTO clients VALUES (1, 'a')")
      as_tenant("a", "INSERT INTO orders VALUES (1, 'a', 1)")
      assert.equal(0, #as_tenant("b", "SELECT FROM clients").rows)
    end)

    it("takes the audit table with it", function()
      run(customers .. [[guards.ensure_audit_trigger("customers")
        guards.rename_tenant_aware_table("customers", "clients")]])
      as_tenant("a", "INSERT INTO clients VALUES (1, 'a')")
      changes()
      run [[guards.ensure_audit_trigger("clients")]]
      assert.same({}, changes())
      assert.equal(1, #app:exec("SELECT FROM clients_audit").rows)
      assert.is_nil(value "SELECT to_regclass('customers_audit')")
    end)

    it("refuses a name with which its audit's would be cut", function()
      run(customers .. [[guards.ensure_audit_trigger("customers")
        guards.rename_tenant_aware_table("customers", ("x"):rep(51))]])
      assert.equal(("x"):rep(51), value "SELECT relname FROM pg_class WHERE relname LIKE 'xxx%x'")
      local message = refusal [[guards.rename_tenant_aware_table(("x"):rep(51), ("y"):rep(52))]]
      assert.equal("ZD010", message.sqlstate)
      assert.truthy(message.hint:find("at most 51 bytes", 1, true))
    end)

    it("leaves the policy its name where the new one would be cut", function()
      local name = ("x"):rep(50)
      run(customers)
      run(([[guards.rename_tenant_aware_table("customers", %q)
        guards.ensure_tenant_isolation(%q)]]):format(name, name))
      assert.equal("customers_tenant_isolation", value(("SELECT polname FROM pg_policy WHERE polrelid = '%s'::regclass")
        :format(name)))
    end)
  end)

  describe("ensure_audit_trigger", function()
    before_each(function()
      run(customers .. [[guards.ensure_audit_trigger("customers")]])
      changes()
    end)

    it("writes down who did what, before and after, to each tenant's own eyes only", function()
      as_tenant("a", "INSERT INTO customers VALUES (1, 'a', 'x')")
      as_tenant("b", "INSERT INTO customers VALUES (2, 'b', 'y')")
      as_tenant("a", "UPDATE customers SET email = 'z'")
      as_tenant("a", "DELETE FROM customers")
      local rows = app:exec([[SELECT action, who, row_before->>'email' AS old, row_after->>'email' AS new
        FROM customers_audit ORDER BY id]]).rows
      assert.same({
        { action = "INSERT", who = "app", new = "x" }, { action = "UPDATE", who = "app", old = "x", new = "z" },
        { action = "DELETE", who = "app", old = "z" },
      }, rows)
      assert.equal("a", app:exec("SELECT current_setting('app.current_tenant_id')").rows[1][1])
    end)

    it("works where a step sees all tenants, and splits a row that changes its tenant", function()
      as_tenant("a", "INSERT INTO customers VALUES (1, 'a', 'x')")
      run [[op.across_tenants({ "customers" }, function()
        op.execute("UPDATE customers SET tenant_id = 'b'") end)]]
      assert.equal("x", as_tenant("a", [[SELECT row_before->>'email' FROM customers_audit WHERE action = 'UPDATE'
        AND row_after IS NULL]]).rows[1][1])
      assert.equal("x", as_tenant("b", [[SELECT row_after->>'email' FROM customers_audit WHERE action = 'UPDATE'
        AND row_before IS NULL]]).rows[1][1])
    end)

    it("only grows: neither the application nor the owner changes or empties it", function()
      as_tenant("a", "INSERT INTO customers VALUES (1, 'a', 'x')")
      for _, sql in ipairs { "DELETE FROM customers_audit", "UPDATE customers_audit SET who = 'x'",
        "INSERT INTO customers_audit (tenant_id, action) VALUES ('a', 'x')" } do
        local ok, message = pcall(app.exec, app, sql)
        assert.is_false(ok)
        assert.equal("42501", message.sqlstate)
      end
      for _, sql in ipairs { "DELETE FROM customers_audit", "TRUNCATE customers_audit" } do
        owner:exec "ALTER TABLE customers_audit NO FORCE ROW LEVEL SECURITY"
        local ok, message = pcall(owner.exec, owner, sql)
        assert.is_false(ok)
        assert.equal("ZD010", message.sqlstate)
      end
    end)

    it("writes through a function that nobody else may call, and that looks for nothing by the caller's search_path",
        function()
      assert.same({ { may = false, pinned = "{\"search_path=pg_catalog, pg_temp\",row_security=on}" } }, owner:exec(
        [[SELECT has_function_privilege('app', oid, 'EXECUTE') AS may, proconfig::text AS pinned FROM pg_proc
          WHERE prosecdef AND pronamespace = 'public'::regnamespace]]).rows)
    end)

    it("is itself isolated, and changes nothing when it is there", function()
      run [[guards.ensure_audit_trigger("customers")]]
      assert.same({}, changes())
      assert.equal("customers_audit_tenant_isolation",
        value "SELECT polname FROM pg_policy WHERE polrelid = 'customers_audit'::regclass")
      owner:exec "ALTER TABLE customers DISABLE TRIGGER USER"
      assert.truthy(refusal([[guards.ensure_audit_trigger("customers")]]).message:find("disabled", 1, true))
    end)

    it("finds a table that search_path finds, in whatever schema that is", function()
      owner:exec 'CREATE SCHEMA "Sp ace"'
      owner:exec [[CREATE SCHEMA "it's"]]
      for _, schema in ipairs { '"Sp ace"', [["it's"]] } do
        owner:exec("SET search_path = " .. schema .. ", public")
        owner:exec "CREATE TABLE t (id int, tenant_id text NOT NULL)"
        if schema:find "'" then
          assert.truthy(refusal([[guards.ensure_audit_trigger("t")]]).hint:find("option schema", 1, true))
        else
          run [[guards.ensure_audit_trigger("t")]]
          owner:exec "INSERT INTO t VALUES (1, 'a')"
          assert.equal(1, #owner:exec([[SELECT FROM pg_tables WHERE schemaname = 'Sp ace' AND tablename = 't_audit']])
            .rows)
        end
        owner:exec("DROP SCHEMA " .. schema .. " CASCADE")
      end
      owner:exec "RESET search_path"
    end)

    it("refuses a table of the audit's name that is none, and stands on a partitioned table", function()
      owner:exec "CREATE TABLE t (id int, tenant_id text NOT NULL) PARTITION BY LIST (id)"
      owner:exec "CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1)"
      owner:exec "CREATE TABLE t_audit (id int)"
      run [[guards.ensure_tenant_isolation("t")]]
      assert.truthy(refusal([[guards.ensure_audit_trigger("t")]]).message:find("t_audit is there, but is no audit", 1,
        true))
      owner:exec "DROP TABLE t_audit"
      run [[guards.ensure_audit_trigger("t")]]
      as_tenant("a", "INSERT INTO t VALUES (1, 'a')")
      as_tenant("b", "INSERT INTO t VALUES (1, 'b')")
      assert.equal("a", as_tenant("a", "SELECT tenant_id FROM t_audit").rows[1][1])
    end)

    it("works for names that have to be quoted, and other types, columns and settings", function()
      settings.tenant_column, settings.tenant_setting, settings.tenant_type = "Tenant '%s'", "app.org", "uuid"
      run [[guards.create_tenant_aware_table("it's {a} %s", sa.Column("id", sa.Integer))
        guards.ensure_audit_trigger("it's {a} %s")]]
      local id = "6f2f7d3c-3c0b-4a80-9f6b-2ed2a3a6a111"
      app:exec("SELECT set_config('app.org', $1, false)", { id })
      app:exec([[INSERT INTO "it's {a} %s" VALUES (1, $1)]], { id })
      assert.equal(1, #app:exec([[SELECT FROM "it's {a} %s_audit"]]).rows)
    end)
  end)

  describe("declare_global", function()
    before_each(function()
      owner:exec [[CREATE TABLE dmlua_tables (name text PRIMARY KEY, declared text NOT NULL, reason text,
        since timestamptz NOT NULL DEFAULT now())]]
    end)

    local function declared()
      local found = {}
      for i, row in ipairs(owner:exec("SELECT name, declared FROM dmlua_tables ORDER BY 1").rows) do
        found[i] = row.name .. " " .. row.declared
      end
      return found
    end

    it("writes the table down, once; so does the option of op.create_table", function()
      run [[op.create_table("countries", sa.Column("id", sa.Integer), { tenant = "global" })
        op.create_table("Currencies", sa.Column("id", sa.Integer))
        guards.declare_global("Currencies")
        guards.declare_global("Currencies")]]
      assert.same({ 'public."Currencies" global', "public.countries global" }, declared())
      assert.same({ "dmlua: countries: declared global", 'dmlua: "Currencies": declared global' }, changes())
    end)

    it("asks for the reason where the table has a tenant column", function()
      run [[op.create_table("t", sa.Column("tenant_id", sa.Text))]]
      local message = refusal [[guards.declare_global("t")]]
      assert.equal("ZD009", message.sqlstate)
      run [[guards.declare_global("t", { reason = "who pays for whom" })]]
      assert.same({ "public.t global" }, declared())
    end)

    it("refuses a table that is not there, and another word than global", function()
      assert.equal("ZD001", refusal([[guards.declare_global("nothing")]]).sqlstate)
      assert.truthy(refusal([[op.create_table("t", sa.Column("a", sa.Text), { tenant = "mine" })]]).message
        :find('tenant is "global"', 1, true))
    end)
  end)
end)
