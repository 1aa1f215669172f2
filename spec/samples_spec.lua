-- The sample services under migrations/: they run as they stand, up, down and up, and keep tenants apart.

local helper = require "spec.helper"

local ini = helper.root .. "/migrations/dmlua.ini"

local databases = { management = helper.database(), isp = helper.database() }

-- What runs dmlua on one of the services, as the plain owner of its empty database.
local function services()
  for _, database in pairs(databases) do helper.execute(database, "DROP OWNED BY owner") end
  local env = { DMLUA_URL_MANAGEMENT = databases.management.owner, DMLUA_URL_ISP = databases.isp.owner }
  local function run(service, words)
    local result = helper.dmlua(("-c %s --service %s %s"):format(ini, service, words), { env = env })
    assert(result.code == 0, result.err)
    return result
  end
  return run
end

local function dump(database)
  local result = helper.run(helper.programs .. "/pg_dump", { "-s", "--restrict-key=spec", "-d", database.postgres })
  assert(result.code == 0, result.err)
  return result.out
end

local management_rows = [[
  INSERT INTO tenants (id, name) VALUES ('a', 'Acme Net'), ('b', 'Brook Fibre');
  INSERT INTO users (tenant_id, email, full_name, role)
    SELECT id, 'owner@' || id || '.example', 'Owner of ' || name, 'owner' FROM tenants;
  INSERT INTO subscriptions (tenant_id, plan_id, starts_on) SELECT id, 'starter', '2024-01-01' FROM tenants;
  INSERT INTO api_keys (tenant_id, user_id, name, secret_hash) SELECT tenant_id, id, 'first', '\x00' FROM users;
  INSERT INTO invoices (tenant_id, subscription_id, number, amount, issued_on)
    SELECT tenant_id, id, '1', 29, '2024-01-01' FROM subscriptions;
]]

local isp_rows = [[
  INSERT INTO customers (tenant_id, name, email)
    SELECT t, 'Customer of ' || t, 'Someone@' || t || '.example' FROM unnest('{a,b}'::text[]) t;
  INSERT INTO customers (tenant_id, name, email) SELECT tenant_id, name, lower(email) FROM customers;
  INSERT INTO customer_profiles (id, tenant_id, name, email, created_at, updated_at)
    SELECT id, tenant_id, name, email, created_at, created_at FROM customers;
  INSERT INTO services (tenant_id, customer_id, kind, address, mbit_down, mbit_up, monthly_price)
    SELECT DISTINCT ON (tenant_id) tenant_id, id, 'fibre', 'Main Street 1', 1000, 500, 40
    FROM customers ORDER BY tenant_id, id;
  INSERT INTO orders (tenant_id, customer_id, amount) SELECT tenant_id, customer_id, 40 FROM services;
  INSERT INTO invoices (tenant_id, order_id, number, amount, due_on)
    SELECT tenant_id, id, '1', 40, '2024-02-01' FROM orders;
  INSERT INTO tickets (tenant_id, customer_id, service_id, subject)
    SELECT tenant_id, customer_id, id, 'slow' FROM services;
]]

-- Both services at their heads, with two tenants whose rows were there before the data migrations ran.
local function filled_services()
  local run = services()
  run("management", "upgrade b60d4e7f2a91")
  helper.execute(databases.management, management_rows)
  run("management", "upgrade head")
  run("isp", "upgrade f19b3c8e50d7")
  helper.execute(databases.isp, isp_rows)
  run("isp", "upgrade head")
  return run
end

local function tenant_tables(database)
  return helper.sql(database, [[
    SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id'
      AND c.relname NOT LIKE 'dmlua%' ORDER BY 1]])
end

describe("the sample services", function()
  for _, service in ipairs { "management", "isp" } do
    it(("give the same schema after up, down and up: %s"):format(service), function()
      local run = services()
      run("management", "upgrade head")
      run(service, "upgrade head")
      local first = dump(databases[service])
      run(service, "downgrade base")
      assert.same({}, tenant_tables(databases[service]))
      run(service, "upgrade head")
      assert.equal(first, dump(databases[service]))
    end)

    it(("have revisions of at most 60 lines, six or more: %s"):format(service), function()
      local lfs, count = require "lfs", 0
      local folder = ("%s/migrations/%s/versions"):format(helper.root, service)
      for name in lfs.dir(folder) do
        if name:find "%.lua$" then
          local _, lines = helper.read(folder .. "/" .. name):gsub("\n", "")
          assert(lines <= 60, name .. " has " .. lines .. " lines")
          count = count + 1
        end
      end
      assert(count >= 6)
    end)
  end

  it("keep prices to the cent, up and down", function()
    local run = services()
    run("management", "upgrade head")
    local prices = "SELECT string_agg(id || ' ' || %s, ', ' ORDER BY id) FROM plans"
    assert.equal("carrier 49900, growth 9900, starter 2900", helper.value(databases.management,
      prices:format "monthly_cents"))
    run("management", "downgrade 38f7d9a0c56e")
    assert.equal("carrier 499.00, growth 99.00, starter 29.00", helper.value(databases.management,
      prices:format "monthly_price"))
  end)
end)

describe("the sample services with rows of two tenants", function()
  local run
  lazy_setup(function() run = filled_services() end)

  it("show the application with tenant a's context the rows of a in every table, and none of b", function()
    for service, expected in pairs { management = 4, isp = 7 } do
      local tables = tenant_tables(databases[service])
      assert.equal(expected, #tables)
      for _, row in ipairs(tables) do
        assert.same({ row.name, "t", "t" }, { row.name, row.enabled, row.forced })
        local counts = helper.execute(databases[service].app, ([[
          SET app.current_tenant_id = 'a';
          SELECT count(*) FILTER (WHERE tenant_id = 'a') > 0, count(*) FILTER (WHERE tenant_id <> 'a') FROM %s]])
          :format(row.name))
        assert.equal(row.name .. ": t|0\n", row.name .. ": " .. counts)
      end
    end
  end)

  it("show the application no row without a tenant's context, and take none for another tenant", function()
    assert.equal("0\n", helper.execute(databases.isp.app, "SELECT count(*) FROM customers"))
    assert.error_matches(function()
      helper.execute(databases.isp.app, [[
        SET app.current_tenant_id = 'a';
        INSERT INTO customers (tenant_id, name, email) VALUES ('b', 'x', 'x@b.example')]])
    end, "row%-level security")
  end)

  it("answer a tenant's query by an index that begins with the tenant", function()
    helper.execute(databases.isp, [[
      INSERT INTO customers (tenant_id, name, email)
        SELECT 't' || n % 500, 'n', 'n' || n || '@example' FROM generate_series(1, 20000) n;
      ANALYZE customers]])
    local plan = helper.execute(databases.isp.app, [[
      SET app.current_tenant_id = 't7';
      EXPLAIN (COSTS off) SELECT * FROM customers]])
    assert.matches("Index.*tenant_id", plan)
    assert.not_matches("Seq Scan", plan)
  end)

  it("move each tenant's data: addresses, new customers, statuses, and back", function()
    local addresses = "SELECT string_agg(tenant_id || ' ' || %s, ', ' ORDER BY tenant_id) FROM %s"
    assert.equal("a owner@a.example, b owner@b.example",
      helper.value(databases.management, addresses:format("billing_email", "subscriptions")))
    assert.equal("a someone@a.example, b someone@b.example",
      helper.value(databases.isp, addresses:format("email", "new_customers")))
    local statuses = "SELECT string_agg(tenant_id || ' ' || status, ', ' ORDER BY tenant_id, status) FROM customers "
      .. "WHERE tenant_id IN ('a', 'b')"
    assert.equal("a active, a prospect, b active, b prospect", helper.value(databases.isp, statuses))
    run("isp", "downgrade -1")
    assert.equal("a prospect, a prospect, b prospect, b prospect", helper.value(databases.isp, statuses))
  end)
end)
