-- dmlua run: ad-hoc fixes, one tenant at a time.

local activity = require "spec.support.activity"
local cjson = require "cjson"
local helper = require "spec.helper"

local function says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants VALUES ('acme'), ('globex'), ('initech');
  CREATE TABLE customers (id int NOT NULL, tenant_id text NOT NULL, status text NOT NULL, PRIMARY KEY (tenant_id, id));
  INSERT INTO customers SELECT g, tenants.id, 'new' FROM tenants, generate_series(1, 3) g;
  CREATE TABLE invoices (tenant_id text NOT NULL, paid boolean NOT NULL);
  INSERT INTO invoices SELECT id, false FROM tenants;
  DO $$ DECLARE name text; BEGIN
    FOREACH name IN ARRAY ARRAY['customers', 'invoices'] LOOP
      EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
      EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
      EXECUTE format('CREATE POLICY isolation ON %I USING (tenant_id = (SELECT nullif('
        || 'current_setting(''app.current_tenant_id'', true), '''')))', name);
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO app', name);
    END LOOP;
  END $$;
]]

local set_active = [[op.execute("UPDATE customers SET status = 'active'")]]

local function fix(body, more)
  return ([[
description = "activates customers"
tables = { "customers" }
max_rows = 3
function run(tenant)
  %s
end
%s]]):format(body, more or "")
end

-- A database with three tenants, and a folder with the fix as fixes/activate.lua.
local function project(text, settings)
  local db = helper.database()
  helper.execute(db.owner, schema)
  settings = settings or {}
  settings.app_role = settings.app_role or "app"
  settings.tenants_query = "SELECT id FROM tenants ORDER BY id"
  local folder = helper.project { database = db, settings = settings, files = { ["fixes/activate.lua"] = text } }
  return db, folder
end

local function run(folder, words, options)
  options = options or {}
  options.cwd = folder
  return helper.dmlua("run " .. words, options)
end

local function succeeds(folder, words, options)
  local result = run(folder, words, options)
  assert.are.equal("", result.code == 0 and "" or result.err)
  return result
end

-- "acme globex": who has customers of that status.
local function who_has(db, status)
  return helper.value(db, ("SELECT coalesce(string_agg(DISTINCT tenant_id, ' ' ORDER BY tenant_id), 'nobody')"
    .. " FROM customers WHERE status = '%s'"):format(status))
end

describe("run", function()
  it("runs a fix for the tenants named, each in a transaction of its own under its context", function()
    local db, folder = project(fix(set_active))
    local result = succeeds(folder, "activate --tenant acme --tenant globex")
    says(result, "acme: done, 3 rows")
    says(result, "activate: 2 tenants done, 0 passed over, 6 rows")
    assert.are.equal("acme globex", who_has(db, "active"))
    assert.are.equal("2", helper.value(db, "SELECT count(DISTINCT xmin::text) FROM customers WHERE status = 'active'"))
  end)

  it("runs a fix for every tenant, and takes a path as well as a name", function()
    local db, folder = project(fix(set_active))
    succeeds(folder, "fixes/activate.lua --all-tenants")
    assert.are.equal("acme globex initech", who_has(db, "active"))
    assert.are.equal("nobody", who_has(db, "new"))
  end)

  it("leaves a ledger row for each tenant: kind, name, tenant, hash, who, reason, rows", function()
    local db, folder = project(fix(set_active))
    succeeds(folder, "activate --tenant acme --reason ticket-12")
    local row = helper.sql(db, "SELECT kind, what, tenant, length(sha256) AS hash, who, reason, rows, outcome"
      .. " FROM dmlua_ledger")[1]
    assert.are.same({ kind = "run", what = "activate", tenant = "acme", hash = "64", who = "owner",
      reason = "ticket-12", rows = "3", outcome = "done" }, row)
  end)

  it("is exit 2 without tenants, with both options, for an unknown tenant or script, with near names", function()
    local db, folder = project(fix(set_active))
    local nobody = run(folder, "activate")
    assert.are.equal(2, nobody.code)
    says(nobody, "neither --tenant nor --all-tenants is given")
    assert.are.equal(2, run(folder, "activate --tenant acme --all-tenants").code)
    local unknown = run(folder, "activate --tenant acme --tenant globix")
    assert.are.equal(2, unknown.code)
    says(unknown, "there is no tenant 'globix' (did you mean 'globex'?)")
    local script = run(folder, "activat --all-tenants")
    assert.are.equal(2, script.code)
    says(script, "did you mean 'activate'?")
    assert.are.equal("nobody", who_has(db, "active"))
  end)

  it("does nothing for a tenant already done, and says who did it and when; --again repeats", function()
    local db, folder = project(fix [[op.execute("UPDATE customers SET status = status || '+'")]])
    succeeds(folder, "activate --tenant acme")
    local second = succeeds(folder, "activate --all-tenants")
    assert.truthy(second.err:find "acme: activate was run by owner at %d+%-%d+%-%d+ %d+:%d+:%d+ UTC; nothing to do")
    says(second, "2 tenants done, 1 passed over")
    assert.are.equal("acme globex initech", who_has(db, "new+"))
    succeeds(folder, "activate --tenant acme --again")
    assert.are.equal("acme", who_has(db, "new++"))
    says(succeeds(folder, "activate --tenant acme"), "nothing to do")
  end)

  it("takes an edited file for a new run, and says which tenants had the old one", function()
    local db, folder = project(fix(set_active))
    succeeds(folder, "activate --tenant acme")
    helper.write(folder .. "/fixes/activate.lua", fix [[op.execute("UPDATE customers SET status = 'gone'")]])
    local result = succeeds(folder, "activate --tenant acme --tenant globex")
    assert.truthy(result.err:find "acme: another version of activate %(%x+%) was run by owner at")
    assert.falsy(result.err:find("globex: another version", 1, true))
    assert.are.equal("acme globex", who_has(db, "gone"))
    helper.write(folder .. "/fixes/activate.lua", fix(set_active, "-- once more"))
    says(succeeds(folder, "activate --tenant initech"),
      "another version of activate was run for 2 tenants more: acme, globex\n")
    assert.falsy(succeeds(folder, "activate --all-tenants").err:find("more:", 1, true))
  end)

  it("knows a file that was renamed", function()
    local _, folder = project(fix(set_active))
    succeeds(folder, "activate --tenant acme")
    assert(os.rename(folder .. "/fixes/activate.lua", folder .. "/fixes/wake.lua"))
    says(succeeds(folder, "wake --tenant acme"), "nothing to do")
  end)

  it("goes on past a failed tenant, exit 6; a second run does only what is missing", function()
    local db, folder = project(fix(set_active .. [[
      if tenant.id == "globex" then op.execute("SELECT 1/0") end]]))
    local result = run(folder, "activate --all-tenants")
    assert.are.equal(6, result.code)
    says(result, "activate failed for 1 tenant; 2 done in this run")
    says(result, "globex: 22012 division by zero")
    assert.are.equal("acme initech", who_has(db, "active"))
    assert.are.equal("globex failed", helper.value(db,
      "SELECT tenant || ' ' || outcome FROM dmlua_ledger WHERE outcome <> 'done'"))
    says(run(folder, "activate --all-tenants"), "1 tenant; 0 done in this run")
  end)

  it("keeps upgrade, downgrade and current as they were", function()
    local _, folder = project(fix(set_active .. [[ if tenant.id == "globex" then error("no") end]]))
    run(folder, "activate --all-tenants")
    helper.write(folder .. "/versions/a1.lua", helper.revision { revision = "a1" })
    local upgraded = helper.dmlua("upgrade head", { cwd = folder })
    assert.are.equal("", upgraded.code == 0 and "" or upgraded.err)
    assert.are.equal("a1 (head)\n", helper.dmlua("current", { cwd = folder }).out)
  end)

  it("tries again what a lock time-out has ended", function()
    local db, folder = project(fix([[op.execute("SET LOCAL lock_timeout = '100ms'") ]] .. set_active))
    local connection = helper.connect(db.postgres)
    connection:exec("BEGIN")
    connection:exec("SELECT FROM customers WHERE tenant_id = 'acme' FOR UPDATE")
    local running = helper.start("run activate --tenant acme --tenant globex", { cwd = folder })
    helper.eventually(function() return running.err():find("development", 1, true) end)
    activity.runs(db, "UPDATE customers%")
    helper.eventually(function()
      return helper.value(db, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE customers%'"
        .. " AND datname = current_database()") == "0"
    end)
    connection:exec("COMMIT")
    local result = running.wait()
    assert.are.equal("", result.code == 0 and "" or result.err)
    says(result, "2 tenants done, 0 passed over, 6 rows")
  end)

  it("ends after ten failed tenants", function()
    local db, folder = project(fix [[error("no")]])
    helper.execute(db, "INSERT INTO tenants SELECT 'z' || g FROM generate_series(1, 20) g")
    local result = run(folder, "activate --all-tenants")
    assert.are.equal(6, result.code)
    says(result, "activate failed for 10 tenants; 0 done in this run")
  end)

  it("asks check(tenant) before and verify(tenant) after, and takes a tenant back that either refuses", function()
    local db, folder = project(fix(set_active, [[
function check(tenant)
  if tenant.id == "acme" then return false, "no contract" end
end
function verify(tenant)
  local left = op.get_bind():scalar("SELECT count(*) FROM customers WHERE status = 'active'")
  assert(left == 3, "not all")
  assert(tenant.id ~= "globex", "not globex")
end]]))
    local result = run(folder, "activate --all-tenants")
    assert.are.equal(6, result.code)
    says(result, "acme: check(tenant) says no: no contract")
    says(result, "globex: not globex")
    assert.are.equal("initech", who_has(db, "active"))
  end)

  it("refuses a table that the header does not name, also one written by a DO block", function()
    for _, body in ipairs { [[op.execute("UPDATE invoices SET paid = true")]],
      [[op.execute("DO $$ BEGIN UPDATE invoices SET paid = true; END $$")]] } do
      local db, folder = project(fix(set_active .. body))
      local result = run(folder, "activate --all-tenants")
      assert.are.equal(3, result.code)
      says(result, "it has written to invoices, which tables does not name")
      assert.are.equal("nobody", who_has(db, "active"))
      assert.are.equal("3", helper.value(db, "SELECT count(*) FROM invoices WHERE NOT paid"))
    end
  end)

  it("refuses a table that a trigger writes, unless the header names it", function()
    local db, folder = project(fix(set_active))
    helper.execute(db, [[
      CREATE TABLE audit (n int); GRANT INSERT ON audit TO app;
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (1); RETURN NULL; END';
      CREATE TRIGGER note AFTER UPDATE ON customers EXECUTE FUNCTION note()]])
    local result = run(folder, "activate --tenant acme")
    assert.are.equal(3, result.code)
    says(result, "it has written to audit, which tables does not name")
    helper.write(folder .. "/fixes/activate.lua",
      (fix(set_active):gsub('"customers"', '"customers", "audit"'):gsub("max_rows = 3", "max_rows = 4")))
    succeeds(folder, "activate --tenant acme")
    assert.are.equal("1", helper.value(db, "SELECT count(*) FROM audit"))
  end)

  it("takes what an audit trigger notes for no table and no row of the fix's", function()
    local db, folder = project(fix(set_active))
    helper.write(folder .. "/versions/a1.lua", helper.revision { revision = "a1",
      upgrade = 'guards.ensure_audit_trigger("customers")' })
    assert.are.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    succeeds(folder, "activate --tenant acme")
    assert.are.equal("3", helper.value(db, "SELECT count(*) FROM customers_audit WHERE tenant_id = 'acme'"))
  end)

  it("refuses more rows than max_rows, also those that a DO block has written", function()
    for _, body in ipairs { [[op.execute("UPDATE customers SET status = 'b' WHERE id = 1")]],
      [[op.execute("DO $$ BEGIN UPDATE customers SET status = 'b' WHERE id = 1; END $$")]] } do
      local db, folder = project(fix(set_active .. " " .. body))
      local result = run(folder, "activate --all-tenants")
      assert.are.equal(3, result.code)
      says(result, "4 rows written, max_rows is 3")
      assert.are.equal("acme globex initech", who_has(db, "new"))
    end
  end)

  it("refuses DDL, also where the role could carry it out and a DO block hides it", function()
    for _, body in ipairs { [[op.execute("CREATE TABLE mine (n int)")]],
      [[op.execute("DO $$ BEGIN CREATE TABLE mine (n int); END $$")]],
      [[op.execute("DO $$ BEGIN CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'; END $$")]],
      [[op.execute("DO $$ BEGIN BEGIN CREATE TABLE mine (n int); EXCEPTION WHEN others THEN NULL; END; END $$")]],
      [[op.execute("DO $$ BEGIN TRUNCATE customers; END $$")]] } do
      local db, folder = project(fix(body))
      helper.execute(db, "GRANT CREATE ON SCHEMA public TO app; GRANT TRUNCATE ON customers TO app")
      local result = run(folder, "activate --tenant acme")
      assert.are.equal(3, result.code)
      assert.truthy(result.err:find("DDL", 1, true))
      assert.are.equal("9", helper.value(db, "SELECT count(*) FROM customers"))
      assert.falsy(helper.value(db, "SELECT to_regclass('mine')::text"))
      assert.falsy(helper.value(db, "SELECT to_regproc('mine')::text"))
    end
  end)

  it("lets a fix write the partitions of a table that the header names", function()
    local db, folder = project((fix([[op.execute("INSERT INTO events VALUES (:t, 1)", { t = tenant.id })]])
      :gsub('"customers"', '"events"')))
    helper.execute(db.owner, [[
      CREATE TABLE events (tenant_id text, n int) PARTITION BY LIST (n);
      CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
      GRANT INSERT ON events TO app]])
    succeeds(folder, "activate --tenant acme")
    assert.are.equal("1", helper.value(db, "SELECT count(*) FROM events"))
  end)

  it("sees no other tenant's rows, whatever the fix says, and may not leave the context", function()
    local db, folder = project(fix [[op.execute("UPDATE customers SET status = 'x' WHERE tenant_id = 'globex'")]])
    succeeds(folder, "activate --tenant acme")
    assert.are.equal("nobody", who_has(db, "x"))
    helper.write(folder .. "/fixes/activate.lua", fix [[
      op.execute("SELECT set_config('app.current_tenant_id', 'globex', true)")]] .. "\n-- 2")
    local result = run(folder, "activate --tenant acme")
    assert.are.equal(3, result.code)
    says(result, "TenantIsolationError")
  end)

  it("--dry-run runs everything and rolls it back, leaves no table of dmlua's, and says it took real locks", function()
    local db, folder = project(fix(set_active))
    local result = succeeds(folder, "activate --all-tenants --dry-run")
    says(result, "takes real locks and is rolled back")
    says(result, "acme: dry run, 3 rows")
    assert.are.equal("nobody", who_has(db, "active"))
    assert.falsy(helper.value(db, "SELECT to_regclass('dmlua_ledger')::text"))
    assert.falsy(helper.value(db, "SELECT to_regclass('alembic_version')::text"))
  end)

  it("--dry-run shows a deferred constraint that the COMMIT would have met", function()
    local db, folder = project(fix [[op.execute("UPDATE customers SET place = 1")]])
    helper.execute(db.owner, "ALTER TABLE customers ADD COLUMN place int;"
      .. " ALTER TABLE customers ADD UNIQUE (tenant_id, place) DEFERRABLE INITIALLY DEFERRED")
    local result = run(folder, "activate --tenant acme --dry-run")
    assert.are.equal(6, result.code)
    says(result, "23505")
  end)

  it("--show prints the first rows that are changed, added and removed, before and after", function()
    local _, folder = project((fix([[
      op.execute("UPDATE customers SET status = 'active' WHERE id = 1")
      op.execute("DELETE FROM customers WHERE id = 2")
      op.execute("INSERT INTO customers VALUES (9, :t, 'added')", { t = tenant.id })]])))
    local result = succeeds(folder, "activate --all-tenants --dry-run --show 4")
    assert.are.equal([[
acme customers (acme,1): {"status":"new"} -> {"status":"active"}
acme customers (acme,2): {"id":2,"tenant_id":"acme","status":"new"} -> none
acme customers (acme,9): none -> {"id":9,"tenant_id":"acme","status":"added"}
globex customers (globex,1): {"status":"new"} -> {"status":"active"}
]], result.out)
    local line = succeeds(folder, "activate --tenant acme --show 1 --json").out:match "[^\n]+"
    assert.are.same({ tenant = "acme", table = "customers", key = "(acme,1)", before = { status = "new" },
      after = { status = "active" } }, cjson.decode(line))
  end)

  it("--show says of a table that it has too many rows to be compared, also where the fix has added them", function()
    local _, folder = project((fix([[op.execute("INSERT INTO customers SELECT g, :t, 'x'"
      .. " FROM generate_series(4, 1001) g", { t = tenant.id })]]):gsub("max_rows = 3", "max_rows = 2000")))
    for _, words in ipairs { "activate --tenant acme --show 1", "activate --tenant acme --show 1 --dry-run" } do
      local result = run(folder, words)
      says(result, "--show: more than 1000 rows in customers")
      assert.are.equal("", result.out)
    end
  end)

  it("--show shows nothing of a tenant that was taken back, and passes over a table without a primary key", function()
    local _, folder = project((fix([[op.execute("UPDATE customers SET status = 'active'")
      op.execute("UPDATE invoices SET paid = true")]]):gsub('"customers"', '"customers", "invoices"')))
    local result = run(folder, "activate --tenant acme --show 4")
    assert.are.equal(3, result.code) -- four rows
    assert.are.equal("", result.out)
    says(result, "--show: invoices has no primary key")
    assert.are.equal(2, run(folder, "activate --tenant acme --show 0").code)
  end)

  it("asks in production, and is exit 3 where nobody can be asked; --yes says that it is meant", function()
    local db, folder = project(fix(set_active), { environment = "production" })
    local result = run(folder, "activate --tenant acme")
    assert.are.equal(3, result.code)
    says(result, "--yes")
    assert.are.equal("nobody", who_has(db, "active"))
    succeeds(folder, "activate --tenant acme --yes")
    assert.are.equal("acme", who_has(db, "active"))
  end)

  it("asks a person at the terminal in production, and runs for a yes alone", function()
    local db, folder = project(fix(set_active), { environment = "production" })
    local function answered(answer)
      return helper.run("/usr/bin/script", { "-qec", helper.program .. " run activate --tenant acme", "/dev/null" },
        { cwd = folder, input = answer .. "\n" })
    end
    for _, answer in ipairs { "n", "yikes" } do
      local no = answered(answer)
      assert.are.equal(3, no.code, no.out)
      assert.truthy(no.out:find("Run activate for 1 tenant in production? [y/N]", 1, true), no.out)
      assert.are.equal("nobody", who_has(db, "active"))
    end
    assert.are.equal(0, answered "yes".code)
    assert.are.equal("acme", who_has(db, "active"))
  end)

  it("asks nobody whose terminal would not show the question", function()
    local db, folder = project(fix(set_active), { environment = "production" })
    local result = helper.run("/usr/bin/script", { "-qec", helper.program .. " run activate --tenant acme 2>said",
      "/dev/null" }, { cwd = folder, input = "yes\n" })
    assert.are.equal(3, result.code)
    assert.truthy(helper.read(folder .. "/said"):find("nobody is there to be asked", 1, true))
    assert.are.equal("nobody", who_has(db, "active"))
  end)

  it("shows the question before it waits for the answer", function()
    local _, folder = project(fix(set_active), { environment = "production" })
    local result = helper.run("/bin/sh", { "-c", ([[
      (for i in $(seq 200); do grep -qF 'production? [y/N]' shown && { echo asked >&2; break; }; sleep 0.05; done
       echo n) | script -qefc '%s run activate --tenant acme' shown]]):format(helper.program) }, { cwd = folder })
    assert.are.equal(3, result.code, result.out)
    assert.truthy(result.err:find("asked", 1, true), result.out)
  end)

  it("is exit 4 with --no-wait while another runner is at work", function()
    local _, folder = project(fix [[op.execute("SELECT pg_sleep(1)")]])
    local running = helper.start("run activate --tenant acme", { cwd = folder })
    helper.eventually(function() return running.err():find("development", 1, true) end)
    helper.eventually(function() return run(folder, "activate --tenant globex --no-wait --dry-run").code == 4 end)
    assert.are.equal(0, running.wait().code)
  end)

  it("prints a line of JSON for each tenant, and one at the end", function()
    local _, folder = project(fix(set_active))
    succeeds(folder, "activate --tenant acme")
    local lines = {}
    for text in succeeds(folder, "activate --tenant acme --tenant globex --json").out:gmatch "[^\n]+" do
      lines[#lines + 1] = cjson.decode(text)
    end
    assert.are.equal(3, #lines)
    assert.are.equal("globex done 3", ("%s %s %d"):format(lines[1].tenant, lines[1].outcome, lines[1].rows))
    assert.are.equal("acme skipped", lines[2].tenant .. " " .. lines[2].outcome)
    assert.are.equal("run activate 1 1 3", ("%s %s %d %d %d"):format(lines[3].command, lines[3].script, lines[3].done,
      lines[3].skipped, lines[3].rows))
  end)

  for signal, code in pairs { INT = 130, KILL = 137 } do
    it("that SIG" .. signal .. " has ended is finished by the next run: every tenant exactly once", function()
      local db, folder = project(fix [[op.execute("UPDATE customers SET status = status || '+'")
        op.execute("SELECT pg_sleep(0.2)")]])
      local running = helper.start("run activate --all-tenants", { cwd = folder })
      helper.eventually(function() return who_has(db, "new+") ~= "nobody" end)
      running.kill(signal)
      local stopped = running.wait()
      assert.are.equal(code, stopped.code)
      if code == 130 then says(stopped, "run it again: tenants that are done are passed over") end
      activity.is_gone(db, "owner")
      succeeds(folder, "activate --all-tenants")
      assert.are.equal("acme globex initech", who_has(db, "new+"))
      assert.are.equal("nobody", who_has(db, "new"))
    end)
  end

  it("is refused as a role that passes row security; in development the ledger says unconfined", function()
    local db, folder = project(fix(set_active .. [[ op.execute("UPDATE customers SET status = 'x' WHERE id = 0")]]))
    local text = helper.read(folder .. "/dmlua.ini"):gsub("app_role = app\n", ""):gsub("owner@", "bypass@")
    helper.write(folder .. "/dmlua.ini", text)
    helper.execute(db, "GRANT ALL ON ALL TABLES IN SCHEMA public TO bypass; GRANT CREATE ON SCHEMA public TO bypass")
    local result = run(folder, "activate --tenant acme --env staging")
    assert.are.equal(3, result.code)
    says(result, "TenantIsolationError: the fix would run as role bypass")
    assert.are.equal("nobody", who_has(db, "active"))
    assert.are.equal(3, run(folder, "activate --tenant acme").code) -- nine rows: nothing holds it to its tenant
    helper.write(folder .. "/fixes/activate.lua", fix [[
      op.execute("UPDATE customers SET status = 'active' WHERE tenant_id = :t", { t = tenant.id })]])
    succeeds(folder, "activate --tenant acme")
    assert.are.equal("unconfined", helper.value(db, "SELECT note FROM dmlua_ledger WHERE outcome = 'done'"))
  end)

  it("--new asks which service is meant, where there are several", function()
    local folder = helper.folder()
    helper.write(folder .. "/dmlua.ini", "[dmlua]\nservices = isp management\n[isp]\nscript_location = isp\n"
      .. "[management]\nscript_location = management\n")
    local result = helper.dmlua({ "run", "--new", "a", "-m", "b" }, { cwd = folder })
    assert.are.equal(2, result.code)
    assert.truthy(result.err:find("several services (isp, management), and none was named", 1, true), result.err)
  end)

  it("--new writes a fix that runs as it is, and writes over nothing", function()
    local _, folder = project(fix(set_active))
    local result = helper.dmlua({ "run", "--new", "close_old", "-m", 'Close "old" accounts' }, { cwd = folder })
    assert.are.equal("Generating fixes/close_old.lua ...  done\n", result.out)
    succeeds(folder, "close_old --all-tenants")
    assert.are.equal(2, helper.dmlua({ "run", "--new", "close_old", "-m", "again" }, { cwd = folder }).code)
    assert.are.equal(2, helper.dmlua({ "run", "--new", "../x", "-m", "out" }, { cwd = folder }).code)
    assert.are.equal(2, helper.dmlua({ "run", "--new", "y" }, { cwd = folder }).code)
  end)

  it("reads the header strictly: misspelt, local, missing or wrong is exit 2, before anything runs", function()
    local db, folder = project("")
    for text, message in pairs {
      ["max_row = 3 function run() end"] = "did you mean 'max_rows'",
      ["local max_rows = 3 function run() end"] = "max_rows is local",
      ["max_rows = '3' function run() end"] = "max_rows is '3'; it must be a whole number, 0 or more",
      ["tables = { 1 } function run() end"] = "no name of a table",
      ["description = 'x'"] = "this file has none",
      ["tables = { 'nowhere' } function run() end"] = "there is no table nowhere",
    } do
      helper.write(folder .. "/fixes/activate.lua", text)
      local result = run(folder, "activate --all-tenants")
      assert.are.equal(2, result.code, text)
      says(result, message)
    end
    assert.falsy(helper.value(db, "SELECT to_regclass('dmlua_ledger')::text"))
  end)
end)
