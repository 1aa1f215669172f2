local helper = require "spec.helper"

-- Fails each allocation of `script` in turn; answers with how many there were.
local function fail_each(script, argument)
  local file = helper.folder() .. "/script.lua"
  helper.write(file, script)
  local result = helper.run(helper.build .. "/allocations", { file, argument })
  assert.same({ 0, "" }, { result.code, result.err })
  return tonumber(result.out)
end

describe("the bindings, when memory ends", function()
  it("raise that, and lose no result, connection or notice", function()
    local database = helper.database()
    assert.is_true(fail_each([[
      local connection = assert(pq.connect(...))
      local result = connection:exec("SELECT $1::text AS a, NULL AS b, 1 AS c, 2 AS c", { "x" })
      assert(result.rows[1].a == "x" and result.rows[1][4] == 2)
      connection:exec("DO 'BEGIN RAISE NOTICE ''n''; END'")
      assert(connection:notices()[1].message == "n")
      local _, raised = pcall(connection.exec, connection, "SELECT nothing")
      if raised == "not enough memory" then error(raised, 0) end
      assert(raised.sqlstate == "42703")]], database.owner) > 50)
  end)

  it("raise that, and lose no token of a scanned text", function()
    assert.is_true(fail_each([[
      assert(#sqltree.split("SELECT :a; SELECT 1_0; \\x") == 3)
      assert(#sqltree.tokens("SELECT :a; SELECT 'b'") == 6)
      assert(sqltree.parameters("SELECT :a, $1")[1].name == "a")
      assert(select(2, sqltree.split("SELECT 'a")).line == 0)]], "") > 50)
  end)
end)
