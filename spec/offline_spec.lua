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

  it("lets a script take another way", function()
    local folder = project("postgresql:///none", { { revision = "aaaa", upgrade = [[
      if context.is_offline_mode() then op.execute("SELECT 'offline'")
      else op.get_bind():execute("SELECT 'online'") end ]] } })
    assert.truthy(script(folder, "upgrade head --sql"):find("SELECT 'offline';", 1, true))
  end)

  it("refuses a callback that does more with a tenant's column than bind it", function()
    for _, body in ipairs { [[ op.execute("SELECT '" .. tenant.id .. "'") ]],
      [[ if tenant.id == "acme" then op.execute("SELECT 1") end ]], [[ log.info("%s", tenant.name) ]],
      [[ if tenant.id ~= "acme" then op.execute("SELECT :t", { t = tenant.id }) end ]],
      [[ op.execute("SELECT :t, :j", { t = tenant.id, j = json { id = tenant.id } }) ]] } do
      local folder = project("postgresql:///none", { { revision = "aaaa",
        upgrade = "tenants.each(function(tenant) " .. body .. " end)" } })
      local result = helper.dmlua("upgrade head --sql", { cwd = folder })
      assert.are.equal(2, result.code)
      says(result, "is not known in --sql")
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
