local helper = require "spec.helper"
local step = require "spec.step"

local accounts = [[
  local accounts = sa.table("accounts", sa.column("id", sa.Integer), sa.column("name", sa.String),
    sa.column("data", sa.JSON), sa.column("tags", postgresql.ARRAY(sa.Text)), sa.column("bytes", sa.LargeBinary),
    sa.column("at", sa.DateTime))
]]

local function failure(script)
  return step.error_of(step.recorder(), accounts .. script).message
end

describe("op.bulk_insert", function()
  local connection

  setup(function()
    connection = helper.connect(helper.database().owner)
    connection:exec [[CREATE TABLE accounts (id integer, name text DEFAULT 'nobody', data jsonb, tags text[],
      bytes bytea, at timestamp)]]
  end)
  before_each(function() connection:exec "BEGIN" end)
  after_each(function() connection:exec "ROLLBACK" end)

  local function value(query)
    return connection:exec(query).rows[1][1]
  end

  it("writes values of each type: JSON from tables, arrays from lists, bytes from strings", function()
    step.run(step.runner(connection), accounts .. [[
      op.bulk_insert(accounts, { { id = 1, name = "it's \\ :x $1", data = { a = { 1, null } }, tags = { "a,b", "c" },
        bytes = "\0\255'", at = "2024-01-15 10:00:00" } })]])
    assert.equal([[(1,"it's \\ :x $1","{""a"": [1, null]}","{""a,b"",c}","\\x00ff27","2024-01-15 10:00:00")]],
      value "SELECT accounts::text FROM accounts")
  end)

  it("leaves out columns that no row names, gives a row that lacks one its default, and null is NULL", function()
    local script = accounts .. [[op.bulk_insert(accounts, { { id = 1 }, { id = 2, name = null },
      { id = 3, name = sa.func.upper("x"), data = sa.text("'[]'") } })]]
    assert.same({ "INSERT INTO accounts (id, name, data) VALUES ($1, DEFAULT, DEFAULT), ($2, $3, DEFAULT),"
      .. " ($4, upper('x'), '[]')" }, step.statements(script))
    step.run(step.runner(connection), script)
    assert.equal("1nobody 2 3X", value "SELECT string_agg(id || coalesce(name, ''), ' ' ORDER BY id) FROM accounts")
  end)

  it("sends thousands of rows in a few statements, one by one when multiinsert is false", function()
    local bind = step.runner(connection)
    step.run(bind, accounts .. [[
      local rows = {}
      for i = 1, 4500 do rows[i] = { id = i, name = "n" .. i } end
      op.bulk_insert(accounts, rows)]])
    assert.equal(5, #bind.sent)
    assert.equal(4500, value "SELECT count(DISTINCT id) FROM accounts WHERE name = 'n' || id")
    assert.equal(2, #step.statements(accounts
      .. "op.bulk_insert(accounts, { { id = 1 }, { id = 2 } }, { multiinsert = false })"))
    assert.equal(0, #step.statements(accounts .. "op.bulk_insert(accounts, {})"))
  end)

  it("keeps each statement below a megabyte or so, and below the protocol's parameters", function()
    local bind = step.recorder()
    step.run(bind, accounts .. [[
      op.bulk_insert(accounts, { { name = ("x"):rep(700000) }, { name = ("x"):rep(700000) }, { name = "y" } })
      local columns, row = {}, {}
      for i = 1, 100 do columns[i], row["c" .. i] = sa.column("c" .. i), i end
      local rows = {}
      for i = 1, 700 do rows[i] = row end
      op.bulk_insert(sa.table("wide", table.unpack(columns)), rows)]])
    assert.same({ 2, 1, 32000, 32000, 6000 }, { #bind.sent[1].params, #bind.sent[2].params, #bind.sent[3].params,
      #bind.sent[4].params, #bind.sent[5].params })
  end)

  it("takes the table that create_table answered with", function()
    step.run(step.runner(connection), [[
      local made = op.create_table("Made", sa.Column("id", sa.Integer), sa.Column("doc", postgresql.JSONB))
      op.bulk_insert(made, { { id = 1, doc = {} } })]])
    assert.equal("(1,{})", value [[SELECT "Made"::text FROM "Made"]])
  end)

  it("writes in a tenant's context inside tenants.each", function()
    local database = helper.database()
    helper.execute(database, [[CREATE TABLE notes (tenant_id text NOT NULL, n int); ALTER TABLE notes OWNER TO owner;
      ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
      CREATE POLICY notes_tenant ON notes USING (tenant_id = current_setting('app.current_tenant_id', true));
      GRANT SELECT, INSERT ON notes TO app]])
    local folder = helper.project { database = database, settings = { app_role = "app" }, versions = { {
      revision = "aaaa", upgrade = [[
        local notes = sa.table("notes", sa.column("tenant_id"), sa.column("n"))
        tenants.each(function(tenant)
          op.bulk_insert(notes, { { tenant_id = tenant.id, n = 1 }, { tenant_id = tenant.id, n = 2 } })
        end, { from = { "a", "b" } })]] } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(0, result.code, result.err)
    assert.equal("a1 a2 b1 b2",
      helper.value(database, "SELECT string_agg(tenant_id || n, ' ' ORDER BY tenant_id, n) FROM notes"))
  end)

  it("names a column that the table lacks, a value that is none, and a wrong argument", function()
    assert.equal("op.bulk_insert: row 2: table accounts has no column 'nmae' (did you mean 'name'?)",
      failure [[op.bulk_insert(accounts, { { id = 1 }, { nmae = "x" } })]])
    assert.equal("op.bulk_insert: row 1, column id: a function cannot be a parameter",
      failure [[op.bulk_insert(accounts, { { id = print } })]])
    assert.equal("op.bulk_insert: table must be a sa.table, or what op.create_table answered, got a string",
      failure [[op.bulk_insert("accounts", {})]])
    assert.equal("op.bulk_insert: rows must be a list of rows, each a table by column name, got a table",
      failure [[op.bulk_insert(accounts, { id = 1 }, {})]])
    assert.equal("op.bulk_insert: the rows name no column", failure [[op.bulk_insert(accounts, { {} })]])
  end)
end)
