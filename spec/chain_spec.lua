-- A chain of steps is streamed: a step's script runs while the server still works at the one before.

local helper = require "spec.helper"
local proxy = require "spec.support.proxy"

local function says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local function silent(result, text)
  assert.falsy(result.err:find(text, 1, true), result.err)
end

-- Revisions aaaa, bbbb, … from their upgrade bodies.
local function project(database, bodies, url)
  local versions, down = {}, nil
  for i, body in ipairs(bodies) do
    local id = string.char(96 + i):rep(4)
    versions[i] = { revision = id, down = down, upgrade = body }
    down = id
  end
  return helper.project { database = url or database, versions = versions }
end

local function create(name)
  return ('op.execute("CREATE TABLE %s (id int)")'):format(name)
end

-- Its COMMIT fails, not its statements.
local fails_at_commit = [[ op.execute("CREATE TABLE parent (id int PRIMARY KEY);"
  .. "CREATE TABLE child (p int REFERENCES parent DEFERRABLE INITIALLY DEFERRED); INSERT INTO child VALUES (1)") ]]

local function tables(database)
  return helper.value(database, "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class"
    .. " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'dmlua%'"
    .. " AND relname <> 'alembic_version'")
end

local function stands(database, revision, existing)
  assert.are.equal(revision, helper.value(database, "SELECT coalesce(max(version_num), '') FROM alembic_version"))
  assert.are.equal(existing, tables(database))
end

local function outcomes(database)
  return helper.value(database, "SELECT string_agg(what || ' ' || outcome, ', ' ORDER BY id) FROM dmlua_ledger")
end

describe("a streamed chain", function()
  it("stops at the first step that fails, and names it although later scripts have run", function()
    local db = helper.database()
    local folder = project(db, { create "one", create "two" .. '\nop.execute("SELECT 1/0")', create "three",
      create "four" })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "division by zero")
    says(result, "at versions/bbbb.lua:12")
    says(result, "database is at aaaa; nothing of bbbb was kept; correct versions/bbbb.lua:12 and run upgrade again")
    says(result, "Running upgrade aaaa -> bbbb")
    silent(result, "-> cccc")
    stands(db, "aaaa", "one")
    assert.are.equal("aaaa done, bbbb failed", outcomes(db))
  end)

  it("stops at a step whose COMMIT fails: the steps behind it find that they are not on top of it", function()
    local db = helper.database()
    local folder = project(db, { create "one", fails_at_commit, create "three" })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "SQLSTATE 23503")
    says(result, "database is at aaaa; nothing of bbbb was kept")
    stands(db, "aaaa", "one")
    assert.are.equal("aaaa done, bbbb failed", outcomes(db))
  end)

  it("keeps the step before one whose script raises", function()
    local db = helper.database()
    local folder = project(db, { create "one", create "two", create "three" .. '\nerror("no")' })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal(1, result.code)
    says(result, "database is at bbbb; nothing of cccc was kept; correct versions/cccc.lua:12")
    stands(db, "bbbb", "one two")
    assert.are.equal("aaaa done, bbbb done, cccc failed", outcomes(db))
  end)

  it("tells the failure of the earlier step when the script behind it raises, too", function()
    local db = helper.database()
    local folder = project(db, { create "one", fails_at_commit, 'error("no")' })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    says(result, "SQLSTATE 23503")
    says(result, "database is at aaaa; nothing of bbbb was kept")
    silent(result, "no\n")
    assert.are.equal("aaaa done, bbbb failed", outcomes(db))
  end)

  it("sends nothing that leaves its transaction behind a step that may yet fail", function()
    local db = helper.database()
    local folder = project(db, { create "one", fails_at_commit,
      [[ op.get_context():autocommit_block(function()
        op.execute("CREATE INDEX CONCURRENTLY one_id ON one (id)")
      end) ]] })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    says(result, "database is at aaaa; nothing of bbbb was kept")
    assert.is_nil(helper.value(db, "SELECT to_regclass('one_id')"))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
  end)

  it("gives a script that reads what the steps before it have made", function()
    local db = helper.database()
    local folder = project(db, { create "one" .. '\nop.execute("INSERT INTO one VALUES (7)")',
      'assert(op.get_bind():execute("SELECT id FROM one"):scalar() == 7)' })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", result.code == 0 and "" or result.err)
  end)

  it("does not wait for a step's answer before it sends the next one", function()
    local db, bodies = helper.database(), {}
    for i = 1, 10 do bodies[i] = create("t" .. i) end
    local between = proxy.start { delay = 100 } -- milliseconds, during which the client goes on
    local folder = project(db, bodies, between.url(db))
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    local most, unanswered = 0, 0
    for side, line in between.trace():gmatch("([<>])([^\n]*)") do
      unanswered = side == ">" and unanswered + select(2, line:gsub("S", "")) or 0
      most = math.max(most, unanswered)
    end
    assert.is_true(most >= 5, "at most " .. most .. " transactions were on their way at once")
  end)

  it("longer than what may be on its way at once arrives whole, up and down", function()
    local db = helper.database()
    local versions, down = {}, nil
    for i = 1, 200 do
      local id = ("r%03d"):format(i)
      versions[i] = { revision = id, down = down, upgrade = ('op.execute("CREATE TABLE t%03d ()")'):format(i),
        downgrade = ('op.execute("DROP TABLE t%03d")'):format(i) }
      down = id
    end
    local folder = helper.project { database = db, versions = versions }
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    assert.are.equal("200", helper.value(db, "SELECT count(DISTINCT what) FROM dmlua_ledger WHERE outcome = 'done'"))
    assert.are.equal(0, helper.dmlua("downgrade base", { cwd = folder }).code)
    stands(db, "", "")
  end)
end)
