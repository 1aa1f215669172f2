-- Moving over from the real Alembic, on its databases: several heads, dependencies, a tree of 300 revisions.

local helper = require "spec.helper"

local environment = [[
from alembic import context
from sqlalchemy import create_engine
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
]]

local function literal(ids)
  local quoted = {}
  for i, id in ipairs(ids) do quoted[i] = ("%q"):format(id) end
  if #quoted == 0 then return "None" end
  return #quoted == 1 and quoted[1] or "(" .. table.concat(quoted, ", ") .. ")"
end

-- One revision in Python, as Alembic's template has it.
local function python(it)
  return ([[
"""Make %s

Revision ID: %s
Revises: %s

"""
from alembic import op

revision = '%s'
down_revision = %s
branch_labels = %s
depends_on = %s


def upgrade():
    op.execute("CREATE TABLE t_%s (id int)")


def downgrade():
    op.execute("DROP TABLE t_%s")
]]):format(it.id, it.id, table.concat(it.down, ", "), it.id, literal(it.down), literal(it.labels or {}),
    literal(it.depends or {}), it.id, it.id)
end

-- The same in Lua.
local function lua(it)
  return helper.revision { revision = it.id, down = #it.down > 0 and it.down or nil, labels = it.labels,
    depends = it.depends, message = "Make " .. it.id,
    upgrade = ("  op.execute 'CREATE TABLE t_%s (id int)'"):format(it.id),
    downgrade = ("  op.execute 'DROP TABLE t_%s'"):format(it.id) }
end

-- A folder as Alembic's users have it: an alembic.ini, its environment, and the revisions in Python. dmlua is run in it
-- as it stands.
local function alembic_project(db, revisions)
  local folder = helper.folder()
  helper.write(folder .. "/alembic.ini", ([[
[alembic]
script_location = %%(here)s/alembic
prepend_sys_path = .
sqlalchemy.url = postgresql+psycopg2://owner@/%s?host=%s

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARN
handlers = console
qualname =

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %%(levelname)-5.5s [%%(name)s] %%(message)s
]]):format(db.name, helper.host))
  helper.write(folder .. "/alembic/env.py", environment)
  for _, it in ipairs(revisions) do helper.write(folder .. "/alembic/versions/" .. it.id .. ".py", python(it)) end
  return folder
end

local function port(folder, revisions)
  for _, it in ipairs(revisions) do helper.write(folder .. "/alembic/versions/" .. it.id .. ".lua", lua(it)) end
end

local function alembic(folder, arguments)
  local result = helper.run("/usr/bin/alembic", arguments, { cwd = folder })
  assert.equal("", result.code == 0 and "" or result.err)
  return result.out
end

local function dmlua(folder, arguments)
  local result = helper.dmlua(arguments, { cwd = folder })
  assert.equal("", result.code == 0 and "" or result.err)
  return result.out, result.err
end

-- The lines in order: Alembic's order of several is that of a set.
local function sorted(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

local function same_current(folder)
  local theirs = sorted(alembic(folder, "current"))
  assert.same(theirs, sorted((dmlua(folder, "current"))))
  return theirs
end

describe("a database of Alembic's with several heads and dependencies", function()
  -- a - b, a - c; d is a base of its own and depends on b; e comes after d.
  local revisions = {
    { id = "aaaa", down = {} }, { id = "bbbb", down = { "aaaa" }, labels = { "left" } },
    { id = "cccc", down = { "aaaa" } },
    { id = "dddd", down = {}, depends = { "left" } }, { id = "eeee", down = { "dddd" } },
  }

  it("is read, upgraded and downgraded, and Alembic reports the same", function()
    local db = helper.database()
    local folder = alembic_project(db, revisions)
    alembic(folder, "upgrade heads")
    assert.same({ "bbbb (effective head)", "cccc (head)", "eeee (head)" }, same_current(folder))
    port(folder, revisions)
    local _, notes = dmlua(folder, "upgrade heads")
    assert.matches("nothing to do", notes, 1, true)
    dmlua(folder, "downgrade dddd")
    dmlua(folder, "downgrade aaaa")
    assert.same({ "aaaa (branchpoint)" }, same_current(folder))
    dmlua(folder, "upgrade eeee")
    dmlua(folder, "upgrade cccc")
    same_current(folder)
    alembic(folder, "downgrade base")
    assert.equal("", (dmlua(folder, "current")))
    assert.equal("0", helper.value(db, "SELECT count(*) FROM pg_class WHERE relname ~ '^t_'"))
  end)
end)

describe("an id longer than the version column", function()
  it("is refused before the step exists, with the verb that widens the column, and is then run", function()
    local db = helper.database()
    local id = ("long_"):rep(8)
    local folder = alembic_project(db, { { id = "aaaa", down = {} } })
    alembic(folder, "upgrade head")
    helper.write(folder .. "/alembic/versions/b.lua", lua { id = id, down = { "aaaa" } })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(2, result.code)
    assert.matches("has 40 characters", result.err, 1, true)
    assert.matches("dmlua ensure_version --widen", result.err, 1, true)
    assert.equal("aaaa\n", (dmlua(folder, "current")))
    assert.equal("1", helper.value(db, "SELECT count(*) FROM pg_class WHERE relname ~ '^t_'"))
    dmlua(folder, "ensure_version --widen")
    dmlua(folder, "upgrade head")
    assert.equal(id .. " (head)\n", (dmlua(folder, "current")))
  end)
end)

describe("a tree of 300 revisions", function()
  -- A line that forks and is merged again every ten revisions.
  local function generate()
    local list, tops = {}, {}
    for i = 1, 300 do
      local id = ("r%03d"):format(i)
      if i % 10 == 5 then -- beside the one before
        list[i] = { id = id, down = { list[i - 2].id } }
        tops = { list[i - 1].id, id }
      else
        list[i] = { id = id, down = tops }
        tops = { id }
      end
    end
    return list
  end

  it("is taken over half way: nothing to do, refused in Python, ported, run, gone back, stamped, made anew", function()
    local db, new = helper.database(), helper.database()
    local revisions = generate()
    local folder = alembic_project(db, revisions)
    alembic(folder, "upgrade r150")
    assert.equal("r150\n", (dmlua(folder, "current")))
    assert.equal(300, select(2, dmlua(folder, "history"):gsub("\n", "")))
    assert.equal("r150 -> r151, Make r151\n", dmlua(folder, "history -r r151:r151"))
    local plan = dmlua(folder, "plan upgrade head")
    assert.matches("150 steps; heads afterwards: r300", plan, 1, true)

    port(folder, { table.unpack(revisions, 151, 200) })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(2, result.code)
    assert.matches("alembic/versions/r201.py is written in Python, which dmlua never runs", result.err, 1, true)
    assert.equal("r150\n", (dmlua(folder, "current")))

    dmlua(folder, "upgrade r200")
    assert.same({ "r200" }, same_current(folder))
    port(folder, { table.unpack(revisions, 201, 300) })
    dmlua(folder, "upgrade head")
    dmlua(folder, "downgrade r160")
    dmlua(folder, "stamp r300")
    dmlua(folder, "stamp --purge r160")
    alembic(folder, "upgrade head")
    assert.equal("r300 (head)\n", (dmlua(folder, "current")))

    dmlua(folder, "baseline -m everything --rev-id base1")
    dmlua(folder, "upgrade head")
    dmlua(folder, { "--url", new.url, "upgrade", "head" })
    for _, database in ipairs { db, new } do
      assert.equal("base1", helper.value(database, "SELECT string_agg(version_num, ' ') FROM alembic_version"))
      assert.equal("300", helper.value(database, "SELECT count(*) FROM pg_class WHERE relname ~ '^t_'"))
    end
  end)
end)
