local helper = require "spec.helper"
local pq = require "dmlua.pq"

-- What `fn` raises.
local function failure(fn, ...)
  local ok, raised = pcall(fn, ...)
  assert.is_false(ok, "nothing was raised")
  return raised
end

describe("dmlua.pq", function()
  local database, connection

  setup(function() database = helper.database() end)

  before_each(function() connection = helper.connect(database.owner) end)

  local function one(sql, params)
    return connection:exec(sql, params).rows[1]
  end

  describe("a row", function()
    it("has integers, floats and booleans as Lua's own, and the rest as PostgreSQL prints it", function()
      local row = one [[SELECT 1::int2 AS small, -9223372036854775808 AS big, 1.5::float4 AS single,
        0.1::float8 AS double, true AS yes, false AS no, 1.10::numeric AS exact, '{"a": 1}'::jsonb AS doc,
        '{1,2}'::int[] AS list, 'x'::text AS text]]
      assert.same({ small = 1, big = math.mininteger, single = 1.5, double = 0.1, yes = true, no = false,
        exact = "1.10", doc = '{"a": 1}', list = "{1,2}", text = "x" }, row)
      assert.equal("integer", math.type(row.small))
      assert.equal("float", math.type(row.single))
    end)

    it("keeps the floats that no number names", function()
      local row = one "SELECT 'NaN'::float8 AS nan, 'Infinity'::float8 AS inf, '-Infinity'::float4 AS minus"
      assert.is_true(row.nan ~= row.nan)
      assert.equal(math.huge, row.inf)
      assert.equal(-math.huge, row.minus)
    end)

    it("tells NULL, which is nil, from the empty string", function()
      local row = one "SELECT NULL::text AS nothing, '' AS empty"
      assert.is_nil(row.nothing)
      assert.equal("", row.empty)
    end)

    it("answers by position, which pairs does not show", function()
      local row = one "SELECT 'a' AS x, NULL::int AS y, 3 AS z"
      assert.same({ "a", nil, 3 }, { row[1], row[2], row[3] })
      assert.is_nil(row[4])
      assert.is_nil(row[0])
      local names = {}
      for name in pairs(row) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ "x", "z" }, names)
    end)

    it("has the length of its columns, so that table.unpack gives them all, and is its own mapping", function()
      local row = one "SELECT 'a' AS x, NULL::int AS y, 3 AS z, NULL AS last"
      assert.equal(4, #row)
      assert.same({ n = 4, "a", nil, 3, nil }, table.pack(table.unpack(row)))
      assert.equal(row, row._mapping)
      assert.equal("own", one("SELECT 'own' AS _mapping")._mapping)
    end)

    it("answers by position for columns of one name, and refuses the name", function()
      local rows = connection:exec("SELECT n AS id, NULL::int AS id, n * 2 AS id FROM generate_series(1, 2) AS n").rows
      assert.same({ 1, nil, 2 }, { rows[1][1], rows[1][2], rows[1][3] })
      assert.same({ 2, nil, 4 }, { rows[2][1], rows[2][2], rows[2][3] })
      assert.matches('column "id" stands in this result more than once', failure(function() return rows[1].id end))
    end)

    it("refuses a name that the result lacks, and says which there are", function()
      local row = one "SELECT 1 AS id, 'x' AS name"
      assert.matches('pq_spec.lua:%d+: this result has no column "nam"; it has id, name',
        failure(function() return row.nam end))
    end)
  end)

  describe("exec", function()
    it("answers with columns, count and command tag", function()
      connection:exec("CREATE TEMP TABLE t (n int); INSERT INTO t VALUES (1), (2)")
      local result = connection:exec("ANALYZE t; UPDATE t SET n = n + 1")
      assert.same({ 2, "UPDATE 2", 0 }, { result.rowcount, result.tag, #result.rows })
      result = connection:exec("SELECT n, n AS m FROM t")
      assert.same({ 2, "SELECT 2", { "n", "m" } }, { result.rowcount, result.tag, result.columns })
      assert.same({ 0, "CREATE TABLE" }, { connection:exec("CREATE TEMP TABLE u ()").rowcount,
        connection:exec("CREATE TEMP TABLE v ()").tag })
    end)

    it("sends parameters beside the statement, false for NULL", function()
      local hostile = "'; DROP TABLE t; -- \\ $1 \u{20ac}"
      assert.same({ a = hostile, c = "2" }, one("SELECT $1::text AS a, $2::text AS b, $3::int + 1 || '' AS c",
        { hostile, false, "1" }))
    end)

    it("refuses parameters that are no text, and text with a NUL byte", function()
      assert.matches("a parameter is a string, or false for NULL",
        failure(connection.exec, connection, "SELECT $1", { 1 }))
      assert.matches("NUL byte", failure(connection.exec, connection, "SELECT $1", { "a\0b" }))
      assert.matches("NUL byte", failure(connection.exec, connection, "SELECT 1\0"))
    end)

    it("takes a parameter of megabytes while the server's answer is on its way", function()
      local text = ("x"):rep(8000000)
      assert.equal(#text, #one("SELECT $1 AS t", { text }).t)
    end)

    it("raises the server's fields", function()
      connection:exec("CREATE TEMP TABLE f (n int CONSTRAINT positive CHECK (n > 0))")
      local raised = failure(connection.exec, connection, "INSERT INTO f VALUES ($1)", { "-1" })
      assert.same({ "migration", "23514", "f", "positive", "ERROR" },
        { raised.kind, raised.sqlstate, raised.table, raised.constraint, raised.severity })
      assert.matches("^Failing row contains", raised.detail)
      raised = failure(connection.exec, connection, "SELECT nothing")
      assert.same({ "42703", 8 }, { raised.sqlstate, raised.position })
      assert.equal('ERROR:  column "nothing" does not exist', tostring(raised))
    end)

    it("raises the first failure of several statements, and the connection goes on", function()
      assert.equal("22012", failure(connection.exec, connection, "SELECT 1; SELECT 1/0; SELECT nothing").sqlstate)
      assert.equal(1, one("SELECT 1 AS n").n)
    end)

    it("ends a wait at its limit and closes the connection", function()
      local raised = failure(connection.exec, connection, "SELECT pg_sleep(60)", nil, 0.05)
      assert.equal("connection", raised.kind)
      assert.matches("within the time limit", raised.message)
      assert.matches("the connection is closed", failure(connection.exec, connection, "SELECT 1"))
    end)

    it("says that the connection was lost when the server ends it", function()
      local suicide = "SELECT pg_terminate_backend(pg_backend_pid())"
      assert.equal("connection", failure(connection.exec, connection, suicide).kind)
      assert.equal("connection", failure(connection.exec, connection, "SELECT 1").kind)
      assert.equal("unknown", connection:transaction())
    end)

    for _, copy in ipairs { "COPY (SELECT 1) TO STDOUT", "COPY pg_temp.c FROM STDIN" } do
      it("does not hang on " .. copy, function()
        connection:exec("CREATE TEMP TABLE c (n int)")
        assert.matches("nobody here to write or read the rows", failure(connection.exec, connection, copy).message)
      end)
    end
  end)

  it("keeps notices in order until they are asked for, and then forgets them", function()
    connection:exec [[DO $$ BEGIN
      RAISE NOTICE 'one' USING DETAIL = '{"a": 1}', HINT = 'h';
      RAISE WARNING 'two';
    END $$]]
    assert.same({
      { severity = "NOTICE", sqlstate = "00000", message = "one", detail = '{"a": 1}', hint = "h" },
      { severity = "WARNING", sqlstate = "01000", message = "two" },
    }, connection:notices())
    assert.same({}, connection:notices())
  end)

  it("survives more notices than it keeps", function()
    connection:exec [[DO $$ BEGIN FOR i IN 1..3000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; END $$]]
    local count = #connection:notices()
    assert.is_true(count > 500 and count < 3000)
  end)

  it("says whether a transaction is open or failed", function()
    local states = { connection:transaction() }
    connection:exec("BEGIN")
    states[2] = connection:transaction()
    pcall(connection.exec, connection, "SELECT nothing")
    states[3] = connection:transaction()
    assert.same({ "idle", "transaction", "failed" }, states)
  end)

  it("knows its backend and libpq's version", function()
    assert.equal(one("SELECT pg_backend_pid() AS pid").pid, connection:pid())
    assert.matches("^%d+%.%d+$", pq.version())
  end)

  it("closes a connection with its scope, and by the collector", function()
    local watched = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'spec scope'"
    local url = database.owner .. (database.owner:find("?", 1, true) and "&" or "?") .. "application_name=spec%20scope"
    do
      local scoped <close> = assert(pq.connect(url))
      assert.equal(1, scoped:exec(watched).rows[1].n)
    end
    assert(pq.connect(url))
    collectgarbage()
    helper.eventually(function() return one(watched).n == 0 end)
    connection:close()
    connection:close()
  end)

  it("answers nil and an error where no server listens", function()
    local nobody, raised = pq.connect("host=" .. helper.folder() .. " dbname=x", { timeout = 5 })
    assert.is_nil(nobody)
    assert.equal("connection", raised.kind)
    assert.matches("No such file or directory", raised.message)
  end)

  it("never shows a connection string that it cannot read", function()
    for _, conninfo in ipairs {
      "host=x password=marker pass word", "postgresql://u:marker@h:1/d?marker", "password='marker",
    } do
      local _, raised = pq.connect(conninfo)
      assert.not_matches("marker", raised.message)
    end
  end)
end)
