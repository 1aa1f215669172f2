local cjson = require "cjson"
local helper = require "spec.helper"
local lfs = require "lfs"
local support = require "spec.support.server"

local root, server, project, status, start = support.root, support.run, support.project, support.status, support.start

local ini = [[
[dmlua]
services = management, isp
environment = development
app_role = app user
tenant_role = tenant_user

[management]
url = local:

[isp]
url = local:postgresql://x?a='b"
]]

-- The answer to a query, by `dmlua server psql`.
local function ask(folder, query, words)
  local arguments = { "psql", "-XAtqc", query }
  for i, word in ipairs(words or { "--service", "management" }) do table.insert(arguments, i + 1, word) end
  local result = server(folder, arguments)
  assert.equal(0, result.code, result.err)
  return (result.out:gsub("\n$", ""))
end

local function as_postgres(folder, query)
  return ask(folder, query, { "--service", "management", "--role", "postgres" })
end

local function shell(text)
  return helper.run("/bin/sh", { "-c", text })
end

local function alive(pid)
  return helper.run("/bin/kill", { "-0", tostring(pid) }).code == 0
end

-- Is this pid a process that runs PostgreSQL? A dead one that nobody has buried has no arguments.
local function serves(pid)
  local arguments = helper.read(("/proc/%d/cmdline"):format(pid))
  return arguments ~= nil and arguments ~= ""
end

local function replace_file(path, text)
  os.remove(path)
  helper.write(path, text)
end

describe("the local server", function()
  -- One for most of the file. A socket's path may have 107 bytes; this folder's alone has more.
  local folder = project(helper.folder() .. "/" .. ("long"):rep(30) .. "/it's \"ours\"", ini)

  it("is not running before its first use, and status makes nothing", function()
    local result = server(folder, { "status" })
    assert.equal(3, result.code)
    assert.equal("state  not made yet; `dmlua server start` makes it\n", result.out)
    assert.equal("not running\n", server(folder, { "stop" }).out)
    assert.is_nil(lfs.attributes(folder .. "/.dmlua"))
  end)

  it("is made once and shared when eight start it at once, past what a killed one left half-made", function()
    helper.write(folder .. "/.dmlua/data.unready/base/1/PG_VERSION", "15\n")
    if not root then helper.run("/bin/chmod", { "700", folder .. "/.dmlua" }) end
    local runs, made, pids = {}, 0, {}
    for i = 1, 8 do runs[i] = helper.start({ "server", "start", "--json" }, { cwd = folder }) end
    for i = 1, 8 do
      local result = runs[i].wait()
      assert.equal(0, result.code, result.err)
      pids[cjson.decode(result.out).pid] = true
      if result.err:find("Making a private PostgreSQL in", 1, true) then made = made + 1 end
    end
    assert.equal(1, made)
    assert.is_nil(next(pids, (next(pids)))) -- one
    assert.is_nil(lfs.attributes(folder .. "/.dmlua/data.unready"))
  end)

  it("runs as postgres where root starts it, else as the user, and says so", function()
    local found = status(folder)
    local name = root and "postgres" or helper.run("/usr/bin/id", { "-un" }).out:gsub("\n", "")
    assert.equal(name, found.user)
    local shown = helper.run("/bin/ps", { "-o", "user:32=", "-p", ("%d"):format(found.pid) }).out
    assert.equal(name, shown:match("%S+"))
  end)

  it("tells status its version, place and databases, with URLs that other tools can use", function()
    local result = server(folder, { "status" })
    assert.equal(0, result.code)
    assert.matches("^state +running, PostgreSQL %d+%.%d+, process %d+ of user ", result.out)
    local found = status(folder)
    assert.equal(folder .. "/.dmlua/data", found.data)
    assert.equal("management", found.databases[1].name)
    assert.equal("postgresql://x?a='b\"", found.databases[2].name)
    for _, database in ipairs(found.databases) do
      assert.equal("migrator " .. database.name .. "\n",
        helper.execute(database.url, "SELECT current_user || ' ' || current_database()"))
    end
  end)

  it("opens no TCP port and lets no other user of the machine in", function()
    local socket = status(folder).socket
    assert.equal("", ask(folder, "SHOW listen_addresses"))
    assert.equal("rwx------", lfs.attributes(socket, "permissions"))
    assert.equal("rwx------", lfs.attributes(socket .. "/.s.PGSQL.5432", "permissions"))
    assert.is_true(#socket < 60)
  end)

  it("writes UTF-8 in the locale C.UTF-8 and keeps what was committed", function()
    assert.equal("UTF8 C.UTF-8 C.UTF-8", ask(folder, "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate || ' ' "
      .. "|| datctype FROM pg_database WHERE datname = current_database()"))
    assert.equal("on on", as_postgres(folder,
      "SELECT current_setting('fsync') || ' ' || current_setting('synchronous_commit')"))
  end)

  it("leaves a setting alone that somebody made by ALTER SYSTEM", function()
    as_postgres(folder, "ALTER SYSTEM SET fsync = off") -- which makes the rest of this file faster, too
    as_postgres(folder, "SELECT pg_reload_conf()")
    start(folder)
    assert.equal("off", helper.eventually(function()
      local value = as_postgres(folder, "SHOW fsync")
      return value == "off" and value
    end))
  end)

  it("gives each service a database that belongs to a plain migrator", function()
    assert.equal("f f f t", ask(folder, "SELECT concat_ws(' ', rolsuper, rolbypassrls, rolcreaterole, rolcanlogin) "
      .. "FROM pg_roles WHERE rolname = 'migrator'"))
    assert.equal("2", ask(folder, "SELECT count(*) FROM pg_database WHERE datdba = 'migrator'::regrole"))
    assert.equal("postgresql://x?a='b\"", ask(folder, "SELECT current_database()", { "--service=isp" }))
  end)

  it("makes the roles of app_role and tenant_role, plain, and lets the migrator become them", function()
    assert.equal("app user, tenant_user", ask(folder, "SELECT string_agg(rolname, ', ' ORDER BY rolname) FROM pg_roles "
      .. "WHERE pg_has_role('migrator', oid, 'MEMBER') AND rolname <> 'migrator' AND rolname !~ '^pg_' "
      .. "AND NOT rolsuper AND NOT rolbypassrls"))
    assert.equal("app user", ask(folder, "SELECT current_user", { "--service", "management", "--role", "app user" }))
  end)

  it("hands psql's arguments on as they stand", function()
    local result = server(folder, { "psql", "--service=management", "-X", "-v", "x=a b", "-At", "-1" },
      { input = "SELECT :'x';\n" })
    assert.equal("a b\n", result.out, result.err)
    result = server(folder, { "psql", "--service=management", "-Xv", "ON_ERROR_STOP=1" }, { input = "no;" })
    assert.equal(3, result.code)
  end)

  it("is found whatever stands in the environment", function()
    local env = { PGHOST = "nowhere", PGHOSTADDR = "192.0.2.1", PGPORT = "1", PGUSER = "nobody", PGDATABASE = "none",
      PGSERVICE = "none", PGOPTIONS = "-c nonsense=1", PGSSLMODE = "verify-full", PGCHANNELBINDING = "require",
      PGDATA = "/nowhere", LC_ALL = "xx_XX.UTF-8", TZ = "nowhere" }
    local result = server(folder, { "start" }, { env = env })
    assert.equal(0, result.code, result.err)
    result = server(folder, { "psql", "--service=management", "-XAtc", "SELECT current_user" }, { env = env })
    assert.equal("migrator\n", result.out, result.err)
  end)

  it("needs a service to be named for psql, and none for the rest", function()
    local result = server(folder, { "psql" })
    assert.equal(2, result.code)
    assert.matches("several services (management, isp)", result.err, 1, true)
  end)

  it("makes a database again that somebody dropped", function()
    ask(folder, "DROP DATABASE management", { "--service=isp", "--role=postgres" })
    assert.equal("management", ask(folder, "SELECT current_database()"))
  end)

  it("makes a role again that somebody dropped, when it is started", function()
    as_postgres(folder, "DROP ROLE tenant_user")
    start(folder)
    assert.equal("tenant_user", ask(folder, "SELECT current_user", { "--service=management", "--role=tenant_user" }))
  end)

  it("refuses names that are the server's own or too long", function()
    for _, case in ipairs {
      { "--url=local:postgres", "database postgres of the local server is the server's own" },
      { "--url=local:" .. ("x"):rep(64), "is longer than the 63 bytes that PostgreSQL keeps of a name" },
      { "--url=host=elsewhere", "the URL in effect is not local:" },
    } do
      local result = server(folder, { "start", "--service=management", case[1] })
      assert.equal(2, result.code)
      assert.matches(case[2], result.err, 1, true)
    end
    replace_file(folder .. "/other.ini", "[dmlua]\nurl = local:\nenvironment = development\napp_role = postgres\n")
    local result = server(folder, { "start", "--config=other.ini" })
    assert.equal(2, result.code)
    assert.matches("app_role = postgres names a superuser of the local server", result.err, 1, true)
  end)

  it("outlives dmlua in a session of its own, with nothing of dmlua's but its log", function()
    assert.equal("stopped\n", server(folder, { "stop" }).out)
    assert.equal("not running\n", server(folder, { "stop" }).out)
    local result = helper.run("/bin/sh", { "-c", "exec 7<dmlua.ini 2>&1; exec " .. helper.quote(helper.program)
      .. " server start --json" }, { cwd = folder })
    assert.equal(0, result.code, result.out)
    local pid = math.tointeger(cjson.decode(result.out).pid)
    assert.equal(("%d %d ?"):format(pid, pid), (helper.run("/bin/ps", { "-o", "sid=,pgid=,tty=", "-p", tostring(pid) })
      .out:gsub(" +", " "):gsub("^ ", ""):gsub("\n", "")))
    local descriptors = helper.run("/bin/ls", { "-l", ("/proc/%d/fd"):format(pid) }).out
    assert.matches(" 0 -> /dev/null\n", descriptors, 1, true)
    assert.matches(" 2 -> " .. folder .. "/.dmlua/server.log\n", descriptors, 1, true)
    assert.not_matches("dmlua.ini", descriptors, 1, true)
    assert.not_matches("server.lock", descriptors, 1, true)
  end)

  it("starts on demand beside a stale postmaster.pid and a stale socket whose process is somebody else's", function()
    local found = status(folder)
    server(folder, { "stop" })
    -- a live process of the server's own user: the specs' server
    local pid = helper.value(helper.url("postgres", "postgres"),
      "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)")
    local text = ("%s\n%s\n1\n5432\n%s\n\n  0 0\nready\n"):format(pid, found.data, found.socket)
    helper.write(found.data .. "/postmaster.pid", text)
    helper.write(found.socket .. "/.s.PGSQL.5432.lock", text)
    helper.write(found.socket .. "/.s.PGSQL.5432", "")
    helper.run("/bin/chmod", { "700", found.socket })
    if root then helper.run("/bin/chown", { "-R", "postgres", found.socket, found.data .. "/postmaster.pid" }) end
    assert.equal(3, server(folder, { "status" }).code)
    assert.equal("migrator", ask(folder, "SELECT current_user"))
    assert.is_true(alive(pid))
  end)

  it("starts again after it was killed", function()
    ask(folder, "CREATE TABLE kept (id int)")
    helper.run("/bin/kill", { "-KILL", ("%d"):format(status(folder).pid) })
    assert.equal("0", ask(folder, "SELECT count(*) FROM kept"))
  end)

  it("starts again where its socket was swept from /tmp", function()
    local found = status(folder)
    helper.run("/bin/rm", { "-r", found.socket })
    assert.equal("0", ask(folder, "SELECT count(*) FROM kept"))
    assert.is_false(serves(found.pid))
  end)

  it("moves with its folder while it runs", function()
    local before, moved = status(folder).pid, folder .. " moved"
    os.rename(folder, moved)
    local ok, count = pcall(ask, moved, "SELECT count(*) FROM kept")
    server(moved, { "stop" })
    os.rename(moved, folder)
    assert.is_true(ok, count)
    assert.equal("0", count)
    assert.is_false(serves(before))
  end)

  it("refuses a folder for its socket that others may enter", function()
    server(folder, { "stop" })
    local socket = status(folder).socket
    lfs.mkdir(socket)
    helper.run("/bin/chmod", { "755", socket })
    if root then helper.run("/bin/chown", { "postgres", socket }) end
    local result = server(folder, { "start" })
    lfs.rmdir(socket)
    assert.equal(5, result.code)
    assert.matches(socket .. " is not a folder that user ", result.err, 1, true)
  end)

  it("names the package and the folder when its data is of a version that is not installed", function()
    server(folder, { "stop" })
    local path = status(folder).data .. "/PG_VERSION"
    local version = helper.read(path)
    helper.write(path, "12\n")
    local result = server(folder, { "start" })
    helper.write(path, version)
    assert.equal(5, result.code)
    assert.matches("was made by PostgreSQL 12, and there is no PostgreSQL 12 server", result.err, 1, true)
    assert.matches("apt-get install postgresql-12", result.err, 1, true)
    assert.matches([[it'\''s "ours"/.dmlua/data')]], result.err, 1, true)
  end)

  it("shows the end of its own log when it does not start", function()
    server(folder, { "stop" })
    local path = status(folder).data .. "/postgresql.auto.conf"
    local text = helper.read(path)
    helper.write(path, "no_such_setting = 1\n")
    local result = server(folder, { "start" })
    helper.write(path, text)
    assert.equal(5, result.code)
    assert.matches("does not start: it ended at once", result.err, 1, true)
    assert.matches('unrecognized configuration parameter "no_such_setting"', result.err, 1, true)
    assert.matches("hint: its log is ", result.err, 1, true)
  end)

  it("leaves a wait for another dmlua at Ctrl-C with 130", function()
    local lock = helper.quote(folder .. "/.dmlua/server.lock")
    local holder = shell("flock -o " .. lock .. " sleep 20 >/dev/null 2>&1 & echo $!").out
    helper.eventually(function() return shell("flock -n " .. lock .. " true").code == 1 end)
    local run = helper.start({ "server", "start" }, { cwd = folder })
    helper.eventually(function()
      local descriptors = helper.run("/bin/ls", { "-l", ("/proc/%d/fd"):format(run.pid) }).out
      return descriptors:find("server.lock", 1, true)
    end)
    run.kill("INT")
    local result = run.wait(10)
    shell("kill " .. holder)
    assert.equal(130, result.code)
    assert.matches("interrupted while waiting for another dmlua", result.err, 1, true)
  end)

  it("gives way to a new one when its folder was removed while it ran", function()
    local before = start(folder).pid
    helper.run("/bin/rm", { "-r", folder .. "/.dmlua" })
    assert.equal("", ask(folder, "SELECT to_regclass('kept')"))
    assert.is_false(serves(before))
    -- and what the old one did at its end has not touched the new one's data
    server(folder, { "stop" })
    assert.equal("management", ask(folder, "SELECT current_database()"))
  end)
end)
