-- Names and texts that quoting has to get right, through every directive that takes one.

local batch = require "dmlua.batch"
local catalogue = require "spec.support.catalogue"
local helper = require "spec.helper"
local signatures = require "dmlua.signatures"
local step = require "spec.step"

local hostile = {
  "Capital", "two words", [[it's]], [["quoted"]], "user", "select", "naïve_ü_名前_🎉", [[back\slash]], "$1", ":name",
  "$$; DROP TABLE t; --", "%s%(x)s", "-- comment", "/* x", "1st", "new\nline", "tab\t", "ends with \"", "''", "{a,b}",
  ("é"):rep(31) .. "x", -- 63 bytes
}

local script = [[
local schema, n = ...
local function check(value) assert(value, n) end
local inspector = sa.inspect(op.get_bind())
op.create_table(n, sa.Column(n, sa.Integer, { primary_key = true, comment = n, index = false }),
  sa.Column("t", sa.Text, { server_default = n, comment = n }), sa.Column("other", sa.Integer),
  sa.Column("e", postgresql.ENUM(n, "plain", { name = n .. "_", schema = schema }), { server_default = n }),
  sa.UniqueConstraint("other", { name = "u" .. n }), sa.CheckConstraint(sa.text("t <> ''"), { name = "c" .. n }),
  { schema = schema, comment = n })
check(inspector:has_table(n, schema))
local columns = inspector:get_columns(n, { schema = schema })
check(columns[1].name == n and columns[1].comment == n and columns[4].type.labels[1] == n)
check(inspector:get_table_comment(n, schema).text == n)
op.bulk_insert(sa.table(n, sa.column(n), sa.column("t"), { schema = schema }), { { [n] = 1, t = n }, { [n] = 2 } })
op.add_column(n, sa.Column("p" .. n, sa.Integer), { schema = schema })
op.alter_column(n, "p" .. n, { new_column_name = "q" .. n, server_default = 3, comment = n, schema = schema })
op.create_index("i" .. n, n, { "q" .. n }, { schema = schema, postgresql_where = sa.text("true"),
  postgresql_include = { "other" } })
op.create_foreign_key("f" .. n, n, n, { "other" }, { n }, { source_schema = schema, referent_schema = schema })
op.create_unique_constraint("v" .. n, n, { n, "q" .. n }, { schema = schema })
op.create_check_constraint("d" .. n, n, "other > 0", { schema = schema })
op.batch_alter_table(n, { schema = schema }, function(batch_op)
  batch_op.create_exclude_constraint("x" .. n, { "q" .. n, "=" }, { using = "btree" })
  batch_op.create_table_comment(n .. n)
end)
check(inspector:has_index(n, "i" .. n, schema))
local key = inspector:get_foreign_keys(n, schema)[1]
check(key.name == "f" .. n and key.referred_table == n and key.referred_schema == schema)
check(key.referred_columns[1] == n)
check(inspector:get_pk_constraint(n, schema).constrained_columns[1] == n)
check(op.get_bind():scalar("SELECT count(*) FROM pg_catalog.pg_class WHERE relname = :n", { n = n }) >= 1)
check(inspector:get_enums(schema)[1].labels[1] == n)
op.drop_constraint("x" .. n, n, { schema = schema })
op.drop_constraint("f" .. n, n, "foreignkey", { schema = schema })
op.drop_constraint("v" .. n, n, { schema = schema })
op.drop_index("i" .. n, n, { schema = schema })
op.drop_column(n, "q" .. n, { schema = schema })
op.rename_table(n, "r" .. n, { schema = schema })
op.rename_table("r" .. n, n, { schema = schema })
local stored = op.get_bind():execute("SELECT obj_description(c.oid) AS comment FROM pg_catalog.pg_class c "
  .. "JOIN pg_catalog.pg_namespace s ON s.oid = relnamespace WHERE relname = :n AND nspname = :s",
  { n = n, s = schema }):scalar_one()
check(stored == n .. n)
op.drop_table(n, { schema = schema })
postgresql.ENUM({ name = n .. "_", schema = schema }):drop(op.get_bind(), { checkfirst = true })
]]

describe("a hostile name or text", function()
  local connection

  setup(function() connection = helper.connect(helper.database().owner) end)

  for _, name in ipairs(hostile) do
    it(("goes in and comes back as it is: %q"):format(name), function()
      -- What is built of the name must stay within 63 bytes.
      local short = #name > 60 and name:sub(1, 58) or name
      for _, setting in ipairs { "on", "off" } do
        connection:exec "BEGIN"
        connection:exec("SET LOCAL standard_conforming_strings = " .. setting)
        connection:exec [[CREATE SCHEMA "a ""b"""]]
        local before = catalogue(connection)
        step.run(step.runner(connection), script, [[a "b"]], short)
        assert.equal(before, catalogue(connection))
        connection:exec "ROLLBACK"
      end
    end)
  end

  after_each(function() connection:exec "ROLLBACK" end)
end)

describe("a name of 64 bytes", function()
  local long = ("é"):rep(32)
  local examples = {
    name = '"x"', nameless = '"x"', names = '{ "a" }', columns = '{ "a" }', expression = '"a > 0"',
    column = 'sa.Column("c", sa.Text)', constraint_type = '"check"', string_or_null = '"x"',
  }
  local written = { name = "%q", nameless = "%q", names = "{ %q }", columns = "{ %q }" }
  -- Not written into the statement.
  local unused = { ["op.drop_index"] = { table_name = true }, ["batch_op.create_foreign_key"] = {} }

  local function refused(text, what)
    local message = step.error_of(step.recorder(), text)
    assert.truthy(message and message.message:find("has 64 bytes", 1, true), what .. ": " .. tostring(message))
  end

  local function call(prefix, name, signature, at)
    local given = {}
    for i, parameter in ipairs(signature) do
      given[i] = i == at and written[parameter[2]]:format(long) or examples[parameter[2]]
    end
    if name == "create_exclude_constraint" then given[#given + 1] = '{ "a", "=" }' end
    if name == "create_table" then given[#given + 1] = 'sa.Column("c", sa.Text)' end
    local text = prefix .. "." .. name .. "(" .. table.concat(given, ", ") .. ")"
    if prefix == "op" then return text end
    return ('op.batch_alter_table("t", function(batch_op) %s end)'):format(text)
  end

  for prefix, directives in pairs { op = signatures, batch_op = batch.signatures } do
    for name, signature in pairs(directives) do
      it(("is refused by %s.%s wherever it takes a name"):format(prefix, name), function()
        for i, parameter in ipairs(signature) do
          local skipped = (unused[prefix .. "." .. name] or {})[parameter[1]]
          if written[parameter[2]] and not skipped then
            refused(call(prefix, name, signature, i), parameter[1])
          end
        end
      end)
    end
  end

  it("is refused for a schema, a column, a table's constraint, an enumeration and a generated index", function()
    for _, text in ipairs {
      [[op.drop_table("t", { schema = "%s" })]], [[op.create_table("t", sa.Column("%s", sa.Text))]],
      [[op.create_table("t", sa.Column("a", sa.Text), sa.UniqueConstraint("a", { name = "%s" }))]],
      [[op.create_table("t", sa.Column("a", sa.Enum("a", { name = "%s" })))]],
      [[op.create_table("t", sa.Column("a", sa.Text, sa.ForeignKey("%s.a")))]],
      [[op.create_table("t", sa.Column("a", sa.String(5, { collation = "%s" })))]],
      [[op.create_table(("t"):rep(40), sa.Column(("c"):rep(21), sa.Text, { index = true }))]] .. " -- %s",
      [[op.bulk_insert(sa.table("%s", sa.column("a")), { { a = 1 } })]],
    } do
      local message = step.error_of(step.recorder(), text:format(long))
      assert.truthy(message and message.message:find("has 6[45] bytes"), text)
    end
  end)
end)
