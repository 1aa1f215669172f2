-- tenants.each { batch = … }: a large tenant in several transactions, with a cursor; every row once, whatever happens.

local busted = require "busted"
local helper = require "spec.helper"

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants VALUES ('acme'), ('globex'), ('initech');
  CREATE TABLE orders (tenant_id text NOT NULL, id %s NOT NULL, n int NOT NULL DEFAULT 0, %s);
  INSERT INTO orders SELECT t, %s FROM unnest(ARRAY['acme', 'globex']) WITH ORDINALITY u(t, i),
    generate_series(1, CASE t WHEN 'acme' THEN 25 ELSE 7 END) g;
  ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
  ALTER TABLE orders FORCE ROW LEVEL SECURITY;
  CREATE POLICY isolation ON orders
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, INSERT, UPDATE ON orders TO app;
  CREATE TABLE batches (tenant text, rows int, tx bigint DEFAULT txid_current());
  GRANT ALL ON batches TO app;
]]

local function project(upgrade, type, key, value)
  local database = helper.database()
  helper.execute(database.owner, schema:format(type or "bigint", key or "PRIMARY KEY (tenant_id, id)", value or "g"))
  local settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id", global_tables = "*" }
  return helper.project { database = database, settings = settings,
    versions = { { revision = "aaaa", upgrade = upgrade } } }, database
end

local function upgrade(folder, code)
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.are.equal(code or 0, result.code, result.err)
  return result
end

local ranges = [[tenants.each(function(tenant, batch)
  op.execute("UPDATE orders SET n = n + 1 WHERE id BETWEEN :first AND :last",
    { first = batch.first, last = batch.last })
  op.execute("INSERT INTO batches SELECT :t, :size", { t = tenant.id, size = batch.size })
  %s
end, { mode = "resumable", batch = { table = "orders", size = 10%s } })]]

-- Transactions by tenant, and how often rows were visited: "1:32" is each once.
local function batches(database)
  return helper.value(database, "SELECT string_agg(tenant || '=' || rows, ' ' ORDER BY tenant, tx) FROM batches")
end

local function visits(database)
  return helper.value(database, "SELECT string_agg(n || ':' || c, ' ' ORDER BY n)"
    .. " FROM (SELECT n, count(*) c FROM orders GROUP BY n) v")
end

describe("tenants.each with batch = { table }", function()
  it("gives a callback its tenant's rows in ranges of the key, a transaction each", function()
    local folder, database = project(ranges:format("", ""))
    upgrade(folder)
    assert.are.equal("acme=10 acme=10 acme=5 globex=7", batches(database))
    assert.are.equal("1:32", visits(database))
    assert.are.equal("4", helper.value(database, "SELECT count(DISTINCT tx) FROM batches"))
    assert.are.equal("0", helper.value(database, "SELECT count(*) FROM dmlua_progress"))
  end)

  for type, it_is in pairs {
    uuid = { "PRIMARY KEY (id)", "gen_random_uuid()" }, text = { "PRIMARY KEY (id)", "t || chr(34) || g" },
    ["timestamptz"] = { "UNIQUE (tenant_id, id)", "now() + g * interval '1 us'" },
    ["numeric(30,10)"] = { "UNIQUE (id, tenant_id)", "(g + i / 10.0)" },
    ["varchar(20)"] = { "CHECK (true)", "g / 7" }, -- not unique: a batch is as large as it has to be
  } do
    it("gives integer keys as numbers, others as texts", function()
    local told = [[log.info("%s: %s %s %s", tenant.id, math.type(batch.first) or "text", math.type(batch.after) or
      type(batch.after), batch.last)]]
    for kind, expected in pairs { bigint = { "acme: integer nil 10", "acme: integer integer 25" },
      text = { "acme: text nil 18", "acme: text string 9" } } do
      local result = upgrade((project(ranges:format(told, ""), kind)))
      for _, line in ipairs(expected) do assert.truthy(result.err:find(line .. "\n", 1, true), result.err) end
    end
  end)

  it("takes keys of type " .. type, function()
      local folder, database = project(ranges:format("", ', key = "id"'), type, it_is[1], it_is[2])
      upgrade(folder)
      assert.are.equal("1:32", visits(database))
      assert.truthy(tonumber(helper.value(database, "SELECT count(*) FROM batches WHERE tenant = 'acme'")) >= 2)
    end)
  end

  it("goes on behind the last batch that was kept, after a failure and after a kill", function()
    local folder, database = project(ranges:format([[op.execute("SELECT 1 / (CASE WHEN :t = 'acme' AND EXISTS (SELECT"
      .. " FROM gate WHERE id > :last::bigint - 10) THEN 1 ELSE 0 END)", { t = tenant.id, last = batch.last })
      op.execute("LOCK TABLE gate IN ROW SHARE MODE")]], ""))
    helper.execute(database.owner, "CREATE TABLE gate (id int); INSERT INTO gate VALUES (5);"
      .. "GRANT SELECT, UPDATE ON gate TO app")
    local result = upgrade(folder, 6)
    assert.truthy(result.err:find("acme", 1, true), result.err)
    assert.are.equal("acme=10", batches(database))
    helper.execute(database.owner, "INSERT INTO gate VALUES (1000)")
    helper.write(folder .. "/versions/aaaa.lua", helper.revision { revision = "aaaa",
      upgrade = ranges:format('if batch.after then op.execute("LOCK TABLE gate IN ROW SHARE MODE") end', "") })
    local gate = helper.connect(database.owner)
    gate:exec "BEGIN"
    gate:exec "LOCK TABLE gate IN EXCLUSIVE MODE"
    local running = helper.start("upgrade head --accept-changed", { cwd = folder })
    helper.eventually(function()
      return helper.value(database, "SELECT count(*) FROM pg_locks WHERE NOT granted"
        .. " AND relation = 'gate'::regclass") == "1"
    end)
    running.kill("KILL")
    running.wait()
    gate:exec "ROLLBACK"
    assert.are.equal(0, helper.dmlua("upgrade head --accept-changed", { cwd = folder }).code)
    assert.are.equal("1:32", visits(database))
    assert.are.equal("acme=10 acme=10 acme=5 globex=7", batches(database))
  end)

  it("does each row once, however often it is killed", function()
    local folder, database = project((ranges:format("", " }, workers = 3"):gsub("3 } }", "3 }")))
    helper.execute(database, "INSERT INTO orders SELECT t, g FROM unnest(ARRAY['acme', 'globex', 'initech']) t,"
      .. " generate_series(1001, 2500) g")
    math.randomseed(os.time())
    for _ = 1, 8 do
      local running = helper.start("upgrade head", { cwd = folder })
      busted.sleep(math.random() * 0.2)
      running.kill("KILL")
      running.wait()
    end
    upgrade(folder)
    assert.are.equal("1:4532", visits(database))
    assert.are.equal("4532", helper.value(database, "SELECT sum(rows) FROM batches"))
  end)

  it("does not go on by another key than the one it began with", function()
    local folder, database = project(ranges:format([[op.execute("SELECT 1 / :n", { n = batch.after and 0 or 1 })]], ""))
    upgrade(folder, 6)
    helper.execute(database.owner, "ALTER TABLE orders ADD COLUMN m bigint NOT NULL DEFAULT 0")
    helper.execute(database.owner, "CREATE VIEW others AS SELECT * FROM orders; GRANT SELECT ON others TO app")
    local function upgrade_changed(changed, code, text)
      helper.write(folder .. "/versions/aaaa.lua", helper.revision { revision = "aaaa", upgrade = changed })
      local result = helper.dmlua("upgrade head --accept-changed", { cwd = folder })
      assert.are.equal(code, result.code, result.err)
      assert.truthy(result.err:find(text, 1, true), result.err)
    end
    upgrade_changed(ranges:format("", ', key = "m"'), 1,
      "an earlier run went by orders.id, not by m: finish the loop with the file as it was")
    upgrade_changed((ranges:format("", ""):gsub('table = "orders"', 'table = "others"')), 6,
      "tenant 'acme' has come to orders.id=10, and the batches are now of others.id")
    assert.are.equal("0:15 1:17", visits(database))
  end)

  it("refuses what it could not do whole, at its line", function()
    for more, text in pairs {
      [', key = "gone"'] = "table orders has no column gone", [', tabel = "x"'] = "has no option 'tabel'",
      [', key = "n"'] = "", [', schema = "nowhere"'] = "there is no table nowhere.orders",
    } do
      local result = helper.dmlua("upgrade head", { cwd = (project(ranges:format("", more))) })
      assert.are.equal(text == "" and 0 or 1, result.code, result.err)
      assert.truthy(result.err:find(text, 1, true), result.err)
    end
    for key, text in pairs {
      ["PRIMARY KEY (tenant_id, id, n)"] = "the primary key of orders has several columns (id, n): say by which one",
      ["UNIQUE (id)"] = "table orders has no primary key: say by which column",
    } do
      local result = upgrade(project(ranges:format("", ""), "bigint", key, "g + i * 100"), 1)
      assert.truthy(result.err:find("tenants.each: batch: " .. text, 1, true), result.err)
    end
    local folder, database = project(ranges:format("", ', key = "m"'))
    helper.execute(database.owner, "ALTER TABLE orders ADD COLUMN m int")
    assert.truthy(upgrade(folder, 1).err:find("column m of orders may be NULL", 1, true))
  end)

  it("needs transactions of their own", function()
    local result = upgrade(project('tenants.each(print, { batch = { table = "orders" } })'), 1)
    assert.truthy(result.err:find('tenants.each: batch needs mode = "resumable"', 1, true), result.err)
    for _, batch in ipairs { "0", "-1", "1.5", "{}", '{ "orders" }', "'x'", '{ table = "orders", size = 0 }' } do
      upgrade(project(('tenants.each(print, { mode = "resumable", batch = %s })'):format(batch)), 1)
    end
  end)
end)

describe("tenants.each with batch = N", function()
  it("calls again with the cursor that was returned, until there is none", function()
    local folder, database = project [[tenants.each(function(tenant, batch)
      local from = tonumber(batch.cursor or "0")
      local last = op.get_bind():scalar("WITH done AS (UPDATE orders SET n = n + 1 WHERE id > :from AND id <= :to"
        .. " RETURNING id) SELECT max(id) FROM done", { from = from, to = from + batch.size })
      op.execute("INSERT INTO batches VALUES (:t, :s)", { t = tenant.id, s = batch.size })
      return last and tostring(last)
    end, { mode = "resumable", batch = 10, workers = 2 })]]
    upgrade(folder)
    assert.are.equal("1:32", visits(database))
    assert.are.equal("acme=10 acme=10 acme=10 acme=10 globex=10 globex=10 initech=10", batches(database))
  end)

  it("refuses the cursor that it was given, with which it would never end", function()
    local folder, database = project [[tenants.each(function(_, batch)
      op.execute("UPDATE orders SET n = n + 1 WHERE id <= :to", { to = batch.size })
      return 10
    end, { mode = "resumable", batch = 10, max_failures = 1 })]]
    assert.truthy(upgrade(folder, 6).err:find("has returned the cursor that it was given", 1, true))
    assert.are.equal("0:22 1:10", visits(database))
  end)
end)
