-- baseline: one migration that makes the present schema and replaces the history before it.

local activity = require "spec.support.activity"
local helper = require "spec.helper"
local cjson = require "cjson"

local function run(folder, arguments, env)
  return helper.dmlua(arguments, { cwd = folder, env = env })
end

local function done(folder, arguments, env)
  local result = run(folder, arguments, env)
  assert.equal("", result.code == 0 and "" or result.err)
  return result
end

local function dump(database)
  local result = helper.run(helper.programs .. "/pg_dump", { "-s", "--restrict-key=spec", "-d", database.postgres })
  assert(result.code == 0, result.err)
  return result.out
end

local function revision(id, down, labels)
  return { revision = id, down = down, labels = labels, message = "Make " .. id,
    upgrade = ("op.execute('CREATE TABLE t_%s (id int)')"):format(id),
    downgrade = ("op.execute('DROP TABLE t_%s')"):format(id) }
end

-- aaaa - bbbb - dddd, and cccc beside bbbb: two heads.
local function tree(db)
  return helper.project { database = db, versions = { revision "aaaa", revision("bbbb", "aaaa", { "left" }),
    revision("cccc", "aaaa"), revision("dddd", "bbbb") } }
end

local function tables(db)
  return helper.value(db, [[SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^t_']])
end

local function rows(db)
  return helper.value(db, "SELECT string_agg(version_num, ' ' ORDER BY version_num) FROM alembic_version")
end

describe("baseline", function()
  it("of the sample services makes an equal schema on an empty database, in one step", function()
    local folder = helper.folder()
    helper.run("/bin/cp", { "-r", helper.root .. "/migrations/.", folder })
    local management = helper.database()
    for _, service in ipairs { "management", "isp" } do
      local old, new = service == "management" and management or helper.database(), helper.database()
      local function env(database)
        return { SERVICE_TYPE = service, DMLUA_URL_MANAGEMENT = management.owner,
          ["DMLUA_URL_" .. service:upper()] = database.owner }
      end
      done(folder, "upgrade heads", env(old))
      done(folder, { "baseline", "-m", "All that was", "--rev-id", "base1" }, env(old))
      assert.matches("^base1 %(.*%(head%)\n$", done(folder, "heads", env(old)).out)
      assert.matches("1 step done; database is at base1", done(folder, "upgrade head", env(new)).err, 1, true)
      assert.equal(dump(old), dump(new))
      assert.matches("nothing to do; database is at base1", done(folder, "upgrade head", env(old)).err, 1, true)
      assert.equal("base1", rows(old))
    end
  end)

  it("leaves nothing to do for a database at the heads of what it replaces, and the ledger says so", function()
    local db = helper.database()
    local folder = tree(db)
    done(folder, "upgrade heads")
    assert.equal("Generating versions/e000_baseline.lua ...  done\n", done(folder, "baseline --rev-id e000").out)
    helper.write(folder .. "/versions/ffff.lua", helper.revision(revision("ffff", "e000")))
    for _, id in ipairs { "aaaa", "cccc" } do os.remove(folder .. "/versions/" .. id .. ".lua") end
    assert.equal("e000\n", done(folder, "current").out)
    assert.equal("cccc dddd", rows(db))
    assert.equal("stamp cccc, dddd -> e000, baseline\nupgrade e000 -> ffff, Make ffff\n"
      .. "2 steps; heads afterwards: ffff\n", done(folder, "plan upgrade head").out)
    local plan = cjson.decode(done(folder, "plan upgrade head --json").out)
    assert.equal("ffff", #plan.steps == 1 and plan.steps[1].revision)
    assert.same({ "ffff" }, plan.heads)
    local result = done(folder, "upgrade head")
    assert.matches("e000 replaces cccc, dddd: nothing to run", result.err, 1, true)
    assert.matches("1 step done; database is at ffff", result.err, 1, true)
    assert.equal("ffff", rows(db))
    assert.equal("t_aaaa t_bbbb t_cccc t_dddd t_ffff", tables(db))
    assert.equal("replaces cccc, dddd; nothing was run",
      helper.value(db, "SELECT note FROM dmlua_ledger WHERE what = 'e000' AND outcome = 'done'"))
    assert.equal("", run(folder, "current --check-heads").code == 0 and "" or "not at the heads")
  end)

  it("refuses a database in the middle of what it replaces, and names what can finish it", function()
    local db, middle, other = helper.database(), helper.database(), helper.database()
    local folder = tree(db)
    done(folder, "upgrade heads")
    done(folder, { "--url", middle.url, "upgrade", "bbbb" })
    done(folder, { "--url", other.url, "upgrade", "dddd" })
    done(folder, "baseline --rev-id e000")
    for database, row in pairs { [middle] = "bbbb", [other] = "dddd" } do
      for _, verb in ipairs { "upgrade head", "current", "downgrade base", "stamp e000" } do
        local result = run(folder, "--url " .. database.url .. " " .. verb)
        assert.equal(2, result.code)
        assert.matches(("Can't locate revision identified by '%s': the database is in the middle of the history that "
          .. "e000 (versions/e000_baseline.lua) replaces"):format(row), result.err, 1, true)
        assert.matches("when the database is at cccc dddd, run this again", result.err, 1, true)
      end
      assert.equal(row, rows(database))
    end
  end)

  it("that is interrupted ends pg_dump, and what pg_dump asked of the server", function()
    local db = helper.database()
    local folder = tree(db)
    done(folder, "upgrade heads")
    local connection = helper.connect(db.postgres)
    connection:exec "BEGIN; LOCK TABLE t_aaaa" -- pg_dump waits for this transaction
    local running = helper.start("baseline", { cwd = folder })
    activity.runs(db, "LOCK TABLE%t_aaaa%")
    running.kill "TERM"
    local result = running.wait(10)
    assert.equal(130, result.code)
    assert.matches("interrupted while .*pg_dump ran", result.err)
    activity.is_gone(db, "owner")
  end)

  it("has no way down", function()
    local db = helper.database()
    local folder = tree(db)
    done(folder, "upgrade heads")
    done(folder, "baseline --rev-id e000")
    local result = run(folder, "downgrade base")
    assert.equal(2, result.code)
    assert.matches("versions/e000_baseline.lua has no function downgrade()", result.err, 1, true)
    assert.equal("cccc dddd", rows(db))
  end)

  it("replaces earlier baselines with all that they replace", function()
    local db, fresh = helper.database(), helper.database()
    local folder = tree(db)
    done(folder, "upgrade heads")
    done(folder, "baseline --rev-id e000")
    done(folder, "upgrade head")
    done(folder, "baseline --rev-id f000")
    assert.equal("<base> -> f000 (left) (head), baseline\n", done(folder, "history").out)
    assert.matches("nothing to do", done(folder, "upgrade head").err, 1, true)
    assert.equal("f000", rows(db))
    done(folder, { "--url", fresh.url, "upgrade", "head" })
    assert.equal(tables(db), tables(fresh))
  end)

  it("wants a database at the heads of the tree", function()
    local db = helper.database()
    local folder = tree(db)
    local result = run(folder, "baseline")
    assert.equal(2, result.code)
    assert.matches("the database is not at the head", result.err, 1, true)
    assert.matches("hint: `dmlua upgrade heads`", result.err, 1, true)
  end)

  it("of a database without any revision replaces nothing, and is stamped", function()
    local db, new = helper.database(), helper.database()
    helper.execute(db.owner, "CREATE SCHEMA x; CREATE TABLE x.t_one (id int PRIMARY KEY)")
    local folder = helper.project { database = db }
    assert.matches("it replaces nothing: `dmlua stamp head` says that this database has it",
      done(folder, "baseline").err, 1, true)
    done(folder, "stamp head")
    done(folder, { "--url", new.url, "upgrade", "head" })
    assert.equal(dump(db), dump(new))
  end)

  it("keeps what is hard to write: quotes, carriage returns, brackets, functions before tables, grants", function()
    local db, new = helper.database(), helper.database()
    helper.execute(db.owner, [==[
      CREATE TYPE mood AS ENUM ('sad]]', 'o''k');
      CREATE TABLE "Odd ]=] name" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        m mood DEFAULT 'o''k', "a:b" text[]);
      CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public."Odd ]=] name"';
      CREATE FUNCTION two() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
      CREATE TABLE uses (n bigint DEFAULT total(), CHECK (n > 0));
      CREATE TABLE chosen (s varchar(9) CHECK (s IN ('a', 'it''s', 'c')), n int CHECK (n IN (1, 2)));
      CREATE VIEW seen AS SELECT m, 'x' AS y FROM "Odd ]=] name";
      ALTER TABLE uses ENABLE ROW LEVEL SECURITY; ALTER TABLE uses FORCE ROW LEVEL SECURITY;
      CREATE POLICY own ON uses USING (n = 1);
      GRANT SELECT, INSERT (n) ON uses TO app; REVOKE EXECUTE ON FUNCTION total() FROM PUBLIC;
      COMMENT ON TABLE uses IS E'two\nlines; and -- no comment';
      DO $$ BEGIN EXECUTE 'CREATE FUNCTION cr() RETURNS text LANGUAGE plpgsql AS ' || quote_literal(
        E'BEGIN\r\n  RETURN ''\\restrict'';\r\nEND') || ' SET search_path = ''''';  END $$;
    ]==])
    local folder = helper.project { database = db }
    done(folder, "baseline")
    done(folder, { "--url", new.url, "upgrade", "head" })
    done(folder, "stamp head")
    assert.equal(dump(db), dump(new))
  end)
end)

describe("replaces", function()
  local function refuses(header, message)
    local folder = helper.project { files = { ["versions/a.lua"] = 'revision = "a"\n' .. header .. "\n" } }
    local result = run(folder, "heads")
    assert.equal(2, result.code)
    assert.matches(message, result.err, 1, true)
  end

  it("says which of several are the heads", function()
    refuses('replaces = { "x", "y" }', "replaces has 2 revisions and does not say which of them are the heads")
    refuses("replaces = { heads = {}, 'x' }", "replaces.heads is empty")
    refuses("replaces = 'a'", "a replaces itself")
    refuses("replaces = { 1 }", "replaces[1] is a number; it must be a string")
    refuses("replaced = 'x'", "'replaced' is no field of a header (did you mean 'replaces'?)")
  end)

  it("lets a revision upon the one head that it replaces come after it", function()
    local db, new = helper.database(), helper.database()
    local folder = helper.project { database = db, versions = { revision "aaaa", revision("bbbb", "aaaa"),
      revision("cccc", "bbbb") } }
    done(folder, "upgrade cccc")
    helper.write(folder .. "/versions/base.lua", 'revision = "base1"\nreplaces = { heads = "bbbb", "aaaa" }\n'
      .. "function upgrade()\n op.execute 'CREATE TABLE t_aaaa (id int); CREATE TABLE t_bbbb (id int)'\nend\n")
    assert.equal("bbbb -> cccc (head), Make cccc\n<base> -> base1\n", (done(folder, "history").out))
    assert.matches("nothing to do; database is at cccc", done(folder, "upgrade head").err, 1, true)
    done(folder, { "--url", new.url, "upgrade", "head" })
    assert.equal(tables(db), tables(new))
    done(folder, "revision -m more --rev-id dddd")
    os.remove(folder .. "/versions/dddd_more.lua")
    helper.write(folder .. "/versions/cccc.lua", helper.revision(revision("cccc", "aaaa")))
    local result = run(folder, "heads")
    assert.equal(2, result.code)
    assert.matches("Revision aaaa referenced from cccc (versions/cccc.lua) is not present: it is one of those that "
      .. "base1 (versions/base.lua) replaces, and not the only head of them", result.err, 1, true)
  end)

  it("names of two files one another is refused", function()
    local folder = helper.project { files = { ["versions/a.lua"] = 'revision = "a"\nreplaces = "b"\n',
      ["versions/b.lua"] = 'revision = "b"\nreplaces = "a"\n' } }
    local result = run(folder, "heads")
    assert.equal(2, result.code)
    assert.matches("a is replaced only by a revision that is itself replaced", result.err, 1, true)
  end)

  it("of two files for one revision is refused", function()
    local folder = helper.project { files = { ["versions/a.lua"] = 'revision = "a"\nreplaces = "x"\n',
      ["versions/b.lua"] = 'revision = "b"\nreplaces = "x"\n' } }
    local result = run(folder, "heads")
    assert.equal(2, result.code)
    assert.matches("Revision x is replaced twice, by a (versions/a.lua) and b (versions/b.lua)", result.err, 1, true)
  end)
end)
