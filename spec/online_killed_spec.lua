-- Online composites whose session is ended at each point of their work, and run again.

local composites = require "spec.support.composites"
local helper = require "spec.helper"
local killer_of = require "spec.support.killer"

local database, killer, work

setup(function()
  database = helper.database()
  local folder = helper.project { database = database, versions = { { revision = "abcd" } } }
  assert.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
  work, killer = composites.new(database), killer_of.new(database)
end)

-- Runs the call on the tables, undisturbed; then anew, killed at each of its points and run again. Answers the number
-- of points.
local function survive(case)
  local folder = helper.project { database = database, versions = { { revision = "abcd", upgrade = case.call } } }
  work.begin(case)
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.equal("", result.code == 0 and "" or result.err)
  local expected = work.state()
  assert.equal("nothing", expected.left)
  work.begin(case)
  killer.wake()
  for _ = 1, 200 do
    result = helper.dmlua("upgrade head", { cwd = folder })
    if result.code ~= 5 then break end -- the connection was lost
  end
  killer.sleep()
  assert.equal("", result.code == 0 and "" or result.err)
  assert.same(expected, work.state())
  return killer.struck()
end

describe("killed at any point and run again, the same comes about as undisturbed:", function()
  for _, case in ipairs(composites.cases) do
    it(case.name, function() assert.truthy(survive(case) >= case.points) end)
  end
end)
