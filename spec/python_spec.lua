-- Alembic's revisions in Python beside Lua's: their headers are read, they are never run.

local cjson = require "cjson"
local helper = require "spec.helper"

local function project(versions, more)
  local options = { versions = versions }
  for key, value in pairs(more or {}) do options[key] = value end
  return helper.project(options)
end

local function run(folder, arguments)
  return helper.dmlua(arguments, { cwd = folder })
end

-- One Python file, as `show --json` knows it.
local function read(text, id)
  local folder = project { ["a.py"] = text, ["z.lua"] = 'revision = "z"', ["y.lua"] = 'revision = "y"' }
  local result = run(folder, { "--json", "show", id or "a" })
  assert.equal("", result.err)
  return cjson.decode(result.out).revisions[1]
end

local function refuses(text, message, line)
  local result = run(project { ["a.py"] = text }, "heads")
  assert.equal(2, result.code)
  assert.matches("FAILED: unreadable header: " .. message, result.err, 1, true)
  assert.matches("\n  at versions/a.py" .. (line and ":" .. line or "") .. "\n", result.err, 1, true)
  assert.matches("hint: dmlua reads literals only and runs no Python", result.err, 1, true)
end

local generated = [[
"""Add customers

Revision ID: a
Revises: y, z
Create Date: 2024-01-15 10:00:00.123456

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = 'a'
down_revision: Union[str, Sequence[str], None] = ('y', 'z')
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    revision = "not this"
    op.create_table("customers", sa.Column("id", sa.Integer(), nullable=False))


def downgrade() -> None:
    op.drop_table("customers")
]]

describe("a Python revision's header", function()
  it("is read as Alembic's own template writes it", function()
    local it = read(generated)
    assert.same({ "y", "z" }, it.down_revision)
    assert.equal("Add customers", it.message)
    assert.equal("versions/a.py", it.path)
    local block = run(project { ["a.py"] = generated, ["y.lua"] = 'revision = "y"', ["z.lua"] = 'revision = "z"' },
      "show a").out
    assert.matches("Create Date: 2024-01-15 10:00:00.123456", block, 1, true)
  end)

  it("may be written with every kind of literal", function()
    for text, down in pairs {
      ["None"] = {}, ["'y'"] = { "y" }, ['"y"'] = { "y" }, ["'''y'''"] = { "y" }, ['"""y"""'] = { "y" },
      ["r'y'"] = { "y" }, ["U'y'"] = { "y" }, ["('y')"] = { "y" }, ["('y',)"] = { "y" }, ["['y', 'z']"] = { "y", "z" },
      ["('y', 'z',)"] = { "y", "z" }, ["'y', 'z'"] = { "y", "z" }, ["{'z'}"] = { "z" }, ["()"] = {}, ["[]"] = {},
      ["(\n  'y',  # one\n  'z'\n)"] = { "y", "z" }, ["'\\x79'"] = { "y" }, ["'\\u0079'"] = { "y" },
      ["'\\171'"] = { "y" }, ["\\\n  'y'"] = { "y" }, ["(\n  '' 'y'\n  ''\n)"] = { "y" }, ["('y'), 'z'"] = { "y", "z" },
      ["(('' 'y'), 'z')"] = { "y", "z" }, ["'y' # + 'z'"] = { "y" }, ["'y'; x = 1"] = { "y" }, ["'''y''' ''"] = { "y" },
    } do
      assert.same(down, read("revision = 'a'\ndown_revision = " .. text .. "\n").down_revision, text)
    end
  end)

  it("may have windows' line ends, a byte order mark, and no line end at the end", function()
    local it = read "\xef\xbb\xbf'''One\r\ntwo'''\r\nrevision = 'a'\r\ndown_revision = 'y'"
    assert.same({ "y" }, it.down_revision)
    assert.equal("One two", it.message)
  end)

  it("may be of the encoding latin-1", function()
    local it = read "# coding: latin-1\n'Caf\xe9'\nrevision = 'a'\ndown_revision = 'y'\n"
    assert.equal("Caf\u{e9}", it.message)
  end)

  it("may carry labels and dependencies", function()
    local it = read "revision = 'a'\ndown_revision = None\nbranch_labels = ('one', \"two\")\ndepends_on = ['y', 'z']\n"
    assert.same({ "one", "two" }, it.branch_labels)
    assert.same({ "y", "z" }, it.depends_on)
  end)

  it("is what is assigned last, and not what functions, classes, comments and texts hold", function()
    local it = read [[
revision = 'first'
"""
revision = 'in a text'
"""
# revision = 'in a comment'
revision = 'a'
down_revision = 'y'
class Helper:
    revision = 'of a class'
    down_revision = compute()
def helper(revision='of a parameter'):
    down_revision = helper(revision = 'of a call')
    if True:
        down_revision = f"{revision}"
print(revision, "(")
x = [revision for revision in ()]
if revision == 'a':
    pass
]]
    assert.same({ "y" }, it.down_revision)
  end)

  it("that is computed is an error that names file and line", function()
    local base = "revision = 'a'\n"
    refuses("revision = name()\n", "revision is no literal", 1)
    refuses("revision = f'a'\ndown_revision = None", "revision is an f-string", 1)
    refuses("revision = b'a'\ndown_revision = None", "revision is bytes, not text", 1)
    refuses(base .. "down_revision = resolve(REQUIRES)\n", "down_revision is no literal", 2)
    refuses(base .. "down_revision = PARENT\n", "down_revision is no literal", 2)
    refuses(base .. "down_revision = 'y' if x else 'z'\n", "down_revision is no literal", 2)
    refuses(base .. "down_revision = 'y' + 'z'\n", "down_revision is no literal", 2)
    refuses(base .. "down_revision = ('y', None)\n", "down_revision is no literal", 2)
    refuses(base .. "down_revision = ('y' for x in y)\n", "down_revision is no literal", 2)
    refuses(base .. "down_revision = ('y'\n", "down_revision is no literal", 3)
    refuses(base .. "down_revision = 'y\n", "down_revision has no closing quote", 2)
    refuses(base .. "down_revision = 'y\\N{DASH}'\n", "down_revision has \\N{…}, which is not known here", 2)
    refuses(base .. "down_revision = 'y\\0z'\n", "down_revision has an escape that is no character", 2)
    refuses(base .. "down_revision = None\ndepends_on += ('y',)\n", "depends_on is used, not assigned a literal", 3)
    refuses(base .. "if x:\n    down_revision = 'y'\n", "down_revision is not assigned by a statement of its own", 3)
    refuses(base .. "from base import down_revision\n", "down_revision is imported, not assigned a literal", 2)
    refuses("revision, down_revision = 'a', 'y'\n", "revision is used, not assigned a literal", 1)
    local own = "depends_on is not assigned by a statement of its own"
    for _, line in ipairs { "(x, depends_on) = None, 'y'", "[depends_on] = ['y']", "*depends_on, x = 'y', 'z'",
      "(depends_on := 'y')", "for depends_on in ['y']: pass", "for x, depends_on in y: pass",
      "with y as depends_on: pass", "del depends_on", "if x: depends_on = 'y'", "x = depends_on = 'y'" } do
      refuses(base .. "down_revision = None\n" .. line .. "\n", own, 3)
    end
    for _, word in ipairs { "def depends_on(): pass", "async def depends_on(): pass", "class depends_on: pass" } do
      refuses(base .. "down_revision = None\n" .. word .. "\n", "depends_on is defined, not assigned a literal", 3)
    end
  end)

  it("may use what it has assigned", function()
    local result = run(project { ["a.py"] = table.concat({ "revision = 'a'", "down_revision = None",
      "print(revision, depends_on)", "log(message=revision, revision=revision)", "(x) = [revision, down_revision]",
      "assert revision == 'a', down_revision", "for x in revision: pass", "y[revision] = {revision: down_revision}",
      "class A: depends_on = 'z'", "@revision.mark", "def upgrade(): depends_on = 1" }, "\n") }, "history")
    assert.equal("", result.err)
  end)

  it("without revision or down_revision is an error, as it is Alembic's", function()
    refuses("down_revision = None\n", "no revision is assigned")
    refuses("revision = 'a'\n", "no down_revision is assigned")
    refuses("", "no revision is assigned")
  end)

  it("keeps to the rules for identifiers", function()
    local result = run(project { ["a.py"] = "revision = 'a-b'\ndown_revision = None\n" }, "heads")
    assert.matches("Character(s) '-' not allowed in revision identifier 'a-b'", result.err, 1, true)
    assert.matches("at versions/a.py:1", result.err, 1, true)
  end)
end)

describe("a tree in both languages", function()
  local function python(id, down)
    return ('"""%s, in Python"""\nrevision = %q\ndown_revision = %s\n\ndef upgrade():\n    open("ran", "w")\n')
      :format(id, id, down and ("%q"):format(down) or "None")
  end
  local function lua(id, down)
    return helper.revision { revision = id, down = down, message = id .. ", in Lua",
      upgrade = ("op.execute('CREATE TABLE %s (id int)')"):format(id),
      downgrade = ("op.execute('DROP TABLE %s')"):format(id) }
  end

  it("takes the Lua file of a revision that is there in both, whose header may say something else", function()
    local folder = project { ["a.py"] = python "a", ["b.py"] = python("b", "nowhere"), ["b.lua"] = lua("b", "a"),
      ["c.py"] = "revision = 'c'\ndown_revision = compute()\n", ["c.lua"] = lua("c", "b") }
    assert.equal("b -> c (head), c, in Lua\na -> b, b, in Lua\n<base> -> a, a, in Python\n", run(folder, "history").out)
    assert.matches("Path: versions/a.py", run(folder, "show a").out, 1, true)
    assert.equal("c (head)\n", run(folder, "heads").out)
  end)

  it("is stamped, merged, planned and gone on with, but a Python file is not run: nothing is", function()
    local db = helper.database()
    local folder = project({ ["a.py"] = python "a", ["b.lua"] = lua("b", "a"), ["x.lua"] = lua "x" }, { database = db })
    local result = run(folder, "upgrade heads")
    assert.equal(2, result.code)
    assert.matches("FAILED: versions/a.py is written in Python, which dmlua never runs",
      result.err, 1, true)
    for _, way in ipairs { 'port it: a file with revision = "a" in Lua beside it takes its place', "alembic upgrade a",
      "dmlua stamp a" } do
      assert.matches(way, result.err, 1, true)
    end
    assert.equal("", run(folder, "current").out)
    assert.matches("upgrade <base> -> a, a, in Python", run(folder, "plan upgrade heads").out, 1, true)
    assert.matches("WARN  [dmlua] upgrade will refuse this plan: versions/a.py is written in Python",
      run(folder, "plan upgrade heads").err, 1, true)
    assert.equal(0, run(folder, "stamp a").code)
    assert.equal("", run(folder, "plan upgrade heads").err)
    assert.equal("a\n", run(folder, "current").out)
    assert.equal(0, run(folder, "upgrade heads").code)
    assert.equal(2, run(folder, "downgrade base").code)
    assert.equal("b (head)\nx (head)\n", run(folder, "current").out)
    assert.matches("Generating versions/m_.*%.lua", run(folder, "merge heads -m joined --rev-id m").out)
    assert.equal("m (head)\n", run(folder, "heads").out)
    assert.is_nil(helper.read(folder .. "/ran"))
  end)
end)
