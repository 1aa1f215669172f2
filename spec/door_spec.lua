local helper = require "spec.helper"
local step = require "spec.step"

describe("op.across_tenants", function()
  local database, owner

  setup(function()
    database = helper.database()
    owner = helper.connect(database.owner)
  end)

  local function run(connection, script)
    local bind = step.runner(connection)
    connection:exec "BEGIN"
    connection:exec "SET LOCAL row_security = off"
    local ok, message = pcall(step.run, bind, script)
    connection:exec(ok and "COMMIT" or "ROLLBACK")
    return message, bind
  end

  before_each(function()
    owner:exec [[DROP TABLE IF EXISTS child, children, customers, "Order Line", parted CASCADE]]
    owner:exec "CREATE TABLE customers (id int PRIMARY KEY, tenant_id text)"
    owner:exec "INSERT INTO customers VALUES (1, 'a'), (2, 'b')"
    owner:exec "CREATE TABLE child (id int, customer_id int)"
    for _, name in ipairs { "customers", "child" } do
      owner:exec(("ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"):format(name))
    end
  end)

  local function forced(name)
    return owner:exec("SELECT relforcerowsecurity AS f FROM pg_class WHERE oid = $1::regclass", { name }).rows[1].f
  end

  it("shows the owner every tenant's rows inside, and forces row security again afterwards", function()
    local message, bind = run(owner, [[op.across_tenants({ "customers" }, function()
      op.execute("UPDATE customers SET tenant_id = upper(tenant_id)")
    end)]])
    assert.is_nil(message)
    assert.is_true(forced "customers")
    assert.same({ across_tenants = "customers" }, bind.marks)
    owner:exec "ALTER TABLE customers NO FORCE ROW LEVEL SECURITY"
    assert.equal(2, owner:exec("SELECT count(*) AS n FROM customers WHERE tenant_id IN ('A', 'B')").rows[1].n)
  end)

  it("leaves a table unforced that was so before", function()
    owner:exec "ALTER TABLE child NO FORCE ROW LEVEL SECURITY"
    assert.is_nil((run(owner, [[op.across_tenants({ "customers", "child" }, function() end)]])))
    assert.is_false(forced "child")
    assert.is_true(forced "customers")
  end)

  it("may stand inside itself: the outer one closes last", function()
    assert.is_nil((run(owner, [[op.across_tenants({ "customers" }, function()
      op.across_tenants({ "customers", "child" }, function() op.execute("SELECT * FROM customers, child") end)
      op.execute("SELECT * FROM customers")
    end)
    op.across_tenants({ "child" }, function() op.execute("SELECT * FROM child") end)]])))
    assert.is_true(forced "customers")
    assert.is_true(forced "child")
  end)

  it("opens nothing beyond its own tables and its own end", function()
    for _, script in ipairs {
      [[op.across_tenants({ "customers" }, function() op.execute("SELECT * FROM child") end)]],
      [[op.across_tenants({ "customers" }, function() end)
        op.execute("SELECT * FROM customers")]],
    } do
      assert.equal("42501", run(owner, script).sqlstate)
    end
  end)

  it("lets the error of the function through, and the transaction takes the door with it", function()
    assert.equal("23505", run(owner, [[op.across_tenants({ "customers" }, function()
      op.execute("INSERT INTO customers VALUES (1, 'c')")
    end)]]).sqlstate)
    assert.is_true(forced "customers")
  end)

  it("refuses to end when what it has to put back was forgotten", function()
    local message = run(owner, [[op.across_tenants({ "customers" }, function() op.execute("RESET ALL") end)]])
    assert.equal("ZD007", message.sqlstate)
    assert.is_true(forced "customers")
  end)

  it("closes behind deferred constraints that wait to be checked, and a table that was dropped or renamed", function()
    owner:exec [[ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (customer_id) REFERENCES customers
      DEFERRABLE INITIALLY DEFERRED NOT VALID]]
    assert.is_nil((run(owner, [[
      op.across_tenants({ "customers", "child" }, function()
        op.execute("INSERT INTO child VALUES (1, 1)")
        op.rename_table("customers", "clients")
      end)
      op.rename_table("clients", "customers")
      op.across_tenants({ "child" }, function() op.drop_table("child") end)]])))
    assert.is_true(forced "customers")
  end)

  it("has nothing to do for a role that bypasses row security", function()
    helper.execute(database.postgres, "GRANT ALL ON customers TO bypass")
    local bypass = helper.connect(database.bypass)
    assert.is_nil((run(bypass, [[op.across_tenants({ "customers" }, function()
      op.execute("UPDATE customers SET tenant_id = 'z'")
    end)]])))
    assert.is_true(forced "customers")
  end)

  it("refuses a role that is neither owner nor bypasses, and says what to grant", function()
    local app = helper.connect(database.app)
    local message = run(app, [[op.across_tenants({ "customers" }, function() end)]])
    assert.equal("ZD006", message.sqlstate)
    assert.equal("TenantIsolationError: role app may not see all rows of customers", message.message)
    assert.truthy(message.hint:find("GRANT owner TO app", 1, true))
    assert.same({ table = "customers", checks = { "across_tenants" } }, require("dmlua.json").decode(message.detail))
  end)

  it("takes tables of other schemas and names of any kind", function()
    owner:exec [[CREATE TABLE "Order Line" (id int)]]
    owner:exec [[ALTER TABLE "Order Line" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY]]
    local message, bind = run(owner, [[
      op.across_tenants({ "Order Line", { "customers", schema = "public" } }, function()
      op.execute('SELECT * FROM "Order Line", public.customers')
    end)]])
    assert.is_nil(message)
    assert.same({ across_tenants = '"Order Line", public.customers' }, bind.marks)
  end)

  it("refuses arguments that are none, and to stand inside autocommit_block", function()
    for _, script in ipairs {
      "op.across_tenants('t', print)", "op.across_tenants({}, print)", "op.across_tenants({ 't' })",
      "op.across_tenants({ { 't', shema = 'x' } }, print)",
      "context.autocommit_block(function() op.across_tenants({ 't' }, print) end)",
    } do
      local message = step.error_of(step.recorder(), script)
      assert.equal("script.lua", message and message.file, script)
    end
  end)

  it("is not needed for any other directive: they work for the owner where row security is forced", function()
    local message = run(owner, [[
      op.add_column("customers", sa.Column("country", sa.String(2), { server_default = "de", nullable = false,
        index = true, unique = true, comment = "where" }))
      op.alter_column("customers", "country", { type_ = sa.Text, postgresql_using = "upper(country)", nullable = true,
        server_default = null, comment = null })
    ]])
    assert.equal("23505", message.sqlstate) -- the two rows have the same default: the index sees them
    assert.is_nil((run(owner, [[
      op.add_column("customers", sa.Column("country", sa.String(2), { server_default = "de", nullable = false,
        index = true, comment = "where" }))
      op.alter_column("customers", "country", { type_ = sa.Text, postgresql_using = "upper(country)", nullable = true,
        server_default = null, comment = null })
      op.alter_column("customers", "tenant_id", { nullable = false, new_column_name = "tenant" })
      op.create_unique_constraint("uq", "customers", { "tenant", "id" })
      op.create_check_constraint("ck", "customers", "id > 0")
      op.create_index("ix", "customers", { "tenant" }, { unique = true })
      op.drop_index("ix")
      op.drop_constraint("uq", "customers")
      op.create_primary_key("pk", "child", { "id" })
      op.drop_column("customers", "country")
      op.rename_table("child", "children")
      op.drop_table("children")
    ]])))
    assert.is_true(forced "customers")
    assert.equal("23514", run(owner, [[op.create_check_constraint("ck2", "customers", "id > 1")]]).sqlstate)
  end)

  describe("is used by the vocabulary itself:", function()
    local forward = [[op.create_foreign_key("fk", "child", "customers", { "customer_id" }, { "id" })]]

    it("a foreign key is truly checked where row security is forced", function()
      owner:exec "ALTER TABLE child NO FORCE ROW LEVEL SECURITY"
      owner:exec "INSERT INTO child VALUES (1, 1), (2, 7)"
      owner:exec "ALTER TABLE child FORCE ROW LEVEL SECURITY"
      assert.equal("23503", run(owner, forward).sqlstate)
      owner:exec "ALTER TABLE child NO FORCE ROW LEVEL SECURITY"
      owner:exec "DELETE FROM child WHERE id = 2"
      owner:exec "ALTER TABLE child FORCE ROW LEVEL SECURITY"
      assert.is_nil((run(owner, forward)))
      assert.is_true(forced "child")
      assert.is_true(forced "customers")
      assert.is_true(owner:exec("SELECT convalidated AS v FROM pg_constraint WHERE conname = 'fk'").rows[1].v)
    end)

    it("a constraint is truly validated where row security hides the rows that break it", function()
      owner:exec "ALTER TABLE child NO FORCE ROW LEVEL SECURITY"
      owner:exec "INSERT INTO child VALUES (1, 7)"
      owner:exec "ALTER TABLE child FORCE ROW LEVEL SECURITY"
      assert.is_nil((run(owner, [[op.create_foreign_key("fk", "child", "customers", { "customer_id" }, { "id" },
        { postgresql_not_valid = true })]])))
      assert.equal("23503", run(owner, [[op.validate_constraint("fk", "child")]]).sqlstate)
      assert.is_true(forced "child")
    end)

    it("a new table may refer to one whose row security is forced, without the door", function()
      local message, bind = run(owner, [[op.create_table("parted", sa.Column("id", sa.Integer,
        sa.ForeignKey("customers.id")))]])
      assert.is_nil(message)
      assert.same({}, bind.marks)
    end)

    it("so is the foreign key of an added column, and of a partitioned table", function()
      assert.is_nil((run(owner, [[
        op.add_column("child", sa.Column("other_id", sa.Integer, sa.ForeignKey("customers.id")))
        op.add_column("child", sa.Column("third_id", sa.Integer, sa.ForeignKey("customers.id")),
          { inline_references = true })]])))
      owner:exec "CREATE TABLE parted (customer_id int) PARTITION BY LIST (customer_id)"
      owner:exec "CREATE TABLE parted1 PARTITION OF parted FOR VALUES IN (1)"
      owner:exec "INSERT INTO parted VALUES (1)"
      for _, name in ipairs { "parted", "parted1" } do
        owner:exec(("ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"):format(name))
      end
      assert.is_nil((run(owner, [[op.create_foreign_key(null, "parted", "customers", { "customer_id" }, { "id" })]])))
      assert.is_true(forced "parted1")
    end)
  end)
end)
