-- Trees of migration files: what is read, what a header may be, what an error shows.

local helper = require "spec.helper"
local cjson = require "cjson"

local function heads(versions, more)
  local project = { versions = versions }
  for key, value in pairs(more or {}) do project[key] = value end
  return helper.dmlua("heads", { cwd = helper.project(project) })
end

-- One file; expects it to be refused with this message, exit code and place.
local function refuses(text, message, line, code)
  local result = heads { ["a.lua"] = text }
  assert.matches("FAILED: " .. message, result.err)
  assert.matches("\n  at versions/a.lua" .. (line and ":" .. line or "") .. "\n", result.err)
  assert.equal(code or 2, result.code, result.err)
end

local function accepts(text, id)
  local result = heads { ["a.lua"] = text }
  assert.equal("", result.err)
  assert.equal(id .. " (head)\n", result.out)
end

local function show(text, id)
  local folder = helper.project { versions = { ["a.lua"] = text } }
  return helper.dmlua({ "show", id }, { cwd = folder }).out
end

describe("a tree", function()
  it("is the Lua files of versions/, without what editors leave behind", function()
    local result = heads {
      ["a.lua"] = 'revision = "a"', [".b.lua"] = "(", ["#c.lua#"] = "(", [".#d.lua"] = "(", ["e.lua~"] = "(",
      ["f.pyc"] = "(", ["g.lua.orig"] = "(", ["__init__.py"] = "", ["README"] = "(",
    }
    assert.equal("", result.err)
    assert.equal("a (head)\n", result.out)
  end)

  it("does not wait for what is no file", function()
    local folder = helper.project { versions = {} }
    os.execute("mkfifo " .. folder .. "/versions/a.lua")
    local result = helper.dmlua("heads", { cwd = folder })
    assert.matches("FAILED: versions/a.lua cannot be read: it is no regular file", result.err, 1, true)
    assert.equal(2, result.code)
  end)

  it("may be empty", function()
    local result = heads {}
    assert.equal("", result.err)
    assert.equal(0, result.code)
  end)

  it("that is not there is named in Alembic's words, with the way out", function()
    local folder = helper.project { settings = { script_location = "nowhere" } }
    local result = helper.dmlua("heads", { cwd = folder })
    assert.matches("FAILED: Path doesn't exist: nowhere.  Please use the 'init' command to create a new scripts folder",
      result.err, 1, true)
    assert.matches("hint: .*dmlua init", result.err)
    assert.equal(2, result.code)
  end)

  it("without versions/ is named, too", function()
    local folder = helper.project { settings = { script_location = "lib" }, files = { ["lib/x.lua"] = "" } }
    assert.matches("Path doesn't exist: lib/versions", helper.dmlua("heads", { cwd = folder }).err, 1, true)
  end)

  it("says which file it cannot read", function()
    local folder = helper.project { versions = {} }
    os.execute("ln -s /proc/self/mem " .. helper.quote(folder .. "/versions/a.lua"))
    local result = helper.dmlua("heads", { cwd = folder })
    assert.equal(2, result.code)
    os.execute("rm " .. helper.quote(folder .. "/versions/a.lua"))
    os.execute("ln -s nowhere.lua " .. helper.quote(folder .. "/versions/a.lua"))
    assert.matches("FAILED: versions/a.lua cannot be read: No such file", helper.dmlua("heads", { cwd = folder }).err)
  end)

  it("is shown by paths as a user would type them", function()
    local folder = helper.project { versions = { ["a.lua"] = "(" } }
    helper.write(folder .. "/versions/deeper/file", "")
    assert.matches("at versions/a.lua:1", helper.dmlua("heads", { cwd = folder }).err)
    local deeper = helper.dmlua("heads", { cwd = folder .. "/versions/deeper" })
    assert.matches("at " .. folder .. "/versions/a.lua:1", deeper.err, 1, true)
  end)
end)

describe("a header", function()
  it("is read from the file's globals, with the comment at its head", function()
    local text = [[
-- Add customer_profiles table
-- and what it needs
--
-- More about it.
--
-- Revision ID: 2025_01_15_1200_support_system_tables
-- Revises:
-- Create Date: 2024-01-15 10:00:00

revision = "2025_01_15_1200_support_system_tables"
down_revision = nil
branch_labels = { "support" }
depends_on = nil
]]
    assert.equal([[
Rev: 2025_01_15_1200_support_system_tables (head)
Parent: <base>
Branch names: support
Path: versions/a.lua

    Add customer_profiles table
    and what it needs

    More about it.

    Revision ID: 2025_01_15_1200_support_system_tables
    Revises:
    Create Date: 2024-01-15 10:00:00

]], (show(text, "support"):gsub("\n +\n", "\n\n")))
    local folder = helper.project { versions = { ["a.lua"] = text } }
    assert.matches(", Add customer_profiles table and what it needs\n", helper.dmlua("history", { cwd = folder }).out)
  end)

  it("may have its comment in long brackets, or none", function()
    assert.matches("\n    Long one\n", show('--[==[ Long one\n\nRevision ID: a ]]\n]==]\nrevision = "a"', "a"))
    assert.matches("Rev: a", show('revision = "a" -- not this', "a"))
    assert.not_matches("not this", show('revision = "a" -- not this', "a"))
  end)

  it("may stand in a file with a byte order mark and with the line ends of Windows", function()
    local result = heads({
      ["a.lua"] = '\xef\xbb\xbf-- First\r\n--\r\n-- Revision ID: a\r\n\r\nrevision = "a"\r\nrequire "b"' },
      { files = { ["lib/b.lua"] = "\xef\xbb\xbfreturn 1" } })
    assert.equal("", result.err)
    assert.equal("a (head)\n", result.out)
    assert.matches("\n    First\n", show('\xef\xbb\xbf-- First\r\n--\r\nrevision = "a"\r\n', "a"))
  end)

  it("may name several parents, labels and dependencies", function()
    local result = heads {
      ["a.lua"] = 'revision = "a"', ["b.lua"] = 'revision = "b"',
      ["c.lua"] = 'revision = "c" down_revision = { "a", "b" } branch_labels = "one"',
      ["d.lua"] = 'revision = "d" down_revision = {} depends_on = { "c" }',
    }
    assert.equal("", result.err)
    assert.matches("d.* %(head%)", result.out)
  end)

  it("without a revision is refused in Alembic's words", function()
    refuses("-- nothing", "Could not determine revision id from filename a.lua. "
      .. "Be sure the 'revision' variable is declared inside the script.")
  end)

  it("that is local is refused, and so are local functions", function()
    refuses('\nlocal revision = "a"', "revision is local here; remove 'local'", 2)
    refuses('revision = "a"\nlocal x, down_revision = 1, "b"', "down_revision is local here; remove 'local'", 2)
    refuses('revision = "a"\nlocal function upgrade() end', "upgrade is local here; remove 'local'", 2)
    refuses('local revision <const> = "a"', "revision is local here; remove 'local'", 1)
    refuses('revision = "a"\nlocal x, down_revision <const> = 1, "b"', "down_revision is local here; remove 'local'", 2)
    accepts('revision = "a" function upgrade() local revision = 1 return revision end', "a")
    accepts('revision = "a"\nfunction upgrade()\n  local depends_on <const> = "b"\n  return depends_on\nend', "a")
    accepts('local x <const> = "a"\nrevision = x', "a")
    accepts('do local revision = 1 end revision = "a"', "a")
  end)

  it("that is misspelt is refused, because it would silently be another base", function()
    local message = "'%s' is no field of a header %%(did you mean '%s'"
    refuses('revision = "a"\ndown_revison = "b"', message:format("down_revison", "down_revision"), 2)
    refuses('revision = "a"\nfunction downgrad() end', message:format("downgrad", "downgrade"), 2)
    accepts('revision = "a" down_revision = nil branch_labels = nil depends_on = nil helper = 1', "a")
  end)

  it("takes ids as Alembic does, and none that would break a line or a list", function()
    for _, id in ipairs { "a", "1", "2025_01_15_1200_support_system_tables", "ae1027a6acf", "v1.2", "ünï", "a/b" } do
      accepts(("revision = %q"):format(id), id)
    end
    for character in ("@-+:"):gmatch "." do
      refuses(("\nrevision = 'a%sb'"):format(character),
        ("Character%%(s%%) '%%%s' not allowed in revision identifier 'a%%%s"):format(character, character), 2)
    end
    for _, id in ipairs { "", " ", "a b", "a,b", "a\nb", "a\27b", "a\0b", "\255", ("a"):rep(256) } do
      refuses(("\nrevision = %q"):format(id), "revision ", 2)
    end
  end)

  it("with a value of another type is refused", function()
    refuses("revision = 12", "revision is a number; it must be a string", 1)
    refuses("revision = { 'a' }", "revision is a table; it must be a string", 1)
    assert.matches('hint: write revision = "12"', heads({ ["a.lua"] = "revision = 12" }).err, 1, true)
    assert.is_nil(heads({ ["a.lua"] = "revision = {}" }).err:find("hint:", 1, true))
    for _, field in ipairs { "down_revision", "branch_labels", "depends_on" } do
      for value, problem in pairs {
        ["7"] = " is a number; it must be nil, a string or a list",
        ["{ 'b', 7 }"] = "%[2%] is a number; it must be a string",
        ["{ 'b', 'c', 'b' }"] = " names 'b' twice",
        ["{ 'b', nil, 'c' }"] = " is a table that is no list of strings",
        ["{ x = 'b' }"] = " is a table that is no list of strings",
        ["'b c'"] = ' "b c" holds a space',
      } do
        refuses(("revision = 'a'\n%s = %s"):format(field, value), field .. problem, 2)
      end
    end
    refuses("revision = 'a'\nupgrade = 1", "upgrade is a number; it must be a function", 2)
  end)

  it("that another file has, too, is refused with the file", function()
    local result = heads { ["a.lua"] = 'revision = "x"', ["b.lua"] = 'revision = "x"' }
    assert.matches("versions/b.lua", result.err, 1, true)
    assert.equal(2, result.code)
  end)
end)

describe("an error in a script", function()
  it("of syntax shows file, line and the source line", function()
    refuses("\nlocal x = = 1", "unexpected symbol near '='\n  at versions/a.lua:2\n      2 | local x = = 1\n", 2, 1)
    refuses("x = 'no end\n", "unfinished string near ''no end'", 1, 1)
  end)

  it("at run time shows the line, and the author's own frames alone", function()
    local result = heads({ ["a.lua"] = [[
revision = "a"
local shapes = require "shapes"
local function outer(t)
  local list = { 2, 1 }
  table.sort(list, function() local size = shapes.area(t) return size end)
end
pcall(error)
function start()
  outer { print }
end
("a"):gsub("a", start)
]] }, { files = { ["lib/shapes.lua"] = "local M = {}\nfunction M.area(t)\n  return t.size.x\nend\nreturn M\n" } })
    assert.equal([[
FAILED: attempt to index a nil value (field 'size')
  at lib/shapes.lua:3
      3 |   return t.size.x
  traceback:
  lib/shapes.lua:3: in function 'area'
  versions/a.lua:5: in the function of line 5
  versions/a.lua:5: in function 'outer'
  versions/a.lua:9: in function 'start'
  versions/a.lua:11: at top level
]], result.err)
    assert.equal(1, result.code)
  end)

  it("that was caught and raised again keeps its place", function()
    local result = heads {
      ["a.lua"] = 'revision = "a"\nlocal ok, e = pcall(function()\n  local x = nil + 1\nend)\nerror(e, 0)' }
    assert.matches("FAILED: attempt to perform arithmetic on a nil value\n  at versions/a.lua:3\n", result.err)
  end)

  it("with a level of its own points at the caller", function()
    local result = heads {
      ["a.lua"] = 'revision = "a"\nlocal function check()\n  error("not like this", 2)\nend\ncheck()' }
    assert.matches("FAILED: not like this\n  at versions/a.lua:5\n", result.err)
  end)

  it("in a file with a long path keeps the whole path", function()
    local name = ("long_"):rep(30) .. ".lua"
    assert.matches("\n  at versions/" .. name .. ":1\n", heads({ [name] = "(" }).err)
    assert.matches("^FAILED: text\n  at versions/" .. name .. ":1\n", heads({ [name] = "error('text')" }).err)
  end)

  it("in a required file shows that file", function()
    local more = { files = { ["lib/broken.lua"] = "return 1\nreturn 2" } }
    assert.matches("FAILED: <eof> expected near 'return'\n  at lib/broken.lua:2\n      2 | return 2\n",
      heads({ ["a.lua"] = "require 'broken'" }, more).err)
  end)

  it("is one object with --json", function()
    local folder = helper.project { versions = { ["a.lua"] = "\nerror 'text'" } }
    local result = helper.dmlua("heads --json", { cwd = folder })
    local e = cjson.decode(result.out).error
    assert.same({ "migration", "text", "versions/a.lua", 2, "error 'text'" },
      { e.kind, e.message, e.file, e.line, e.source })
    assert.equal(1, result.code)
  end)
end)

describe("a statement that the server refuses", function()
  it("shows the line that wrote it, also when nothing has waited for it", function()
    local folder = helper.project { database = helper.database(), versions = { { revision = "a",
      upgrade = '  op.execute("SELECT 1")\n  op.execute("SELECT nothing")\n  op.execute("SELECT 2")' } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.matches("\n  at versions/a.lua:12\n     12 |   op.execute%(\"SELECT nothing\"%)\n", result.err)
    assert.equal(1, result.code)
  end)

  it("has failed its step, whatever the script catches", function()
    local folder = helper.project { database = helper.database(), versions = { { revision = "a", upgrade = [[
      local ok, e = pcall(function() return op.get_bind():execute("SELECT nothing") end)
      assert(not ok and tostring(e):find("nothing") and e.sqlstate == "42703")
      print("went on")]] } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.matches("went on", result.err)
    assert.matches('FAILED: column "nothing" does not exist', result.err, 1, true)
    assert.matches("\n  at versions/a.lua:11\n     11 | ", result.err)
    assert.equal(1, result.code)
  end)

  it("of a file that was changed while dmlua ran is not sent", function()
    local folder = helper.project { database = helper.database(), versions = {
      { revision = "a", upgrade = 'op.execute("SELECT pg_sleep(1)") op.get_bind():execute("SELECT 1")' },
      { revision = "b", down = "a" } } }
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function() return running.err():find "Running upgrade  %-> a" end)
    helper.write(folder .. "/versions/b.lua", 'revision = "b" down_revision = "a" function upgrade() end')
    local result = running.wait(30)
    assert.matches("FAILED: versions/b.lua was changed while dmlua was running", result.err)
    assert.equal(2, result.code)
  end)

  it("is not reached where a function that the plan needs is missing", function()
    local folder = helper.project { database = helper.database(), versions = {
      ["a.lua"] = 'revision = "a" function upgrade() op.execute("SELECT 1") end',
      ["b.lua"] = 'revision = "b" down_revision = "a" function downgrade() end' } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.matches("FAILED: versions/b.lua has no function upgrade%(%)", result.err)
    assert.not_matches("Running upgrade", result.err)
    assert.equal(2, result.code)
  end)
end)
