local helper = require "spec.helper"
local null = require "dmlua.null"
local sql = require "dmlua.sql"

-- The message, the hint and the line (from 0) for which a text is refused.
local function refused(text)
  local statements, failure = sql.split(text)
  assert.is_nil(statements, text .. " was not refused")
  return failure
end

describe("SQL text of a script", function()
  it("may not hold the words that begin and end transactions", function()
    for text, named in pairs {
      ["BEGIN"] = "BEGIN", ["begin work"] = "BEGIN", ["/* a */ Start Transaction"] = "START TRANSACTION",
      ["COMMIT"] = "COMMIT", ["END"] = "END", ["ROLLBACK"] = "ROLLBACK", ["ABORT"] = "ABORT",
      ["SAVEPOINT a"] = "SAVEPOINT", ["ROLLBACK TO a"] = "ROLLBACK", ["RELEASE a"] = "RELEASE",
      ["PREPARE TRANSACTION 'a'"] = "PREPARE TRANSACTION", ["COMMIT PREPARED 'a'"] = "COMMIT",
      ["ROLLBACK PREPARED 'a'"] = "ROLLBACK",
    } do
      local failure = refused(text)
      assert.equal(named .. " in a script", failure.message)
      assert.matches("autocommit_block", failure.hint)
    end
  end)

  it("may not reach into the transaction or the session that dmlua works with", function()
    for _, text in ipairs { "SET TRANSACTION READ ONLY", "SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
      "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "DISCARD ALL", "DEALLOCATE ALL",
      "SET standard_conforming_strings = off", "set local standard_conforming_strings to 'off'",
      "DEALLOCATE PREPARE ALL" } do
      assert.matches("in a script$", refused(text).message)
    end
  end)

  it("may hold what only looks like that", function()
    for _, text in ipairs { "SET standard_conforming_strings = on", "SET session.x = 1", "SET ROLE app",
      "SET SESSION AUTHORIZATION x", "DISCARD PLANS",
      "DEALLOCATE p", "PREPARE p AS SELECT 1", 'SELECT 1 AS "BEGIN"', "DO $$ BEGIN END $$", "LOCK TABLE t",
      "SET CONSTRAINTS ALL DEFERRED", "COPY t FROM '/stdin'", "COPY t FROM PROGRAM 'stdin'", "COPY stdin TO '/x'",
      "EXPLAIN ANALYZE SELECT 1" } do
      assert.equal(text, sql.split(text)[1].sql)
    end
  end)

  it("may not copy from or to the client, and names the way", function()
    assert.matches("op.copy_from", refused("COPY t (a, b) FROM STDIN WITH (FORMAT csv)").hint)
    assert.matches("op.copy_from", refused("copy binary t from stdout").hint)
    assert.matches("answers with rows", refused("COPY (SELECT a FROM stdin) TO STDOUT").hint)
  end)

  it("names COPY FROM STDIN also where its rows are no SQL at all", function()
    local failure = refused("CREATE TABLE t ();\nCOPY public.t (a) FROM stdin;\n1\tit's\n\\.\n\nSELECT 1;")
    assert.same({ "COPY FROM STDIN has no rows behind it in a script", 1 }, { failure.message, failure.line })
  end)

  it("may not hold commands of psql", function()
    local failure = refused("SELECT 1;\n\n\\restrict key\nSELECT 2")
    assert.same({ "\\restrict is a command of psql, not SQL", 2 }, { failure.message, failure.line })
  end)

  it("is refused at the line of the statement that is wrong", function()
    assert.equal(2, refused("SELECT 1;\n-- then\nCOMMIT;\nSELECT 2").line)
    assert.equal(1, refused("SELECT 1;\nSELECT 'a\n\n").line)
  end)
end)

describe("a statement that refuses a transaction block", function()
  -- As PostgreSQL 13 to 18 do; what is false here either runs in a block or is the server's to judge.
  local statements = {
    ["VACUUM"] = true, ["VACUUM (ANALYZE) t"] = true, ["ANALYZE t"] = false,
    ["CREATE INDEX CONCURRENTLY ON t (a)"] = true, ["CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)"] = true,
    ["CREATE INDEX ON t (a)"] = false, ['CREATE INDEX "concurrently" ON t (a)'] = false,
    ["DROP INDEX CONCURRENTLY IF EXISTS i"] = true, ["DROP INDEX IF EXISTS i"] = false,
    ["REINDEX TABLE t"] = false, ["REINDEX TABLE CONCURRENTLY t"] = true,
    ["REINDEX (VERBOSE, CONCURRENTLY) TABLE t"] = true,
    ["REINDEX (CONCURRENTLY false) TABLE t"] = false, ["REINDEX (VERBOSE) DATABASE dmlua_none"] = true,
    ["REINDEX SCHEMA public"] = true, ["REINDEX SYSTEM dmlua_none"] = true,
    ["CLUSTER"] = true, ["CLUSTER VERBOSE"] = true, ["CLUSTER (VERBOSE)"] = true, ["CLUSTER t USING t_pkey"] = false,
    ["CLUSTER VERBOSE t USING t_pkey"] = false, ["CLUSTER (VERBOSE) t USING t_pkey"] = false,
    ["CREATE DATABASE dmlua_none"] = true, ["DROP DATABASE IF EXISTS dmlua_none"] = true,
    ["CREATE TABLESPACE s LOCATION '/nowhere'"] = true, ["DROP TABLESPACE s"] = true,
    ["ALTER SYSTEM SET work_mem = '4MB'"] = true, ["ALTER SYSTEM RESET ALL"] = true,
    ["ALTER DATABASE dmlua_none SET TABLESPACE pg_default"] = true,
    ["ALTER DATABASE postgres SET work_mem = '4MB'"] = false,
    ["ALTER TABLE parted DETACH PARTITION part CONCURRENTLY"] = true,
    ["ALTER TABLE parted DETACH PARTITION part"] = false,
    ["REFRESH MATERIALIZED VIEW CONCURRENTLY m"] = false, ["ALTER TYPE e ADD VALUE 'b'"] = false,
    ["CREATE SUBSCRIPTION n CONNECTION 'dbname=x' PUBLICATION p"] = true,
    ["CREATE SUBSCRIPTION n CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)"] = false,
    ["CREATE SUBSCRIPTION n CONNECTION 'dbname=x' PUBLICATION p WITH (create_slot = 'off', enabled = false)"] = false,
    ["ALTER SUBSCRIPTION s REFRESH PUBLICATION"] = true, ["ALTER SUBSCRIPTION s SET PUBLICATION p"] = true,
    ["ALTER SUBSCRIPTION s ADD PUBLICATION q WITH (copy_data = false)"] = true,
    ["ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)"] = false,
    ["ALTER SUBSCRIPTION s DISABLE"] = false, ["ALTER SUBSCRIPTION s SET (binary = true)"] = false,
  }

  local judged_otherwise = {
    ["ALTER DATABASE dmlua_none SET TABLESPACE pg_default"] = "the server looks for the database first",
    ["CLUSTER (VERBOSE)"] = "syntax since PostgreSQL 17",
  }

  it("is marked, and the server says the same", function()
    local database = helper.database()
    local connection = helper.connect(database.postgres)
    connection:exec [[
      CREATE TABLE t (a int PRIMARY KEY); CREATE TYPE e AS ENUM ('a');
      CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE UNIQUE INDEX ON m (a);
      CREATE TABLE parted (a int) PARTITION BY LIST (a); CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
      CREATE SUBSCRIPTION s CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false, slot_name = none)]]
    -- A subscription has to be enabled before REFRESH is judged at all, and to have a slot's name before that.
    connection:exec "ALTER SUBSCRIPTION s SET (slot_name = 'none_such')"
    connection:exec "ALTER SUBSCRIPTION s ENABLE"
    helper.defer(function()
      helper.execute(database, [[ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = none);
        DROP SUBSCRIPTION s]])
    end)
    for text, refuses in pairs(statements) do
      assert.equal(refuses, sql.split(text)[1].refuses_block, text)
      connection:exec "BEGIN"
      local ok, raised = pcall(connection.exec, connection, text, {})
      connection:exec "ROLLBACK"
      if not judged_otherwise[text] then
        assert.equal(refuses, not ok and raised.sqlstate == "25001", text .. ": " .. tostring(raised))
      end
    end
  end)

  it("is known in newer servers' words", function()
    assert.is_true(sql.split("ALTER SUBSCRIPTION s SET (failover = true)")[1].refuses_block)
    assert.is_true(sql.split("ALTER SUBSCRIPTION s SET (two_phase)")[1].refuses_block)
  end)
end)

describe("a statement with parameters", function()
  local function bound(text, values)
    local statement, failure = sql.bind(text, values)
    assert.is_nil(failure and failure.message)
    return { statement.sql, statement.params }
  end

  local function failed(text, values)
    local statement, failure = sql.bind(text, values)
    assert.is_nil(statement)
    return failure
  end

  it("has a $n of its own for each occurrence, named or numbered", function()
    assert.same({ "SELECT $1, $2::int, $3", { "1", "1", "x" } }, bound("SELECT :a, :a::int, :b;", { a = 1, b = "x" }))
    assert.same({ "SELECT $1, $2, $3", { "x", "1", "x" } }, bound("SELECT $2, $1, $2", { 1, "x" }))
    assert.same({ "SELECT 1", {} }, bound("SELECT 1", {}))
  end)

  it("has no dollar quote made by its places", function()
    assert.same({ "SELECT $ $1, $$x$$", { "v" } }, bound("SELECT $:a, $$x$$", { a = "v" }))
  end)

  it("sends values that the server reads as they were", function()
    local connection = helper.connect(helper.database().owner)
    local statement = sql.bind([[SELECT :t::text AS t, :n::text IS NULL AS n, 1 = ANY(:l) AS l, :i + 1 AS i, ':t' AS s,
      :t = ' :n' AS b]], { t = " :n", n = null, l = { 1, 2 }, i = 41 })
    assert.same({ t = " :n", n = true, l = true, i = 42, s = ":t", b = true },
      connection:exec(statement.sql, statement.params).rows[1])
  end)

  it("may use one value as two types, which one $1 cannot", function()
    local connection = helper.connect(helper.database().owner)
    local statement = sql.bind("SELECT :v::int AS i, 'a' || :v AS t", { v = "7" })
    assert.same({ i = 7, t = "a7" }, connection:exec(statement.sql, statement.params).rows[1])
  end)

  it("names a parameter that has no value, and the nearest that has one", function()
    assert.equal("parameter :tenat has no value (did you mean 'tenant'?)",
      failed("SELECT :tenat, :tenant", { tenant = 1 }).message)
    assert.equal("parameter $2 has no value", failed("SELECT $1, $2", { "a" }).message)
  end)

  it("names a value that has no place, and the nearest place", function()
    assert.equal("parameter 'stauts' does not stand in the statement (did you mean 'status'?)",
      failed("SELECT :status", { status = 1, stauts = 2 }).message)
    assert.equal("parameter '2' does not stand in the statement", failed("SELECT $1", { 1, 2 }).message)
    local failure = failed("SELECT ':a', $$:a$$ /* :a */", { a = 1 })
    assert.matches("hold no parameters", failure.hint)
  end)

  it("is refused when names and numbers are mixed", function()
    assert.equal(":a and $1: parameters are named or numbered, not both", failed("SELECT :a, $1", { a = 1 }).message)
  end)

  it("is one statement", function()
    local failure = failed("SELECT :a;\nSELECT 2", { a = 1 })
    assert.same({ "with parameters the text is one statement; here it is 2", 1 }, { failure.message, failure.line })
    assert.equal("COMMIT in a script", failed("COMMIT", {}).message)
  end)

  it("says which value cannot be sent, and why", function()
    assert.equal("parameter :a: a function cannot be a parameter", failed("SELECT :a", { a = print }).message)
    assert.matches("^parameter %$1: element 1: it holds a NUL byte", failed("SELECT $1", { { "\0" } }).message)
  end)

  it("has at most as many as the protocol counts", function()
    local values = {}
    for i = 1, 65536 do values[i] = i end
    local places = {}
    for i = 1, 65536 do places[i] = "$" .. i end
    assert.equal("a statement has at most 65535 parameters",
      failed("SELECT " .. table.concat(places, ","), values).message)
  end)
end)

describe("the statements that op.execute sends", function()
  -- Runs a script of an author, in which `execute` is what op.execute does with its text.
  local function run(text)
    local path = helper.folder() .. "/script.lua"
    helper.write(path, text)
    local seen = {}
    local function execute(sql_text, values)
      local caller = debug.getinfo(2, "Sl")
      local statements = sql.statements(sql_text, values, caller.source:sub(2), caller.currentline)
      for _, statement in ipairs(statements) do seen[#seen + 1] = statement.line end
    end
    local ok, raised = pcall(assert(loadfile(path, "t", { execute = execute })))
    return ok and seen or raised, path
  end

  it("have the lines on which they stand in the author's file", function()
    local text = "execute(\n[[\nSELECT 1;\n-- two\nSELECT 2]])\n\nlocal later = [[\nSELECT 3;\nSELECT 4]]\n"
      .. "execute(later)"
    assert.same({ 3, 5, 8, 9 }, (run(text)))
  end)

  it("have the lines of the text that is nearest to the call", function()
    assert.same({ 3, 9 }, (run "local a =\n[[\n  SELECT 1,\n2]]\nexecute(a)\n\nexecute(\n[[\n  SELECT 1,\n2]])"))
  end)

  it("have the call's line where the text was put together", function()
    assert.same({ 2, 2 }, (run "local t = 'x'\nexecute('SELECT 1;' .. '\\n' .. 'SELECT 2')"))
  end)

  it("raise at the line of the statement that is wrong", function()
    local raised, path = run "\nexecute [[\n  SELECT 1;\n  COMMIT;\n]]"
    assert.same({ "migration", path, 4, "COMMIT in a script" },
      { raised.kind, raised.file, raised.line, raised.message })
    raised = run "\nexecute([[SELECT\n:a]], {})"
    assert.same({ 2, "parameter :a has no value" }, { raised.line, raised.message })
  end)

  it("are at least one", function()
    assert.equal("the text holds no statement", run("execute '-- nothing'").message)
  end)

  it("are their caller's own, and of its values, however often the text is sent", function()
    local text = "SELECT :a, :b"
    local first = sql.statements(text, { a = 1, b = 2 })
    first[1].sql, first[1].refuses_block = "changed", "changed"
    local second = sql.statements(text, { a = 3, b = null })
    assert.same({ "SELECT $1, $2", { "3", false }, false },
      { second[1].sql, second[1].params, second[1].refuses_block or false })
    assert.is_nil((sql.bind(text, { a = 1 })))
    assert.equal("1", sql.statements("SELECT $1", { 1 })[1].params[1])
  end)
end)
