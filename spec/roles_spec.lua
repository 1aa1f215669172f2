-- Every cell of doc/roles.md: a directive, done by a role that owns its tables, whose row security is forced.

local helper = require "spec.helper"
local step = require "spec.step"

local roles = { superuser = "postgres", BYPASSRLS = "bypass", ["plain owner"] = "owner" }

-- By what stands in the table's first column: what is done.
local scripts = {
  ["op.create_table"] = [[op.create_table("t", sa.Column("id", sa.Integer,
    sa.ForeignKey("customers.id")))]],
  ["op.rename_table"] = [[op.rename_table("customers", "clients")]],
  ["op.drop_table"] = [[op.drop_table("orders")]],
  ["op.add_column"] = [[op.add_column("customers", sa.Column("x", sa.Text, { server_default = "y", nullable = false,
    index = true }))]],
  ["op.add_column with sa.ForeignKey"] = [[op.add_column("orders", sa.Column("x", sa.Integer,
    sa.ForeignKey("customers.id")))]],
  ["op.drop_column"] = [[op.drop_column("customers", "email")]],
  ["op.alter_column"] = [[op.alter_column("customers", "email", { type_ = sa.String(99), nullable = false })]],
  ["op.create_index"] = [[op.create_index("i", "customers", { "tenant_id", "email" }, { unique = true })]],
  ["op.drop_index"] = [[op.drop_index("customers_email")]],
  ["op.create_primary_key"] = [[op.create_primary_key("pk", "orders", { "id" })]],
  ["op.create_unique_constraint"] = [[op.create_unique_constraint("u", "customers", { "tenant_id", "email" })]],
  ["op.create_check_constraint"] = [[op.create_check_constraint("c", "customers", "id > 0")]],
  ["op.create_foreign_key"] = [[op.create_foreign_key("f", "orders", "customers", { "customer_id" }, { "id" })]],
  ["op.validate_constraint"] = [[op.create_foreign_key("f", "orders", "customers", { "customer_id" }, { "id" },
    { postgresql_not_valid = true })
    op.validate_constraint("f", "orders")]],
  ["op.drop_constraint"] = [[op.drop_constraint("customers_pkey", "customers")]],
  ["op.create_table_comment"] = [[op.create_table_comment("customers", "x")]],
  ["op.create_policy"] = [[op.create_policy("narrow", "customers", { restrictive = true, using = "id > 0" })]],
  ["op.create_view"] = [[op.create_view("v", "SELECT * FROM customers")]],
  ["op.backup_table, restore_table, drop_backup"] = [[op.backup_table("customers")
    op.restore_table("customers")
    op.drop_backup("customers")]],
  ["op.across_tenants"] = [[op.across_tenants({ "customers" }, function()
    assert(op.get_bind():execute("SELECT count(*) FROM customers"):scalar() == 2) end)]],
  ["op.execute, a row of a tenant's table"] = [[op.execute("UPDATE customers SET email = upper(email)")]],
  ["op.bulk_insert into a tenant's table"] = [[op.bulk_insert(sa.table("customers", sa.column("id"),
    sa.column("tenant_id")), { { id = 9, tenant_id = "{a}" } })]],
  ["op.execute, CREATE TABLE … AS"] = [[op.execute("CREATE TABLE t AS SELECT * FROM customers")]],
  ["guards.ensure_tenant_column with backfill"] = [[op.create_table("t", sa.Column("id", sa.Integer))
    op.execute("INSERT INTO t VALUES (1)")
    guards.ensure_tenant_column("t", { backfill = "'{a}'" })]],
  ["guards.ensure_tenant_indexes"] = [[guards.ensure_tenant_indexes("customers", { "email" })]],
  ["guards.ensure_tenant_isolation"] = [[op.execute("ALTER TABLE customers NO FORCE ROW LEVEL SECURITY")
    guards.ensure_tenant_isolation("customers")]],
  ["guards.assert_tenant_isolation"] = [[guards.assert_tenant_isolation("customers")]],
  ["guards.drop_tenant_isolation"] = [[guards.drop_tenant_isolation("customers")]],
  ["guards.enable_tenant_isolation_on"] = [[guards.drop_tenant_isolation("customers")
    guards.enable_tenant_isolation_on("customers")]],
  ["guards.create_tenant_aware_table"] = [[guards.create_tenant_aware_table("t", sa.Column("id", sa.Integer))]],
  ["guards.add_tenant_aware_column"] = [[guards.add_tenant_aware_column("customers", sa.Column("x", sa.Text))]],
  ["guards.ensure_tenant_foreign_key"] = [[guards.ensure_tenant_foreign_key("orders", "customers",
    "customer_id", "id")]],
  ["guards.rename_tenant_aware_table"] = [[guards.rename_tenant_aware_table("customers", "clients")]],
  ["guards.ensure_audit_trigger"] = [[guards.ensure_audit_trigger("customers")]],
  ["guards.setup_tenant_isolation"] = [[guards.setup_tenant_isolation()]],
}

local tables = [[
  op.create_table("customers", sa.Column("id", sa.Integer, { primary_key = true }),
    sa.Column("tenant_id", {type}, { nullable = false }), sa.Column("email", sa.Text))
  op.execute("CREATE INDEX customers_email ON customers (email)")
  op.create_table("orders", sa.Column("id", sa.Integer, { nullable = false }),
    sa.Column("tenant_id", {type}, { nullable = false }), sa.Column("customer_id", sa.Integer))
  op.execute("INSERT INTO customers VALUES (1, '{a}', 'x'), (2, '{b}', 'y')")
  op.execute("INSERT INTO orders VALUES (1, '{a}', 1), (2, '{b}', 2)")
  guards.ensure_tenant_isolation("customers")
  guards.ensure_tenant_isolation("orders")
]]

-- Types of the tenant column: as SQL, as a script writes it, and two tenants. All directives are tried with the first,
-- those that know of tenants with each.
local types = {
  { sql = "text", type = "sa.Text", a = "a", b = "b" },
  { sql = "varchar(40)", type = "sa.String(40)", a = "it''s", b = "it''s-evil" },
  { sql = "uuid", type = "sa.UUID()", a = "11111111-1111-1111-1111-111111111111",
    b = "22222222-2222-2222-2222-222222222222" },
  { sql = "bigint", type = "sa.BigInteger", a = "1", b = "10" },
}

local function of_type(script, kind)
  return (script:gsub("{(%w+)}", kind))
end

local heads, cells = {}, {}
do
  local text = helper.read(helper.root .. "/doc/roles.md")
  for line in text:gmatch "\n(|[^\n]*)" do
    local columns = {}
    for column in line:gmatch "|%s*([^|]-)%s*%f[|]" do columns[#columns + 1] = column end
    if columns[1] == "directive" then
      heads = columns
    elseif heads[2] and columns[1]:find "^`" then
      cells[columns[1]:gsub("`", "")] = columns
    end
  end
end

describe("doc/roles.md", function()
  local database = helper.database()

  it("has a row for each directive that is tried here, and no other", function()
    for name in pairs(scripts) do assert.truthy(cells[name], name .. " is not in the table") end
    for name in pairs(cells) do assert.truthy(scripts[name], name .. " is not tried") end
  end)

  -- One transaction, as a step is, with row security off, as it is outside the tenant loop.
  local function try(connection, script, kind, keep)
    local bind = step.runner(connection, { app_role = "app", tenant_type = kind.sql })
    connection:exec "BEGIN"
    connection:exec "SET LOCAL row_security = off"
    local ok, message = pcall(step.run, bind, of_type(script, kind))
    connection:exec(ok and keep and "COMMIT" or "ROLLBACK")
    return not ok and message or nil
  end

  local function prepare(role, kind)
    helper.execute(database, ([[DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public AUTHORIZATION %s;
      GRANT USAGE ON SCHEMA public TO app]]):format(role))
    local connection = helper.connect(database[role])
    local message = try(connection, tables, kind, true)
    assert(not message, tostring(message))
    return connection
  end

  for column = 2, #heads do
    local role = roles[heads[column]]
    for i, kind in ipairs(types) do
      it(("says what comes of each directive for a %s, with tenants of %s"):format(heads[column], kind.sql), function()
        local connection = prepare(role, kind)
        for name, script in pairs(scripts) do
          local said = cells[name][column]
          if i == 1 or name:find "^guards" or name:find "tenant" or name:find "backup" then
            local message = try(connection, script, kind)
            local came = message and "refused, " .. tostring(message.sqlstate) or "works"
            assert.equal(said, came, name .. ": " .. tostring(message))
          end
        end
      end)
    end
  end

  it("says what a role gets that owns nothing: a refusal that names the GRANT, or the server's", function()
    prepare("owner", types[1])
    local app = helper.connect(database.app)
    for _, name in ipairs { "op.across_tenants", "op.create_foreign_key", "guards.ensure_tenant_foreign_key",
      "guards.rename_tenant_aware_table", "op.backup_table, restore_table, drop_backup" } do
      local message = try(app, scripts[name], types[1])
      assert.truthy(message and message.hint:find("GRANT owner TO app", 1, true), name .. ": " .. tostring(message))
    end
    assert.equal("42501", try(app, scripts["op.add_column"], types[1]).sqlstate)
  end)
end)
