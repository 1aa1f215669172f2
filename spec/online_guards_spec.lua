-- The guards that are told to be online: in parts of the step, through the program.

local helper = require "spec.helper"

describe("online guards", function()
  local database = helper.database()

  local function upgrade(script, role, code, words)
    local folder = helper.project { database = database[role or "bypass"], settings = { isolation = "rls",
      app_role = "app", tenant_type = "text" }, versions = { { revision = "aaaa", upgrade = script } } }
    local result = helper.dmlua(words or "upgrade head", { cwd = folder })
    assert(result.code == (code or 0), result.out .. result.err)
    return result
  end

  before_each(function()
    helper.execute(database, [[DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION bypass;
      GRANT ALL ON SCHEMA public TO PUBLIC]])
    helper.execute(database.bypass, [[CREATE TABLE tenants (id text PRIMARY KEY);
      INSERT INTO tenants VALUES ('a'), ('b');
      CREATE TABLE orders (id int PRIMARY KEY, owner text, created_at date);
      INSERT INTO orders SELECT n, chr(97 + n % 2) FROM generate_series(1, 25) n]])
  end)

  local column = [[guards.ensure_tenant_column("orders", { backfill = "owner", references = "tenants.id", online = true,
    batch_size = 10 })]]
  local indexes = [[guards.ensure_tenant_indexes("orders", { "owner" }, { unique = { "id" }, online = true })]]

  it("add the column, fill it in batches, make it NOT NULL and refer to the tenants, once", function()
    upgrade(column .. "\n" .. column .. [[

      guards.ensure_tenant_isolation("orders")]])
    assert.same({ { n = "25", a = "12" } },
      helper.sql(database, "SELECT count(*) AS n, count(*) FILTER (WHERE tenant_id = 'a') AS a FROM orders"))
    assert.equal("orders_tenant_id_fkey true", helper.value(database,
      [[SELECT string_agg(conname || ' ' || convalidated, ', ')
      FROM pg_constraint WHERE contype IN ('c', 'f') AND conrelid = 'orders'::regclass]]))
    assert.equal("t", helper.value(database, [[SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass
      AND attname = 'tenant_id']]))
  end)

  it("build indexes concurrently, by what is there, and under another name where one is taken", function()
    helper.execute(database.bypass, [[ALTER TABLE orders ADD tenant_id text NOT NULL DEFAULT 'a';
      CREATE INDEX whatever ON orders (tenant_id, owner, id);
      CREATE INDEX idx_orders_tenant_created ON orders (owner)]])
    upgrade(indexes .. "\n" .. indexes)
    assert.equal("idx_orders_tenant_created, idx_orders_tenant_created_1, orders_pkey, orders_tenant_id_id, whatever",
      helper.value(database, [[SELECT string_agg(indexrelid::regclass::text, ', ' ORDER BY indexrelid::regclass::text)
        FROM pg_index WHERE indrelid = 'orders'::regclass AND indisvalid]]))
  end)

  it("build an index anew that a failed run has left invalid", function()
    helper.execute(database.bypass, "ALTER TABLE orders ADD tenant_id text NOT NULL DEFAULT 'a'")
    helper.execute(database.bypass, "INSERT INTO orders VALUES (26, 'a')")
    local unique = [[guards.ensure_tenant_indexes("orders", {}, { unique = { "owner" }, online = true })]]
    assert.matches("23505", upgrade(unique, nil, 1).err)
    helper.execute(database.bypass, "DELETE FROM orders WHERE id NOT IN (SELECT min(id) FROM orders GROUP BY owner)")
    upgrade(unique)
    assert.equal("0", helper.value(database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"))
  end)

  it("stand outside the block in --sql, where psql builds what is missing", function()
    helper.execute(database.bypass, "ALTER TABLE orders ADD tenant_id text NOT NULL DEFAULT 'a'")
    local text = upgrade(indexes .. [[ op.execute("COMMENT ON TABLE orders IS 'x'")]], nil, 0, "upgrade head --sql").out
    helper.execute(database.bypass, text)
    assert.equal("5", helper.value(database, "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass"))
    text = text:gsub("CREATE TABLE %S*alembic_version.-;", "DELETE FROM alembic_version;")
    helper.execute(database.bypass, text)
    assert.equal("5", helper.value(database, "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass"))
    assert.truthy(text:find("COMMIT;\n\nSELECT regexp_replace", 1, true))
  end)

  it("refuse what does not see every row, rows without a tenant, and text instead of execution", function()
    helper.execute(database, [[ALTER TABLE orders OWNER TO owner; ALTER TABLE tenants OWNER TO owner;
      ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY]])
    assert.matches("BYPASSRLS", upgrade(column, "owner", 3).err)
    helper.execute(database, "DROP TABLE alembic_version, dmlua_progress, dmlua_ledger, dmlua_tables, dmlua_database,"
      .. " dmlua_tenants; ALTER TABLE orders NO FORCE ROW LEVEL SECURITY")
    local nothing_said = [[guards.ensure_tenant_column("orders", { online = true })]]
    assert.matches("23514", upgrade(nothing_said, "owner", 1).err)
    assert.matches("needs the database, which %-%-sql does not have",
      upgrade(column, nil, 2, "upgrade head --sql").err)
  end)
end)
