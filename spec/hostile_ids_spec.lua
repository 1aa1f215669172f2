-- Tenant ids of whatever text: only ever values, each matches itself alone, and none can forge what is printed.

local cjson = require "cjson"
local helper = require "spec.helper"

-- Text that does not compress: an entry of an index has room for less than a third of it.
local function incompressible(seed, size)
  local bytes = {}
  for i = 1, size do
    seed = (seed * 1103515245 + 12345) % 2147483648
    bytes[i] = string.char(33 + (seed >> 16) % 90)
  end
  return table.concat(bytes)
end

local long = incompressible(7, 10000)

local ids = {
  "acme1", "acme1-evil", "ACME1", "acme1 ", " acme1", "acme%", "acme_", "%", "_", "o'neill", "''", [[back\slash]],
  [[\]], [["double"]], "a\nINFO  [dmlua] forged", "tab\tbed", "cr\rcr", "\27[31mred\27[0m", "\194\155c1", "ünï 日本 🚀",
  "$1", ":t", "$$", "$dmlua$ ; $dmlua$", "--", "/*", "*/", "{a,b}", "{}", "NULL", "null", "'; DROP TABLE customers; --",
  "sha256:" .. ("0"):rep(64), long, long .. "x", "x" .. long, ("\\"):rep(3000) .. long, ("日"):rep(3000),
}

local schema = [[
  CREATE TABLE tenants (n int GENERATED ALWAYS AS IDENTITY, id text);
  CREATE TABLE customers (tenant_id text NOT NULL, mark text NOT NULL DEFAULT '');
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY customers_tenant_isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, UPDATE ON customers TO app;
]]

local update = "op.execute('UPDATE customers SET mark = mark || :t', { t = tenant.id })"

-- A database whose tenants are these ids, a row each, and a project with one migration.
local function project(upgrade, fix)
  local database = helper.database()
  helper.execute(database.owner, schema)
  local connection = helper.connect(database)
  for _, id in ipairs(ids) do
    connection:exec("INSERT INTO tenants (id) VALUES ($1)", { id })
    connection:exec("INSERT INTO customers (tenant_id) VALUES ($1)", { id })
  end
  local folder = helper.project { database = database, versions = { { revision = "aaaa", upgrade = upgrade } },
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY n",
      global_tables = "tenants customers" }, files = { ["fixes/mend.lua"] = fix } }
  return folder, database
end

local function all_marked(database, times)
  assert.are.equal(tostring(#ids), helper.value(database,
    ("SELECT count(*) FROM customers WHERE mark = repeat(tenant_id, %d)"):format(times or 1)))
end

local function succeeded(result)
  assert.are.equal("", result.code == 0 and "" or result.err:sub(1, 2000))
end

-- Nothing that a terminal obeys, and no line that begins like one of dmlua's own.
local function is_safe(result)
  assert.is_nil(result.err:find "[\1-\8\11-\31\127]")
  assert.is_nil(result.err:find("\194\155", 1, true))
  assert.is_nil(result.err:find "\nINFO  %[dmlua%] forged")
end

local function literal_list()
  local list = {}
  for i, id in ipairs(ids) do list[i] = ("%q"):format(id) end
  return "{ " .. table.concat(list, ", ") .. " }"
end

describe("hostile tenant ids", function()
  for _, mode in ipairs { "atomic", "resumable" } do
    it(mode .. ": each is visited once and matches its own rows alone", function()
      local folder, database = project(("tenants.each(function(tenant) %s end, { mode = '%s' })"):format(update, mode))
      local result = helper.dmlua("upgrade head", { cwd = folder })
      succeeded(result)
      is_safe(result)
      all_marked(database)
    end)
  end

  it("may be named in `from` and by tenants.with", function()
    local folder, database = project(([[
      local ids = %s
      tenants.each(function(tenant) %s end, { from = ids })
      assert(table.concat(tenants.ids()) == table.concat(ids))
      for _, id in ipairs(ids) do tenants.with(id, function(tenant) %s end) end]])
      :format(literal_list(), update, update))
    succeeded(helper.dmlua("upgrade head", { cwd = folder }))
    all_marked(database, 2)
  end)

  it("stand right in what --sql writes", function()
    local folder, database = project(("tenants.each(function(tenant) %s end, { from = %s })"):format(update,
      literal_list()))
    local script = helper.dmlua("upgrade head --sql", { cwd = folder })
    succeeded(script)
    helper.execute(database.owner, script.out)
    all_marked(database)
  end)

  it("are printed so that no terminal obeys them and no line is forged, when each of them fails", function()
    local folder, database = project(([[tenants.each(function(tenant)
      op.execute("SELECT :t, 1 / 0", { t = tenant.id }) end, { mode = "resumable", max_failures = %d })]])
      :format(#ids + 1))
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(6, result.code)
    is_safe(result)
    assert.are.equal("0", helper.value(database, "SELECT count(*) FROM customers WHERE mark <> ''"))
    local json = helper.dmlua("upgrade head --json", { cwd = folder })
    for line in json.out:gmatch "[^\n]+" do cjson.decode(line) end
    is_safe(helper.dmlua("log", { cwd = folder }))
  end)

  it("are found again in dmlua_progress: a rerun visits the missing ones alone", function()
    local folder, database = project(([[tenants.each(function(tenant) %s
        op.execute("SELECT 1 / (CASE WHEN EXISTS (SELECT FROM customers WHERE length(mark) %% 2 = 1)"
          .. " THEN 0 ELSE 1 END)")
      end, { mode = "resumable", max_failures = %d })]]):format(update, #ids + 1))
    assert.are.equal(6, helper.dmlua("upgrade head", { cwd = folder }).code)
    helper.write(folder .. "/versions/aaaa.lua", helper.revision { revision = "aaaa",
      upgrade = ("tenants.each(function(tenant) %s end, { mode = 'resumable' })"):format(update) })
    succeeded(helper.dmlua("upgrade head --accept-changed", { cwd = folder }))
    all_marked(database)
  end)

  it("are named to `run`, which remembers who is done", function()
    local folder, database = project("", ("description = 'x'\nfunction run(tenant) %s end\n"):format(update))
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    local words = { "run", "mend" }
    for i = 1, #ids, 2 do words[#words + 1] = "--tenant=" .. ids[i] end
    local result = helper.dmlua(words, { cwd = folder })
    succeeded(result)
    is_safe(result)
    result = helper.dmlua("run mend --all-tenants", { cwd = folder })
    succeeded(result)
    is_safe(result)
    all_marked(database)
    result = helper.dmlua({ "run", "mend", "--tenant", "acme1-evi", "--json" }, { cwd = folder })
    assert.are.equal(2, result.code)
    assert.truthy(cjson.decode(result.out).error.message:find("acme1-evil", 1, true))
    local log = cjson.decode(helper.dmlua("log --json -n 1000", { cwd = folder }).out).log
    local seen = {}
    for _, row in ipairs(log) do seen[row.tenant] = true end
    for _, id in ipairs(ids) do assert.is_true(seen[id], id:sub(1, 100)) end
  end)

  for type, list in pairs {
    ["varchar(40)"] = { "acme1", "acme1-evil", "o'neill", [[back\slash]], "%", "a\nb", " x" },
    uuid = { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12" },
    bigint = { "1", "11", "9223372036854775807", "-5" },
  } do
    it("of type " .. type .. " match themselves alone", function()
      local database = helper.database()
      helper.execute(database.owner, (schema:gsub("id text", "id " .. type)
        :gsub("nullif%b()", function(call) return ("CAST(%s AS %s)"):format(call, (type:gsub("%(.*", ""))) end)))
      local connection = helper.connect(database)
      for _, id in ipairs(list) do
        connection:exec("INSERT INTO tenants (id) VALUES ($1)", { id })
        connection:exec("INSERT INTO customers (tenant_id) VALUES ($1)", { id })
      end
      local loop = "tenants.each(function(tenant) " .. update .. " end, { mode = '%s' })\n"
      local folder = helper.project { database = database, versions = { { revision = "aaaa",
          upgrade = loop:format "atomic" .. loop:format "resumable" .. ("tenants.with(%q, function(tenant) %s end)")
            :format(list[1], update) } },
        settings = { app_role = "app", tenants_query = "SELECT id FROM tenants", global_tables = "tenants customers" } }
      succeeded(helper.dmlua("upgrade head", { cwd = folder }))
      assert.are.equal(tostring(#list), helper.value(database, ("SELECT count(*) FROM customers WHERE mark = repeat("
        .. "tenant_id::text, CASE WHEN tenant_id = '%s' THEN 3 ELSE 2 END)"):format((list[1]:gsub("'", "''")))))
    end)
  end
end)
