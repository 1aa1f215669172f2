-- `ensure_version`: the version table alone, and a wider one.

local helper = require "spec.helper"
local cjson = require "cjson"

local long = ("x"):rep(40)
local database, folder

before_each(function()
  database = helper.database()
  folder = helper.project { database = database, versions = { { revision = long } } }
end)

local function dmlua(words)
  return helper.dmlua(words, { cwd = folder })
end

local function tables()
  return helper.value(database, "SELECT string_agg(relname, ',' ORDER BY 1) FROM pg_class WHERE relkind = 'r'"
    .. " AND relnamespace = 'public'::regnamespace")
end

local function width()
  return helper.value(database, "SELECT atttypmod - 4 FROM pg_attribute WHERE attname = 'version_num'")
end

describe("ensure_version", function()
  it("makes the version table alone, as Alembic makes it, and says so", function()
    local result = dmlua "ensure_version"
    assert.equal(0, result.code, result.err)
    assert.equal("", result.out)
    assert.matches("INFO  [dmlua] version table public.alembic_version: made, holds identifiers of at most 32 "
      .. "characters", result.err, 1, true)
    assert.equal("alembic_version", tables())
    assert.equal("alembic_version_pkc", helper.value(database, "SELECT conname FROM pg_constraint WHERE "
      .. "conrelid = 'alembic_version'::regclass"))
    assert.equal("", dmlua("current").out)
  end)

  it("leaves one that is there as it is", function()
    dmlua "ensure_version"
    helper.execute(database, "INSERT INTO alembic_version VALUES ('kept')")
    assert.same({ table = "public.alembic_version", made = false, widened = false, width = 32 },
      cjson.decode(dmlua("ensure_version --json").out))
    assert.equal("kept", helper.value(database, "SELECT version_num FROM alembic_version"))
  end)

  it("--widen is the way out of an identifier that the column does not hold", function()
    local result = dmlua "stamp heads"
    assert.equal(2, result.code)
    assert.matches("has 40 characters, but public.alembic_version holds 32\n  hint: `dmlua ensure_version --widen`",
      result.err, 1, true)
    assert.same({ table = "public.alembic_version", made = false, widened = true, width = 255 },
      cjson.decode(dmlua("ensure_version --widen --json").out))
    assert.equal("255", width())
    assert.equal(0, dmlua("stamp heads").code)
    assert.matches("there already, holds identifiers of at most 255", dmlua("ensure_version --widen").err, 1, true)
  end)

  it("--widen leaves a column alone that holds more", function()
    helper.execute(database, "CREATE TABLE alembic_version (version_num text PRIMARY KEY); ALTER TABLE alembic_version"
      .. " OWNER TO owner")
    assert.same({ table = "public.alembic_version", made = false, widened = false, width = cjson.null },
      cjson.decode(dmlua("ensure_version --widen --json").out))
    assert.matches("holds any identifier", dmlua("ensure_version").err, 1, true)
  end)

  it("follows version_table and version_table_schema", function()
    helper.execute(database, "CREATE SCHEMA meta AUTHORIZATION owner")
    folder = helper.project { database = database, settings = { version_table = "v", version_table_schema = "meta" } }
    assert.matches("version table meta.v: made", dmlua("ensure_version").err, 1, true)
    assert.equal("meta", helper.value(database, "SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'v'"))
  end)

  it("takes an empty version_table for none", function()
    folder = helper.project { database = database, settings = { version_table = "" } }
    assert.matches("version table public.alembic_version: made", dmlua("ensure_version").err, 1, true)
  end)

  it("refuses a name that PostgreSQL would cut", function()
    folder = helper.project { database = database, settings = { version_table = ("v"):rep(60) } }
    local result = dmlua "ensure_version"
    assert.equal(2, result.code)
    assert.matches("version_table is 60 bytes long; PostgreSQL has room for 59 and its key's name", result.err, 1, true)
    folder = helper.project { database = database, settings = { version_table = ("v"):rep(59) } }
    assert.equal(0, dmlua("ensure_version").code)
  end)

  it("refuses a table that is no version table", function()
    helper.execute(database, "CREATE TABLE alembic_version (x integer)")
    local result = dmlua "ensure_version --widen"
    assert.equal(2, result.code)
    assert.matches("public.alembic_version has no column version_num: it is no version table", result.err, 1, true)
  end)

  it("waits for another runner as long as it is told", function()
    dmlua "ensure_version"
    local held = helper.connect(database.url)
    held:exec("SELECT pg_advisory_lock(1684892789, hashtext('public.alembic_version'))")
    local result = dmlua "ensure_version --widen --no-wait"
    assert.equal(4, result.code, result.err)
    assert.equal("32", width())
  end)

  it("writes with --sql what psql can run, and connects to nothing", function()
    local made = dmlua "ensure_version --sql"
    assert.equal(0, made.code, made.err)
    assert.matches("^CREATE TABLE [%w_.\"]*alembic_version %(\n\tversion_num VARCHAR%(32%) NOT NULL,", made.out)
    local widened = dmlua "ensure_version --sql --widen"
    assert.matches(
      "^ALTER TABLE [%w_.\"]*alembic_version ALTER COLUMN version_num TYPE VARCHAR%(255%);\n$", widened.out)
    assert.equal(2, dmlua("ensure_version --sql --json").code)
  end)
end)
