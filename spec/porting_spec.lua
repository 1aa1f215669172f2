-- doc/porting.md: its file in Python and its file in Lua do the same, and its commands do what stands there.

local helper = require "spec.helper"

local text = helper.read(helper.root .. "/doc/porting.md")
local python, lua = text:match "```python\n(.-)```", text:match "```lua\n(.-)```"

local environment = [[
from alembic import context
from sqlalchemy import create_engine
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
]]

local customers = [[
"""Create customers"""
from alembic import op
revision = "9ac4d2e81b7f"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE customers (id serial PRIMARY KEY, tenant_id varchar(255) NOT NULL,"
        " email varchar(80) NOT NULL, complaint text)")
    op.execute("INSERT INTO customers (tenant_id, email, complaint) VALUES ('a', 'x@a', '  too slow '),"
        " ('a', 'y@a', NULL), ('b', 'x@b', '  ')")
def downgrade():
    op.execute("DROP TABLE customers")
]]

local versions = "/alembic/versions/4b1d9c0e7a35_add_tickets"

local function project(db)
  local folder = helper.folder()
  helper.write(folder .. "/alembic.ini", ("[alembic]\nscript_location = alembic\nsqlalchemy.url = "
    .. "postgresql+psycopg2://owner@/%s?host=%s\n"):format(db.name, helper.host))
  helper.write(folder .. "/alembic/env.py", environment)
  helper.write(folder .. "/alembic/versions/9ac4d2e81b7f_create_customers.py", customers)
  helper.write(folder .. versions .. ".py", python)
  return folder
end

local function run(folder, line)
  return helper.run("/bin/sh", { "-c", line .. " 2>&1" },
    { cwd = folder, env = { PATH = helper.build .. ":/usr/bin:/bin" } })
end

local function done(folder, line)
  local result = run(folder, line)
  assert.equal("", result.code == 0 and "" or result.out)
end

local function dump(db)
  local result = helper.run(helper.programs .. "/pg_dump", { "-s", "--restrict-key=spec", "-T", "dmlua_*", "-d",
    db.postgres })
  assert(result.code == 0, result.err)
  return result.out
end

local function rows(db)
  return helper.value(db, "SELECT json_agg(x) FROM (SELECT t.tenant_id, customer_id, subject, state, email, "
    .. "has_tickets FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id ORDER BY c.id) x")
end

describe("the file of doc/porting.md", function()
  it("does the same in Python and in Lua, up and down", function()
    local theirs, ours = helper.database(), helper.database()
    local python_folder, lua_folder = project(theirs), project(ours)
    helper.write(lua_folder .. versions .. ".lua", lua)
    done(python_folder, "alembic upgrade head")
    done(lua_folder, "alembic upgrade 9ac4d2e81b7f")
    done(lua_folder, "dmlua upgrade head")
    assert.equal(dump(theirs), dump(ours))
    assert.equal(rows(theirs), rows(ours))
    assert.matches("too slow", rows(ours), 1, true)
    assert.matches("(no words)", rows(ours), 1, true)
    done(python_folder, "alembic downgrade -1")
    done(lua_folder, "dmlua downgrade -1")
    assert.equal(dump(theirs), dump(ours))
  end)
end)

describe("the move of doc/porting.md", function()
  -- The commands of one block: { line, expected lines }.
  local function commands(block)
    local list = {}
    for line in block:gmatch "[^\n]+" do
      local command = line:match "^%$ (.*)"
      if command then
        list[#list + 1] = { line = command, expected = {} }
      else
        table.insert(list[#list].expected, line)
      end
    end
    return list
  end

  local function check(folder, command)
    local result, at = run(folder, command.line), 1
    for _, line in ipairs(command.expected) do
      local _, finish = result.out:find(line, at, true)
      assert(finish, ("%s prints\n%s\nand not\n%s"):format(command.line, result.out, line))
      at = finish + 1
    end
  end

  it("goes as it stands there, from start to end", function()
    local db = helper.database()
    local folder = project(db)
    local count = 0
    done(folder, "alembic upgrade 9ac4d2e81b7f")
    for block in text:gmatch "```console\n(.-)```" do
      for _, command in ipairs(commands(block)) do check(folder, command) end
      count = count + 1
      helper.write(folder .. versions .. ".lua", lua)
    end
    assert.equal(3, count)
    assert.equal("77be40d1a2c3", helper.value(db, "SELECT string_agg(version_num, ' ') FROM alembic_version"))
  end)
end)
