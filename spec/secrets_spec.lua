-- A password is given in each way that there is; then nothing that dmlua writes, anywhere, may hold a piece of it.

local helper = require "spec.helper"

local MARKER = "mArk3r"
local plain = { role = "keeper_plain", password = MARKER .. "Word" }
local odd = { role = "keeper_odd", password = MARKER .. "@/: %'?#\\z" }

local function percent(text)
  return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- Without a password these two roles are not let in; the file is the suite's own server's.
local function require_passwords()
  local superuser = helper.url("postgres", "postgres")
  for _, who in ipairs { plain, odd } do
    local password = who.password:gsub("'", "''")
    helper.execute(superuser, ("CREATE ROLE %s LOGIN PASSWORD '%s'"):format(who.role, password))
  end
  helper.execute(superuser, ([[
    COPY (SELECT 1) TO PROGRAM 'sed -i "1i local all %s,%s scram-sha-256" "%s/data/pg_hba.conf"';
    SELECT pg_reload_conf()]]):format(plain.role, odd.role, helper.host))
  helper.eventually(function()
    local refused = helper.run(helper.programs .. "/psql", { "-Xwc", "SELECT 1", helper.url("postgres", plain.role) })
    return refused.code ~= 0
  end)
end

require_passwords()

-- Each answers { args, env, ini } for a database `at` = { name, host, password }; `host` may be one that is not there.
local ways = {
  ["a URL on the command line"] = function(at)
    return { who = plain, args = { "--url", ("postgresql://%s:%s@/%s?host=%s"):format(plain.role,
      at.password or plain.password, at.name, at.host) } }
  end,
  ["a percent-encoded URL"] = function(at)
    return { who = odd, env = { DATABASE_URL = ("postgresql+psycopg2://%s:%s@/%s?host=%s"):format(odd.role,
      percent(at.password or odd.password), at.name, at.host) } }
  end,
  ["a conninfo"] = function(at)
    local quoted = (at.password or odd.password):gsub("[\\']", "\\%0")
    return { who = odd, env = { DATABASE_URL = ("host=%s dbname=%s user=%s password='%s'"):format(at.host, at.name,
      odd.role, quoted) } }
  end,
  ["PGPASSWORD"] = function(at)
    return { who = odd, env = {
      DATABASE_URL = ("postgresql://%s@/%s?host=%s"):format(odd.role, at.name, at.host),
      PGPASSWORD = at.password or odd.password,
    } }
  end,
  [".pgpass"] = function(at)
    local file = helper.folder() .. "/pgpass"
    helper.write(file, "*:*:*:*:" .. (at.password or odd.password):gsub("[\\:]", "\\%0") .. "\n")
    helper.run("/bin/chmod", { "600", file })
    return { who = odd, env = {
      DATABASE_URL = ("host=%s dbname=%s user=%s"):format(at.host, at.name, odd.role), PGPASSFILE = file,
    } }
  end,
  ["the ini"] = function(at)
    local password = percent(at.password or odd.password)
    local url = ("postgresql://%s:%s@/%s?host=%s"):format(odd.role, password, at.name, at.host)
    return { who = odd, ini = (url:gsub("%%", "%%%%")) }
  end,
}

local versions = {
  { revision = "one", upgrade = 'op.execute("CREATE TABLE t (n int)")', downgrade = 'op.execute("DROP TABLE t")' },
  { revision = "two", down = "one", downgrade = 'op.execute("SELECT pg_advisory_lock_shared(4711)")' },
  { revision = "bad", down = "two", upgrade = 'op.execute("SELECT nothing")' },
}

local function project(way)
  return helper.project { database = way.ini, versions = versions, settings = { isolation = "none",
    ["sqlalchemy.echo"] = "true" } }
end

local function silent(text, what)
  assert.is_nil(text:find(MARKER, 1, true), what .. " shows the password:\n" .. text)
end

local function arguments(way, verb)
  local list = {}
  for word in verb:gmatch "%S+" do list[#list + 1] = word end
  for _, word in ipairs(way.args or {}) do list[#list + 1] = word end
  return list
end

local function run(folder, way, verb, code)
  local result = helper.dmlua(arguments(way, verb .. " -v"), { cwd = folder, env = way.env })
  silent(result.out .. result.err, verb)
  assert.equal(code, result.code, verb .. "\n" .. result.out .. result.err)
end

-- The command line of the program that a process has started; nil: there is none.
local function child_line(pid)
  local child = (helper.read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):match "%d+"
  local line = child and helper.read(("/proc/%s/cmdline"):format(child))
  return line and line:find("pg_dump", 1, true) and line or nil
end

for name, way_of in pairs(ways) do
  describe("a password in " .. name, function()
    local database = helper.database()
    local way = way_of { name = database.name, host = helper.host }
    local folder = project(way)
    helper.execute(database, "GRANT ALL ON SCHEMA public TO " .. way.who.role)

    it("is in no output of any verb", function()
      for _, verb in ipairs {
        "config", "upgrade two --json", "current", "current --json", "log", "log --json", "history", "heads",
        "plan upgrade head", "stamp two --json",
      } do
        run(folder, way, verb, 0)
      end
    end)

    it("is in no output of a verb that fails, and in no row of the database", function()
      run(folder, way, "upgrade bad", 1)
      run(folder, way, "upgrade bad --json", 1)
      run(folder, way, "upgrade nowhere", 2)
      run(folder, way, "upgrade two --service x", 2)
      silent(helper.run(helper.programs .. "/pg_dump", { database.postgres }).out, "the database")
    end)

    it("is in no output when the server is not reached, or lets nobody in", function()
      for _, at in ipairs {
        { name = database.name, host = "/nowhere" },
        { name = "no_such_database", host = helper.host },
        { name = database.name, host = helper.host, password = MARKER .. "wrong" },
      } do
        local refused = way_of(at)
        run(project(refused), refused, "current", 5)
      end
    end)

    it("is neither in the process list nor in pg_stat_activity while dmlua runs", function()
      local holder = helper.connect(database)
      holder:exec("SELECT pg_advisory_lock(4711)")
      local process = helper.start(arguments(way, "downgrade one"), { cwd = folder, env = way.env })
      helper.eventually(function()
        return helper.value(database, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
      end)
      silent(helper.read(("/proc/%d/cmdline"):format(process.pid)), "the process list")
      silent(helper.execute(database, "TABLE pg_stat_activity"), "pg_stat_activity")
      holder:exec("SELECT pg_advisory_unlock(4711)")
      local result = process.wait()
      silent(result.out .. result.err, "downgrade")
      assert.equal(0, result.code, result.err)
    end)

    it("is not in the command line of the pg_dump that baseline starts", function()
      run(folder, way, "stamp bad", 0)
      local holder = helper.connect(database)
      holder:exec("BEGIN")
      holder:exec("LOCK TABLE t") -- pg_dump waits for it
      local process = helper.start(arguments(way, "baseline -m base"), { cwd = folder, env = way.env })
      local line = helper.eventually(function() return child_line(process.pid) end)
      helper.eventually(function()
        return helper.value(database, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump'"
          .. " AND wait_event_type = 'Lock'")
      end)
      assert.matches("^[^%z]*pg_dump%z.*%-%-dbname%z.*user='" .. way.who.role, line)
      silent(line, "pg_dump's command line")
      holder:exec("COMMIT")
      local result = process.wait()
      silent(result.out .. result.err, "baseline")
      assert.equal(0, result.code, result.err)
    end)
  end)
end

describe("a URL that cannot be read", function()
  local folder = helper.project { settings = { isolation = "none" } }

  for _, url in ipairs {
    "postgresql://u:mArk3r@mArk3r@h/d", "postgresql://u:mArk3r/mArk3r@h/d", "postgresql://u:mArk3r?mArk3r@h/d",
    "postgresql://u:mArk3r%zzmArk3r@h/d", "postgresql://u:mArk3r%@h/d", "postgresql://u:mArk3r/d",
    "postgresql://u:mArk3r", "postgresql://u@h:mArk3r/d", "postgresql://u:mArk3r@h/d?password=mArk3r&foo=mArk3r",
    "mysql://u:mArk3r@h/d",
    "host=h password=a mArk3r", "host=h password='mArk3r", "password=x mArk3r=y", "mArk3r",
    "postgresql://u:mArk3r@h/d?ssl=perhaps",
    "postgresql://h/d?user=u&password=mArk3r&nothing=1", "postgresql://u:mArk3r@[::1/d",
  } do
    it("is exit 2 and shows no piece of a password: " .. url:gsub(MARKER, "…"), function()
      for _, verb in ipairs { "config", "log" } do
        local result = helper.dmlua({ verb, "--url", url }, { cwd = folder })
        silent(result.out .. result.err, verb)
        assert.equal(verb == "config" and 0 or 2, result.code)
      end
    end)
  end

  it("or stands in a wrong place of the command line shows no piece of a password either", function()
    local url, conninfo = "postgresql://u:mArk3r@mArk3r@h/d", "host=h password='mArk3r \\' mArk3r'"
    for _, words in ipairs {
      { url }, { conninfo }, { "upgrade", "--ulr", url }, { "upgrade", "head", url }, { "current", "--service", url },
      { "current", "--env", conninfo }, { "current", "-c", url }, { "upgrade", url, "--url", "host=/nowhere" },
    } do
      local result = helper.dmlua(words, { cwd = folder })
      silent(result.out .. result.err, table.concat(words, " "))
      assert.is_true(result.code == 2 or result.code == 5)
    end
  end)

  it("is a broken line of the ini, and its text is not shown", function()
    for _, line in ipairs {
      "url postgresql;//u;mArk3r@h", "//u mArk3r@h = x", "url = postgresql://u:mArk3r%40x@h", "mArk3r word: x",
      "url = %(mArk3r", "url = postgresql://u:mArk3r%(x)@h",
    } do
      local broken = helper.folder()
      helper.write(broken .. "/dmlua.ini", "[dmlua]\n" .. line .. "\n")
      local result = helper.dmlua("config --json", { cwd = broken })
      assert.equal(2, result.code)
      silent(result.out .. result.err, line)
    end
  end)
end)

describe("`dmlua config`", function()
  it("shows a URL without its passwords, in the way it was written", function()
    local folder = helper.project {}
    for given, shown in pairs {
      ["postgresql://u:mArk3r@h:1/d?sslmode=require"] = "postgresql://u:***@h:1/d?sslmode=require",
      ["postgresql+asyncpg://u:%6dArk3r@h/d"] = "postgresql+asyncpg://u:***@h/d",
      ["postgresql://u@h/d?password=mArk3r"] = "postgresql://u@h/d?***",
      ["postgresql://u:mArk3r@h/d?sslpassword=mArk3r"] = "postgresql://u:***@h/d?***",
      ["host=h password=mArk3r user=u"] = "user=u password=*** host=h",
    } do
      local result = helper.dmlua({ "config", "--json" }, { cwd = folder, env = { DATABASE_URL = given } })
      assert.is_truthy(result.out:find('"' .. shown .. '"', 1, true), result.out)
    end
  end)
end)
