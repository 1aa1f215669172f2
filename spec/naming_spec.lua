local helper = require "spec.helper"
local step = require "spec.step"

local function with(conventions)
  local settings = {}
  for kind, template in pairs(conventions) do settings["naming_convention." .. kind] = template end
  return settings
end

local function sql(script, conventions)
  return table.concat(step.statements(script, with(conventions)), "; ")
end

local function failure(script, conventions)
  return step.error_of(step.recorder(with(conventions)), script).message
end

describe("a naming convention", function()
  it("has SQLAlchemy's tokens", function()
    local function unique(template)
      return sql([[op.create_unique_constraint(null, "t", { "a", "b" }, { schema = "s.x" })]], { uq = template })
        :match("CONSTRAINT (%S+)")
    end
    for template, name in pairs {
      ["n_%(table_name)s"] = "n_t", ["n_%(column_0_name)s"] = "n_a", ["n_%(column_1_name)s"] = "n_b",
      ["n_%(column_2_name)s"] = "n_", ["n_%(column_0N_name)s"] = "n_ab", ["n_%(column_0_N_name)s"] = "n_a_b",
      ["n_%(column_0_label)s"] = "n_s_x_t_a", ["n_%(column_0_N_label)s"] = "n_s_x_t_a_s_x_t_b",
      ["n_%(column_0_key)s"] = "n_a",
    } do
      assert.equal(name, unique(template), template)
    end
    assert.truthy(sql([[op.create_foreign_key(null, "t", "u", { "a", "b" }, { "x", "y" })]],
      { fk = "%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s_%(referred_column_1_name)s" })
      :find("ADD CONSTRAINT t_a_b_u_y FOREIGN KEY", 1, true))
  end)

  it("names what has no name and leaves what has one", function()
    assert.equal("ALTER TABLE t ADD CONSTRAINT given UNIQUE (a)",
      sql([[op.create_unique_constraint("given", "t", { "a" })]], { uq = "uq_%(table_name)s" }))
    assert.equal("CREATE INDEX i_a ON t (a)",
      sql([[op.create_index(null, "t", { "a" })]], { ix = "i_%(column_0_name)s" }))
    assert.equal("CREATE INDEX ix_t_a ON t (a)", sql([[op.create_index(null, "t", { "a" })]], {}))
    assert.equal("ALTER TABLE t ADD UNIQUE (a)", sql([[op.create_unique_constraint(null, "t", { "a" })]], { pk = "x" }))
  end)

  it("with constraint_name in it is for the whole of a name, in both directions, but not for op.f's", function()
    local conventions = { ck = "ck_%(table_name)s_%(constraint_name)s" }
    assert.equal("ALTER TABLE t ADD CONSTRAINT ck_t_low CHECK (a > 1); ALTER TABLE t DROP CONSTRAINT ck_t_low;"
      .. " ALTER TABLE t DROP CONSTRAINT low; ALTER TABLE t DROP CONSTRAINT final",
      sql([[op.create_check_constraint("low", "t", "a > 1") op.drop_constraint("low", "t", "check")
        op.drop_constraint("low", "t") op.drop_constraint(op.f("final"), "t", "check")]], conventions))
    assert.equal("naming_convention.ck holds %(constraint_name)s: the constraint needs a name",
      failure([[op.create_check_constraint(null, "t", "a > 1")]], conventions))
  end)

  it("is refused where it has a token that is none, or an expression for a column", function()
    assert.truthy(failure([[op.create_unique_constraint(null, "t", { "a" })]], { uq = "uq_%(tabel_name)s" })
      :find("naming_convention.uq: '%(tabel_name)s' is no token; there are table_name,", 1, true))
    assert.equal("naming_convention.ix: column 0 is an expression: give the index a name",
      failure([[op.create_index(null, "t", { sa.text("lower(a)") })]], {}))
  end)

  it("comes from the configuration, and holds in batches and columns too", function()
    local database = helper.database()
    local folder = helper.project { database = database, settings = {
      ["naming_convention.uq"] = "uq_%%(table_name)s_%%(column_0_N_name)s",
      ["naming_convention.pk"] = "pk_%%(table_name)s", ["naming_convention.ix"] = "i_%%(column_0_label)s",
      ["naming_convention.ck"] = "ck_%%(table_name)s_%%(constraint_name)s",
      ["naming_convention.fk"] = "fk_%%(table_name)s_%%(column_0_name)s_%%(referred_table_name)s",
    }, versions = { { revision = "aaaa", upgrade = [[
      op.create_table("t", sa.Column("id", sa.Integer, { primary_key = true }),
        sa.Column("a", sa.Text, { unique = true }), sa.Column("b", sa.Integer, sa.ForeignKey("t.id"), { index = true }))
      op.batch_alter_table("t", function(batch_op) batch_op.create_check_constraint("low", "id > 1") end)]] } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(0, result.code, result.err)
    assert.equal("ck_t_low fk_t_b_t i_t_b pk_t uq_t_a", helper.value(database, [[
      SELECT string_agg(name, ' ' ORDER BY name) FROM (
        SELECT conname AS name FROM pg_constraint WHERE conrelid = 't'::regclass UNION
        SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass) AS names]]))
  end)
end)
