local cjson = require "cjson"
local helper = require "spec.helper"

describe("dmlua tables", function()
  local database = helper.database()
  local folder

  before_each(function()
    helper.execute(database, "DROP OWNED BY owner; GRANT ALL ON SCHEMA public TO owner")
    folder = helper.project { database = database, settings = { environment = "production", app_role = "app",
      global_tables = "ref_*" }, versions = {
      { revision = "aaaa", upgrade = [[op.execute("ALTER TABLE legacy ADD COLUMN note text")
        op.execute("ALTER TABLE another_trees_version ALTER version_num TYPE varchar(255)")]] },
      { revision = "bbbb", down = "aaaa", upgrade = [[
        guards.ensure_tenant_column("legacy", { backfill = "'a'" })
        guards.ensure_tenant_isolation("legacy")]] },
      { revision = "cccc", down = "bbbb", upgrade = [[guards.drop_tenant_isolation("legacy")]] },
    } }
    helper.execute(database.owner, [[CREATE TABLE legacy (id int); CREATE TABLE "Countries" (id int);
      CREATE TABLE ref_x (id int); CREATE TABLE odd (id int, tenant_id text);
      CREATE TABLE another_trees_version (version_num varchar(32) PRIMARY KEY)]])
  end)

  local function dmlua(words, code)
    local result = helper.dmlua(words, { cwd = folder })
    assert(result.code == (code or 0), ("exit %d\n%s%s"):format(result.code, result.out, result.err))
    return result
  end

  local function states()
    local found = {}
    for _, row in ipairs(cjson.decode(dmlua("tables list --json").out).tables) do found[row.name] = row.state end
    return found
  end

  it("lists each table but version tables, where dmlua has not been, too, and leaves none there", function()
    assert.same({ ["public.legacy"] = "open", ['public."Countries"'] = "open", ["public.ref_x"] = "global",
      ["public.odd"] = "open" }, states())
    assert.matches("public%.odd +open +tenant_id may be NULL", dmlua("tables list").out)
    assert.is_nil(helper.value(database, "SELECT to_regclass('dmlua_tables')"))
  end)

  it("adopts what is there as a debt, with which migrations go on, until it is paid", function()
    assert.equal(3, helper.dmlua("upgrade aaaa", { cwd = folder }).code)
    dmlua({ "tables", "adopt", "--reason", "taken over" })
    assert.equal("debt", states()["public.legacy"])
    assert.matches("public%.legacy +debt +taken over", dmlua("tables list").out)
    dmlua "upgrade bbbb"
    assert.equal("isolated", states()["public.legacy"])
    local result = dmlua("upgrade cccc", 3)
    assert.matches("public.legacy (row security is off)", result.err, 1, true)
  end)

  it("adopts once: a debt can only shrink", function()
    dmlua "tables adopt"
    helper.execute(database.owner, "CREATE TABLE late (id int)")
    assert.matches("a debt can only shrink", dmlua("tables adopt", 3).err)
    assert.equal("open", states()["public.late"])
    dmlua "tables declare late"
    assert.equal("global", states()["public.late"])
  end)

  it("declares tables by name, once, and writes the ledger", function()
    assert.matches('declared global: public."Countries", public.legacy',
      dmlua("tables declare Countries public.legacy").err, 1, true)
    assert.matches("nothing to do", dmlua("tables declare legacy").err)
    assert.equal("global", states()["public.legacy"])
    dmlua "upgrade aaaa"
    assert.matches("declare +done", dmlua("log").out)
  end)

  it("asks for a reason where a table has a tenant column, and for names that are there", function()
    assert.matches("say why with %-%-reason", dmlua("tables declare odd", 2).err)
    dmlua { "tables", "declare", "odd", "--reason", "who pays for whom" }
    assert.matches("there is no table legcy %(did you mean 'legacy'", dmlua("tables declare legcy", 2).err)
    dmlua("tables declare", 2)
    dmlua("tables adopt legacy", 2)
    dmlua("tables list legacy", 2)
  end)
end)
