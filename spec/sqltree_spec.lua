local helper = require "spec.helper"
local soup = require "spec.support.soup"
local sqltree = require "dmlua.sqltree"

-- The statements of a text as a list of their texts.
local function texts(text)
  local out = {}
  for i, statement in ipairs(assert(sqltree.split(text))) do out[i] = statement.sql end
  return out
end

describe("splitting SQL text", function()
  it("cuts at semicolons, and not inside strings, quoted names, dollar quotes, comments and parentheses", function()
    local statements = {
      "SELECT 'a;''b;'", [[SELECT E'\';' ";"]], 'SELECT U&"d\\0061t;" FROM ";"', "SELECT U&'\\0041;'",
      "DO $$ BEGIN; END; $$", "SELECT $a$ ; $$ ; $b$ ; $a$", "SELECT 1 -- ; '\n + 1", "SELECT /* ; /* ' ; */ ; */ 1",
      "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
    }
    assert.same(statements, texts(table.concat(statements, ";") .. ";"))
  end)

  it("drops empty statements, and a text of comments has none", function()
    assert.same({ "SELECT 1" }, texts(";;/* a */;  SELECT 1 ;-- b\n;;"))
    assert.same({}, texts "")
    assert.same({}, texts "-- nothing\n/* at all */ ;")
    assert.same({ "SELECT\v1" }, texts "\v;\v\f SELECT\v1\v;") -- a blank since PostgreSQL 16
  end)

  it("gives each statement the line and the place of its first word, behind its comments", function()
    local text = "-- head\n\n/* of\nthe */ SELECT 1;\n\n  -- two\n  SELECT\n2\n; SELECT 3"
    local places = {}
    for i, statement in ipairs(sqltree.split(text)) do
      places[i] = { statement.line, text:sub(statement.offset, statement.offset + #statement.sql - 1) }
    end
    assert.same({ { 3, "SELECT 1" }, { 6, "SELECT\n2" }, { 8, "SELECT 3" } }, places)
  end)

  it("keeps a hint for the planner, which is a comment in front", function()
    assert.same({ "/*+ SeqScan(t) */ SELECT 1" }, texts "/* a */ /*+ SeqScan(t) */ SELECT 1;/*+ x */")
  end)

  it("names the words that a statement begins with", function()
    local function words(text) return sqltree.split(text)[1].words end
    assert.same({ "CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", "I" },
      words 'create /* x */ Unique --\nINDEX concurrently i."x"')
    assert.same({}, words '"BEGIN" x')
    assert.same({}, words "(SELECT 1)")
  end)

  describe("of functions with BEGIN ATOMIC", function()
    local body = [[BEGIN ATOMIC
      SELECT CASE WHEN $1 THEN 1 ELSE 2 END; SELECT (CASE WHEN $1 THEN 1 END);
      SELECT CASE $1 WHEN true THEN CASE 1 WHEN 2 THEN 3 END END AS "end";
    END]]

    it("keeps their bodies whole", function()
      local statements = {
        "CREATE FUNCTION f(boolean) RETURNS int " .. body,
        "create or replace procedure p(boolean) " .. body:lower(),
        "SELECT 1",
      }
      assert.same(statements, texts(table.concat(statements, ";\n")))
    end)

    it("knows `end` and `case` for the names that they may be", function()
      local statements = {
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS end; SELECT t.case FROM t; END", "SELECT 1",
      }
      assert.same(statements, texts(table.concat(statements, ";")))
    end)

    it("is not led astray by things named begin and atomic", function()
      local statements = { "CREATE FUNCTION begin() RETURNS int RETURN 1", "SELECT begin atomic FROM t", "SELECT 2" }
      assert.same(statements, texts(table.concat(statements, ";")))
    end)
  end)

  it("reads numbers as newer servers write them, and names behind digits as older ones did", function()
    local statements = { "SELECT 1_000, 0xff_ff, 0o17, 0b01, 1.5_0e1_0, '1_0', $$1x$$, a1_0", "SELECT 1and 2",
      "SELECT 1_0$a$;$a$" }
    assert.same(statements, texts(table.concat(statements, ";")))
  end)

  it("lets through what a newer grammar may bring", function()
    local statements = { "MERGE INTO t RETURNING merge_action()", "GROK ? TABLE |&> x",
      "SELECT JSON_TABLE(a, '$' COLUMNS (b int))" }
    assert.same(statements, texts(table.concat(statements, ";")))
  end)

  it("says what has no end, and where", function()
    for text, expected in pairs {
      ["SELECT 1;\nSELECT 'a;\n"] = { "unterminated quoted string", 18, 1 },
      ['\n\nSELECT "a'] = { "unterminated quoted identifier", 10, 2 },
      ["SELECT 'é' /* a /* b */"] = { "unterminated /* comment", 13, 0 },
      ["SELECT $é$\n$$\n$e$"] = { "unterminated dollar-quoted string", 8, 0 },
      ["SELECT 1_0,\n'"] = { "unterminated quoted string", 13, 1 },
      ["SELECT 1_0,\n $1a"] = { "trailing junk after parameter", 14, 1 },
      ['SELECT\n""'] = { "zero-length delimited identifier", 8, 1 },
      ["a\nb\0c"] = { "a NUL byte in SQL text", 4, 1 },
      ["SELECT '\n\xff'"] = { "SQL text that is not UTF-8", 10, 1 },
      ["\xed\xa0\x80"] = { "SQL text that is not UTF-8", 1, 0 },
      ["\xc3"] = { "SQL text that is not UTF-8", 1, 0 },
    } do
      local statements, fault = sqltree.split(text)
      assert.is_nil(statements)
      assert.same(expected, { fault.message, fault.offset, fault.line })
    end
  end)

  it("names psql's own commands with their line", function()
    local statements = sqltree.split "SELECT '\\a';\n\\connect other\nSELECT 2"
    assert.same({ nil, "\\connect", 1 }, { statements[1].psql, statements[2].psql, statements[2].psql_line })
  end)

  it("reads 100,000 statements, and a statement of megabytes", function()
    local statement = "INSERT INTO t VALUES (1, 'some; text', $$ more; $$) -- c;\n"
    local statements = sqltree.split((statement .. ";"):rep(100000))
    assert.same({ 100000, 99999 }, { #statements, statements[100000].line })
    assert.equal(1, #sqltree.split("SELECT '" .. (";'';"):rep(2000000) .. "'"))
    assert.equal(1, #sqltree.split(("("):rep(1000000) .. ";"))
  end)

  it("refuses a text that no memory would hold the tokens of", function()
    local _, fault = sqltree.split((" "):rep((1 << 26) + 1))
    assert.equal("SQL text of more than 64 MB", fault.message)
  end)

  it("finds what psql finds", function()
    local text = soup.text(20261122, 600)
    local database = helper.database()
    local result = helper.run(helper.programs .. "/psql",
      { "-Xbq", "-v", "VERBOSITY=sqlstate", "-d", database.owner }, { input = text })
    -- psql shows each statement that failed as it sent it, and here they all do.
    local theirs, ours = {}, {}
    for statement in result.err:gsub("ERROR:  %w+\nSTATEMENT:  ", "\0"):gmatch("%z(%Z+)") do
      theirs[#theirs + 1] = table.concat(assert(sqltree.tokens(statement)), " "):gsub(" ?;$", "")
    end
    for i, statement in ipairs(assert(sqltree.split(text))) do
      ours[i] = table.concat(sqltree.tokens(statement.sql), " ")
    end
    assert.is_true(#ours > 100)
    assert.same(theirs, ours)
  end)

  it("makes the same database as psql of a text that has everything", function()
    local text = helper.read(helper.root .. "/spec/fixtures/everything.sql")
    local by_psql, by_us = helper.database(), helper.database()
    helper.execute(by_psql.owner, text)
    local connection = helper.connect(by_us.owner)
    for _, statement in ipairs(sqltree.split(text)) do connection:exec(statement.sql, {}) end
    local function dump(database)
      return helper.run(helper.programs .. "/pg_dump", { "--restrict-key=spec", "-d", database.postgres }).out
    end
    assert.matches("CREATE FUNCTION public.begin", dump(by_us), 1, true)
    assert.equal(dump(by_psql), dump(by_us))
  end)

  it("survives hostile text: an answer or a fault, and what it answers it reads again", function()
    for seed = 1, 300 do
      local text = soup.hostile(seed, 4)
      local statements, fault = sqltree.split(text)
      assert.is_true((statements == nil) ~= (fault == nil))
      for _, statement in ipairs(statements or {}) do
        local again = assert(sqltree.split(statement.sql))
        assert.equal(1, #again)
        assert.equal(statement.sql, again[1].sql)
        assert.same(statement.words, again[1].words)
      end
    end
  end)
end)

describe("the parameters of a statement", function()
  local function found(text)
    local out = {}
    for i, place in ipairs(sqltree.parameters(text)) do
      assert.equal(place.name and ":" .. place.name or "$" .. place.index, text:sub(place.start, place.finish))
      out[i] = place.name or place.index
    end
    return out
  end

  it("are :name and $1, each time they stand there", function()
    assert.same({ "a", "b_1", "a", "Name", "user", "\u{e9}t\u{e9}" },
      found "SELECT :a, :b_1 || :a, (:Name), :user WHERE x=:\u{e9}t\u{e9}")
    assert.same({ 1, 2, 1, 65535 }, found "SELECT $1, $2::int, ARRAY[$1], x+$65535")
  end)

  it("may have a cast behind them", function()
    assert.same({ "a", "b", 1 }, found "SELECT :a::int, CAST(:b AS text), $1::int[]")
  end)

  it("are not in strings, quoted names, dollar quotes and comments", function()
    assert.same({}, found [[SELECT ':a', E'\':a', ":a", $$:a $1$$, $x$:a$x$, U&':a', U&":a" -- :a $1
      /* :a $1 */]])
  end)

  it("are not casts, assignments, psql's quotes, or colons that stand apart", function()
    assert.same({}, found [[SELECT x::int, f(y := 1), f(y :=z), :'a', :"a", a : b, : c, x:::int]])
  end)

  it("are not the bounds of a slice, unless they stand where a value must", function()
    assert.same({}, found "SELECT a[1:n], a[i:n], a[i :n], a[f(x):n], a[b[1]:n], a[ : n], a[$$1$$:n]")
    assert.same({ "lo", "hi", "n" }, found "SELECT a[:lo : :hi], a[1 + :n]")
    assert.same({ 1, 2 }, found "SELECT a[$1:$2]")
  end)

  it("are the values of JSON_OBJECT, not its colons", function()
    assert.same({ "v" }, found "SELECT JSON_OBJECT('k': :v, 'k':w, 'k' :w)")
  end)
end)

describe("the tokens of a statement", function()
  it("are bare words in upper case, and everything else as it stands, without comments", function()
    assert.same({ "SELECT", '"a b"', ",", "'x;'", "AS", "\u{e9}", "::", "INT", ";", "U&'\\0041'", "1_0" },
      sqltree.tokens [[select "a b", /* c */ 'x;' as é::int; U&'\0041' 1_0 -- d]])
  end)
end)

it("says which PostgreSQL its scanner is of", function()
  assert.matches("^15", sqltree.version())
end)
