-- What loops over tenants show while they run: a bar on a terminal (one of its own, by script(1) of Debian's bsdutils),
-- lines elsewhere, events with --json; and how Ctrl-C ends them.

local cjson = require "cjson"
local helper = require "spec.helper"

local TENANTS = 12

local schema = [[ op.execute([=[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants SELECT 't' || lpad(g::text, 2, '0') FROM generate_series(1, 12) g;
  CREATE TABLE customers (tenant_id text NOT NULL, visits int NOT NULL DEFAULT 0);
  INSERT INTO customers SELECT id FROM tenants;
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY customers_tenant_isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, UPDATE ON customers TO app;
  CREATE TABLE tried (n int); GRANT ALL ON tried TO app;
]=]) ]]

-- So long that a bar is drawn a few times.
local visit = [[
  op.execute("UPDATE customers SET visits = visits + 1")
  op.execute("SELECT pg_sleep(0.035)")
]]
local failing = visit .. ' if tenant.id == "t03" then error("no") end'
local telling = visit .. ' if tenant.id == "t11" then op.execute("SELECT 1"); log.info("twenty") end'

local function loop(body, mode)
  return ("tenants.each(function(tenant) %s end, { mode = %q })"):format(body, mode or "resumable")
end

local function project(upgrade, files)
  local db = helper.database()
  local folder = helper.project { database = db, files = files,
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id" },
    versions = { { revision = "aaaa", upgrade = schema }, { revision = "bbbb", down = "aaaa", upgrade = upgrade },
      { revision = "cccc", down = "bbbb", upgrade = upgrade },
      { revision = "dddd", down = "cccc", upgrade = upgrade } } }
  local made = helper.dmlua("upgrade aaaa", { cwd = folder })
  assert.equal("", made.code == 0 and "" or made.err)
  return folder, db
end

local function on_terminal(folder, words, options)
  options = options or {}
  local env = { TERM = options.term or "xterm", NO_COLOR = options.no_color }
  local command = ("stty cols %d; exec %s %s"):format(options.columns or 80, helper.quote(helper.program), words)
  return helper.run("script", { "-qec", command, "/dev/null" }, { cwd = folder, env = env, timeout = 30 })
end

-- The lines that were drawn over one another, without colours.
local function drawn(output)
  local lines = {}
  for line in output:gmatch "\r([^\r\n]-)\27%[K" do
    if line ~= "" then lines[#lines + 1] = (line:gsub("\27%[%d*m", "")) end
  end
  return lines
end

local function events(output)
  local list = {}
  for line in output:gmatch "[^\n]+" do
    local it = cjson.decode(line)
    if it.event then list[#list + 1] = it end
  end
  return list
end

local function named(list, name)
  local found = {}
  for _, it in ipairs(list) do
    if it.event == name then found[#found + 1] = it end
  end
  return found
end

-- The names of the fields of a line of JSON, in their order.
local function fields(output, event)
  local line = output:match(('{"event":"%s"[^\n]*'):format(event))
  local names = {}
  for name in line:gmatch '"([%w_]+)":' do names[#names + 1] = name end
  return table.concat(names, " ")
end

local function done(db)
  return tonumber(helper.value(db, "SELECT count(*) FROM customers WHERE visits = 1"))
end

-- Starts the run and interrupts it in the middle of its loop.
local function interrupted(db, folder, words)
  local running = helper.start(words, { cwd = folder })
  helper.eventually(function() return done(db) >= 3 end)
  running.kill "INT"
  return running.wait()
end

describe("progress on a terminal", function()
  it("is a bar with tenants done, tenants a second, time left and failures, no wider than the terminal", function()
    local folder = project(loop(failing))
    local result = on_terminal(folder, "upgrade bbbb", { columns = 70 })
    assert.equal(6, result.code)
    local lines = drawn(result.out)
    assert.truthy(#lines >= 1, result.out)
    for _, line in ipairs(lines) do
      assert.matches("^bbbb %[#*%.*%] %d+ of 12, [%d.,]+/s, 0:%d%d left, 1 failed$", line)
      assert.truthy(#line < 70, line)
    end
    assert.matches("\27%[31m1 failed\27%[m", result.out)
    assert.matches("\r\27%[KFAILED", result.out) -- it goes before the last words
  end)

  it("makes room for log lines, and has no colours where they are not wanted", function()
    local folder = project(loop(telling))
    local result = on_terminal(folder, "upgrade bbbb", { no_color = "1" })
    assert.equal(0, result.code)
    assert.matches("%[#+%.+%] %d+ of 12", result.out)
    assert.matches("\r\27%[KINFO  %[dmlua%.script%] twenty\r\n", result.out)
    assert.not_matches("\27%[%d*m", result.out)
  end)

  it("leaves the bar out, and then what else does not fit, where the terminal is narrow", function()
    local folder = project(loop(visit, "atomic"))
    local lines = drawn(on_terminal(folder, "upgrade bbbb", { columns = 20 }).out)
    assert.truthy(#lines > 0)
    for _, line in ipairs(lines) do
      assert.matches("^bbbb %d+ of 12", line)
      assert.truthy(#line < 20, line)
    end
  end)

  it("is not shown with --no-progress, with -q or where TERM is dumb", function()
    local folder = project(loop(visit))
    for _, case in ipairs { { "--no-progress upgrade bbbb" }, { "-q upgrade cccc" }, { "upgrade dddd", "dumb" } } do
      local result = on_terminal(folder, case[1], { term = case[2] })
      assert.equal(0, result.code)
      assert.same({}, drawn(result.out))
      assert.not_matches("of 12", result.out, 1, true)
    end
  end)
end)

describe("progress without a terminal", function()
  it("is a line every so many seconds, of an atomic loop too, and nothing for a short loop", function()
    for _, mode in ipairs { "resumable", "atomic" } do
      local folder = project(loop(visit, mode))
      local result = helper.dmlua("--progress 0.1 upgrade bbbb", { cwd = folder })
      assert.equal(0, result.code)
      assert.matches("INFO  %[dmlua%.tenants%] bbbb: %d+ of 12 tenants, [%d.,]+/s, 0:%d%d left\n", result.err)
      if mode == "resumable" then
        assert.not_matches("of 12", helper.dmlua("upgrade cccc", { cwd = folder }).err)
      end
    end
  end)

  it("refuses an interval that is none", function()
    assert.equal(2, helper.dmlua("--progress 0 current").code)
    assert.matches("--progress takes seconds, more than 0, not 'soon'",
      helper.dmlua("--progress soon current").err, 1, true)
  end)
end)

describe("events with --json", function()
  local of_loop = "event revision direction part "

  it("tell a loop's beginning, its progress, failures and retries, and its end", function()
    local folder, db = project(loop(failing .. [[
      op.execute("SET LOCAL lock_timeout = '30ms'")
      op.execute("LOCK TABLE tried")
    ]]))
    local connection = helper.connect(db.postgres)
    connection:exec "BEGIN"
    connection:exec "LOCK TABLE tried"
    local running = helper.start("--json --progress 0.1 upgrade bbbb", { cwd = folder })
    helper.eventually(function() return running.out():find "tenant_retried" end)
    connection:exec "COMMIT"
    local result = running.wait()
    assert.equal(6, result.code)
    local list = events(result.out)
    assert.equal("loop_start", list[1].event)
    assert.equal("loop_end", list[#list].event)
    assert.equal(1, #named(list, "loop_start"))
    assert.equal(1, #named(list, "tenant_failed"))
    assert.truthy(#named(list, "progress") > 0)
    assert.equal(of_loop .. "mode tenants done_before workers", fields(result.out, "loop_start"))
    assert.equal(of_loop .. "tenants done_before done failed rows seconds", fields(result.out, "progress"))
    assert.equal(of_loop .. "tenant sqlstate message file line", fields(result.out, "tenant_failed"))
    assert.equal(of_loop .. "tenant sqlstate message attempt", fields(result.out, "tenant_retried"))
    assert.equal(of_loop .. "outcome tenants done_before done failed rows seconds", fields(result.out, "loop_end"))
    local retried, failed, last = named(list, "tenant_retried")[1], named(list, "tenant_failed")[1], list[#list]
    assert.same({ "55P03", 1 }, { retried.sqlstate, retried.attempt })
    assert.same({ "t03", "no", "versions/bbbb.lua" }, { failed.tenant, failed.message, failed.file })
    assert.same({ "failed", 12, 0, 11, 1 }, { last.outcome, last.tenants, last.done_before, last.done, last.failed })
  end)

  it("count the rows that batches have written", function()
    local folder = project(("tenants.each(function() %s end, { mode = 'resumable', batch = { table = 'customers',"
      .. " key = 'visits' } })"):format(visit))
    local list = events(helper.dmlua("--json --progress 0.1 upgrade bbbb", { cwd = folder }).out)
    assert.equal(TENANTS, list[#list].rows)
    local progress = named(list, "progress")[1]
    local ahead = progress.rows - progress.done -- a batch is counted just before the tenant whose last one it is
    assert.truthy(ahead == 0 or ahead == 1, ahead)
  end)

  it("tell of an atomic loop, too, and of the step once it is committed", function()
    local folder = project(loop("", "atomic"))
    local result = helper.dmlua("--json upgrade bbbb", { cwd = folder })
    local list = events(result.out)
    assert.same({ "atomic", cjson.null }, { list[1].mode, list[1].part })
    assert.same({ "loop_end", "done", TENANTS }, { list[2].event, list[2].outcome, list[2].done })
    assert.matches('"event":"loop_end".*{"revision":"bbbb","direction":"upgrade"', result.out)
  end)
end)

describe("Ctrl-C in a resumable loop", function()
  it("keeps what is committed, and says how many tenants are done and how many are left", function()
    local folder, db = project(loop(visit))
    local result = interrupted(db, folder, "upgrade bbbb")
    assert.equal(130, result.code)
    local count = done(db)
    assert.matches(("database is at aaaa; %d of 12 tenants of bbbb are done, %d left\n"):format(count, TENANTS - count),
      result.err, 1, true)
    assert.matches("hint: to go on:\n      dmlua upgrade bbbb\n", result.err, 1, true)
    local again = helper.dmlua("--json upgrade bbbb", { cwd = folder })
    assert.equal(0, again.code)
    assert.matches(("bbbb: %d of 12 tenants done by earlier runs\n"):format(count), again.err, 1, true)
    local list = events(again.out)
    assert.same({ count, TENANTS - count }, { list[1].done_before, list[#list].done })
    assert.equal(TENANTS, done(db))
  end)

  it("names the step that was stopped where the target counts from where the database is", function()
    local folder, db = project(loop(visit))
    helper.execute(db, "UPDATE customers SET visits = 0")
    local words = { "-c", folder .. "/dmlua.ini", "upgrade", "+2", "--reason", "it's time" }
    local result = interrupted(db, folder, words)
    assert.equal(130, result.code)
    assert.matches("hint: to go on:\n      dmlua -c " .. folder .. "/dmlua.ini upgrade bbbb\n", result.err, 1, true)
  end)

  it("cancels the statement of each connection, and ends the loop's events", function()
    local folder, db = project(("tenants.each(function(tenant) %s end, { mode = 'resumable', workers = 3 })"):format(
      visit .. 'if tenant.id > "t03" then op.execute("SELECT pg_sleep(120)") end'))
    local list = events(interrupted(db, folder, "--json upgrade bbbb").out)
    assert.equal("stopped", list[#list].outcome)
    assert.equal(done(db), list[#list].done)
  end)
end)

describe("an ad-hoc fix", function()
  local fix = { ["fixes/visit.lua"] = ("function run(tenant)\n%s\nend\n"):format(visit) }

  it("shows a bar, and counts whom earlier runs have done; its events name the script", function()
    local folder = project("", fix)
    local json = helper.dmlua("run visit --tenant t01 --tenant t02 --json --progress 0.03", { cwd = folder })
    assert.equal("event script tenants done_before done failed rows seconds", fields(json.out, "progress"))
    local result = on_terminal(folder, "run visit --all-tenants")
    assert.matches("visit [#", result.out, 1, true)
    assert.matches("visit: 2 of 12 tenants done by earlier runs", result.out, 1, true)
  end)

  it("that is interrupted says for how many tenants it is done", function()
    local folder, db = project("", fix)
    local result = interrupted(db, folder, "run visit --all-tenants")
    assert.equal(130, result.code)
    local count = done(db)
    assert.matches(("%d of 12 tenants of visit are done, %d left"):format(count, TENANTS - count), result.err, 1,
      true)
    assert.matches("hint: to go on:\n      dmlua run visit --all-tenants\n", result.err, 1, true)
  end)
end)
