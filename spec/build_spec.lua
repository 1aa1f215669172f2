local helper = require "spec.helper"

local function versions()
  return helper.dmlua("--version").out
end

describe("the build", function()
  it("installs a program that runs from any folder, with nothing of the source tree", function()
    local prefix = helper.folder()
    local installed = helper.run("cmake", { "--install", helper.build, "--prefix", prefix })
    assert.equal(0, installed.code, installed.err)
    local moved = helper.folder() .. "/elsewhere"
    assert(os.rename(prefix .. "/bin/dmlua", moved))
    local result = helper.run(moved, "--version", { cwd = "/" })
    assert.same({ code = 0, out = versions(), err = "" }, result)
    assert.matches("^dmlua %d+%.%d+%.%d+", result.out)
  end)

  it("takes no Lua module from the current folder or LUA_PATH", function()
    local folder = helper.folder()
    helper.write(folder .. "/dmlua/cli.lua", "error 'the wrong file'")
    local result = helper.dmlua("--version", { cwd = folder, env = { LUA_PATH = folder .. "/?.lua" } })
    assert.same({ code = 0, out = versions(), err = "" }, result)
  end)
end)
