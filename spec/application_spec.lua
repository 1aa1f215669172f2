-- Runs every block of doc/application.md as the application role, straight and through PgBouncer.

local helper = require "spec.helper"

local text = helper.read(helper.root .. "/doc/application.md")
local database = helper.database()

-- The first block in the language behind the heading, where one is said.
local function block(language, heading)
  local at = heading and assert(text:find("\n## " .. heading .. "\n", 1, true), "no section " .. heading) or 1
  return assert(text:match("\n```" .. language .. "\n(.-)```", at), "no block in " .. language)
end

local function prepare()
  helper.execute(database.owner, [[
    CREATE TABLE customers (tenant_id text NOT NULL, email text NOT NULL);
    INSERT INTO customers VALUES ('acme', 'a@acme'), ('acme', 'b@acme'), ('acme1-evil', 'x@evil'), ($$it's$$, 'q');
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY customers_tenant_isolation ON customers
      USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')))
      WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
    GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO app]])
end

prepare()

-- PgBouncer as the document sets it, with one server connection for all clients; the URL to it.
local function pooled()
  local folder = helper.folder()
  local ini = block "ini":gsub("host=%S+", "host=" .. helper.host) .. ([[
unix_socket_dir = %s
listen_port = 6432
auth_type = trust
auth_file = %s/users
default_pool_size = 1
]]):format(folder, folder)
  helper.write(folder .. "/users", '"app" ""\n')
  helper.write(folder .. "/pgbouncer.ini", ini)
  local words = { folder .. "/pgbouncer.ini" }
  if helper.run("/usr/bin/id", "-u").out == "0\n" then
    os.execute(("chmod 777 %s"):format(helper.quote(folder)))
    words = { "-u", "postgres", words[1] }
  end
  local pooler = helper.start(words, { program = "/usr/sbin/pgbouncer" })
  local url = ("postgresql://app@/%s?host=%s&port=6432"):format(database.name, folder)
  helper.eventually(function()
    return helper.run(helper.programs .. "/psql", { "-XqAt", "-d", url, "-c", "SELECT 1" }).code == 0
  end)
  return url, pooler
end

local runners = {}

function runners.sql(url, tenant)
  local result = helper.run(helper.programs .. "/psql", { "-XqAt", "-v", "tenant=" .. tenant, "-d", url },
    { input = block "sql" })
  assert(result.code == 0, result.err)
  return result.out:gsub("^[^\n]*\n", "", 1) -- what set_config answers
end

for _, driver in ipairs { "psycopg2", "psycopg 3", "asyncpg", "SQLAlchemy" } do
  runners[driver] = function(url, tenant)
    local result = helper.run("/usr/bin/python3", { "-c", block("python", "From Python, with " .. driver) },
      { env = { DATABASE_URL = url, TENANT = tenant } })
    assert(result.code == 0, result.err)
    return result.out
  end
end

local built
function runners.c(url, tenant)
  if not built then
    built = helper.folder() .. "/request"
    helper.write(built .. ".c", block "c")
    local include = helper.run("/usr/bin/pkg-config", "--cflags --libs libpq").out
    local words = { "-Wall", "-Werror", "-o", built, built .. ".c" }
    for word in include:gmatch "%S+" do words[#words + 1] = word end
    local result = helper.run("/usr/bin/cc", words)
    assert(result.code == 0, result.err)
  end
  local result = helper.run(built, {}, { env = { DATABASE_URL = url, TENANT = tenant } })
  assert(result.code == 0, result.err)
  return result.out
end

describe("the lines of doc/application.md", function()
  for with, run in pairs(runners) do
    it("show a tenant its own rows and nobody else's: " .. with, function()
      built = nil
      for tenant, seen in pairs { acme = "a@acme\nb@acme\n", ["it's"] = "q\n" } do
        assert.equal(seen, run(database.app, tenant), tenant)
      end
      local url = pooled()
      for tenant, seen in pairs { ["acme1-evil"] = "x@evil\n", ["' OR true --"] = "" } do
        assert.equal(seen, run(url, tenant), tenant)
      end
    end)
  end

  it("show nothing with an empty tenant", function()
    assert.equal("", runners.sql(database.app, ""))
  end)
end)

describe("behind a pooler in transaction mode", function()
  local function client(url) return helper.connect(url) end

  it("the context ends with the transaction: the next client begins with none", function()
    local url = pooled()
    local one, other = client(url), client(url)
    one:exec "BEGIN"
    one:exec("SELECT set_config('app.current_tenant_id', $1, true)", { "acme" })
    assert.equal(2, #one:exec("SELECT FROM customers").rows)
    one:exec "COMMIT"
    assert.equal(0, #other:exec("SELECT FROM customers").rows)
    one:exec "BEGIN"
    one:exec("SELECT set_config('app.current_tenant_id', $1, true)", { "acme" })
    pcall(one.exec, one, "SELECT 1/0")
    one:exec "ROLLBACK"
    assert.equal(0, #other:exec("SELECT FROM customers").rows)
  end)

  it("a setting of the session shows the next client another tenant's rows, as the document warns", function()
    local url = pooled()
    local one, other = client(url), client(url)
    one:exec "SET app.current_tenant_id = 'acme'"
    assert.equal(2, #other:exec("SELECT FROM customers").rows)
  end)
end)

describe("what doc/application.md says goes wrong", function()
  local app

  before_each(function() app = helper.connect(database.app) end)

  local function sqlstate_of(sql, params)
    local ok, message = pcall(app.exec, app, sql, params)
    return not ok and message.sqlstate or nil
  end

  it("shows nothing and writes nothing without a tenant, or with an empty one", function()
    for _, before in ipairs { "SELECT 1", "SELECT set_config('app.current_tenant_id', '', false)",
      "SELECT set_config('app.current_tenant_id', 'acme', true)" } do
      app = helper.connect(database.app)
      app:exec(before)
      assert.equal(0, #app:exec("SELECT FROM customers").rows)
      assert.equal("42501", sqlstate_of "INSERT INTO customers VALUES ('acme', 'new')")
      assert.equal("UPDATE 0", app:exec("UPDATE customers SET email = 'x'").tag)
    end
  end)

  it("refuses SET LOCAL with a parameter, and another tenant's id in a row", function()
    assert.equal("42601", sqlstate_of("SET LOCAL app.current_tenant_id = $1", { "acme" }))
    app:exec "SELECT set_config('app.current_tenant_id', 'acme', false)"
    assert.equal("42501", sqlstate_of "INSERT INTO customers VALUES ('b', 'new')")
    assert.equal("42501", sqlstate_of "UPDATE customers SET tenant_id = 'b'")
  end)

  it("holds the owner to the policies, but neither a superuser nor a role with BYPASSRLS", function()
    helper.execute(database.owner, "GRANT SELECT ON customers TO bypass")
    for role, count in pairs { owner = 0, bypass = 4, postgres = 4 } do
      assert.equal(count, #helper.connect(database[role]):exec("SELECT FROM customers").rows, role)
    end
  end)
end)
