local helper = require "spec.helper"

-- The build that is there already is the one to use: another would take minutes.
local function suite(files)
  local folder, arguments = helper.folder(), { helper.root .. "/scripts/test" }
  if helper.build:match("asan$") then arguments[2] = "--asan" end
  for name, text in pairs(files) do
    helper.write(folder .. "/" .. name, text)
    arguments[#arguments + 1] = folder .. "/" .. name
  end
  return helper.run("/bin/bash", arguments, { timeout = 120 })
end

describe("scripts/test", function()
  it("counts a spec that fails, that is pending or that ends its process as failed, and says which", function()
    local result = suite {
      ["good_spec.lua"] = [[it("holds", function() assert.is_true(true) end)]],
      ["bad_spec.lua"] = [[it("does not hold", function() assert.is_true(false) end)]],
      ["pending_spec.lua"] = [[pending("is to come")]],
      ["dead_spec.lua"] = [[it("dies", function() os.exit(0) end)]],
    }
    assert.equal(1, result.code, result.out)
    assert.matches("\n1 passed, 3 failed\n$", result.out)
    assert.matches("FAILED: does not hold", result.out, 1, true)
    assert.matches("PENDING, counts as failed: is to come", result.out, 1, true)
    assert.matches("dead_spec.lua ended without its counts", result.out, 1, true)
  end)

  it("fails when no spec ran", function()
    local result = suite { ["empty_spec.lua"] = "" }
    assert.equal(1, result.code, result.out)
    assert.matches("0 passed, 0 failed\n$", result.out)
  end)
end)
