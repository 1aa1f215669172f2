local ddl = require "dmlua.ddl"
local sa = require "dmlua.sa"

describe("ddl", function()
  -- A deep copy, to see whether rendering leaves its record alone.
  local function copy(value)
    if type(value) ~= "table" then return value end
    local made = {}
    for key, entry in next, value do made[key] = copy(entry) end
    return made
  end

  local records = {
    { kind = "create_table", table_name = "t", schema = "s", comment = "c", columns = {
      sa.Column("id", sa.Integer, { primary_key = true }),
      sa.Column("x", sa.Text, sa.ForeignKey("u.id"),
        { index = true, unique = true, comment = "d", server_default = "e" }),
      sa.Column("y", sa.Integer, sa.Identity { start = 2 }, { unique = true }),
    }, constraints = { sa.CheckConstraint("x > ''"), sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("x", "y") } },
    { kind = "add_column", table_name = "t",
      column = sa.Column("x", sa.Text, sa.ForeignKey("u.id"), { index = true, comment = "d" }) },
    { kind = "alter_column", table_name = "t", column_name = "a", type_ = sa.Text(), nullable = false,
      server_default = sa.Identity(), new_column_name = "b" },
    { kind = "create_index", index_name = "i", table_name = "t", columns = { "a", sa.func.lower(sa.text("b")) },
      postgresql_with = { fillfactor = 70, deduplicate_items = "off" } },
    { kind = "add_constraint", table_name = "t", constraint = { kind = "foreign_key", local_cols = { "a" },
      referent = "u", remote_cols = { "b" } } },
    { kind = "drop_table", table_name = "t" },
  }

  for _, record in ipairs(records) do
    it("makes the same SQL of the same " .. record.kind .. " again, and does not change it", function()
      local before = copy(record)
      local first = ddl.render(record)
      assert.same(first, ddl.render(record))
      assert.same(before, copy(record))
      assert.is_true(#first > 0)
    end)
  end

  it("refuses a kind of record that it does not know", function()
    assert.has_error(function() ddl.render { kind = "nothing" } end)
  end)
end)
