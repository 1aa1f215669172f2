-- Every alembic.ini loads as it is: those that Alembic's own templates make, and what is found in real ones.

local cjson = require "cjson"
local helper = require "spec.helper"

local function dmlua(folder, arguments)
  local result = helper.dmlua(arguments, { cwd = folder })
  assert.equal("", result.code == 0 and "" or result.err)
  return result.out, result.err
end

describe("an alembic.ini of Alembic's template", function()
  for _, template in ipairs { "generic", "async", "multidb" } do
    it(template .. " loads with one notice, and the tree takes files of both tools", function()
      local folder = helper.folder()
      assert.equal(0, helper.run("/usr/bin/alembic", { "init", "-t", template, "scripts" }, { cwd = folder }).code)
      local _, notes = dmlua(folder, "heads")
      assert.matches("^INFO  %[dmlua.config%] alembic.ini: passed over what only Python needs: [^\n]*\n$", notes)
      assert.equal("Generating scripts/versions/a_lua.lua ...  done\n", (dmlua(folder, "revision -m lua --rev-id a")))
      helper.write(folder .. "/scripts/versions/b_python.py", "revision = 'b'\ndown_revision = 'a'\n")
      assert.equal("b (head)\n", (dmlua(folder, "heads")))
    end)
  end
end)

describe("an alembic.ini's script_location", function()
  local function project(location, place)
    local folder = helper.folder()
    helper.write(folder .. "/conf/alembic.ini", "[alembic]\nscript_location = " .. location .. "\n")
    helper.write(folder .. "/conf/" .. place .. "/versions/a.py", "revision = 'a'\ndown_revision = None\n")
    return folder
  end

  it("may name a folder of a Python package beside the file, or in src/", function()
    for location, place in pairs { ["app:migrations"] = "app/migrations",
      ["my.app:db/migrations"] = "my/app/db/migrations", ["app:scripts"] = "src/app/scripts",
      ["odd:name"] = "odd:name" } do
      local folder = project(location, place)
      assert.equal("a (head)\n", (dmlua(folder, "-c conf/alembic.ini heads")))
      assert.equal("Generating conf/" .. place .. "/versions/b_more.lua ...  done\n",
        (dmlua(folder, "-c conf/alembic.ini revision -m more --rev-id b")))
    end
  end)

  it("is refused with the way out where the package is not found", function()
    local result = helper.dmlua("-c conf/alembic.ini heads", { cwd = project("app:migrations", "else") })
    assert.equal(2, result.code)
    assert.matches("Path doesn't exist: conf/app:migrations", result.err, 1, true)
    assert.matches("write the folder itself", result.err, 1, true)
  end)
end)

describe("an alembic.ini's URL", function()
  -- The URL as dmlua shows it, and the connection's own view of it.
  local function connects(url, more)
    local folder = helper.project { files = { ["alembic.ini"] = "[alembic]\nscript_location = .\nsqlalchemy.url = "
      .. url .. "\n" .. (more or "") } }
    os.remove(folder .. "/dmlua.ini")
    return (dmlua(folder, "--json current"))
  end

  it("may name a driver, hold %%, and have the parameters of Python's drivers", function()
    local db = helper.database()
    local host = helper.host:gsub("/", "%%%%2F")
    for _, parameters in ipairs { "", "&ssl=disable", "&ssl=prefer", "&ssl=false", "&prepared_statement_cache_size=0",
      "&async_fallback=true&ssl=allow" } do
      for _, driver in ipairs { "postgresql", "postgresql+psycopg2", "postgresql+asyncpg", "postgres+psycopg" } do
        local out = connects(("%s://owner:p%%%%40ss@/%s?host=%s%s"):format(driver, db.name, host, parameters))
        assert.matches(db.name, cjson.decode(out).database, 1, true)
        if parameters ~= "" then break end
      end
    end
  end)

  -- A server that has no SSL, and says so.
  local without_ssl = [[
import os, socket, sys
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
open(sys.argv[1] + ".new", "w").write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    client, _ = server.accept()
    client.recv(8)
    client.sendall(b"N")
    client.close()
]]

  it("asks for SSL where its ssl does", function()
    local folder = helper.project { files = { ["server.py"] = without_ssl } }
    helper.start({ folder .. "/server.py", folder .. "/port" }, { program = "/usr/bin/python3" })
    local port = helper.eventually(function() return helper.read(folder .. "/port") end)
    for value, asks in pairs { require = true, ["true"] = true, ["verify-full"] = true, disable = false } do
      local url = ("postgresql+asyncpg://owner@127.0.0.1:%s/d?gssencmode=disable&ssl=%s"):format(port, value)
      local result = helper.dmlua({ "--url", url, "current" }, { cwd = folder })
      assert.equal(5, result.code)
      assert.equal(asks, result.err:find("SSL was required", 1, true) ~= nil, value)
    end
  end)
end)

describe("an alembic.ini with what real ones hold", function()
  it("loads, and its tree is read", function()
    local folder = helper.project { files = {
      ["alembic.ini"] = [[
[alembic]
script_location = %(here)s/alembic
file_template = %%(year)d_%%(month).2d_%%(day).2d_%%(hour).2d%%(minute).2d-%%(rev)s_%%(slug)s
prepend_sys_path = .
timezone = UTC
truncate_slug_length = 40
revision_environment = false
sourceless = false
version_locations = %(here)s/alembic/versions %(here)s/billing/versions
path_separator = space
recursive_version_locations = false
output_encoding = utf-8
sqlalchemy.url =

[post_write_hooks]
hooks = ruff
ruff.type = module
ruff.module = ruff
ruff.options = check --fix REVISION_SCRIPT_FILENAME

[loggers]
keys = root,sqlalchemy,alembic

[logger_root]
level = WARNING
handlers = console
qualname =

[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
datefmt = %H:%M:%S
]],
      ["alembic/versions/a.py"] = "revision = 'a'\ndown_revision = None\n",
      ["billing/versions/b.py"] = "revision = 'b'\ndown_revision = None\nbranch_labels = ('billing',)\n"
        .. "depends_on = ('a',)\n",
    } }
    os.remove(folder .. "/dmlua.ini")
    assert.equal("a (effective head)\nb (billing) (head)\n", (dmlua(folder, "heads")))
    local out = dmlua(folder, { "revision", "-m", "Next one", "--head", "billing@head", "--rev-id", "c" })
    assert.matches("Generating billing/versions/%d+_%d%d_%d%d_%d%d%d%d%-c_next_one.lua ...  done\n", out)
  end)
end)
