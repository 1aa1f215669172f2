local helper = require "spec.helper"
local proxy = require "spec.support.proxy"

describe("the specs' proxy", function()
  local database

  setup(function() database = helper.database() end)

  local function connected(options)
    local between = proxy.start(options)
    local connection = helper.connect(between.url(database))
    between.reset()
    return between, connection
  end

  it("counts messages, and what a client waits for", function()
    local between, connection = connected()
    connection:exec("SELECT 1; SELECT 2")
    connection:exec("SELECT $1::int", { "1" })
    pcall(connection.exec, connection, "SELECT nothing", {})
    assert.same({ query = 1, parse = 2, bind = 2, execute = 2, sync = 2, flush = 0, ready = 3, failed = 1,
      cut = 0, waits = 3 }, between.counts())
  end)

  it("lets megabytes through, both ways at once", function()
    local _, connection = connected()
    local text = ("x"):rep(10000000)
    assert.equal(text, connection:exec("SELECT $1 AS t", { text }).rows[1].t)
  end)

  it("keeps connections apart", function()
    local between, connection = connected()
    local other = helper.connect(between.url(database))
    between.reset()
    connection:exec("SELECT 1")
    other:exec("SELECT 1")
    assert.matches("1>Q\n1<TDCZ\n2>Q\n2<TDCZ", between.trace())
  end)

  it("cuts before a statement, which the server then never saw", function()
    local between, connection = connected { cut_before = "INSERT", at = 2 }
    connection:exec("CREATE TABLE before (n int)")
    connection:exec("INSERT INTO before VALUES ($1)", { "1" })
    local ok, raised = pcall(connection.exec, connection, "INSERT INTO before VALUES ($1)", { "2" })
    assert.same({ false, "connection" }, { ok, raised.kind })
    assert.equal(1, between.counts().cut)
    assert.equal("1", helper.value(database, "SELECT string_agg(n::text, ' ') FROM before"))
  end)

  it("cuts after a statement, which the server carried out and the client never heard of", function()
    local _, connection = connected { cut_after = "INSERT INTO after VALUES (2)" }
    connection:exec("CREATE TABLE after (n int); INSERT INTO after VALUES (1)")
    local ok, raised = pcall(connection.exec, connection, "INSERT INTO after VALUES (2)", {})
    assert.same({ false, "connection" }, { ok, raised.kind })
    assert.equal("2", helper.value(database, "SELECT count(*) FROM after"))
  end)
end)
