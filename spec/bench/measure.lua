-- lua5.4 measure.lua: called by spec/bench/run, which says by DMLUA_BENCH_* where everything is. Every candidate of a
-- comparison runs once a round, so that what else the machine does hits them alike; what counts is the median's ratio.

local system = require "system"

local function setting(name)
  return (assert(os.getenv("DMLUA_BENCH_" .. name), name))
end

local folder, host, programs, program = setting "FOLDER", setting "HOST", setting "PROGRAMS", setting "PROGRAM"
local steps, rounds = tonumber(setting "STEPS"), tonumber(setting "ROUNDS")
local psql = programs .. "/psql"

local function shell(command)
  local log = folder .. "/log"
  if not os.execute(("{ %s; } >'%s' 2>&1 </dev/null"):format(command, log)) then
    io.stderr:write(io.open(log):read("a"))
    error("failed: " .. command, 0)
  end
end

local function output(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  local text = pipe:read("a")
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function sql(database, text)
  shell(("'%s' -Xq -v ON_ERROR_STOP=1 -h '%s' -U postgres -d %s -c \"%s\""):format(psql, host, database, text))
end

local function fresh_database()
  sql("postgres", "DROP DATABASE IF EXISTS bench WITH (FORCE)")
  sql("postgres", "CREATE DATABASE bench OWNER owner TEMPLATE dmlua_template")
end

local function seconds(command)
  local before = system.monotime()
  shell(command)
  return system.monotime() - before
end

local function median(list)
  table.sort(list)
  local middle = #list // 2
  return #list % 2 == 1 and list[middle + 1] or (list[middle] + list[middle + 1]) / 2
end

-- `candidates`: list of { name, command, folder, times }; the command is done `times` times in one shell. The first one
-- is what the others are compared with. `prepare` is called before each, `check` after it; neither is counted.
local function compare(title, count, candidates, prepare, check)
  local taken = {}
  for round = 1, count do
    for i, candidate in ipairs(candidates) do
      if prepare then prepare() end
      local line = ("cd '%s'; i=0; while [ $i -lt %d ]; do %s || exit 1; i=$((i+1)); done"):format(
        candidate.folder or folder, candidate.times or 1, candidate.command)
      taken[i] = taken[i] or {}
      taken[i][round] = seconds(line) / (candidate.times or 1)
      if check then check(candidate.name) end
      io.stderr:write(("%s, round %d: %s %.4f s\n"):format(title, round, candidate.name, taken[i][round]))
    end
  end
  local rows, base = {}, median(taken[1])
  for i, candidate in ipairs(candidates) do
    local middle = median(taken[i])
    rows[i] = { name = candidate.name, median = middle, least = taken[i][1], most = taken[i][count],
      ratio = middle / base }
  end
  return { title = title, rounds = count, rows = rows }
end

local url = ("postgresql://owner@/bench?host=%s"):format(host)
local real_psql = ("'%s' -Xq -v ON_ERROR_STOP=1 -d '%s'"):format(psql, url)

-- One revision, applied: what a shell prompt or a deployment script asks again and again.
local function startup()
  fresh_database()
  shell(("cd '%s/start/dmlua' && '%s' upgrade head"):format(folder, program))
  return compare("start-up", rounds, {
    { name = "psql -X -c 'select 1'", command = real_psql .. " -c 'select 1'", times = 20 },
    { name = "dmlua current", folder = folder .. "/start/dmlua", command = program .. " current", times = 20 },
    { name = "alembic current", folder = folder .. "/start/alembic", command = "alembic current", times = 2 },
  })
end

-- Raises unless the chain's tables, indexes and last version are there.
local function check_chain(name)
  local found = output(([[%s -At -c "SELECT count(*) FILTER (WHERE relkind = 'r'),
    count(*) FILTER (WHERE relkind = 'i'), (SELECT max(version_num) FROM alembic_version)
    FROM pg_class WHERE relname ~ 'items_'"]]):format(real_psql))
  local expected = ("%d|%d|%06d"):format(steps, 2 * steps, steps)
  if found ~= expected then error(("%s made %s instead of %s"):format(name, found, expected), 0) end
end

local function chain()
  return compare(("chain of %d steps"):format(steps), math.max(5, rounds // 2), {
    { name = "psql -f", command = real_psql .. " -f chain/chain.sql" },
    { name = "dmlua upgrade head", folder = folder .. "/chain/dmlua", command = program .. " upgrade head" },
    { name = "alembic upgrade head", folder = folder .. "/chain/alembic", command = "alembic upgrade head" },
  }, fresh_database, check_chain)
end

local function machine()
  local versions = {
    cpu = output("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"),
    cores = tonumber(output("nproc")),
    system = output(". /etc/os-release; echo $PRETTY_NAME, Linux $(uname -r)"),
    postgresql = output(("'%s/postgres' --version"):format(programs)),
    psql = output(("'%s' --version"):format(psql)),
    dmlua = output(("'%s' --version | head -n 1"):format(program)),
    commit = output("git rev-parse --short HEAD"),
    alembic = output("alembic --version"),
    sqlalchemy = output("/usr/bin/python3 -c 'import sqlalchemy; print(sqlalchemy.__version__)'"),
  }
  versions.settings = "fsync off, Unix socket"
  return versions
end

local function print_table(result)
  print(("\n%s, median of %d"):format(result.title, result.rounds))
  for _, row in ipairs(result.rows) do
    print(("  %-24s %9.1f ms  (%.1f to %.1f)  %6.2f x"):format(
      row.name, row.median * 1000, row.least * 1000, row.most * 1000, row.ratio))
  end
end

local report = { machine = machine(), comparisons = { startup(), chain() } }
for _, name in ipairs { "cpu", "cores", "system", "postgresql", "psql", "dmlua", "commit", "alembic", "sqlalchemy",
  "settings" } do
  print(("%-11s %s"):format(name, report.machine[name]))
end
for _, result in ipairs(report.comparisons) do print_table(result) end
local file = assert(io.open(setting "JSON", "w"))
file:write(require("dkjson").encode(report, { indent = true }), "\n")
file:close()
print("\nas JSON: " .. setting "JSON")
