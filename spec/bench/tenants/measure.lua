-- lua5.4 measure.lua: called by spec/bench/run-tenants, which says by DMLUA_BENCH_* where everything is. Every
-- candidate runs once a round, each on a fresh copy of the same database, so that what else the machine does hits them
-- alike; what counts are ratios of one run.

local system = require "system"

local function setting(name)
  return (assert(os.getenv("DMLUA_BENCH_" .. name), name))
end

local folder, host, server = setting "FOLDER", setting "HOST", setting "SERVER"
local tenants, rounds = math.tointeger(setting "TENANTS"), math.tointeger(setting "ROUNDS")
local latency, program = tonumber(setting "LATENCY"), setting "PROGRAM"
local psql = setting "PROGRAMS" .. "/psql"

local function write(path, text)
  os.execute(("mkdir -p '%s/%s'"):format(folder, path:match "^(.*)/"))
  local file = assert(io.open(folder .. "/" .. path, "w"))
  file:write(text)
  file:close()
end

local function shell(command)
  local log = folder .. "/log"
  if not os.execute(("{ %s; } >'%s' 2>&1 </dev/null"):format(command, log)) then
    io.stderr:write(io.open(log):read("a"))
    error("failed: " .. command, 0)
  end
end

local function sql(database, text)
  local command = "PGOPTIONS=-cclient_min_messages=warning '%s' -XqAt -v ON_ERROR_STOP=1 -h '%s' -U postgres"
    .. " -d %s -c \"%s\""
  local pipe = io.popen(command:format(psql, server, database, text))
  local answer = pipe:read("a")
  if not pipe:close() then error("failed: " .. text, 0) end
  return (answer:gsub("%s+$", ""))
end

local schema = [[
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('aaaa');
CREATE TABLE tenants (id text PRIMARY KEY);
INSERT INTO tenants SELECT 'tenant-' || lpad(g::text, 6, '0') FROM generate_series(1, %d) g;
CREATE TABLE customers (id bigint PRIMARY KEY, tenant_id text NOT NULL, status text NOT NULL, visits int NOT NULL);
INSERT INTO customers SELECT row_number() OVER (), id, 'new', 0 FROM tenants;
CREATE INDEX ON customers (tenant_id);
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE customers FORCE ROW LEVEL SECURITY;
CREATE POLICY customers_tenant_isolation ON customers
  USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
GRANT SELECT ON tenants TO app;
GRANT SELECT, UPDATE ON customers TO app;
GRANT ALL ON alembic_version TO app;
VACUUM ANALYZE;
]]

local dmlua_step = [[
-- A tenant after the other
--
-- Revision ID: bbbb

revision = "bbbb"
down_revision = "aaaa"

function upgrade()
  tenants.each(function(tenant)
<read>    op.execute("UPDATE customers SET status = 'active', visits = visits + 1 WHERE tenant_id = :t",
      { t = tenant.id })
  end, { mode = "resumable"<options> })
end

function downgrade()
end
]]

local dmlua_read = [[
    op.get_bind():execute("SELECT status FROM customers WHERE tenant_id = :t LIMIT 1", { t = tenant.id }):fetchone()
]]

-- In the manner of the guide's data migration: all tenants in one transaction, the context set for each.
local alembic_step = [[
import sqlalchemy as sa
from alembic import op

revision = "bbbb"
down_revision = "aaaa"


def upgrade():
    bind = op.get_bind()
    for (tenant,) in bind.execute(sa.text("SELECT id FROM tenants ORDER BY id")).fetchall():
        bind.execute(sa.text("SELECT set_config('app.current_tenant_id', :t, true)"), {"t": tenant})
<read>        bind.execute(sa.text(
            "UPDATE customers SET status = 'active', visits = visits + 1 WHERE tenant_id = :t"), {"t": tenant})
]]

local alembic_read = [[
        bind.execute(sa.text("SELECT status FROM customers WHERE tenant_id = :t LIMIT 1"), {"t": tenant}).fetchone()
]]

local env = [[
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
]]

local base = {
  lua = '-- The tables\n--\n-- Revision ID: aaaa\n\nrevision = "aaaa"\ndown_revision = nil\n\n'
    .. "function upgrade()\nend\n\nfunction downgrade()\nend\n",
  py = 'revision = "aaaa"\ndown_revision = None\n\n\ndef upgrade():\n    pass\n',
}

local function url(role)
  return ("postgresql://%s@/bench?host=%s"):format(role, host)
end

local function fill(template, values)
  return (template:gsub("<(%w+)>", values))
end

local function dmlua_tree(name, options, read)
  write(name .. "/dmlua.ini", ("[dmlua]\nurl = %s\nscript_location = .\nenvironment = production\napp_role = app\n"
    .. "tenants_query = SELECT id FROM tenants ORDER BY id\n"):format(url "owner"))
  write(name .. "/versions/aaaa.lua", base.lua)
  write(name .. "/versions/bbbb.lua", fill(dmlua_step, { options = options, read = read and dmlua_read or "" }))
  return { folder = name, command = ("'%s' -q upgrade head"):format(program) }
end

local function alembic_tree(name, read)
  write(name .. "/alembic.ini", ("[alembic]\nscript_location = %%(here)s\nsqlalchemy.url = %s\n"):format(url "app"))
  write(name .. "/env.py", env)
  write(name .. "/versions/aaaa.py", base.py)
  write(name .. "/versions/bbbb.py", fill(alembic_step, { read = read and alembic_read or "" }))
  return { folder = name, command = "/usr/bin/alembic upgrade head" }
end

local function program_of(name, words, read)
  return { folder = "", command = ("'%s/%s' '%s' %s %s"):format(folder, name, url "app", words, read and "read" or "") }
end

local function candidates(read)
  local kind = read and "-read" or ""
  local list = {
    { "libpq, serial", program_of("serial", "", read) },
    { "libpq, pipelined", program_of("pipelined", "", read) },
    { "libpq, pipelined, prepared", program_of("pipelined", "prepared", read) },
    { "dmlua", dmlua_tree("dmlua" .. kind, "", read) },
    { "dmlua, workers = 4", dmlua_tree("dmlua-workers" .. kind, ", workers = 4", read) },
    { "Alembic, one transaction", alembic_tree("alembic" .. kind, read) },
  }
  for i, candidate in ipairs(list) do
    candidate[2].name = candidate[1]
    list[i] = candidate[2]
  end
  return list
end

local function make_template()
  sql("postgres", "CREATE DATABASE bench_template OWNER owner")
  write("sql/schema.sql", schema:format(tenants))
  shell(("'%s' -Xq -v ON_ERROR_STOP=1 -h '%s' -U owner -d bench_template -f '%s/sql/schema.sql'"):format(
    psql, server, folder))
end

local function fresh_database()
  sql("postgres", "DROP DATABASE IF EXISTS bench WITH (FORCE)")
  sql("postgres", "CREATE DATABASE bench OWNER owner TEMPLATE bench_template")
end

local function check(name)
  local found = sql("bench", "SELECT string_agg(DISTINCT visits::text, ',') || ' ' || count(*) FROM customers")
  if found ~= "1 " .. tenants then error(("%s: visits and tenants are %s"):format(name, found), 0) end
end

-- Seconds and peak memory (MB).
local function measure(candidate)
  local memory = folder .. "/memory"
  local before = system.monotime()
  shell(("cd '%s/%s' && /usr/bin/time -o '%s' -f %%M %s"):format(folder, candidate.folder, memory, candidate.command))
  local seconds = system.monotime() - before
  return seconds, tonumber(io.open(memory):read("a")) / 1024
end

local function median(list)
  table.sort(list)
  local middle = #list // 2
  return #list % 2 == 1 and list[middle + 1] or (list[middle] + list[middle + 1]) / 2
end

local function compare(title, list)
  for round = 1, rounds do
    for _, candidate in ipairs(list) do
      fresh_database()
      local seconds, memory = measure(candidate)
      check(candidate.name)
      candidate.taken = candidate.taken or {}
      candidate.taken[round] = seconds
      candidate.memory = math.max(candidate.memory or 0, memory)
      io.stderr:write(("%s, round %d: %s %.3f s\n"):format(title, round, candidate.name, seconds))
    end
  end
  local result = { title = title, rows = {} }
  for i, candidate in ipairs(list) do
    result.rows[i] = { name = candidate.name, median = median(candidate.taken), best = candidate.taken[1],
      memory = candidate.memory }
  end
  return result
end

local function print_table(result)
  local serial, pipelined = result.rows[1], result.rows[2]
  print(("\n%s: %d tenants, %d rounds"):format(result.title, tenants, rounds))
  print(("  %-27s %9s %9s %10s %14s %15s %8s"):format(
    "", "best", "median", "tenants/s", "serial / it", "it / pipelined", "memory"))
  for _, row in ipairs(result.rows) do
    print(("  %-27s %7.2f s %7.2f s %10.0f %6.2f (%5.2f) %7.2f (%5.2f) %5.0f MB"):format(
      row.name, row.best, row.median, tenants / row.median, serial.median / row.median, serial.best / row.best,
      row.median / pipelined.median, row.best / pipelined.best, row.memory))
  end
end

make_template()
local results = {
  compare("without reads", candidates(false)),
  compare("reading a row first", candidates(true)),
}
print(("%s; fsync off, Unix socket%s"):format(sql("postgres", "SHOW server_version"),
  latency > 0 and (", answers delayed by %g ms"):format(latency) or ""))
print "ratios of medians, in brackets of best rounds"
for _, result in ipairs(results) do print_table(result) end
local file = assert(io.open(setting "JSON", "w"))
file:write(require("dkjson").encode({ tenants = tenants, rounds = rounds, latency = latency, comparisons = results },
  { indent = true }), "\n")
file:close()
print("\nas JSON: " .. setting "JSON")
