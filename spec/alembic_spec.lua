-- Taking turns with the real Alembic on one database.

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

local function python(id, down, up, downwards)
  return ("revision = %q\ndown_revision = %s\nfrom alembic import op\n"
    .. "def upgrade():\n    op.execute(%q)\ndef downgrade():\n    op.execute(%q)\n"):format(
    id, down and ("%q"):format(down) or "None", up, downwards)
end

local function lua(id, down, up, downwards)
  return helper.revision { revision = id, down = down, upgrade = ("op.execute(%q)"):format(up),
    downgrade = ("op.execute(%q)"):format(downwards) }
end

-- The same two revisions for Alembic and for dmlua.
local function project(db)
  local steps = { { "aaaa", nil, "CREATE TABLE a (id int)", "DROP TABLE a" },
    { "bbbb", "aaaa", "CREATE TABLE b (id int)", "DROP TABLE b" } }
  local folder = helper.project { database = db }
  helper.write(folder .. "/alembic.ini", ("[alembic]\nscript_location = python\nsqlalchemy.url = %s\n"):format(db.url))
  helper.write(folder .. "/python/env.py", environment)
  for _, step in ipairs(steps) do
    helper.write(folder .. "/python/versions/" .. step[1] .. ".py", python(table.unpack(step, 1, 4)))
    helper.write(folder .. "/versions/" .. step[1] .. ".lua", lua(table.unpack(step, 1, 4)))
  end
  return folder
end

local function alembic(folder, arguments)
  local result = helper.run("/usr/bin/alembic", arguments, { cwd = folder })
  assert.are.equal("", result.code == 0 and "" or result.err)
  return result.out
end

local function dmlua(folder, arguments)
  local result = helper.dmlua(arguments, { cwd = folder })
  assert.are.equal("", result.code == 0 and "" or result.err)
  return result
end

describe("a database that Alembic migrated", function()
  it("is taken over without a step, and Alembic can read and go on with what dmlua left", function()
    local db = helper.database()
    local folder = project(db)
    alembic(folder, "upgrade head")
    assert.are.equal("bbbb (head)\n", dmlua(folder, "current").out)
    assert.truthy(dmlua(folder, "upgrade head").err:find("nothing to do", 1, true))
    dmlua(folder, "downgrade -1")
    assert.truthy(alembic(folder, "current"):find("^aaaa"))
    alembic(folder, "upgrade head")
    assert.are.equal("bbbb (head)\n", dmlua(folder, "current").out)
    alembic(folder, "downgrade base")
    assert.are.equal("", dmlua(folder, "current").out)
  end)

  it("has the version table that dmlua makes itself", function()
    local one, other = helper.database(), helper.database()
    alembic(project(one), "upgrade head")
    dmlua(project(other), "upgrade head")
    local shape = [[SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, c.conname, c.contype
      FROM pg_attribute a LEFT JOIN pg_constraint c ON c.conrelid = a.attrelid
      WHERE a.attrelid = 'alembic_version'::regclass AND a.attnum > 0]]
    assert.are.same(helper.sql(one, shape), helper.sql(other, shape))
  end)
end)
