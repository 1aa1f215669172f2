local helper = require "spec.helper"
local step = require "spec.step"

local fixtures = helper.root .. "/spec/fixtures/twin/"

-- As in alembic_side.py.
local conventions = {
  ["naming_convention.ix"] = "ix_%(column_0_label)s",
  ["naming_convention.uq"] = "uq_%(table_name)s_%(column_0_N_name)s",
  ["naming_convention.ck"] = "ck_%(table_name)s_%(constraint_name)s",
  ["naming_convention.fk"] =
    "fk_%(table_name)s_%(column_0N_name)s_%(referred_table_name)s",
  ["naming_convention.pk"] = "pk_%(table_name)s_%(column_1_name)s",
}

describe("twin migrations of Alembic and dmlua", function()
  local function dump(database)
    local result = helper.run(helper.programs .. "/pg_dump", { "--inserts", database.owner })
    assert.equal(0, result.code, result.err)
    return (result.out:gsub("\\u?n?restrict %S+", ""))
  end

  -- What differs, so that a failure does not print the whole of it.
  local function lines_of(text, other)
    local there, found = {}, {}
    for line in other:gmatch "[^\n]+" do there[line] = true end
    for line in text:gmatch "[^\n]+" do found[#found + 1] = not there[line] and line or nil end
    return found
  end

  it("make the same schema and the same rows, by pg_dump", function()
    local theirs, ours = helper.database(), helper.database()
    local python = helper.run("/usr/bin/python3", { fixtures .. "alembic_side.py", theirs.owner })
    assert.equal(0, python.code, python.err)
    local connection = helper.connect(ours.owner)
    connection:exec "BEGIN"
    connection:exec "SET LOCAL row_security = off"
    local script = helper.read(fixtures .. "dmlua_side.lua")
    step.run(step.runner(connection), script)
    step.run(step.runner(connection, conventions), script, "named")
    connection:exec "COMMIT"
    local expected, made = dump(theirs), dump(ours)
    assert.same(lines_of(expected, made), lines_of(made, expected))
    assert.is_true(expected == made, "the same lines in another order")
  end)
end)
