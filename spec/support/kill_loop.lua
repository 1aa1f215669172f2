-- Kills a resumable loop at random moments, again and again, until a run of it ends; then every tenant must have been
-- visited exactly once. Shared by a spec that ends clients and sessions, and by spec/kill/run, which ends servers, too.

local busted = require "busted"
local helper = require "spec.helper"

local M = {}

local schema = [[ op.execute([=[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants SELECT 't' || lpad(g::text, 5, '0') FROM generate_series(1, <tenants>) g;
  CREATE TABLE customers (tenant_id text NOT NULL, id bigint PRIMARY KEY, visits int NOT NULL DEFAULT 0);
  INSERT INTO customers SELECT t.id, row_number() OVER () FROM tenants t, generate_series(1, <rows>);
  CREATE INDEX ON customers (tenant_id, id);
  CREATE TABLE visited (tenant_id text NOT NULL, id bigint NOT NULL);
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
  op.execute("INSERT INTO visited SELECT tenant_id, id FROM customers WHERE tenant_id = :t", { t = tenant.id })]]
local read = [[
  op.get_bind():execute("SELECT visits FROM customers WHERE tenant_id = :t", { t = tenant.id }):fetchone()
]]
local batch = [[
  local range = { first = batch.first, last = batch.last }
  op.execute("UPDATE customers SET visits = visits + 1 WHERE id BETWEEN :first AND :last", range)
  op.execute("INSERT INTO visited SELECT tenant_id, id FROM customers WHERE id BETWEEN :first AND :last", range)]]

local function each(body, options)
  return ("tenants.each(function(tenant, batch)\n%s\nend, { mode = 'resumable'%s })"):format(body, options)
end

local in_batches = ", batch = { table = 'customers', size = 7 }"

--- The loops that are killed in turn: name, the step's text, and how many rows a tenant has, where there are fewer
--- tenants instead.
M.loops = {
  { name = "without reads", upgrade = each(write, "") },
  { name = "with reads", upgrade = each(read .. write, "") },
  { name = "without reads, on 4 connections", upgrade = each(write, ", workers = 4") },
  { name = "with reads, on 4 connections", upgrade = each(read .. write, ", workers = 4") },
  { name = "in batches", upgrade = each(batch, in_batches), rows = 20 },
  { name = "in batches, on 4 connections", upgrade = each(batch, in_batches .. ", workers = 4"), rows = 20 },
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

-- One query, one snapshot: whoever still commits commits a transaction or nothing.
local function state(db)
  return helper.sql(db, [[
    SELECT (SELECT count(*) FROM customers WHERE visits = 1) AS once,
      (SELECT count(*) FROM customers WHERE visits > 1) AS more,
      (SELECT count(*) FROM visited) AS visited, (SELECT count(DISTINCT id) FROM visited) AS rows,
      (SELECT count(*) FROM (SELECT FROM customers GROUP BY tenant_id HAVING bool_and(visits > 0)) t) AS tenants,
      (SELECT count(*) FROM dmlua_progress WHERE tenant <> '' AND state = 'done') AS done,
      (SELECT count(*) FROM dmlua_progress) AS progress,
      (SELECT string_agg(version_num, ',') FROM alembic_version) AS version]])[1]
end

local function check(seed, what, expected, found)
  if expected == found then return end
  error(("seed %d: %s: %s instead of %s"):format(seed, what, tostring(found), tostring(expected)), 0)
end

-- After a kill: no row twice, and as many tenants are noted as done as are.
local function check_between(db, seed)
  local now = state(db)
  check(seed, "rows visited more than once", "0", now.more)
  check(seed, "rows of the log", now.once, now.visited)
  if now.version == "aaaa" then check(seed, "tenants noted as done", now.tenants, now.done) end
end

-- Parts once each; and no tenant is said to have had more rows written than were.
local function check_ledger(db, seed, rows)
  check(seed, "each part of the step in the ledger once", "t", helper.value(db, "SELECT count(*) > 1"
    .. " AND count(*) = count(DISTINCT part) AND count(*) = max(part) FROM dmlua_ledger"
    .. " WHERE what = 'bbbb' AND outcome = 'done' AND tenant IS NULL"))
  check(seed, "tenants with too many rows in the ledger", "0", helper.value(db, ("SELECT count(*) FROM (SELECT FROM"
    .. " dmlua_ledger WHERE what = 'bbbb' AND outcome = 'counted' GROUP BY tenant, note HAVING sum(rows) > %d) t")
    :format(rows)))
end

local function check_end(db, seed, tenants, rows)
  local now, count = state(db), tostring(tenants * rows)
  check(seed, "rows visited once", count, now.once)
  check(seed, "rows of the log", count, now.visited)
  check(seed, "different rows in the log", count, now.rows)
  check(seed, "rows of progress", "0", now.progress)
  check(seed, "version", "bbbb", now.version)
  check_ledger(db, seed, rows)
end

local function project(db, loop, tenants, rows)
  local folder = helper.project { database = db,
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id" },
    versions = { { revision = "aaaa", upgrade = schema:gsub("<(%w+)>", { tenants = tenants, rows = rows }) },
      { revision = "bbbb", down = "aaaa", upgrade = loop.upgrade } } }
  local made = helper.dmlua("upgrade aaaa", { cwd = folder })
  assert(made.code == 0, made.err)
  return folder
end

-- Ended before the kill came; lost the server, or found it away; a statement of a tenant was cancelled; interrupted;
-- killed; terminated before it could say so itself.
local expected_codes = { [0] = true, [5] = true, [6] = true, [130] = true, [137] = true,
  [143] = true }

local function check_code(result, way, seed)
  local outside = way == "cancel" and result.code == 1 -- of the tenants' own statements
  if not expected_codes[result.code] and not outside then
    error(("seed %d, after %s: exit %d\n%s"):format(seed, way, result.code, result.err), 0)
  end
  return result.code
end

-- A run that does not end: what the server says of it goes with the failure.
local function wait(running, way, db)
  local ok, result = pcall(running.wait, 60)
  if ok then return result end
  local seen = select(2, pcall(helper.execute, db, "SELECT pid, state, wait_event, left(query, 100)"
    .. " FROM pg_stat_activity WHERE datname = current_database()"))
  error(("after %s: %s\n%s\n%s"):format(way, result, running.err(), seen), 0)
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
  local code = sleeps and 5 or check_code(wait(running, way, db), way, options.seed)
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
  local rows = loop.rows or 1
  local tenants = options.tenants // rows
  local folder = project(db, loop, tenants, rows)
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
  check_end(db, options.seed, tenants, rows)
  return counts
end

return M
