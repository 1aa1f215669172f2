local helper = require "spec.helper"

describe("the Lua sources", function()
  it("give luacheck nothing to find", function()
    local words = { "--no-color", "--no-cache", "-q", "lua", "spec", "migrations" }
    local result = helper.run("luacheck", words, { cwd = helper.root })
    assert.equal(0, result.code, result.out .. result.err)
  end)
end)
