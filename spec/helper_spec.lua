local helper = require "spec.helper"
local lfs = require "lfs"

describe("the specs' helper", function()
  it("gives each call a database of its own, which the owner may fill", function()
    local a, b = helper.database(), helper.database()
    assert.are_not.equal(a.name, b.name)
    helper.sql(a.owner, "CREATE TABLE t (n int)")
    assert.same({}, helper.sql(b, "SELECT 1 AS one FROM pg_class WHERE relname = 't'"))
  end)

  it("drops a database after the test that made it", function()
    local left = "SELECT datname FROM pg_database WHERE datname ~ '^spec_helper_'"
    assert.same({}, helper.sql(helper.url("postgres", "postgres"), left))
  end)

  it("has an owner without privileges, a role that bypasses row security, and an application role", function()
    local rows = helper.sql(helper.url("postgres", "postgres"), [[
      SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, pg_has_role('owner', oid, 'MEMBER') AS owners
      FROM pg_roles WHERE rolname IN ('owner', 'bypass', 'app') ORDER BY rolname]])
    assert.same({
      { rolname = "app", rolsuper = "f", rolbypassrls = "f", rolcreatedb = "f", owners = "t" },
      { rolname = "bypass", rolsuper = "f", rolbypassrls = "t", rolcreatedb = "f", owners = "f" },
      { rolname = "owner", rolsuper = "f", rolbypassrls = "f", rolcreatedb = "f", owners = "t" },
    }, rows)
  end)

  it("tells NULL from an empty string, and keeps quotes, commas and line ends", function()
    local rows = helper.sql(helper.database(), [[VALUES (NULL, '', E'a"b,c\nd'), ('x', NULL, '')]])
    assert.same({ { column2 = "", column3 = 'a"b,c\nd' }, { column1 = "x", column3 = "" } }, rows)
  end)

  it("raises PostgreSQL's error", function()
    local database = helper.database()
    assert.error_matches(function() helper.sql(database, "SELECT nothing") end, 'column "nothing" does not exist')
  end)

  it("runs the program with a clean environment, and keeps its outputs apart", function()
    local result = helper.run("/bin/sh", { "-c", "echo $A-$PGHOST; echo two >&2; cat; exit 7" },
      { env = { A = "it's" }, input = "three\n" })
    assert.same({ code = 7, out = "it's-\nthree\n", err = "two\n" }, result)
  end)

  it("ends a program that takes too long", function()
    assert.error_matches(function() helper.run("/bin/sleep", { "60" }, { timeout = 1 }) end, "did not end within 1 s")
  end)

  it("starts the program and can wait for it and signal it", function()
    local started = helper.start("--version")
    assert.same({ code = 0, out = helper.dmlua("--version").out, err = "" }, started.wait())
    local sleeper = helper.start({ "60" }, { program = "/bin/sleep" })
    assert.is_true(sleeper.kill("INT"))
    assert.equal(130, sleeper.wait(10).code)
  end)

  it("removes a folder after the test that made it", function()
    local folder = helper.folder()
    helper.write(folder .. "/a/b/c", "text")
    assert.equal("text", helper.read(folder .. "/a/b/c"))
    assert.is_nil(lfs.attributes((folder:gsub("%d+$", function(n) return tostring(tonumber(n) - 1) end))))
  end)
end)
