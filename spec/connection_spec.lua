-- Ways to name a database, each against a real server: the step writes down what the connection is.

local helper = require "spec.helper"

local versions = {
  { revision = "one", upgrade = [[op.execute("CREATE TABLE seen AS SELECT current_user::text AS who, "
    .. "current_setting('application_name') AS name")]] },
}

-- Runs the step on a fresh database; returns its row, the run and the database. `ways(database)` gives { url (of the
-- ini), args, env, files }.
local function reach(ways)
  local database = helper.database()
  local way = ways(database)
  local folder = helper.project { database = way.url, versions = versions, settings = { isolation = "none" } }
  for path, text in pairs(way.files or {}) do helper.write(folder .. "/" .. path, text) end
  local words = { "upgrade", "head" }
  for _, word in ipairs(way.args or {}) do words[#words + 1] = word end
  local result = helper.dmlua(words, { cwd = folder, env = way.env })
  assert.equal(0, result.code, result.err)
  return helper.sql(database, "SELECT * FROM seen")[1], result, database
end

local function refused(arguments, env, url)
  local folder = helper.project { database = url, versions = versions }
  local result = helper.dmlua("current " .. (arguments or ""), { cwd = folder, env = env })
  assert.equal(2, result.code, result.err)
  return result.err
end

describe("a database is named", function()
  it("by a URL of SQLAlchemy's, whose driver is dropped", function()
    local row = reach(function(d) return { url = (d.owner:gsub("^postgresql:", "postgresql+psycopg2:")) } end)
    assert.same({ who = "owner", name = "dmlua" }, row)
  end)

  it("by a conninfo in DATABASE_URL, which goes before the ini's", function()
    local row = reach(function(d)
      return { url = "postgresql://u@/nowhere", env = {
        DATABASE_URL = ("host='%s' dbname=%s user=owner application_name='it''s'"):format(helper.host, d.name)
          :gsub("''s", "\\'s") } }
    end)
    assert.same({ who = "owner", name = "it's" }, row)
  end)

  it("by --url, which goes before DATABASE_URL", function()
    local row = reach(function(d)
      return { args = { "--url=" .. d.owner }, env = { DATABASE_URL = "host=/nowhere" } }
    end)
    assert.equal("owner", row.who)
  end)

  it("by PG* variables where the URL is postgresql://", function()
    local row, result, database = reach(function(d)
      return { url = "postgresql://", env = {
        PGHOST = helper.host, PGDATABASE = d.name, PGUSER = "owner", PGAPPNAME = "mine" } }
    end)
    assert.same({ who = "owner", name = "mine" }, row)
    assert.matches(("owner@%s:5432/%s"):format(helper.host, database.name), result.err, 1, true)
  end)

  it("by a service file, and says where that led", function()
    local _, result, database = reach(function(d)
      return { url = "service=here", env = { PGSERVICEFILE = "services" }, files = {
        services = ("[here]\nhost=%s\ndbname=%s\nuser=owner\n"):format(helper.host, d.name) } }
    end)
    assert.matches(("owner@%s:5432/%s"):format(helper.host, database.name), result.err, 1, true)
  end)
end)

describe("a database that is not named well is exit 2", function()
  it("with the ways to give one, where there is none", function()
    local text = refused()
    assert.matches("no database was named: dmlua.ini has no url", text, 1, true)
    for _, way in ipairs { "--url", "DATABASE_URL", "url =", "PG*", "local:" } do assert.matches(way, text, 1, true) end
    assert.matches("no database was named", refused("", { PGHOST = helper.host, PGDATABASE = "postgres" }), 1, true)
  end)

  it("where DATABASE_URL is empty, whatever the ini says", function()
    assert.matches("the URL of the database is empty (DATABASE_URL)",
      refused("", { DATABASE_URL = "" }, "postgresql://h/d"), 1, true)
    assert.matches("the URL of the database is empty (DATABASE_URL)", refused("", { DATABASE_URL = " " }), 1, true)
    assert.matches("the URL of the database is empty (--url)", refused("--url=", {}, "postgresql://h/d"), 1, true)
  end)

  it("with libpq's name for a parameter of another driver, and the nearest for a misspelt one", function()
    local text = refused("", { DATABASE_URL = "postgresql+asyncpg://u@h/d?ssl=certainly" })
    assert.matches("a parameter that libpq does not know: ssl", text, 1, true)
    assert.matches("?sslmode=require", text, 1, true)
    assert.matches("libpq calls it sslmode", refused("", { DATABASE_URL = "postgresql://h/d?sslmod=require" }), 1, true)
    assert.matches("connect_timeout", refused("", { DATABASE_URL = "postgresql://h/d?timeout=1" }), 1, true)
  end)

  it("when it is no PostgreSQL", function()
    assert.matches("of the kind mysql+pymysql; dmlua speaks to PostgreSQL",
      refused("", { DATABASE_URL = "mysql+pymysql://u@h/d" }), 1, true)
  end)
end)
