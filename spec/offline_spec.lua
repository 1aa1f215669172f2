-- --sql: what psql runs must come to what dmlua would have done.

local helper = require "spec.helper"

local function says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

-- Schema and rows, without what dmlua keeps beside them.
local function dump(database)
  local result = helper.run(helper.programs .. "/pg_dump", { "--restrict-key=spec", "--exclude-table=dmlua_*",
    "--exclude-table=alembic_version", "-d", database.postgres })
  assert.are.equal("", result.code == 0 and "" or result.err)
  return result.out .. helper.value(database, "SELECT coalesce(string_agg(version_num, ','), '') FROM alembic_version")
end

local function psql(database, text)
  return helper.run(helper.programs .. "/psql", { "-Xq", "-v", "ON_ERROR_STOP=1", "-d", database.owner },
    { input = text })
end

local settings = { app_role = "app", tenants_query = "SELECT id, name FROM tenants ORDER BY id" }

local everything = {
  { revision = "aaaa", message = "Make tables", upgrade = [[
    op.create_table("tenants", sa.Column("id", sa.String(20), { primary_key = true }), sa.Column("name", sa.Text()))
    op.create_table("items", sa.Column("id", sa.UUID(), { primary_key = true }),
      sa.Column("tenant_id", sa.String(20), { nullable = false }), sa.Column("label", sa.Text()),
      sa.Column("created_at", sa.DateTime(), { server_default = sa.text("'2024-01-01'") }))
    guards.ensure_tenant_indexes("items", { "label" })
    guards.ensure_tenant_isolation("items")
    op.execute("INSERT INTO tenants VALUES ('acme', 'Acme'), ('o''neill', 'O''Neill')")
    op.execute("INSERT INTO tenants VALUES (:id, :name)", { id = "it's", name = null })
    op.execute("SELECT 1 -- a comment at the end")
    op.execute([=[
      CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT n * 2; END;
      DO $x$ BEGIN PERFORM ':name'; END $x$]=])
  ]], downgrade = 'op.drop_table("items") op.drop_table("tenants") op.execute("DROP FUNCTION twice")' },
  { revision = "bbbb", down = "aaaa", message = "Fill them", upgrade = [[
    tenants.each(function(tenant)
      op.execute("INSERT INTO items (id, tenant_id, label) VALUES (md5(:t)::uuid, :t, coalesce(:n, :u))",
        { t = tenant.id, n = tenant.name or null, u = "nameless" })
      op.execute("UPDATE items SET label = label || '!' WHERE tenant_id = :t", { t = tenant.id })
    end)
  ]], downgrade = 'op.across_tenants({ "items" }, function() op.execute("DELETE FROM items") end)' },
  { revision = "cccc", down = "bbbb", message = "Index", upgrade = [[
    op.execute("COMMENT ON TABLE items IS 'before'")
    op.get_context():autocommit_block(function()
      op.create_index("items_label", "items", { "label" }, { postgresql_concurrently = true })
    end)
    op.execute("COMMENT ON TABLE items IS 'after'")
  ]], downgrade = 'op.drop_index("items_label") op.execute("COMMENT ON TABLE items IS NULL")' },
}

local function project(database, versions)
  return helper.project { database = database, settings = settings, versions = versions or everything }
end

local function script(folder, words)
  local result = helper.dmlua(words, { cwd = folder, env = { PGHOST = "/nowhere" } })
  assert.are.equal("", result.code == 0 and "" or result.err)
  return result.out
end

describe("upgrade --sql", function()
  it("is a script that psql runs to the same schema, rows and version as dmlua itself", function()
    local online, offline = helper.database(), helper.database()
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = project(online) }).code)
    local result = psql(offline, script(project(offline), "upgrade head --sql"))
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal(dump(online), dump(offline))
  end)

  it("loops over tenants whose ids the callback does not name, or gives to bulk_insert", function()
    local online, offline = helper.database(), helper.database()
    local versions = { everything[1], { revision = "bbbb", down = "aaaa", upgrade = [[
      local items = sa.table("items", sa.column("id"), sa.column("tenant_id"), sa.column("label"))
      tenants.each(function(tenant)
        op.bulk_insert(items, { { id = sa.text("md5('1' || current_setting('app.current_tenant_id'))::uuid"),
          tenant_id = tenant.id, label = "first" } })
      end)
      tenants.each(function() op.execute("UPDATE items SET label = label || tenant_id") end)]] } }
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = project(online, versions) }).code)
    local result = psql(offline, script(project(offline, versions), "upgrade head --sql"))
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.truthy(dump(offline):find("firstit's", 1, true))
    assert.are.equal(dump(online), dump(offline))
  end)

  it("passes over a loop without tenants where the script begins a database, and nowhere else", function()
    local db = helper.database()
    local folder = project(db, { { revision = "aaaa", upgrade = [[
        op.execute("CREATE TABLE tenants (id text, name text)")
        tenants.each(function() op.execute("SELECT 1") end, { from = "SELECT id FROM tenants" })]] },
      { revision = "bbbb", down = "aaaa",
        upgrade = 'tenants.each(function() op.execute("SELECT 1") end, { from = "SELECT id FROM tenants" })' } })
    local first, second = script(folder, "upgrade head --sql"), script(folder, "upgrade aaaa:head --sql")
    assert.are.equal("", psql(helper.database(), first).err)
    assert.are.equal("", psql(db, script(folder, "upgrade aaaa --sql")).err)
    says(psql(db, second), "gives no tenant")
  end)

  it("stops at a tenant's column that the query does not give", function()
    local db = helper.database()
    local folder = project(db, { { revision = "aaaa", upgrade = [[
      op.execute("CREATE TABLE tenants (id text, name text); INSERT INTO tenants VALUES ('a')")
      tenants.each(function(tenant) op.execute("SELECT :t, :n", { t = tenant.id, n = tenant.nmae }) end,
        { from = "SELECT 'a' AS id, NULL AS name" })]] } })
    says(psql(db, script(folder, "upgrade head --sql")), "tenants_query gives no column nmae")
  end)

  it("leaves no setting of a step behind for its version row or for the next step", function()
    local online, offline = helper.database(), helper.database()
    local versions = { { revision = "aaaa", upgrade = [[
        op.execute("CREATE TABLE t (a text); SET lock_timeout = '7s'; SET search_path = pg_catalog")
        op.execute("SELECT set_config('search_path', '', false)")]] },
      { revision = "bbbb", down = "aaaa", upgrade = [[
        op.execute("INSERT INTO t SELECT current_setting('lock_timeout')")
        op.execute("SET LOCAL lock_timeout = '3s'")]] } }
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = project(online, versions) }).code)
    local text = script(project(offline, versions), "upgrade head --sql")
    local result = psql(offline, text)
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal(dump(online), dump(offline))
    assert.are.equal(1, select(2, text:gsub("RESET ALL", "")))
  end)

  it("finds its version table whatever path a step sets, for how long, and how", function()
    for place, set in ipairs { "SET search_path = other", "SET LOCAL search_path = other",
      "SELECT set_config('search_path', 'other', false)", "DO $$ BEGIN EXECUTE 'SET search_path = other'; END $$" } do
      local online, offline = helper.database(), helper.database()
      local versions = { { revision = "aaaa", upgrade = 'op.execute("CREATE SCHEMA other")' },
        { revision = "bbbb", down = "aaaa", upgrade = ([[
          op.execute(%q)
          op.execute("CREATE TABLE first (a int)")
          op.get_context():autocommit_block(function() op.execute("CREATE INDEX CONCURRENTLY ON other.first (a)") end)
          op.execute("CREATE TABLE second (a int)")
          op.execute("SET LOCAL lock_timeout = '3s'")]]):format(set) },
        { revision = "cccc", down = "bbbb", upgrade = [[
          op.get_context():autocommit_block(function() op.execute("SET search_path = other") end)
          op.execute("CREATE TABLE third (a text DEFAULT 'x')")]] } }
      if place > 1 then versions[2].upgrade = versions[2].upgrade:gsub("op.get_context.-\n", "") end
      assert.are.equal(0, helper.dmlua("upgrade head", { cwd = project(online, versions) }).code)
      local result = psql(offline, script(project(offline, versions), "upgrade head --sql"))
      assert.are.equal("", result.code == 0 and "" or result.err)
      assert.are.equal(dump(online), dump(offline))
      assert.truthy(dump(offline):find("CREATE TABLE other.third", 1, true))
    end
  end)

  it("names what has no name by the naming convention, as dmlua itself does", function()
    local online, offline = helper.database(), helper.database()
    local versions = { { revision = "aaaa", upgrade = [[
      op.create_table("a", sa.Column("id", sa.Integer, { primary_key = true }), sa.Column("b", sa.Integer),
        sa.UniqueConstraint("b"), sa.CheckConstraint("b > 0", { name = "positive" }))
      op.create_index(null, "a", { "b" })
      op.create_foreign_key(null, "a", "a", { "b" }, { "id" })]] } }
    local convention = { ["naming_convention.ix"] = "by_%%(column_0_label)s",
      ["naming_convention.uq"] = "one_%%(table_name)s_%%(column_0_name)s",
      ["naming_convention.ck"] = "is_%%(table_name)s_%%(constraint_name)s",
      ["naming_convention.fk"] = "to_%%(table_name)s_%%(referred_table_name)s",
      ["naming_convention.pk"] = "key_%%(table_name)s", isolation = "none" }
    local function tree(database)
      return helper.project { database = database, settings = convention, versions = versions }
    end
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = tree(online) }).code)
    local result = psql(offline, script(tree(offline), "upgrade head --sql"))
    assert.are.equal("", result.code == 0 and "" or result.err)
    local made = dump(offline)
    for _, name in ipairs { "by_a_b", "one_a_b", "is_a_positive", "to_a_a", "key_a" } do
      assert.truthy(made:find(name, 1, true), name)
    end
    assert.are.equal(dump(online), made)
  end)

  it("from where a range begins, and back, comes to the same, too", function()
    local db = helper.database()
    local folder = project(db)
    assert.are.equal(0, helper.dmlua("upgrade aaaa", { cwd = folder }).code)
    local before = dump(db)
    local up = psql(db, script(folder, "upgrade aaaa:head --sql"))
    assert.are.equal("", up.code == 0 and "" or up.err)
    assert.are.equal("cccc (head)\n", helper.dmlua("current", { cwd = folder }).out)
    local down = psql(db, script(folder, "downgrade cccc:aaaa --sql"))
    assert.are.equal("", down.code == 0 and "" or down.err)
    assert.are.equal(before, dump(db))
  end)

  it("refuses to run where it does not begin", function()
    local db = helper.database()
    local folder = project(db)
    local text = script(folder, "upgrade aaaa:head --sql")
    assert.are.equal(0, helper.dmlua("upgrade bbbb", { cwd = folder }).code)
    local result = psql(db, text)
    assert.are.equal(3, result.code)
    says(result, "the database is not where this script begins")
    says(result, "it begins at aaaa")
  end)

  it("keeps what refuses a transaction outside of one, and all else within", function()
    local text = script(project "postgresql:///none", "upgrade head --sql")
    local before, after = text:match "^(.*)(CREATE INDEX CONCURRENTLY .*)$"
    assert.are.equal(select(2, before:gsub("\nBEGIN;", "")), select(2, before:gsub("\nCOMMIT;", "")))
    assert.truthy(after:find "^CREATE INDEX CONCURRENTLY items_label ON items %(label%);\nBEGIN;")
    assert.truthy(text:find("-- Running upgrade aaaa -> bbbb, Fill them", 1, true))
  end)

  it("reads no database, and prints nothing when a script must, naming its line", function()
    local folder = project("postgresql:///none", { { revision = "aaaa", upgrade = [[ op.execute("SELECT 1") ]] },
      { revision = "bbbb", down = "aaaa", upgrade = [[ op.get_bind():execute("SELECT 1") ]] } })
    local result = helper.dmlua("upgrade head --sql", { cwd = folder })
    assert.are.equal(2, result.code)
    assert.are.equal("", result.out)
    says(result, "reading rows needs the database, which --sql does not have")
    says(result, "versions/bbbb.lua:11")
  end)

  it("names the online directive that must read", function()
    for _, call in ipairs { [[op.create_index_online("ix", "t", { "a" })]],
      [[op.change_type_online("t", "a", sa.BigInteger())]],
      [[op.add_not_null_online("t", "a", { backfill = "0" })]] } do
      local folder = project("postgresql:///none", { { revision = "aaaa", upgrade = call } })
      local result = helper.dmlua("upgrade head --sql", { cwd = folder })
      assert.are.equal(2, result.code)
      says(result, call:match "op%.[%w_]+" .. " needs the database, which --sql does not have")
      says(result, "versions/aaaa.lua:")
    end
  end)

  it("lets a script take another way", function()
    local folder = project("postgresql:///none", { { revision = "aaaa", upgrade = [[
      if context.is_offline_mode() then op.execute("SELECT 'offline'")
      else op.get_bind():execute("SELECT 'online'") end ]] } })
    assert.truthy(script(folder, "upgrade head --sql"):find("SELECT 'offline';", 1, true))
  end)

  -- What --sql says of an upgrade that is a loop over `query` with this body.
  local function refusal(body, options)
    local folder = project("postgresql:///none", { { revision = "aaaa",
      upgrade = "n, seen = 0, {} tenants.each(function(tenant)\n" .. body .. "\nend, { from = 'SELECT 1' })" } })
    if options then helper.write(folder .. "/lib/names.lua", options.lib) end
    return helper.dmlua("upgrade head --sql", { cwd = folder })
  end

  it("refuses a callback that does more with a tenant's column than it can do there, by name and line", function()
    local bodies = {
      id = { [[op.execute("SELECT '" .. tenant.id .. "'")]], [[if tenant.id == "acme" then op.execute("SELECT 1") end]],
        [[local id = tenant.id if id ~= "acme" then op.execute("SELECT :t", { t = id }) end]],
        [[op.execute("SELECT :t, :j", { t = tenant.id, j = json { id = tenant.id } })]],
        [[op.execute("SELECT :t, :p", { t = tenant.id, p = ({ acme = "gold" })[tenant.id] or null })]],
        [[op.execute("SELECT :a", { a = { tenant.id } })]], [[if #tenant.id > 3 then op.execute("SELECT 1") end]],
        [[pcall(function() return tenant.id .. "x" end) op.execute("SELECT 1")]],
        [[op.execute("SELECT :t", { t = tenant[1]:upper() })]] },
      name = { [[log.info("%s", tenant.name)]], [[if tenant.name == tenant.id then op.execute("SELECT 1") end]],
        [[local name = tenant.name or null if name == "x" then op.execute("SELECT :n", { n = name }) end]],
        [[if type(tenant.name) == "string" then op.execute("SELECT 1") end]], },
      n = { [[local n = tenant.n or null if n == 3 then op.execute("SELECT :n", { n = n }) end]],
        [[if tenant.n ~= nil and tenant.n > 0x10 then op.execute("SELECT 1") end]],
        [[op.execute("SELECT :n", { n = tenant.n == 1e3 and 1 or tenant.n or null })]] },
    }
    for name, list in pairs(bodies) do
      for _, body in ipairs(list) do
        local result = refusal(body)
        assert.are.equal(2, result.code, body .. "\n" .. result.err .. result.out)
        says(result, ("tenant.%s is not known in --sql"):format(name))
        says(result, "versions/aaaa.lua:12")
      end
    end
    says(refusal [[for name in pairs(tenant) do op.execute("SELECT :n", { n = name }) end]], "is not known in --sql")
  end)

  it("refuses what is compared with a value from elsewhere", function()
    says(refusal([[local gold, id = require("names").gold, tenant.id
      op.execute("SELECT :t, :g", { t = id, g = id == gold })]], { lib = [[return { gold = "acme" }]] }),
      "tenant.id is not known in --sql: what the callback does depends on it")
    local folder = project("postgresql:///none", { { revision = "aaaa", upgrade = [[
      tenants.each(function(tenant)
        local id = tenant.id
        op.execute("SELECT :t, :g", { t = id, g = id == context.get_x_argument({ as_dictionary = true }).only })
      end, { from = "SELECT 1" })]] } })
    says(helper.dmlua("-x only=acme upgrade head --sql", { cwd = folder }), "what the callback does depends on it")
  end)

  it("refuses a callback that does another thing each time, and what cannot be done in a loop", function()
    for body, what in pairs {
      ["n = n + 1 op.execute('SELECT :n', { n = n })"] = "it changes 'n'",
      ["seen[#seen + 1] = tenant.id"] = "it changes 'seen'",
      ["op.execute('SELECT :r', { r = math.random() })"] = "does another thing each time it is called",
      ["if not tenant.name then op.get_bind():execute('SELECT 1') end"] = "reading rows needs the database",
      ["pcall(op.get_bind().execute, op.get_bind(), 'SELECT 1')"] = "reading rows needs the database",
    } do
      local result = refusal(body)
      assert.are.equal(2, result.code, body .. "\n" .. result.err .. result.out)
      says(result, what)
      says(result, "versions/aaaa.lua:1")
    end
    says(refusal [[op.execute("SELECT :n", { n = nil })]], "parameter :n has no value")
    says(refusal [[op.create_table("t", sa.Column("id", sa.Integer), { comment = tenant.name })]],
      "comment must be a string, got a tenant's column, which --sql does not know")
  end)

  it("does for an absent, true or false column what running does", function()
    local online, offline = helper.database(), helper.database()
    local query = { tenants_query = "SELECT * FROM tenants ORDER BY id" }
    local versions = { { revision = "aaaa", upgrade = [[
        op.execute("CREATE TABLE tenants (id text, name text, active boolean, n int, since timestamptz, tags text[])")
        op.execute("INSERT INTO tenants VALUES ('a', 'A''s', true, 1, '2024-01-02 03:04', '{x,\"y z\"}'),"
          .. " ('b', NULL, false, NULL, NULL, NULL), ('c', 'false', NULL, 3, 'infinity', '{}')")
        op.execute("CREATE TABLE seen (tenant text, what text)")]] },
      { revision = "bbbb", down = "aaaa", upgrade = [[
        local insert = "INSERT INTO seen VALUES (:t, :w)"
        tenants.each(function(tenant)
          local function see(what) op.execute(insert, { t = tenant.id, w = what }) end
          see(tenant.name or "x")
          see(tenant.name or null)
          see(tenant.name or tenant.since or "nothing")
        end)
        tenants.each(function(tenant)
          local function see(what) op.execute(insert, { t = tenant.id, w = what }) end
          see(tenant.since or null) see(tenant.tags or null) see(tenant[1])
        end)
        tenants.each(function(tenant)
          local function see(what) op.execute(insert, { t = tenant.id, w = what }) end
          if tenant.active then see(tenant.name or "active") elseif tenant.active == false then see "off" end
          if not tenant.n and not tenant.name then see "neither" end
          see(tenant.active == true and "true" or tenant.n == nil)
          if tenant.n ~= null and tenant.n then see(tenant.n) end
        end)
        local count = 0
        tenants.each(function(tenant)
          count = count + 1
          op.execute(insert, { t = tenant.id, w = tenant.id == "b" and "B" .. count or #tenant.id })
        end, { from = { "b", "a", "b" } })
        tenants.each(function(tenant)
          op.execute(insert, { t = tenant.id, w = tenant.id == "b" and tenant.name or "list" })
        end, { from = { "b", "a" } })
        tenants.with("c", function(tenant) op.execute(insert, { t = tenant.id, w = tenant[1] .. "!" }) end)]] } }
    local function tree(database)
      return helper.project { database = database, versions = versions,
        settings = { tenants_query = query.tenants_query, isolation = "none" } }
    end
    local result = helper.dmlua("upgrade head", { cwd = tree(online) })
    assert.are.equal("", result.code == 0 and "" or result.err)
    result = psql(offline, script(tree(offline), "upgrade head --sql"))
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal(dump(online), dump(offline))
  end)

  it("fails for a tenant for which the script fails", function()
    local db = helper.database()
    local function attempt(rows, body)
      local folder = helper.project { database = db, settings = { app_role = "app" }, versions = { { revision = "aaaa",
        upgrade = "tenants.each(function(tenant)\n" .. body .. "\nend, { from = [[SELECT * FROM (VALUES " .. rows
          .. ") AS t (id, name)]] })" } } }
      return psql(db, script(folder, "upgrade head --sql"))
    end
    local bound = [[op.execute("SELECT :n", { n = tenant.name })]]
    assert.are.equal("", attempt("('a', 'x')", bound).err)
    helper.execute(db, "DELETE FROM alembic_version; DROP TABLE alembic_version")
    says(attempt("('a', 'x'), ('b', NULL)", bound), "tenant b: ")
    says(attempt("('a', 'x'), ('b', NULL)", bound), "parameter :n has no value")
    says(attempt("('a', 'x'), ('b', NULL)", [[if not tenant.name then error("it has no name") end]]),
      "it has no name")
    says(attempt("('a', 'x'), ('', NULL)", bound), "gives NULL or an empty text as a tenant's id")
  end)

  it("refuses a query for a loop whose tenants are in another service's database, and takes a list", function()
    for from, expected in pairs { ["'SELECT 1'"] = "over the tenants of another service", ["{ 'a' }"] = "SELECT 7" } do
      local folder = helper.project { database = "postgresql:///none",
        settings = { services = "management isp", app_role = "app" },
        ini = "[management]\nscript_location = m\n[isp]\nscript_location = .\ntenants_service = management\n",
        versions = { { revision = "aaaa", upgrade = "tenants.each(function() op.execute('SELECT 7') end, { from = "
          .. from .. " })" } } }
      local result = helper.dmlua("upgrade head --sql --service isp", { cwd = folder })
      assert.truthy((result.out .. result.err):find(expected, 1, true), result.out .. result.err)
    end
  end)

  it("writes a file with -o, and none when it is refused", function()
    local folder = project("postgresql:///none")
    assert.are.equal("", script(folder, "upgrade head --sql -o up.sql"))
    assert.are.equal(script(folder, "upgrade head --sql"), helper.read(folder .. "/up.sql"))
    assert.are.equal(2, helper.dmlua("downgrade aaaa --sql -o down.sql", { cwd = folder }).code)
    assert.is_nil(helper.read(folder .. "/down.sql"))
  end)
end)

describe("stamp --sql", function()
  it("moves the version rows alone", function()
    local db = helper.database()
    local result = psql(db, script(project(db), "stamp bbbb --sql"))
    assert.are.equal("", result.code == 0 and "" or result.err)
    assert.are.equal("bbbb", helper.value(db, "SELECT version_num FROM alembic_version"))
    assert.is_nil(helper.value(db, "SELECT to_regclass('items')"))
  end)
end)
