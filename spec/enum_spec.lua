local helper = require "spec.helper"
local step = require "spec.step"

describe("an enumeration", function()
  local connection

  setup(function() connection = helper.connect(helper.database().owner) end)
  before_each(function() connection:exec "BEGIN" end)
  after_each(function() connection:exec "ROLLBACK" end)

  local function run(script, settings)
    return step.run(step.runner(connection, settings), script)
  end

  local function labels(name)
    local rows = connection:exec("SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype($1)"
      .. " ORDER BY enumsortorder", { name }).rows
    local found = {}
    for i, row in ipairs(rows) do found[i] = row.enumlabel end
    return table.concat(found, " ")
  end

  it("is made before the table that needs it, once, and stays when the table is dropped", function()
    run [[op.create_table("t", sa.Column("a", sa.Enum("x", "it's", { name = "Mood" })),
      sa.Column("b", postgresql.ENUM("x", "it's", { name = "Mood" })),
      sa.Column("c", postgresql.ARRAY(sa.Enum("red", { name = "hue" }))))]]
    assert.same({ "x it's", "red" }, { labels '"Mood"', labels "hue" })
    assert.equal('"Mood"', connection:exec("SELECT format_type(atttypid, atttypmod) AS t FROM pg_attribute"
      .. " WHERE attrelid = 't'::regclass AND attname = 'b'").rows[1].t)
    run [[op.drop_table("t")]]
    assert.equal("red", labels "hue")
  end)

  it("that is there already serves another table, unless it lacks a label", function()
    connection:exec "CREATE TYPE mood AS ENUM ('x', 'y')"
    run [[op.create_table("t", sa.Column("a", sa.Enum("x", { name = "mood" })))]]
    local message = step.error_of(step.runner(connection),
      [[op.create_table("u", sa.Column("a", sa.Enum("x", "z", { name = "mood" })))]])
    assert.same({ "enum mood is there already, without: z", "42710" },
      { message.message:gsub("^ERROR:%s+", ""):match("^[^\n]*"), message.sqlstate })
  end)

  it("with create_type = false is not made, nor is one without labels or of add_column", function()
    assert.same({ "CREATE TABLE t ( a mood, b hue )", "ALTER TABLE t ADD COLUMN c mood" }, step.statements [[
      op.create_table("t", sa.Column("a", postgresql.ENUM("x", { name = "mood", create_type = false })),
        sa.Column("b", sa.Enum { name = "hue" }))
      op.add_column("t", sa.Column("c", sa.Enum("x", { name = "mood" })))]])
  end)

  it("is made and dropped by itself, looking first where asked to", function()
    run [[
      local bind = op.get_bind()
      local mood = postgresql.ENUM("a", "b", { name = "mood", schema = "public" })
      mood:create(bind, { checkfirst = true })
      mood:create(bind)
      sa.Enum("c", { name = "hue" }):create(bind)]]
    assert.same({ "a b", "c" }, { labels "mood", labels "hue" })
    run [[
      local bind = op.get_bind()
      postgresql.ENUM { name = "mood" }:drop(bind, { checkfirst = true })
      postgresql.ENUM { name = "mood" }:drop(bind)
      sa.Enum { name = "hue" }:drop(bind, false)]]
    assert.same({ "", "" }, { labels "mood", labels "hue" })
    assert.same({ "CREATE TYPE hue AS ENUM ('c')", "DROP TYPE hue", "DROP TYPE IF EXISTS hue" }, step.statements [[
      local bind, hue = op.get_bind(), sa.Enum("c", { name = "hue" })
      hue:create(bind) hue:drop(bind) hue:drop(bind, { checkfirst = true })]])
  end)

  it("is not made twice when it is looked for, also when the type that is there has other labels", function()
    connection:exec "CREATE TYPE mood AS ENUM ('x')"
    run [[postgresql.ENUM("x", "y", { name = "mood" }):create(op.get_bind())]]
    assert.equal("x", labels "mood")
  end)

  it("that is not native is text, with a CHECK where asked for", function()
    assert.equal("CREATE TABLE t ( a VARCHAR(5), b VARCHAR(9) CONSTRAINT ok CHECK (b IN ('x', 'it''s')) )",
      step.statements([[op.create_table("t", sa.Column("a", sa.Enum("x", "three", { native_enum = false })),
        sa.Column("b", sa.Enum("x", "it's",
          { name = "ok", native_enum = false, create_constraint = true, length = 9 })))]])[1])
  end)

  it("needs a name, labels that are strings and a connection", function()
    local function failure(script) return step.error_of(step.recorder(), script).message end
    assert.truthy(failure [[sa.Enum("x")]]:find("sa.Enum: needs a name", 1, true))
    assert.equal("postgresql.ENUM: argument 1 must be a string, got a table",
      failure [[postgresql.ENUM({ "x" }, { name = "m" })]])
    assert.equal("postgresql.ENUM: has no option 'nam' (did you mean 'name'?)",
      failure [[postgresql.ENUM { nam = "m" }]])
    assert.equal("create: bind must be the connection, op.get_bind(), got a string",
      failure [[sa.Enum("x", { name = "m" }):create("x")]])
    assert.equal("create: is of enumerations: TEXT is none", failure [[sa.Text():create(op.get_bind())]])
  end)

  it("is the type of the variant for PostgreSQL", function()
    assert.equal("ALTER TABLE t ADD COLUMN a JSONB", step.statements [[
      op.add_column("t", sa.Column("a", sa.JSON():with_variant(postgresql.JSONB(), "postgresql")))]][1])
    assert.equal("ALTER TABLE t ADD COLUMN a JSON", step.statements [[
      op.add_column("t", sa.Column("a", sa.JSON():with_variant(sa.Text(), "sqlite", "mysql")))]][1])
  end)
end)
