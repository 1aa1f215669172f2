-- `edit`: on a terminal of its own, by script(1) of Debian's bsdutils.

local helper = require "spec.helper"

local folder
before_each(function()
  folder = helper.project {
    versions = { { revision = "abc" }, { revision = "b1", down = "abc" }, { revision = "b2", down = "abc" } },
    files = { editor = '#!/bin/sh\nfor word; do echo "<$word>"; done >>"$0.log"\n[ -t 0 ] && [ -t 1 ] || exit 9\n' },
  }
  helper.run("chmod", { "+x", folder .. "/editor" })
end)

local function on_terminal(words, env)
  env.TERM = "xterm"
  return helper.run("script", { "-qec", helper.quote(helper.program) .. " " .. words, "/dev/null" },
    { cwd = folder, env = env, timeout = 20 })
end

local function log()
  return helper.read(folder .. "/editor.log")
end

describe("edit", function()
  it("opens the file in EDITOR, else VISUAL, with the arguments that stand there", function()
    assert.equal(0, on_terminal("edit abc", { EDITOR = folder .. "/editor -w '1 2'" }).code)
    assert.equal("<-w>\n<1 2>\n<versions/abc.lua>\n", log())
    assert.equal(0, on_terminal("edit b1", { EDITOR = folder .. "/editor", VISUAL = "false" }).code)
    assert.matches("<versions/b1.lua>\n$", log())
  end)

  it("opens each file that is named", function()
    assert.equal(0, on_terminal("edit heads", { VISUAL = folder .. "/editor" }).code)
    assert.equal("<versions/b1.lua>\n<versions/b2.lua>\n", log())
  end)

  it("says when the editor fails, in Alembic's words", function()
    local result = on_terminal("edit abc", { EDITOR = "", VISUAL = "false" })
    assert.equal(2, result.code)
    assert.matches("FAILED: Error executing editor (false): exit code 1", result.out, 1, true)
    assert.equal(2, on_terminal("edit abc", { EDITOR = "no-such-editor" }).code)
  end)

  it("does not wait for an editor where there is no terminal, and names the file", function()
    local result = helper.dmlua("edit abc", { cwd = folder, env = { EDITOR = "cat" }, input = "x", timeout = 20 })
    assert.equal(2, result.code)
    assert.matches("FAILED: there is no terminal for an editor here\n  hint: the file is versions/abc.lua",
      result.err, 1, true)
  end)

  it("refuses a name that names no file", function()
    local result = on_terminal("edit base", { EDITOR = "cat" })
    assert.equal(2, result.code)
    assert.matches("No revision files indicated by symbol 'base'", result.out, 1, true)
    assert.equal(2, on_terminal("edit zzz", { EDITOR = "cat" }).code)
  end)
end)
