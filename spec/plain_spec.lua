-- Headers that are read without running the file: they say what running says, and hide no fault.

local helper = require "spec.helper"

local function history(versions)
  return helper.dmlua({ "history", "-v" }, { cwd = helper.project { versions = versions } })
end

-- Valid files, each as it stands and with a statement behind it for which it has to be run.
local texts = {
  'revision = "%s"',
  "revision='%s'down_revision=nil;branch_labels=nil depends_on=nil",
  "-- A message\n-- on two lines\n--\n-- more\n-- Revision ID: %s\n-- Create Date: 2024-01-15\nrevision = \"%s\"\n",
  "--[==[ Long\n\n  ]] text ]==]\nrevision = \"%s\" -- [[\nfunction upgrade() end\nfunction downgrade() end",
  "\xef\xbb\xbf\r\n-- With returns\r\nrevision = \"%s\"\r\n",
  'down_revision = "x" revision = "y" revision = "%s" down_revision = { }',
  'revision = "%s"\nbranch_labels = { "one_%s", \'two.%s\'; }',
  'revision = "%s"\nlocal names = { "a", n = { -1, true, [[\n]] } }\nlocal function f(...) return #{ ... } end',
  'revision = "%s"\nfunction upgrade()\n  for i, it in ipairs { 1 } do if i then goto on end ::on:: end\nend',
  'revision = "%s"\nfunction upgrade()\n  while true do repeat local x = -1 ^ 2 .. "\\z\n" break until x end\nend',
  'revision = "%s"\nfunction upgrade()\n  f [=[ ]] ]=] (a).b:f "x" { x = function(s, ...) end, 1; [2] = 3 } end',
}

describe("a header of literals", function()
  it("says what running the file says", function()
    local read, run = {}, {}
    for i, text in ipairs(texts) do
      local name = ("r%02d"):format(i)
      read[name .. ".lua"] = text:gsub("%%s", name)
      run[name .. ".lua"] = read[name .. ".lua"] .. "\ndo end"
    end
    local one, other = history(read), history(run)
    assert.equal("", one.err)
    assert.equal(0, one.code)
    assert.equal(other.out, one.out)
  end)

  -- What is wrong, and the words that say so.
  local faults = {
    { 'revision = "a"\nfunction upgrade()\n  local x = = 1\nend', "unexpected symbol near '='" },
    { 'revision = "a"\nfunction upgrade()\n  break\nend', "break outside loop" },
    { 'revision = "a"\nfunction upgrade()\n  return ...\nend', "cannot use '...' outside a vararg function" },
    { 'revision = "a"\nfunction upgrade()\n  return 1 op.execute("x")\nend', "'end' expected" },
    { 'revision = "a"\nfunction upgrade() f() = 1 end', "syntax error near '='" },
    { 'revision = "a"\nfunction upgrade() local x = "\\q" end', "invalid escape sequence" },
    { 'revision = "a"\nfunction upgrade() local x = 3x end', "malformed number" },
    { 'revision = "a"\nfunction upgrade() for a, b = 1, 2 do end end', "'in' expected" },
    { 'revision = "a"\nfunction upgrade() end end', "<eof> expected near 'end'" },
    { 'revision = "a"\nfunction upgrade()\n  --[[', "unfinished long comment" },
    { 'revision = "a"\nlocal revision = "b"', "revision is local here" },
    { 'revision = "a"\nlocal function upgrade() end', "upgrade is local here" },
    { 'revision = "a"\nlocal x = -"b"', "attempt to unm" },
    { 'revision = "a"\ndown_revison = nil', "did you mean 'down_revision'" },
    { 'revision = "a"\nfunction upgade() end', "did you mean 'upgrade'" },
    { 'revision = "a"\ndown_revision = { "b", "b" }', "names 'b' twice" },
    { 'revision = "a"\ndown_revision = { "b", 1 }', "down_revision[2] is a number" },
    { 'revision = "a"\nrevision = nil', "Could not determine revision id" },
    { 'revision = "a" .. nil', "attempt to concatenate" },
    { 'revision = "a"\nerror("no")', "no" },
  }

  it("hides no fault of the file", function()
    for _, fault in ipairs(faults) do
      local result = history { ["a.lua"] = fault[1] }
      assert.matches(fault[2], result.err, 1, true)
      assert.matches("versions/a.lua", result.err, 1, true)
      assert.equal("", result.out)
    end
  end)
end)
