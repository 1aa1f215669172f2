-- Kills a resumable loop at random moments, again and again, until a run of it ends; then every tenant must have been
-- visited exactly once. Shared by a spec that ends clients and sessions, and by spec/kill/run, which ends servers, too.

local busted = require "busted"
local helper = require "spec.helper"

local M = {}

local schema = [[ op.execute([=[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants SELECT 't' || lpad(g::text, 5, '0') FROM generate_series(1, %d) g;
  CREATE TABLE customers (tenant_id text NOT NULL, visits int NOT NULL DEFAULT 0);
  INSERT INTO customers SELECT id FROM tenants;
  CREATE INDEX ON customers (tenant_id);
  CREATE TABLE visited (tenant_id text NOT NULL);
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY customers_tenant_isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  ALTER TABLE visited ENABLE ROW LEVEL SECURITY;
  ALTER TABLE visited FORCE ROW LEVEL SECURITY;
  CREATE POLICY visited_tenant_isolation ON visited
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, UPDATE ON customers TO app;
  GRANT INSERT ON visited TO app;
]=]) ]]

local write = [[
  op.execute("UPDATE customers SET visits = visits + 1 WHERE tenant_id = :t", { t = tenant.id })
  op.execute("INSERT INTO visited VALUES (:t)", { t = tenant.id })]]
local read = [[
  op.get_bind():execute("SELECT visits FROM customers WHERE tenant_id = :t", { t = tenant.id }):fetchone()]]

local function each(body, options)
  return ("tenants.each(function(tenant)\n%s\nend, { mode = 'resumable'%s })"):format(body, options or "")
end

--- The loops that are killed in turn: name, and the step's text.
M.loops = {
  { name = "without reads", upgrade = each(write) },
  { name = "with reads", upgrade = each(read .. "\n" .. write) },
  { name = "without reads, on 4 connections", upgrade = each(write, ", workers = 4") },
  { name = "with reads, on 4 connections", upgrade = each(read .. "\n" .. write, ", workers = 4") },
}

local of_runner = "usename = 'owner' AND datname = current_database()"

-- Each way ends a run, or at least its session. True: it will not end before it is woken.
local ways = {}

-- Runners that sleep while others go on; what wakes them finds itself outlived.
local asleep = {}

function ways.client(running)
  running.kill "KILL"
end

function ways.session(_, db)
  helper.execute(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE " .. of_runner)
end

function ways.interrupt(running)
  running.kill(math.random(2) == 1 and "INT" or "TERM")
end

function ways.cancel(_, db)
  helper.execute(db, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND " .. of_runner)
end

function ways.sleep(running, db)
  if not running.kill "STOP" then return false end
  ways.session(running, db)
  asleep[#asleep + 1] = running
  return true
end

-- The postmaster ends all other sessions then, and recovers.
function ways.backend(_, db)
  local pid = helper.value(db, "SELECT pid FROM pg_stat_activity WHERE " .. of_runner .. " ORDER BY random() LIMIT 1")
  if pid then helper.run("/bin/kill", { "-KILL", pid }) end
end

-- What `pg_ctl stop -m immediate` sends; spec/kill/run starts it again.
function ways.server()
  local pid = helper.read(helper.host .. "/data/postmaster.pid"):match "%d+"
  helper.run("/bin/kill", { "-QUIT", pid })
  helper.eventually(function() return not helper.read(("/proc/%s/stat"):format(pid)) end)
end

local function answers(db)
  return pcall(helper.value, db, "SELECT 1")
end

-- One query, one snapshot: whoever still commits commits all of a tenant or nothing.
local function state(db)
  return helper.sql(db, [[
    SELECT (SELECT count(*) FROM customers WHERE visits = 1) AS once,
      (SELECT count(*) FROM customers WHERE visits > 1) AS more,
      (SELECT count(*) FROM visited) AS visited, (SELECT count(DISTINCT tenant_id) FROM visited) AS tenants,
      (SELECT count(*) FROM dmlua_progress WHERE tenant <> '' AND state = 'done') AS done,
      (SELECT count(*) FROM dmlua_progress) AS progress,
      (SELECT string_agg(version_num, ',') FROM alembic_version) AS version]])[1]
end

local function check(seed, what, expected, found)
  if expected == found then return end
  error(("seed %d: %s: %s instead of %s"):format(seed, what, tostring(found), tostring(expected)), 0)
end

-- After a kill: no tenant twice, and as many are noted as done as are.
local function check_between(db, seed)
  local now = state(db)
  check(seed, "tenants visited more than once", "0", now.more)
  check(seed, "rows of the log", now.once, now.visited)
  if now.version == "aaaa" then check(seed, "tenants noted as done", now.once, now.done) end
end

local function check_end(db, seed, tenants)
  local now, count = state(db), tostring(tenants)
  check(seed, "tenants visited once", count, now.once)
  check(seed, "rows of the log", count, now.visited)
  check(seed, "tenants in the log", count, now.tenants)
  check(seed, "rows of progress", "0", now.progress)
  check(seed, "version", "bbbb", now.version)
  check(seed, "parts of the step in the ledger", "1,2", helper.value(db, "SELECT string_agg(part::text, ',' ORDER BY"
    .. " part) FROM dmlua_ledger WHERE what = 'bbbb' AND outcome = 'done' AND tenant IS NULL"))
end

local function project(db, loop, tenants)
  local folder = helper.project { database = db,
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id" },
    versions = { { revision = "aaaa", upgrade = schema:format(tenants) },
      { revision = "bbbb", down = "aaaa", upgrade = loop.upgrade } } }
  local made = helper.dmlua("upgrade aaaa", { cwd = folder })
  assert(made.code == 0, made.err)
  return folder
end

-- Ended before the kill came; lost the server, or found it away; a statement of a tenant was cancelled; interrupted;
-- killed.
local expected_codes = { [0] = true, [5] = true, [6] = true, [130] = true, [137] = true }

local function check_code(result, way, seed)
  if not expected_codes[result.code] then
    error(("seed %d, after %s: exit %d\n%s"):format(seed, way, result.code, result.err), 0)
  end
  return result.code
end

local function wake(seed)
  for _, sleeper in ipairs(asleep) do
    sleeper.kill "CONT"
    check_code(sleeper.wait(), "sleep", seed)
  end
  asleep = {}
end

-- One run, ended after a random time. True when the loop was finished.
local function run_once(db, folder, options, counts)
  local way = options.ways[math.random(#options.ways)]
  local running = helper.start("-q upgrade head", { cwd = folder })
  busted.sleep(math.random() * options.longest)
  local sleeps = ways[way](running, db)
  local code = sleeps and 5 or check_code(running.wait(), way, options.seed)
  if not sleeps then wake(options.seed) end
  helper.eventually(function() return answers(db) end)
  check_between(db, options.seed)
  counts[way] = (counts[way] or 0) + (code ~= 0 and 1 or 0)
  return code == 0
end

--- Runs one loop to its end, each run but the last one killed. Options: seed (told when something is wrong; the caller
--- has set it), tenants, ways (names of what ends a run: client, session, interrupt, cancel, sleep, backend, server),
--- longest (seconds before the kill, at most), kills (after so many the loop is left in peace). Answers how many kills
--- each way struck.
function M.run(loop, options)
  local db, counts, runs = helper.database(), {}, 0
  local folder = project(db, loop, options.tenants)
  repeat
    runs = runs + 1
    local finished = runs <= options.kills and run_once(db, folder, options, counts)
    if not finished and runs > options.kills then
      local result = helper.dmlua("upgrade head", { cwd = folder })
      check(options.seed, "exit code of the last run", 0, result.code == 0 and 0 or result.err)
      finished = true
    end
  until finished
  wake(options.seed)
  check_end(db, options.seed, options.tenants)
  return counts
end

return M
