-- doc/tenants.md: its Lua runs, and what it shows is what is printed.

local helper = require "spec.helper"

local text = helper.read(helper.root .. "/doc/tenants.md")

local policy = [[
  ALTER TABLE %s ENABLE ROW LEVEL SECURITY;
  ALTER TABLE %s FORCE ROW LEVEL SECURITY;
  CREATE POLICY isolation ON %s
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, INSERT, UPDATE ON %s TO app;
]]

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY, plan text);
  INSERT INTO tenants VALUES ('acme', 'trial'), ('globex', 'trial'), ('initech', 'paid');
  CREATE TABLE customers (tenant_id text NOT NULL, email text, status text);
  INSERT INTO customers SELECT t, 'e', 'new' FROM unnest(ARRAY['acme', 'globex']) WITH ORDINALITY u(t, i),
    generate_series(1, 1 + 3 * i) g;
  CREATE TABLE old_customers (tenant_id text, email text);
  INSERT INTO old_customers SELECT t, 'A@B' FROM unnest(ARRAY['acme', 'ghost', 'ghost', 'ghost', 'unknown', NULL]) t;
  CREATE TABLE orders (tenant_id text NOT NULL, id bigint PRIMARY KEY, net int, tax int, total int);
  INSERT INTO orders VALUES ('acme', 1, 10, 2), ('globex', 2, 20, 4);
]]
for _, name in ipairs { "customers", "old_customers", "orders" } do
  schema = schema .. policy:format(name, name, name, name)
end

-- Without line breaks and the indentation behind them.
local function flowing(shown) return (shown:gsub("%s+", " ")) end

describe("doc/tenants.md", function()
  local database, folder

  setup(function()
    database = helper.database()
    helper.execute(database.owner, schema)
    folder = helper.project { database = database, settings = { app_role = "app", global_tables = "*",
      tenants_query = "SELECT id, plan FROM tenants ORDER BY id" } }
  end)

  -- One migration more, of that name, with this body; what running it gives.
  local last
  local function run(revision, body, file)
    helper.write(folder .. "/versions/" .. (file or revision) .. ".lua",
      helper.revision { revision = revision, down = last, upgrade = body })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    if result.code == 0 then last = revision else os.remove(folder .. "/versions/" .. (file or revision) .. ".lua") end
    return result
  end

  it("has Lua that runs", function()
    local count, printed = 0, ""
    for block in text:gmatch "\n```lua\n(.-)```" do
      count = count + 1
      local body = block:gsub("^function upgrade%(%)\n(.*)end\n$", "%1")
      local result = run("r" .. count, "local function fn() end\n" .. body)
      assert.are.equal("", result.code == 0 and "" or block .. result.err)
      printed = printed .. flowing(result.err)
    end
    assert.are.equal(5, count)
    local warning = flowing(text:match "\n    (WARN .-)\n\n")
    assert.truthy(printed:find(warning, 1, true), printed)
    assert.are.equal("12 24", helper.value(database, "SELECT string_agg(total::text, ' ' ORDER BY id) FROM orders"))
  end)

  it("shows errors as they are", function()
    local bodies = { 'tenants.each(print, { from = { "globix" } })', 'op.execute("SET app.current_tenant_id = 1")' }
    local count = 0
    for block in text:gmatch "\n    (FAILED: .-)\n\n" do
      count = count + 1
      local shown, printed = flowing(block), flowing(run("bbbb", bodies[count]).err)
      local first, rest = shown:match "^(.-) at [^ ]* (hint: .*)$"
      assert.truthy(printed:find(first, 1, true) and printed:find(rest, 1, true), printed)
    end
    assert.are.equal(#bodies, count)
  end)

  it("shows `dmlua log` as it is", function()
    helper.execute(database, "DELETE FROM customers WHERE status IS NULL")
    run("abc123", text:match "\n```lua\nfunction upgrade%(%)\n(.-)end\n```", "abc123_activate")
    for block in text:gmatch "\n    %$ dmlua (log.-)\n\n" do
      for command, shown in (block .. "\n"):gsub("%$ dmlua ", "\0"):gmatch "%z?([^\n]+)\n([^%z]*)" do
        local printed = helper.dmlua(command, { cwd = folder }).out
        shown = shown:gsub("\n    ", "\n"):gsub("^    ", "")
        for line in shown:gmatch "[^\n]+" do
          local tail = flowing(line:match "^%d+%-.-migrator  (.*)$" or line:gsub(":15", ":12"))
          assert.truthy(flowing(printed):find(flowing(tail), 1, true), printed .. "\nhas not\n" .. tail)
        end
      end
    end
  end)
end)
