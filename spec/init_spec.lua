local cjson = require "cjson"
local helper = require "spec.helper"

local function init(folder, arguments)
  return helper.dmlua("init" .. (arguments and " " .. arguments or ""), { cwd = folder })
end

local function exists(path)
  return helper.read(path) ~= nil
end

local function config(folder, arguments)
  local result = helper.dmlua("config --json " .. arguments, { cwd = folder })
  assert.equal("", result.err)
  local document = cjson.decode(result.out)
  local values = {}
  for _, row in ipairs(document.settings) do values[row.key] = row.value end
  return values, document
end

describe("dmlua init", function()
  it("says what it makes in Alembic's words", function()
    local result = init(helper.folder(), "scripts")
    assert.equal(0, result.code)
    assert.equal([[
Creating directory scripts ...  done
Creating directory scripts/management ...  done
Creating directory scripts/management/versions ...  done
Creating directory scripts/management/fixes ...  done
Creating directory scripts/management/lib ...  done
Generating scripts/management/script.lua.in ...  done
Creating directory scripts/isp ...  done
Creating directory scripts/isp/versions ...  done
Creating directory scripts/isp/fixes ...  done
Creating directory scripts/isp/lib ...  done
Generating scripts/isp/script.lua.in ...  done
Creating directory scripts/editor ...  done
Generating scripts/editor/dmlua.lua ...  done
Generating .luarc.json ...  done
Generating dmlua.ini ...  done
Please edit configuration/connection/logging settings in dmlua.ini before proceeding.
]], result.out)
  end)

  it("answers with --json what it made", function()
    local document = cjson.decode(init(helper.folder(), "--json").out)
    assert.equal("dmlua.ini", document.config)
    assert.equal("migrations", document.made[1])
  end)

  describe("writes an ini", function()
    local folder = helper.folder()
    init(folder)

    it("that loads for each service in all three environments", function()
      for _, environment in ipairs { "development", "staging", "production" } do
        for _, service in ipairs { "management", "isp" } do
          local values, document = config(folder, ("--env %s --service %s"):format(environment, service))
          assert.same({ environment, service, "migrations/" .. service, "app", true }, {
            document.environment, document.service, values.script_location, values.app_role, document.rls,
          })
        end
      end
    end)

    it("that is for development on a private server, and names no server for the other environments", function()
      local values = config(folder, "--service isp")
      assert.same({ "development", "local:" }, { values.environment, values.url })
      assert.equal(cjson.null, config(folder, "--service isp --env production").url)
    end)

    it("that takes isp's tenants from management", function()
      local values = config(folder, "--service isp")
      assert.equal("management", values.tenants_service)
      assert.equal("SELECT id FROM tenants ORDER BY id", values.tenants_query)
    end)

    it("that asks for no rail which would stop a verb", function()
      for _, environment in ipairs { "development", "staging", "production" } do
        local _, document = config(folder, "--service isp --env " .. environment)
        for _, row in ipairs(document.settings) do
          if row.key ~= "url" then assert.equal(cjson.null, row.note) end
        end
      end
    end)

    it("with every key that dmlua knows, each below a comment", function()
      local text = helper.read(folder .. "/dmlua.ini")
      local table_text = helper.read(helper.root .. "/host/config/keys.c"):match "keys%[%] = {(.-)\n};"
      local count = 0
      for row in table_text:gmatch "{%.name[^}]*}" do
        local key, python = row:match '%.name = "([^"]*)"', row:find("KEY_PYTHON", 1, true)
        local name = key:gsub("^post_write_hooks%.", "")
        local line = text:match("\n(#? ?" .. name:gsub("%p", "%%%0") .. " = )")
        count = count + 1
        if not python then assert.is_truthy(line, name .. " is missing") end
      end
      assert.is_true(count > 30)
    end)
  end)

  it("writes a template whose revision is a script with a downgrade, and shows the guards", function()
    local folder = helper.folder()
    init(folder)
    local template = helper.read(folder .. "/migrations/isp/script.lua.in")
    assert.matches("guards.ensure_tenant_column", template, 1, true)
    local text = require("dmlua.template").render(template, "script.lua.in", {
      revision = "r1", message = "first", create_date = "2024-01-15 10:00:00", down_revision = { "r0" },
    })
    local environment = {}
    assert(load(text, "=r1", "t", environment))()
    assert.same({ "r1", "r0", "function", "function" }, {
      environment.revision, environment.down_revision, type(environment.upgrade), type(environment.downgrade),
    })
  end)

  it("makes a project in which a first revision runs at once", function()
    local folder, database = helper.folder(), helper.database()
    init(folder)
    local env = { SERVICE_TYPE = "isp", DATABASE_URL = database.url }
    for _, verb in ipairs { "revision -m first --rev-id r1", "upgrade head", "downgrade base", "upgrade head" } do
      local result = helper.dmlua(verb, { cwd = folder, env = env })
      assert.equal(0, result.code, result.err)
    end
    assert.equal("r1 (head)\n", helper.dmlua("current", { cwd = folder, env = env }).out)
  end)

  it("writes settings for editors that know every name of the vocabulary", function()
    local folder = helper.folder()
    init(folder)
    local settings = cjson.decode(helper.read(folder .. "/.luarc.json"))
    assert.equal("Lua 5.4", settings["runtime.version"])
    local known = {}
    for _, name in ipairs(settings["diagnostics.globals"]) do known[name] = true end
    for _, name in ipairs { "op", "sa", "postgresql", "guards", "tenants", "context", "null", "json", "log" } do
      assert.is_true(known[name], name)
    end
  end)

  it("writes over nothing", function()
    local folder = helper.folder()
    helper.write(folder .. "/dmlua.ini", "[dmlua]\n")
    helper.write(folder .. "/.luarc.json", "{}")
    local result = init(folder)
    assert.equal(0, result.code)
    assert.matches("File dmlua.ini already exists, skipping", result.out, 1, true)
    assert.same({ "[dmlua]\n", "{}" }, { helper.read(folder .. "/dmlua.ini"), helper.read(folder .. "/.luarc.json") })
    result = init(folder)
    assert.equal(2, result.code)
    assert.matches("Directory migrations already exists and is not empty", result.err, 1, true)
  end)

  it("makes nothing where the folder cannot be", function()
    local folder = helper.folder()
    helper.write(folder .. "/file", "x")
    assert.equal(2, init(folder, "file").code)
    assert.matches("is no folder", init(folder, "file").err, 1, true)
    assert.equal(2, init(folder, "file/x").code)
    assert.is_false(exists(folder .. "/dmlua.ini"))
  end)

  it("puts the ini where -c says, and names the trees from there", function()
    local folder = helper.folder()
    helper.write(folder .. "/etc/x", "")
    assert.equal(0, init(folder, "-c etc/other.ini 100%/deep").code)
    assert.equal(folder .. "/100%/deep/isp", config(folder, "-c etc/other.ini --service isp").script_location)
    assert.equal(0, init(folder, "-c some.ini etc/deep/").code)
    assert.equal("etc/deep/isp", config(folder, "-c some.ini --service isp").script_location)
  end)

  describe("-t generic", function()
    local folder = helper.folder()
    local made = init(folder, "db -t generic")

    it("makes one tree of one database, and an ini without services", function()
      assert.equal([[
Creating directory db ...  done
Creating directory db/versions ...  done
Creating directory db/fixes ...  done
Creating directory db/lib ...  done
Generating db/script.lua.in ...  done
Creating directory db/editor ...  done
Generating db/editor/dmlua.lua ...  done
Generating .luarc.json ...  done
Generating dmlua.ini ...  done
Please edit configuration/connection/logging settings in dmlua.ini before proceeding.
]], made.out)
      local values, document = config(folder, "")
      assert.same({ "db", "local:", "development", cjson.null }, {
        values.script_location, values.url, document.environment, document.service,
      })
      local text = helper.read(folder .. "/dmlua.ini")
      assert.is_nil(text:find "service" or text:find "management" or text:find "@%u+@")
      assert.same({ "?.lua", "db/lib/?.lua" }, cjson.decode(helper.read(folder .. "/.luarc.json"))["runtime.path"])
    end)

    it("makes a project in which a first revision runs at once", function()
      local database = helper.database()
      for _, verb in ipairs { "revision -m first --rev-id r1", "upgrade head", "downgrade base", "upgrade head" } do
        local result = helper.dmlua(verb, { cwd = folder, env = { DATABASE_URL = database.url } })
        assert.equal(0, result.code, result.err)
      end
    end)
  end)

  it("-t of a template that is none is refused in Alembic's words", function()
    local folder = helper.folder()
    local result = init(folder, "-t genric")
    assert.equal(2, result.code)
    assert.matches("FAILED: No such template 'genric' (did you mean 'generic'?)", result.err, 1, true)
    assert.is_false(exists(folder .. "/dmlua.ini"))
  end)
end)

describe("dmlua list_templates", function()
  it("lists what init -t takes, in Alembic's form", function()
    assert.equal([[
Available templates:

services - two services, management and isp, each a database with its own tree
generic - one database with one tree

Templates are used via the 'init' command, e.g.:

  dmlua init --template generic ./scripts
]], helper.dmlua("list_templates").out)
    local list = cjson.decode(helper.dmlua("list_templates --json").out).templates
    assert.same({ "services", "generic" }, { list[1].name, list[2].name })
  end)
end)
