local helper = require "spec.helper"
local step = require "spec.step"

describe("op.execute", function()
  it("sends any number of statements, untouched, each with its own line", function()
    local bind = step.recorder()
    step.run(bind, 'op.execute("SELECT \':x\', 1 % 2; SELECT 2")')
    assert.same({ "SELECT ':x', 1 % 2", "SELECT 2" }, { bind.sent[1].sql, bind.sent[2].sql })
    assert.is_nil(bind.sent[1].params)
    assert.same({ "script.lua", 1 }, { bind.sent[2].file, bind.sent[2].line })
  end)

  it("makes one statement of a text with parameters, which travel beside it", function()
    local bind = step.recorder()
    step.run(bind, [[op.execute(sa.text("UPDATE t SET a = :a, b = :b"), { a = "it's", b = null })]])
    assert.equal("UPDATE t SET a = $1, b = $2", bind.sent[1].sql)
    assert.same({ "it's", false }, bind.sent[1].params)
  end)

  it("takes what sa.text():bindparams() holds; what is given beside it wins", function()
    local bind = step.recorder()
    step.run(bind, [[
      local text = sa.text("UPDATE t SET a = :a, b = :b WHERE id = :id"):bindparams(
        sa.bindparam("b", { x = 1 }, { type_ = sa.JSON }), { a = 1, id = 2 })
      op.execute(text)
      op.execute(text, { id = 3 })
      op.execute(text:bindparams { a = null })]])
    assert.same({ { "1", '{"x":1}', "2" }, { "1", '{"x":1}', "3" }, { false, '{"x":1}', "2" } },
      { bind.sent[1].params, bind.sent[2].params, bind.sent[3].params })
    local function failure(script) return step.error_of(step.recorder(), script).message end
    assert.equal("parameter 'x' does not stand in the statement",
      failure [[op.execute(sa.text("SELECT :abc"):bindparams { x = 1, abc = 2 })]])
    assert.equal("sa.text:bindparams: argument 1 must be a sa.bindparam, got a string",
      failure [[sa.text("SELECT :a"):bindparams("a")]])
    assert.truthy(failure [[op.add_column("t", sa.Column("a", sa.Text,
      { server_default = sa.text(":a"):bindparams { a = 1 } }))]]:find("DDL takes no parameters", 1, true))
    assert.truthy(failure [[sa.bindparam("ids", { expanding = true })]]:find("column = ANY(:ids)", 1, true))
  end)

  it("sends a text once for each table of a list of parameters", function()
    local bind = step.recorder()
    step.run(bind, [[
      op.execute("INSERT INTO t VALUES (:a)", { { a = 1 }, { a = 2 } })
      op.execute("SELECT $1::int[]", { { 1, 2 } })]])
    assert.same({ { "1" }, { "2" }, { "{1,2}" } },
      { bind.sent[1].params, bind.sent[2].params, bind.sent[3].params })
  end)

  it("takes SQLAlchemy's execution_options, but for the isolation level", function()
    local bind = step.recorder()
    step.run(bind, [[
      op.execute("SELECT 1", { execution_options = { autocommit = true } })
      op.execute("SELECT :a", { a = 1 }, { execution_options = { stream_results = true } })]])
    assert.same({ "SELECT 1", "SELECT $1" }, { bind.sent[1].sql, bind.sent[2].sql })
    assert.truthy(step.error_of(step.recorder(), [[
      op.execute("VACUUM", { execution_options = { isolation_level = "AUTOCOMMIT" } })]]).message
      :find("autocommit_block", 1, true))
  end)

  it("asks for an autocommit_block where PostgreSQL refuses a transaction, and sends there", function()
    local message = step.error_of(step.recorder(), [[op.execute("VACUUM t")]])
    assert.same({ "op.execute: VACUUM cannot run inside a transaction",
      "put it into op.get_context():autocommit_block(fn)", 1 }, { message.message, message.hint, message.line })
    message = step.error_of(step.recorder(), [[op.execute("SELECT 1; CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")]])
    assert.equal("op.execute: CREATE UNIQUE INDEX CONCURRENTLY cannot run inside a transaction", message.message)
    for _, call in ipairs { "op.get_context():autocommit_block", "op.get_context().autocommit_block",
      "context.autocommit_block" } do
      assert.same({ "VACUUM t", "DROP INDEX CONCURRENTLY ix" }, step.statements(call .. [[(function()
        op.execute("VACUUM t")
        op.drop_index("ix", { postgresql_concurrently = true })
      end)]]))
    end
  end)

  it("refuses again behind an autocommit_block, also one that failed", function()
    local message = step.error_of(step.recorder(), [[
      pcall(context.autocommit_block, function() error("x") end)
      op.execute("VACUUM")]])
    assert.truthy(message and message.message:find("cannot run inside a transaction", 1, true))
  end)
end)

describe("op.get_bind():execute", function()
  local connection

  setup(function() connection = helper.connect(helper.database().owner) end)

  local function run(script)
    return step.run(step.runner(connection), "local bind = op.get_bind()\n" .. script)
  end

  local three = [[
    local rows = bind:execute("SELECT n, 'r' || n AS name, nullif(n, 2) AS odd FROM generate_series(1, 3) n")
  ]]

  it("answers with rows by name and by position; NULL is nil", function()
    assert.same({ 2, "r2", "r2" }, { run(three .. [[
      local row = rows:fetchall()[2]
      assert(row.odd == nil)
      return row.n, row.name, row[2] ]]) })
  end)

  it("reads on where it stopped: fetchone, fetchall, iteration", function()
    assert.same({ 1, 2, 0 }, { run(three .. [[
      local first = rows:fetchone().n
      return first, #rows:fetchall(), #rows:fetchall() ]]) })
    assert.equal("r1r2r3", run(three .. [[
      local names = ""
      for row in rows do names = names .. row.name end
      return names ]]))
    assert.is_nil(run(three .. [[rows:all() return rows:fetchone() ]]))
  end)

  it("gives every scalar, also those behind a NULL", function()
    local rows = "local rows = op.get_bind():execute('SELECT * FROM (VALUES (NULL), (2), (NULL)) v (n)') "
    assert.same({ true, 2, true, 3 }, { run(rows .. "local all = rows:scalars():all() "
      .. "return all[1] == null, all[2], all[3] == null, #all") })
    assert.equal(3, run(rows .. "local count = 0 for _ in rows:scalars() do count = count + 1 end return count"))
    assert.is_true(run(rows .. "for n in rows:scalars() do return n == null end"))
    assert.is_nil(run(rows .. "return rows:scalars():first()"))
    assert.is_nil(run "return op.get_bind():execute('SELECT NULL'):scalars():one()")
  end)

  it("refuses to read rows of what has none, but not of a query that found none", function()
    for _, read in ipairs { ":scalar()", ":fetchall()", ":first()", ":one_or_none()", ":scalars()", "()" } do
      local message = step.error_of(step.runner(connection), "local answer = op.get_bind():execute("
        .. "'CREATE TEMP TABLE IF NOT EXISTS rowless (a int); DELETE FROM rowless') answer" .. read)
      assert.equal("this statement answers without rows: it is no query and has no RETURNING; rowcount is 0",
        message and message.message)
    end
    assert.same({}, run "return op.get_bind():execute('DELETE FROM rowless RETURNING a'):fetchall()")
    assert.same({ 0, false }, { run [[
      local answer = op.get_bind():execute("DELETE FROM rowless")
      return answer.rowcount, answer.returns_rows]] })
  end)

  it("gives scalars", function()
    assert.equal(1, run [[return bind:execute("SELECT 1 UNION ALL SELECT 2"):scalar()]])
    assert.equal(2, run [[return bind:scalar("SELECT 2")]])
    assert.is_nil(run [[return bind:execute("SELECT 1 WHERE false"):scalar()]])
    assert.same({ 1, 2, 3 }, run(three .. "return rows:scalars():all()"))
    assert.equal(1, run(three .. "return rows:scalars():first()"))
    assert.equal(6, run(three .. "local sum = 0 for n in rows:scalars() do sum = sum + n end return sum"))
  end)

  it("insists on one row where one was expected", function()
    assert.equal(5, run [[return bind:execute("SELECT 5"):scalar_one()]])
    assert.is_nil(run [[return bind:execute("SELECT 5 WHERE false"):scalar_one_or_none()]])
    for _, call in ipairs { "scalar_one", "one", "scalar_one_or_none", "one_or_none" } do
      assert.has_error(function() run(three .. "return rows:" .. call .. "()") end)
    end
    local ok, message = pcall(run, [[local _ = bind:execute("SELECT 5 WHERE false"):scalar_one()]])
    assert.is_false(ok)
    assert.same({ "scalar_one: no row where one was expected", "script.lua", 2 },
      { message.message, message.file, message.line })
  end)

  it("tells first row, columns, mappings and touched rows", function()
    assert.equal("r1", run(three .. "return rows:first().name"))
    assert.is_nil(run(three .. "rows:first() return rows:fetchone()"))
    assert.same({ "n", "name", "odd" }, run(three .. "return rows:keys()"))
    assert.equal("r1", run(three .. "return rows:mappings():all()[1].name"))
    assert.equal(2, run [[
      op.execute("CREATE TEMP TABLE touched AS SELECT generate_series(1, 2) AS n")
      local result = bind:execute("UPDATE touched SET n = n + :d", { d = 1 })
      assert(result.returns_rows == false)
      return result.rowcount ]])
  end)

  it("sends what stands before the last statement, and takes sa.text", function()
    assert.equal(7, run [[
      return bind:execute(sa.text("CREATE TEMP TABLE s AS SELECT 7 AS n; SELECT n FROM s")):scalar()]])
  end)

  it("takes exec_driver_sql, which is the same", function()
    assert.equal(1, run [[return bind:exec_driver_sql("SELECT 1 % 2"):scalar()]])
  end)

  it("has the ways on for what SQLAlchemy's query builder does", function()
    local message = step.error_of(step.recorder(), [[sa.select("a")]]).message
    assert.truthy(message:find("sa.select: is not there: write SQL, op.execute", 1, true))
  end)

  it("knows its dialect", function()
    assert.equal("postgresql", run "return bind.dialect.name")
    assert.equal("postgresql", run "return bind.engine.dialect.name")
  end)

  it("refuses misspelt methods and arguments of another type", function()
    for script, expected in pairs {
      ["bind:exeute('SELECT 1')"] = "bind has no 'exeute' (did you mean 'execute'?)",
      ["bind:execute('SELECT 1'):fetch_all()"] = "result has no 'fetch_all' (did you mean 'fetchall'?)",
      ["bind:execute(1)"] = "bind:execute: sqltext must be SQL text (a string or sa.text), got a number",
      ["bind:execute('SELECT 1', 5)"] = "bind:execute: parameters must be a table of parameters, got a number",
      ["op.execute()"] = "op.execute: sqltext is missing",
    } do
      local message = step.error_of(step.runner(connection), "local bind = op.get_bind()\n" .. script)
      assert.truthy(message and tostring(message):find(expected, 1, true), tostring(message))
      assert.equal(2, message.line)
    end
  end)
end)
