local cjson = require "cjson"
local helper = require "spec.helper"

-- A folder with this text as its ini.
local function folder_of(text, name)
  local folder = helper.folder()
  helper.write(folder .. "/" .. (name or "dmlua.ini"), text)
  return folder
end

-- What `dmlua config --json` answers, with the settings by key.
local function load(folder, arguments, env)
  local words = { "config", "--json" }
  for _, word in ipairs(arguments or {}) do words[#words + 1] = word end
  local result = helper.dmlua(words, { cwd = folder, env = env })
  assert.equal("", result.code == 0 and "" or result.err)
  local document = cjson.decode(result.out)
  for _, row in ipairs(document.settings) do document[row.key] = row end
  return document, result
end

-- The error that `dmlua config` ends with, which must be exit 2; the document of --json has the same facts.
local function refusal(folder, arguments, env)
  local words = { "config", "--json" }
  for _, word in ipairs(arguments or {}) do words[#words + 1] = word end
  local result = helper.dmlua(words, { cwd = folder, env = env })
  assert.equal(2, result.code)
  local error = cjson.decode(result.out).error
  assert.equal("usage", error.kind)
  return error, result.err
end

local function refused(text, arguments, env)
  return refusal(folder_of(text), arguments, env)
end

local main = "[dmlua]\nscript_location = scripts\n"

describe("where the configuration is", function()
  local folder = helper.folder()
  helper.write(folder .. "/dmlua.ini", "[dmlua]\ntenant_column = outer\n")
  helper.write(folder .. "/a/alembic.ini", "[alembic]\ntenant_column = inner\n")
  helper.write(folder .. "/a/b/x", "")
  helper.write(folder .. "/both/alembic.ini", "[alembic]\ntenant_column = alembic\n")
  helper.write(folder .. "/both/dmlua.ini", "[dmlua]\ntenant_column = dmlua\n")

  it("is the nearest folder above that has one", function()
    assert.equal("inner", load(folder .. "/a/b").tenant_column.value)
  end)

  it("is dmlua.ini where alembic.ini lies beside it", function()
    assert.equal("dmlua", load(folder .. "/both").tenant_column.value)
  end)

  it("is DMLUA_CONFIG's file where that is set, and -c's before that", function()
    local env = { DMLUA_CONFIG = folder .. "/both/alembic.ini" }
    assert.equal("alembic", load(folder .. "/a", {}, env).tenant_column.value)
    assert.equal("outer", load(folder .. "/a", { "-c", "../dmlua.ini" }, env).tenant_column.value)
  end)

  it("is an error with Alembic's words and the way out where there is none", function()
    assert.matches("No config file 'nowhere.ini' found", refusal(folder, { "-c", "nowhere.ini" }).message, 1, true)
    assert.matches("it is a folder", refusal(folder, { "-c", "a" }).message, 1, true)
    assert.matches("dmlua init", refusal("/", {}).hint, 1, true)
  end)

  it("tells an alembic.ini by its section, not its name", function()
    assert.equal("none", load(folder_of("[alembic]\n")).isolation.value)
    assert.equal("rls", load(folder_of("[dmlua]\n", "alembic.ini")).isolation.value)
    assert.matches("no %[dmlua%] either", refused("[production]\nenable_rls = true\n").message)
  end)
end)

describe("the ini's syntax is Python's configparser's", function()
  it("takes = and :, folds the case of keys, and keeps both in values", function()
    local config = load(folder_of("[dmlua]\nApp_Role:a = b\n[DEFAULT]\nTENANT_SETTING = app : x\n"))
    assert.equal("a = b", config.app_role.value)
    assert.equal("app : x", config.tenant_setting.value)
  end)

  it("takes # and ; for comments at a line's head only", function()
    local config = load(folder_of("# one\n[dmlua]\n; two\n  # three\ntenants_query = SELECT 1; -- # and ; stay\n" ..
      "url = postgresql://u@h/d?application_name=a;b#c\n"))
    assert.equal("SELECT 1; -- # and ; stay", config.tenants_query.value)
    assert.equal("postgresql://u@h/d?application_name=a;b#c", config.url.value)
  end)

  it("goes on with a value in lines that are indented deeper than its key, past comments and empty lines", function()
    local config = load(folder_of("[dmlua]\ntenants_query =\n  SELECT id\n\n  # not this\n    FROM tenants\n" ..
      "app_role = a\n"))
    assert.equal("SELECT id\nFROM tenants", config.tenants_query.value)
    assert.equal("a", config.app_role.value)
  end)

  it("takes keys that are all indented alike for keys", function()
    local config = load(folder_of("[dmlua]\n  app_role = a\n  tenant_role = b\n"))
    assert.equal("a b", config.app_role.value .. " " .. config.tenant_role.value)
  end)

  it("reads a byte order mark, carriage returns, a last line without its end, and lines of 60,000 bytes", function()
    local long = ("x"):rep(60000)
    local config = load(folder_of("\xEF\xBB\xBF[dmlua]\r\napp_role = a\r\ntenants_query = " .. long))
    assert.equal("a", config.app_role.value)
    assert.equal(long, config.tenants_query.value)
  end)

  it("replaces %%, %(key)s of the same section, [dmlua] and [DEFAULT], and %(here)s by the file's folder", function()
    local folder = folder_of("[DEFAULT]\nwho = me\n[dmlua]\napp_role = %(WHO)s_app\ntenant_role = %(app_role)s%%x\n" ..
      "script_location = %(here)s/s\n[production]\ntenants_query = %(tenant_role)s\n")
    local config = load(folder)
    assert.equal("me_app%x", config.tenants_query.value)
    assert.equal(config.folder .. "/s", config.script_location.value)
  end)

  it("names the line of a broken one and what was expected, but not its text", function()
    local error, text = refused("[dmlua]\n\nurl postgresql;//u;hunter22@h/d\n")
    assert.same({ "dmlua.ini", 3 }, { error.file, error.line })
    assert.matches("expected `key = value`", error.message, 1, true)
    assert.is_nil(text:find("hunter22", 1, true))
    assert.equal(2, refused("[dmlua]\n[production\n").line)
    assert.equal(1, refused("app_role = a\n[dmlua]\n").line)
    assert.matches("before the first key", refused("app_role = a\n[dmlua]\n").message, 1, true)
    assert.matches("expected", refused("[dmlua]\nno key = x\n").message, 1, true)
    assert.matches("expected", refused("[dmlua]\n = x\n").message, 1, true)
  end)

  it("refuses a key that is set twice, and names both lines", function()
    local error = refused("[dmlua]\napp_role = a\n\nAPP_ROLE = b\n")
    assert.equal("app_role is set twice in [dmlua], in lines 2 and 4", error.message)
    error = refused("[dmlua]\nurl = local:\nsqlalchemy.url = local:\n")
    assert.matches("url and sqlalchemy.url name the same setting.*in lines 2 and 3", error.message)
  end)

  it("refuses bytes that are no UTF-8, and NUL, with their line", function()
    local error = refused("[dmlua]\napp_role = \xff\n")
    assert.same({ "dmlua.ini", 2 }, { error.file, error.line })
    assert.matches("not valid UTF%-8", error.message)
    error = refused("[dmlua]\n\napp_role = a\0b\n")
    assert.equal(3, error.line)
    assert.matches("NUL", error.message)
  end)

  it("refuses a % that begins nothing, a name that is none, and a circle", function()
    local error = refused("[dmlua]\nurl = postgresql://u:hunter%40@h/d\n")
    assert.equal(2, error.line)
    assert.matches("%%40", error.hint, 1, true)
    error = refused("[dmlua]\nfile_template = %(rev)s\n")
    assert.matches("%%(rev)s", error.hint, 1, true)
    assert.matches("names itself", refused("[dmlua]\napp_role = %(tenant_role)s\ntenant_role = %(app_role)s\n").message)
    local nest = { "[DEFAULT]", "a0 = " .. ("x"):rep(100) }
    for i = 1, 9 do nest[#nest + 1] = ("a%d = %s"):format(i, ("%(a" .. i - 1 .. ")s"):rep(20)) end
    error = refused(table.concat(nest, "\n") .. "\n[dmlua]\napp_role = %(a9)s\n")
    assert.matches("longer than 64 kB", error.message)
  end)
end)

describe("a key", function()
  it("that dmlua does not know is an error with its line and the nearest name", function()
    local error = refused(main .. "tenant_colum = x\n")
    assert.same({ "dmlua.ini", 3 }, { error.file, error.line })
    assert.equal("unknown key tenant_colum in [dmlua] (did you mean tenant_column?)", error.message)
    assert.matches("did you mean sqlalchemy.url", refused("[alembic]\nsqlalchemy.ulr = x\n").message, 1, true)
    assert.equal("unknown key zzzz in [dmlua]", refused(main .. "zzzz = x\n").message)
  end)

  it("is checked in every section, of other environments and services too", function()
    assert.equal(4, refused(main .. "[staging]\nenable_rsl = true\n").line)
    assert.matches("did you mean enable_rls", refused(main .. "[staging]\nenable_rsl = true\n").message)
    assert.equal(4, refused("[dmlua]\nservices = isp\n[isp:staging]\nfoo = 1\n", { "--env", "production" }).line)
  end)

  it("that only other values name may stand in [DEFAULT], or anywhere if one does", function()
    assert.equal("h", load(folder_of("[DEFAULT]\nhost_name = h\n[dmlua]\napp_role = %(host_name)s\n")).app_role.value)
    assert.equal("h", load(folder_of("[alembic]\nhost_name = h\napp_role = %(host_name)s\n")).app_role.value)
  end)

  it("in [DEFAULT] is not taken for a variable where it looks like a key misspelt", function()
    assert.matches("did you mean enable_rls", refused("[DEFAULT]\nenable_rsl = true\n[dmlua]\n").message, 1, true)
    load(folder_of("[DEFAULT]\nwhatever_else = x\n[dmlua]\n"))
  end)

  it("that names services names those of the file", function()
    assert.equal("tenants_service names an unknown service 'managment' (did you mean management?)",
      refused("[dmlua]\nservices = management isp\n[isp]\ntenants_service = managment\n").message)
    assert.matches("unknown service 'x'", refused("[dmlua]\nrequires = x\n").message, 1, true)
  end)

  it("has a type, which is checked", function()
    assert.matches("enable_rls expects true or false", refused(main .. "enable_rls = maybe\n").message, 1, true)
    assert.matches("truncate_slug_length expects a whole number",
      refused(main .. "truncate_slug_length = -1\n").message, 1, true)
    assert.matches("isolation expects rls, schema or none", refused(main .. "isolation = row\n").message, 1, true)
    assert.matches("environment expects development, staging or production",
      refused(main .. "environment = prod\n").message, 1, true)
    for _, word in ipairs { "1", "YES", "On", "true" } do
      assert.is_true(load(folder_of("[dmlua]\nenable_rls = " .. word .. "\n")).rls)
    end
  end)

  it("that says which sections count belongs in [dmlua]", function()
    assert.matches("environment belongs in [dmlua], not in [staging]",
      refused(main .. "[staging]\nenvironment = staging\n").message, 1, true)
  end)

  it("that only Python reads does nothing in a dmlua.ini, and says so", function()
    local error = refused(main .. "prepend_sys_path = .\n")
    assert.matches("prepend_sys_path is read by Python only", error.message, 1, true)
  end)
end)

describe("a section", function()
  it("that no one reads is an error with its line and the nearest name", function()
    local error = refused(main .. "\n[prodution]\nenable_rls = true\n")
    assert.same({ "dmlua.ini", 4 }, { error.file, error.line })
    assert.equal("unknown section [prodution] (did you mean [production]?)", error.message)
    assert.matches("did you mean %[isp:staging%]", refused("[dmlua]\nservices = isp\n[isp:stagin]\n").message)
    assert.matches("unknown section [logger_root]", refused(main .. "[logger_root]\nlevel = WARN\n").message, 1, true)
    assert.matches("services =", refused(main .. "[billing]\nurl = local:\n").hint, 1, true)
  end)
end)

describe("an alembic.ini", function()
  it("as Alembic itself writes it loads, with one notice of what is for Python", function()
    local folder = folder_of(helper.read(helper.root .. "/spec/fixtures/config/alembic-1.8.ini"), "alembic.ini")
    local config, result = load(folder)
    assert.equal("scripts", config.script_location.value)
    assert.equal("os", config.version_path_separator.value)
    assert.equal(1, select(2, result.err:gsub("\n", "")))
    assert.matches("passed over what only Python needs: prepend_sys_path, [loggers], [handlers]", result.err, 1, true)
  end)

  it("may hold sections and engine options of env.py's", function()
    local config = load(folder_of([[
[alembic]
script_location = migrations
file_template = %%(year)d_%%(rev)s_%%(slug)s
databases = one, two
sqlalchemy.pool_pre_ping = true
db_user = u
sqlalchemy.url = postgresql+psycopg2://%(db_user)s@h/d
[alembic:exclude]
tables = spatial_ref_sys
[logging]
default_level = INFO
[one]
sqlalchemy.url = x
[post_write_hooks]
hooks = black
black.type = console_scripts
black.options = -l 79 REVISION_SCRIPT_FILENAME
]]))
    assert.equal("%(year)d_%(rev)s_%(slug)s", config.file_template.value)
    assert.equal("postgresql+psycopg2://u@h/d", config.url.value)
    assert.equal("black", config["post_write_hooks.hooks"].value)
  end)

  it("whose URL env.py fills in loads, and asks for another one only when the URL is used", function()
    local folder = folder_of("[alembic]\nscript_location = .\nsqlalchemy.url = postgresql://%(DB_USER)s@h/d\n")
    helper.write(folder .. "/versions/x", "")
    assert.matches("names %(DB_USER)s", load(folder).url.note, 1, true)
    local result = helper.dmlua("current", { cwd = folder })
    assert.equal(2, result.code)
    assert.matches("the URL of the database (dmlua.ini:3 [alembic]) cannot be had", result.err, 1, true)
    assert.equal("postgresql://u@h/d", load(folder, {}, { DATABASE_URL = "postgresql://u@h/d" }).url.value)
  end)

  it("still has no section of ours misspelt, and no section with our keys that no one reads", function()
    assert.matches("did you mean %[staging%]", refused("[alembic]\n[stagin]\nx = 1\n").message)
    assert.matches("unknown section [prd]", refused("[alembic]\n[prd]\nenable_rls = true\n").message, 1, true)
    assert.matches("unknown key black.typ", refused("[alembic]\n[post_write_hooks]\nblack.typ = x\n").message, 1, true)
  end)

  it("may have a [dmlua] section beside [alembic], which wins", function()
    local config = load(folder_of("[alembic]\nversion_table = a\nsourceless = no\n[dmlua]\nversion_table = b\n"))
    assert.same({ "b", "rls" }, { config.version_table.value, config.isolation.value })
  end)

  it("of the guide loads in all three environments", function()
    local folder = folder_of(helper.read(helper.root .. "/spec/fixtures/config/guide.ini"), "alembic.ini")
    local development = load(folder, { "--env", "development" })
    assert.same({ "true", "true", "true", "none", false }, {
      development["sqlalchemy.echo"].value, development.skip_rls_setup.value,
      development.allow_unsafe_migrations.value, development.isolation.value, development.rls,
    })
    local staging = load(folder, { "--env", "staging" })
    assert.same({ "10", "20", "rls", true }, {
      staging["sqlalchemy.pool_size"].value, staging["sqlalchemy.max_overflow"].value, staging.isolation.value,
      staging.rls,
    })
    local production = load(folder)
    assert.same({ "production", "20", true }, {
      production.environment.value, production["sqlalchemy.pool_size"].value, production.rls,
    })
    assert.equal("true", production.enable_audit_triggers.value)
    local rails = { "require_migration_validation", "require_backup_before_migration" }
    for _, rail in ipairs(rails) do
      assert.equal("true", production[rail].value)
      assert.matches("which this version of dmlua does not do", production[rail].note, 1, true)
    end
  end)
end)

describe("a setting", function()
  local folder = folder_of([[
[DEFAULT]
tenant_column = default
[dmlua]
services = management isp
environment = staging
app_role = main
tenant_role = main
tenant_type = main
tenant_setting = main
[staging]
tenant_role = environment
tenant_type = environment
tenant_setting = environment
url = postgresql://staging/d
[isp]
tenant_type = service
tenant_setting = service
[isp:staging]
tenant_setting = both
[isp:production]
tenant_setting = other
]])

  it("comes from the most special section, and says from which line", function()
    local config = load(folder, { "--service", "isp" })
    assert.same({ "default", "dmlua.ini:2 [DEFAULT]" }, { config.tenant_column.value, config.tenant_column.origin })
    assert.same({ "main", "dmlua.ini:6 [dmlua]" }, { config.app_role.value, config.app_role.origin })
    assert.same({ "environment", "dmlua.ini:11 [staging]" }, { config.tenant_role.value, config.tenant_role.origin })
    assert.same({ "service", "dmlua.ini:16 [isp]" }, { config.tenant_type.value, config.tenant_type.origin })
    assert.same({ "both", "dmlua.ini:19 [isp:staging]" }, { config.tenant_setting.value, config.tenant_setting.origin })
    assert.same({ "alembic_version", "default" }, { config.version_table.value, config.version_table.origin })
  end)

  it("of the URL comes from --url, the service's own variable, DATABASE_URL, the file, in that order", function()
    local env = { DATABASE_URL = "postgresql://any/d" }
    assert.equal("dmlua.ini:14 [staging]", load(folder, { "--service", "isp" }).url.origin)
    assert.same({ "postgresql://any/d", "DATABASE_URL" },
      (function(url) return { url.value, url.origin } end)(load(folder, { "--service", "isp" }, env).url))
    env.DMLUA_URL_ISP = "postgresql://isp/d"
    assert.equal("DMLUA_URL_ISP", load(folder, { "--service", "isp" }, env).url.origin)
    assert.equal("DATABASE_URL", load(folder, { "--service", "management" }, env).url.origin)
    assert.equal("--url", load(folder, { "--service", "isp", "--url", "local:" }, env).url.origin)
  end)

  it("of the environment comes from --env, DMLUA_ENV, the file, else it is production", function()
    local env = { DMLUA_ENV = "development" }
    assert.equal("staging", load(folder).environment.value)
    assert.same({ "development", "DMLUA_ENV" },
      (function(row) return { row.value, row.origin } end)(load(folder, {}, env).environment))
    assert.equal("production", load(folder, { "--env", "production" }, env).environment.value)
    assert.equal("production", load(folder_of(main)).environment.value)
    assert.matches("unknown environment 'prod'", refusal(folder, { "--env", "prod" }).message, 1, true)
  end)

  it("of the service comes from --service, SERVICE_TYPE, or is the only one", function()
    local env = { SERVICE_TYPE = "isp" }
    assert.equal("isp", load(folder, {}, env).service.value)
    assert.equal("management", load(folder, { "--service", "management" }, env).service.value)
    assert.equal("isp", load(folder_of("[dmlua]\nservices = isp\n")).service.value)
    assert.equal(cjson.null, load(folder).service.value)
  end)

  it("of tenant_role is app_role where nothing says more", function()
    assert.equal("a", load(folder_of("[dmlua]\napp_role = a\n")).tenant_role.value)
  end)
end)

describe("a service", function()
  local folder = folder_of("[dmlua]\nservices = management, isp\nurl = local:\n")

  it("that is unknown is exit 2 with the nearest name", function()
    local error = refusal(folder, {}, { SERVICE_TYPE = "managment" })
    assert.equal("unknown service 'managment' (SERVICE_TYPE; did you mean management?)", error.message)
    assert.matches("management, isp", error.hint, 1, true)
    assert.matches("services = NAME", refusal(folder_of(main), { "--service", "isp" }).hint, 1, true)
  end)

  it("must be named, for a verb that uses a database, where there are several", function()
    local result = helper.dmlua("log", { cwd = folder })
    assert.equal(2, result.code)
    assert.matches("several services (management, isp), and none was named", result.err, 1, true)
  end)

  it("has a name that makes a section and a variable of its own", function()
    assert.matches("'staging' cannot be the name", refused("[dmlua]\nservices = staging\n").message, 1, true)
    assert.matches("'a:b' cannot be", refused("[dmlua]\nservices = a:b\n").message, 1, true)
    assert.matches("twice", refused("[dmlua]\nservices = a-b a_b\n").message)
  end)
end)

describe("a rail", function()
  local function use(text)
    local ini = "[dmlua]\nservices = isp\nscript_location = s\nurl = postgresql://u@127.0.0.1:1/d\n"
    return helper.dmlua("log", { cwd = folder_of(ini .. text) })
  end

  for key, value in pairs {
    require_migration_validation = "true", require_backup_before_migration = "true",
    require_approval = "2", isolation = "schema", direct_url = "postgresql://h/d", requires = "isp",
  } do
    it("that is not built yet stops a verb that uses a database: " .. key, function()
      local result = use(("[production]\n%s = %s\n"):format(key, value))
      assert.equal(2, result.code)
      assert.matches(key, result.err, 1, true)
      assert.matches("dmlua.ini:6 [production]", result.err, 1, true)
      assert.matches("which this version of dmlua does not do", result.err, 1, true)
    end)
  end

  it("that is switched off stops nothing", function()
    local result = use("require_migration_validation = false\nrequire_approval = 0\nenable_audit_triggers = off\n" ..
      "allow_unsafe_migrations = true\nsqlalchemy.pool_size = 5\nsqlalchemy.max_overflow = 1\n")
    assert.is_nil(result.err:find("this version of dmlua", 1, true))
  end)

  it("lists all that are asked for at once", function()
    local result = use("require_migration_validation = true\nrequire_approval = 2\n")
    assert.matches("require_migration_validation.*require_approval", result.err)
  end)

  it("that contradicts another is exit 2 and names both places", function()
    local result = use("enable_rls = true\n[production]\nskip_rls_setup = true\n")
    assert.equal(2, result.code)
    assert.matches("skip_rls_setup = true (dmlua.ini:7 [production]) contradicts " ..
      "enable_rls = true (dmlua.ini:5 [dmlua])", result.err, 1, true)
    result = use("isolation = none\n[production]\nenable_rls = true\n")
    assert.equal(2, result.code)
    assert.matches("isolation = none (dmlua.ini:5 [dmlua]) contradicts " ..
      "enable_rls = true (dmlua.ini:7 [production])", result.err, 1, true)
  end)

  it("of row security is on in a dmlua.ini, off in an alembic.ini, and follows its keys", function()
    local function rls(text) return load(folder_of(text)).rls end
    assert.is_true(rls("[dmlua]\n"))
    assert.is_false(rls("[dmlua]\nskip_rls_setup = true\n"))
    assert.is_false(rls("[dmlua]\nenable_rls = false\n"))
    assert.is_false(rls("[dmlua]\nisolation = none\n"))
    assert.is_false(rls("[alembic]\n"))
    assert.is_true(rls("[alembic]\nenable_rls = true\n"))
    assert.is_true(rls("[alembic]\nisolation = rls\n"))
  end)
end)

describe("doc/configuration.md", function()
  it("has every key that dmlua knows", function()
    local doc = helper.read(helper.root .. "/doc/configuration.md")
    local text = helper.read(helper.root .. "/host/config/keys.c"):match "keys%[%] = {(.-)\n};"
    for row in text:gmatch "{%.name[^}]*}" do
      local name = row:match '%.name = "([^"]*)"':gsub("^post_write_hooks%.", "")
      assert.is_truthy(doc:find("`" .. name .. "`", 1, true), name .. " is missing")
      local alias = row:match '%.alias = "([^"]*)"'
      assert.is_truthy(not alias or doc:find("`" .. alias .. "`", 1, true), tostring(alias) .. " is missing")
      local unbuilt = row:find("unbuilt", 1, true) ~= nil
      local line = doc:match("\n|[^|]*`" .. name:gsub("%p", "%%%0") .. "`[^\n]*")
      if line then
        assert.equal(unbuilt, line:find("**not built**", 1, true) ~= nil, name)
      end
    end
  end)
end)
