local helper = require "spec.helper"
local step = require "spec.step"

local fixtures = helper.root .. "/spec/fixtures/twin/"

describe("twin migrations of Alembic and dmlua", function()
  local function dump(database)
    local result = helper.run(helper.programs .. "/pg_dump", { "-s", database.owner })
    assert.equal(0, result.code, result.err)
    return (result.out:gsub("\\u?n?restrict %S+", ""))
  end

  it("make the same schema, by pg_dump", function()
    local theirs, ours = helper.database(), helper.database()
    local python = helper.run("/usr/bin/python3", { fixtures .. "alembic_side.py", theirs.owner })
    assert.equal(0, python.code, python.err)
    local connection = helper.connect(ours.owner)
    connection:exec "BEGIN"
    connection:exec "SET LOCAL row_security = off"
    step.run(step.runner(connection), helper.read(fixtures .. "dmlua_side.lua"))
    connection:exec "COMMIT"
    assert.equal(dump(theirs), dump(ours))
  end)
end)
