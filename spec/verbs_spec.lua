-- The verbs that change a database and those that look at one.

local helper = require "spec.helper"
local cjson = require "cjson"

local function table_of(name)
  return ('  op.create_table("%s", sa.Column("id", sa.Integer(), { nullable = false }))'):format(name),
    ('  op.drop_table("%s")'):format(name)
end

local function revision(id, down, message)
  local up, back = table_of("t_" .. id)
  return { revision = id, down = down, message = message, upgrade = up, downgrade = back }
end

local database = helper.database()

-- An empty database and a project over it: three revisions in a line, a1, b1, c1.
local function project(versions)
  helper.execute(database, "DROP OWNED BY owner")
  local folder = helper.project {
    database = database,
    settings = { isolation = "none" },
    versions = versions
      or { revision("a1", nil, "First"), revision("b1", "a1", "Second"), revision("c1", "b1", "Third") },
  }
  local function run(words, code)
    local result = helper.dmlua(words, { cwd = folder })
    assert(result.code == (code or 0), ("exit %d\n%s%s"):format(result.code, result.out, result.err))
    return result
  end
  return run, folder
end

local function rows()
  return helper.value(database, "SELECT string_agg(version_num, ',' ORDER BY 1) FROM alembic_version")
end

local function has(text, part)
  assert(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

describe("upgrade and downgrade", function()
  it("go up and down by name, by prefix and by number, as typed", function()
    local run = project { revision("alpha"), revision("bravo", "alpha"), revision("coast", "bravo") }
    local expected = {
      { "upgrade +1", "alpha" }, { "upgrade co", "coast" }, { "downgrade -1", "bravo" }, { "upgrade head", "coast" },
      { "downgrade -2", "alpha" }, { "downgrade base", nil }, { "upgrade heads", "coast" }, { "downgrade br", "bravo" },
    }
    for _, row in ipairs(expected) do
      run(row[1])
      assert.equal(row[2], rows(), row[1])
    end
  end)

  it("say first what they change, then Alembic's line for each step, on standard error", function()
    local run = project()
    local result = run "upgrade b1"
    assert.equal("", result.out)
    assert.equal(("INFO  [dmlua] development, owner@%s:5432/%s\n"):format(helper.host, database.name)
      .. "INFO  [dmlua.migration] Running upgrade  -> a1, First\n"
      .. "INFO  [dmlua.migration] Running upgrade a1 -> b1, Second\n"
      .. "INFO  [dmlua] 2 steps done; database is at b1\n", result.err)
    has(run("downgrade base").err, "Running downgrade a1 -> , First\n")
  end)

  it("say nothing with -q, and that there is nothing to do", function()
    local run = project()
    assert.equal("", run("upgrade head -q").err)
    has(run("upgrade head").err, "nothing to do; database is at c1\n")
  end)

  it("print a line of JSON a step and one at the end", function()
    local lines = {}
    for line in project()("upgrade b1 --json").out:gmatch "[^\n]+" do lines[#lines + 1] = cjson.decode(line) end
    assert.equal(3, #lines)
    local step = lines[2]
    assert(type(step.seconds) == "number")
    step.seconds = nil
    assert.same({ revision = "b1", direction = "upgrade", from = "a1", to = "b1", message = "Second",
      path = "versions/b1.lua" }, step)
    assert.same({ command = "upgrade", steps = 2, heads = { "b1" }, debts = {} }, lines[3])
  end)

  it("end with the JSON of the error when a step fails, after the steps that are done", function()
    local failing = revision("b1", "a1", "Second")
    failing.upgrade = '  op.execute("SELECT 1/0")'
    local run = project { revision("a1", nil, "First"), failing }
    local out = run("upgrade head --json", 1).out
    local first, second = out:match "^([^\n]+)\n([^\n]+)\n$"
    assert.equal("a1", cjson.decode(first).revision)
    local failure = cjson.decode(second).error
    assert.same({ "migration", "22012", "b1", "versions/b1.lua", 11 },
      { failure.kind, failure.sqlstate, failure.revision, failure.file, failure.line })
    has(failure.state, "database is at a1; nothing of b1 was kept")
    assert.equal("a1", rows())
  end)

  it("refuse what contradicts itself and what is no number", function()
    local run = project()
    has(run("upgrade head --no-wait --lock-wait 3", 2).err, "--lock-wait and --no-wait exclude each other")
    has(run("upgrade head --lock-wait soon", 2).err, "--lock-wait takes seconds, not 'soon'")
  end)

  it("refuse a range before they connect, and so does plan", function()
    local folder = helper.project { versions = { revision "a1" } }
    for _, verb in ipairs { "upgrade", "downgrade", "plan upgrade", "plan downgrade" } do
      local result = helper.dmlua("--url postgresql://nobody@127.0.0.1:1/none " .. verb .. " base:a1", { cwd = folder })
      assert.are.equal(2, result.code)
      assert.truthy(result.err:find("Range revision not allowed", 1, true), result.err)
    end
  end)

  it("keep the reason in the ledger", function()
    local run = project()
    run { "--reason", "ticket 42", "upgrade", "a1" }
    assert.equal("ticket 42", helper.value(database, "SELECT reason FROM dmlua_ledger"))
    has(run({ "--reason", "\xff", "upgrade", "head" }, 2).err, "--reason is no UTF-8 text")
  end)
end)

describe("stamp", function()
  it("sets the version and runs nothing", function()
    local run = project()
    run "stamp b1"
    assert.equal("b1", rows())
    assert.equal("0", helper.value(database, "SELECT count(*) FROM pg_class WHERE relname LIKE 't\\_%'"))
    run "stamp base"
    assert.is_nil(rows())
  end)

  it("with --purge forgets rows that no file has", function()
    local run = project()
    run "stamp b1"
    helper.execute(database, "UPDATE alembic_version SET version_num = 'gone'")
    run("current", 2)
    run "stamp a1 --purge"
    assert.equal("a1", rows())
  end)
end)

describe("current", function()
  it("prints Alembic's line, and nothing on a database without a revision, which it leaves as it is", function()
    local run = project()
    assert.equal("", run("current").out)
    assert.equal("0", helper.value(database, "SELECT count(*) FROM pg_class WHERE relname ~ 'alembic|dmlua'"))
    run "upgrade b1"
    assert.equal("b1\n", run("current").out)
    run "upgrade head"
    assert.equal("c1 (head)\n", run("current").out)
  end)

  it("prints the database and a block with -v", function()
    local run = project()
    run "upgrade b1"
    assert.matches("^Current revision%(s%) for postgresql://owner@[^\n]*" .. database.name .. "[^\n]*:\nRev: b1\n"
      .. "Parent: a1\n", run("current -v").out)
    local url = helper.url(database.name):gsub("owner@", "owner:opensesame@")
    local out = run { "current", "-v", "--url", url }.out
    assert.matches("^Current revision%(s%) for postgresql://owner:%*%*%*@", out)
    assert.is_nil(out:find("opensesame", 1, true))
  end)

  it("names a row that is NULL in Alembic's words, and so does every verb that reads it", function()
    local run = project()
    helper.execute(database, "CREATE TABLE alembic_version (version_num varchar(32));"
      .. "ALTER TABLE alembic_version OWNER TO owner; INSERT INTO alembic_version VALUES (NULL)")
    for _, verb in ipairs { "current", "upgrade head", "stamp head" } do
      has(run(verb, 2).err, "is not a string; ensure database driver settings are correct")
    end
  end)

  it("with --check-heads is exit 3 unless the database is at the heads", function()
    local run = project()
    run "upgrade b1"
    has(run("current --check-heads", 3).err, "Database is not on all head revisions")
    run "upgrade head"
    run "current --check-heads"
  end)

  it("shows a step that stopped between its parts, until it is finished", function()
    local cut = revision("b1", "a1", "Second")
    cut.upgrade = [[
  op.create_table("cut", sa.Column("id", sa.Integer()))
  op.get_context():autocommit_block(function()
    op.create_index("cut_id", "cut", { "id" }, { postgresql_concurrently = true })
  end)
  op.execute("INSERT INTO waits_for SELECT 1")]]
    local run = project { revision("a1", nil, "First"), cut }
    run("upgrade head", 1)
    local line, part = run("current").out:match "^(a1 %(%+ b1, part (%d+) done%)\n)$"
    assert(line, run("current").out)
    assert.matches("\nRev: a1 %(%+ b1, part %d+ done%)\nParent: <base>\n", run("current -v").out)
    local parts = cjson.decode(run("current --json").out).parts
    assert.same({ { "b1", "upgrade", tonumber(part) } }, { { parts[1].revision, parts[1].direction, parts[1].part } })
    helper.execute(database.owner, "CREATE TABLE waits_for (n int)")
    run "upgrade head"
    assert.equal("b1 (head)\n", run("current").out)
  end)

  it("warns of a file that was changed after it ran, and of none that was taken back before", function()
    local run, folder = project()
    run "upgrade head"
    local path = folder .. "/versions/b1.lua"
    local text = helper.read(path)
    helper.write(path, text .. "-- more\n")
    has(run("current").err, "versions/b1.lua was changed after b1 ran")
    assert.equal("versions/b1.lua", cjson.decode(run("current --json").out).changed[1].path)
    helper.write(path, text)
    run "downgrade a1"
    helper.write(path, text .. "-- more\n")
    assert.equal("", run("current").err)
    assert.not_matches("was changed", run("upgrade head").err)
  end)

  it("warns of no changed file that was stamped away or is unfinished", function()
    local failing = revision("b1", "a1", "Second")
    failing.upgrade = [[
  op.get_context():autocommit_block(function() op.execute("VACUUM") end)
  op.execute("SELECT 1/0")]]
    local run, folder = project { revision("a1", nil, "First"), failing }
    run "upgrade a1"
    local path = folder .. "/versions/a1.lua"
    helper.write(path, helper.read(path) .. "-- more\n")
    has(run("current").err, "versions/a1.lua was changed after a1 ran")
    run "stamp base"
    assert.equal("", run("current").err)
    helper.execute(database.owner, "DROP TABLE IF EXISTS a1")
    run "stamp a1"
    run("upgrade b1", 1)
    path = folder .. "/versions/b1.lua"
    helper.write(path, helper.read(path) .. "-- more\n")
    assert.not_matches("b1 ran", run("current").err)
    assert.not_matches("b1 ran", run("upgrade b1", 1).err)
  end)

  it("names a revision that no file has, and the way out", function()
    local run = project()
    run "upgrade head"
    helper.execute(database, "UPDATE alembic_version SET version_num = 'gone'")
    local err = run("current", 2).err
    has(err, "Can't locate revision identified by 'gone'")
    assert.matches("\n  hint: ", err)
  end)
end)

describe("history, show and plan of a database", function()
  it("mark what is current, and count from it", function()
    local run = project()
    run "upgrade b1"
    assert.equal("b1 -> c1 (head), Third\na1 -> b1 (current), Second\n<base> -> a1, First\n", run("history -i").out)
    assert.equal("* c1 (head) Third\n* b1 (current) Second\n* a1 (base) First\n", run("history --graph -i").out)
    assert.matches('\n  "b1" [label="b1\\n(current)\\nSecond", style="filled", fillcolor="palegreen"];\n',
      run("history --dot -i").out, 1, true)
    assert.equal("b1 -> c1 (head), Third\na1 -> b1, Second\n", run("history -r current:").out)
    assert.matches("^Rev: b1\n", run("show current").out)
    assert.equal("upgrade b1 -> c1, Third\n1 step; heads afterwards: c1\n", run("plan upgrade head").out)
    assert.equal("downgrade b1 -> a1, Second\n1 step; heads afterwards: a1\n", run("plan downgrade -1").out)
  end)
end)

describe("log", function()
  it("lists what was run, newest first, and is empty where nothing was", function()
    local run = project()
    assert.equal("", run("log").out)
    run "upgrade b1"
    run { "downgrade", "-1", "--reason", "too early" }
    local lines = {}
    for line in run("log").out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal(3, #lines)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ  downgrade  b1  done  +%d+ ms +owner  too early$", lines[1])
    assert.matches("Z  upgrade +b1  done", lines[2])
    assert.matches("Z  upgrade +a1  done", lines[3])
    local function unaligned(text) return (text:gsub(" +", " ")) end -- columns are as wide as what stands in them
    assert.equal(unaligned(lines[1] .. "\n"), unaligned(run("log -n 1").out))
  end)

  it("is one JSON document", function()
    local run = project()
    run "upgrade a1"
    local log = cjson.decode(run("log --json").out).log
    assert.same({ "upgrade", "a1", "done", "owner", 64 },
      { log[1].direction, log[1].revision, log[1].outcome, log[1].who, #log[1].sha256 })
  end)

  it("keeps a step that failed, with why", function()
    local failing = revision("a1", nil, "First")
    failing.upgrade = '  op.execute("SELECT 1/0")'
    local run = project { failing }
    run("upgrade head", 1)
    has(run("log").out, "a1  failed")
    has(run("log").out, "division by zero")
  end)
end)
