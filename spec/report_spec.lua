-- What an error looks like where its texts are long or are no text at all.

local helper = require "spec.helper"

local function failing(upgrade)
  local db = helper.database()
  local folder = helper.project { database = db, versions = { { revision = "aaaa", upgrade = upgrade } } }
  return helper.dmlua("upgrade head", { cwd = folder }), db
end

describe("an error's report", function()
  it("shows the beginning of a long statement, and says how much more there is", function()
    local result = failing [[ op.execute("INSERT INTO missing VALUES ('" .. ("é"):rep(1000000) .. "') -- end") ]]
    assert.truthy(#result.err < 6000)
    assert.truthy(result.err:find("\n  INSERT INTO missing VALUES ('éé", 1, true))
    result = failing [[ op.execute("SELECT 1/0 -- " .. ("é"):rep(1000000)) ]]
    assert.truthy(#result.err < 6000)
    assert.matches("é … %(%d+ bytes more%)\n", result.err)
  end)

  it("shows a long line near the caret, which still stands below the fault", function()
    local result = failing [[
      op.execute("SELECT '" .. ("é"):rep(1000000) .. "' FROM missing WHERE '" .. ("y"):rep(999) .. "' > ''") ]]
    local before, caret = result.err:match("\n  (\xc3[^\n]-' FROM )missing [^\n]*\n(%s+)^\n")
    assert.truthy(before, result.err:sub(1, 500))
    assert.are.equal(utf8.len(before) + 2, #caret)
  end)

  it("shows what is no UTF-8 as numbers, and the ledger keeps the failure", function()
    local result, db = failing [[ error("bad \xff\x9b31m é" .. ("x"):rep(100000)) ]]
    assert.truthy(result.err:find("FAILED: bad \\xff\\x9b31m éx", 1, true))
    local note = helper.value(db, "SELECT note FROM dmlua_ledger WHERE outcome = 'failed'")
    assert.matches("^bad %?%?31m éx+…$", note)
    assert.truthy(#note < 3000)
  end)
end)
