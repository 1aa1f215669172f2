-- dmlua run --undo-log and dmlua undo: what a fix has changed is taken back, or it is said why not.

local activity = require "spec.support.activity"
local cjson = require "cjson"
local fixes = require "spec.support.fixes"
local helper = require "spec.helper"

local fails, fix, project, rows_of = fixes.fails, fixes.fix, fixes.project, fixes.rows_of
local sql_fix, succeeds = fixes.sql_fix, fixes.succeeds

local activate = sql_fix "UPDATE customers SET status = 'active'"

-- The fix has run for all tenants.
local function ran(more, text)
  local db, folder = project(text or activate, more)
  succeeds(folder, "run mend --all-tenants --undo-log")
  return db, folder
end

local function status_of(db, tenant)
  return helper.value(db, ("SELECT string_agg(status, ' ' ORDER BY id) FROM customers WHERE tenant_id = '%s'")
    :format(tenant))
end

describe("undo refuses, and takes nothing back for that tenant,", function()
  for what, case in pairs {
    ["rows that were changed since"] = { "UPDATE customers SET status = 'late' WHERE tenant_id = 'globex' AND id = 2",
      "public.customers (globex,2): status is 'late', the fix left 'active'" },
    ["rows that were deleted since"] = { "DELETE FROM customers WHERE tenant_id = 'globex' AND id = 2",
      "public.customers (globex,2) is gone" },
  } do
    it(what .. "; the others are undone, exit 6", function()
      local db, folder = ran()
      helper.execute(db, case[1])
      local before = status_of(db, "globex")
      fails(folder, 6, "undo mend --all-tenants", "globex: 1 row changed since the fix: " .. case[2],
        "2 done in this run")
      assert.are.equal(before, status_of(db, "globex"))
      assert.are.equal("new new new", status_of(db, "acme"))
      assert.are.equal("new new new", status_of(db, "initech"))
      assert.are.equal("failed", helper.value(db,
        "SELECT outcome FROM dmlua_ledger WHERE kind = 'undo' AND tenant = 'globex'"))
    end)
  end

  it("rows whose key is taken again", function()
    local db, folder = ran(nil, sql_fix "DELETE FROM customers WHERE id = 1")
    helper.execute(db, "INSERT INTO customers VALUES ('acme', 1, 'other')")
    fails(folder, 6, "undo mend --tenant acme", "the key of public.customers (acme,1) is taken again")
    assert.are.equal("other new new", status_of(db, "acme"))
  end)

  it("what a foreign key now hinders", function()
    local db, folder = ran([[CREATE TABLE orders (tenant_id text, id int, customer int, PRIMARY KEY (tenant_id, id),
      FOREIGN KEY (tenant_id, customer) REFERENCES customers)]],
      sql_fix "INSERT INTO customers SELECT current_setting('app.current_tenant_id'), 7")
    helper.execute(db, "INSERT INTO orders VALUES ('acme', 1, 7)")
    fails(folder, 6, "undo mend --all-tenants", "acme: 23503", "orders_tenant_id_customer_fkey", "2 done in this run")
    assert.are.equal("new new new new", status_of(db, "acme"))
  end)

  it("columns and tables that are gone since, when the fix had changed them", function()
    local db, folder = ran()
    helper.execute(db, "ALTER TABLE customers RENAME COLUMN status TO state")
    fails(folder, 6, "undo mend --tenant acme", "public.customers has no column status any more")
    helper.execute(db, "ALTER TABLE customers RENAME TO clients")
    fails(folder, 6, "undo mend --tenant acme", "there is no table public.customers any more")
  end)

  it("pre-images of which some are missing", function()
    local db, folder = ran()
    helper.execute(db, "DELETE FROM dmlua_undo WHERE tenant = 'acme' AND key LIKE '%1%'")
    fails(folder, 6, "undo mend --tenant acme", "2 of 3 pre-images are there")
  end)
end)

describe("undo", function()
  it("goes on where columns came or went that the fix had not touched", function()
    local db, folder = ran("ALTER TABLE customers ADD COLUMN old int DEFAULT 1, ADD COLUMN kept int")
    helper.execute(db, "ALTER TABLE customers DROP COLUMN old; ALTER TABLE customers ADD COLUMN fresh int DEFAULT 5")
    succeeds(folder, "undo mend --tenant acme")
    assert.are.equal("new new new", status_of(db, "acme"))
    assert.are.equal("15", helper.value(db, "SELECT sum(fresh) FROM customers WHERE tenant_id = 'acme'"))
  end)

  it("is done once: a second one says who did it and when; the fix can run again without --again", function()
    local db, folder = ran()
    succeeds(folder, "undo mend --tenant acme --reason oops")
    local second = succeeds(folder, "undo mend --tenant acme")
    assert.truthy(second.err:find "acme: mend was undone by owner at %d+%-%d+%-%d+ %d+:%d+:%d+ UTC; nothing to do")
    local again = succeeds(folder, "run mend --all-tenants")
    assert.truthy(again.err:find("mend: 1 tenant done, 2 passed over", 1, true), again.err)
    assert.are.equal("active active active", status_of(db, "acme"))
  end)

  it("lets no tenant run again whom an earlier run has done, which stands and is told", function()
    local db, folder = ran()
    succeeds(folder, "run mend --tenant acme --again --undo-log")
    local third = succeeds(folder, "run mend --tenant acme --again --undo-log").err:match "dmlua undo (%x+)"
    local runs = helper.value(db, [[SELECT string_agg(left(run_id::text, 8), ' ' ORDER BY id) FROM dmlua_ledger
      WHERE kind = 'run' AND outcome = 'done' AND tenant = 'acme']])
    local first, second = runs:match "^(%x+) (%x+) "
    local function stands()
      return succeeds(folder, "run mend --tenant acme").err:find("acme: mend was run by owner", 1, true) ~= nil
    end
    for i, id in ipairs { second, third, first } do
      succeeds(folder, ("undo %s --tenant acme"):format(id))
      assert.are.equal(i < 3, stands())
    end
    assert.are.equal("active active active", status_of(db, "acme"))
  end)

  it("does not speak of an undone run as one that a tenant had", function()
    local _, folder = ran()
    succeeds(folder, "undo mend --all-tenants")
    helper.write(folder .. "/fixes/mend.lua", activate .. "\n-- edited")
    assert.falsy(succeeds(folder, "run mend --all-tenants").err:find("another version", 1, true))
  end)

  it("leaves its rows in the ledger, which log shows", function()
    local db, folder = ran()
    local run = helper.value(db, "SELECT left(run_id::text, 8) FROM dmlua_ledger WHERE kind = 'run' LIMIT 1")
    succeeds(folder, "undo mend --tenant acme --reason oops")
    assert.are.same({ kind = "undo", what = "mend", tenant = "acme", rows = "3", reason = "oops", outcome = "done",
      note = "undoes " .. run, hash = "64" }, helper.sql(db, "SELECT kind, what, tenant, rows, reason, outcome, note,"
      .. " length(sha256) AS hash FROM dmlua_ledger WHERE kind = 'undo'")[1])
    local log = succeeds(folder, "log").out
    assert.truthy(log:find("undo%s+mend%s+done[^\n]+tenant acme; 3 rows; oops; undoes " .. run), log)
    assert.truthy(log:find("tenant globex; 3 rows; undo log", 1, true), log)
  end)

  it("is no line of log --tenants: what it sends is dmlua's own, and counted in its row of the ledger", function()
    local _, folder = ran()
    succeeds(folder, "undo mend --tenant acme")
    local log = succeeds(folder, "log mend --tenants").out
    assert.truthy(log:find("acme%s+3 rows"), log)
    assert.falsy(log:find("undo", 1, true), log)
  end)

  it("takes a run's id, its beginning or the fix's name; else exit 2 with what there is", function()
    local db, folder = ran()
    local id = helper.value(db, "SELECT DISTINCT run_id FROM dmlua_ledger")
    succeeds(folder, ("undo %s --tenant acme"):format(id))
    succeeds(folder, ("undo %s --tenant globex"):format(id:sub(1, 6)))
    fails(folder, 2, "undo mand --all-tenants", "there is no run mand (did you mean 'mend'?)")
    helper.execute(db, ("INSERT INTO dmlua_ledger (version_table, run_id, kind, what, environment, tenant, who,"
      .. " started, duration, outcome) SELECT version_table, overlay(run_id::text placing '%s' from 36)::uuid, kind,"
      .. " 'other', environment, tenant, who, started, duration, outcome FROM dmlua_ledger"
      .. " WHERE kind = 'run' AND tenant = 'acme'")
      :format(id:sub(-1) == "0" and "1" or "0"))
    fails(folder, 2, ("undo %s --all-tenants"):format(id:sub(1, 6)), "may mean 2 runs", id, "other")
    succeeds(folder, "undo mend --all-tenants")
  end)

  it("goes from the last tenant to the first, so that rows that they share come back", function()
    local db, folder = project(fix([[op.execute("UPDATE shared SET n = n || :t", { t = tenant.id })]], '"shared"'),
      "CREATE TABLE shared (id int PRIMARY KEY, n text); INSERT INTO shared VALUES (1, ''); GRANT ALL ON shared TO app")
    for _, whom in ipairs { "--all-tenants", "--tenant acme --tenant initech --tenant globex" } do
      succeeds(folder, "run mend --undo-log " .. whom:gsub("%-%-tenant acme.*", "--all-tenants"))
      assert.are.equal("acmeglobexinitech", helper.value(db, "SELECT n FROM shared"))
      succeeds(folder, "undo mend " .. whom)
      assert.are.equal("", helper.value(db, "SELECT n FROM shared"))
    end
  end)

  it("is of no run that is not named", function()
    local _, folder = project(activate)
    succeeds(folder, "run mend --tenant acme --undo-log")
    for _, word in ipairs { "", "fixes/" } do
      local result = helper.dmlua({ "undo", word, "--all-tenants" }, { cwd = folder })
      assert.are.equal(2, result.code, result.err)
      assert.truthy(result.err:find("'" .. word .. "' names no run", 1, true), result.err)
    end
  end)

  it("undoes the last run of a name", function()
    local db, folder = ran(nil, sql_fix "UPDATE customers SET status = status || '+'")
    succeeds(folder, "run mend --all-tenants --again --undo-log")
    succeeds(folder, "undo mend --all-tenants")
    assert.are.equal("new+ new+ new+", status_of(db, "acme"))
  end)

  it("is exit 2 without tenants and for tenants that the run was not for, with near names", function()
    local _, folder = project(activate)
    fails(folder, 2, "undo mend --all-tenants", "there is no run mend")
    succeeds(folder, "run mend --tenant acme --tenant globex --undo-log")
    fails(folder, 2, "undo mend", "neither --tenant nor --all-tenants is given")
    fails(folder, 2, "undo mend --tenant acme --tenant globix",
      "mend was not run for a tenant 'globix' (did you mean 'globex'?)")
    fails(folder, 2, "undo mend --tenant initech", "mend was not run for a tenant 'initech'")
  end)

  it("is refused for a run that has kept nothing", function()
    local _, folder = project(activate)
    succeeds(folder, "run mend --all-tenants")
    fails(folder, 3, "undo mend --all-tenants", "kept no pre-images")
  end)

  it("--dry-run tries it out; run --dry-run --undo-log leaves nothing", function()
    local db, folder = project(activate)
    succeeds(folder, "run mend --all-tenants --undo-log --dry-run")
    assert.falsy(helper.value(db, "SELECT to_regclass('dmlua_undo')::text"))
    succeeds(folder, "run mend --all-tenants --undo-log")
    local tried = succeeds(folder, "undo mend --all-tenants --dry-run")
    assert.truthy(tried.err:find("acme: dry run, 3 rows", 1, true), tried.err)
    assert.are.equal("active active active", status_of(db, "acme"))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_ledger WHERE kind = 'undo'"))
    succeeds(folder, "undo mend --all-tenants")
    assert.are.equal("new new new", status_of(db, "acme"))
  end)

  it("asks in production; --yes says that it is meant", function()
    local db, folder = project(activate, nil, { environment = "production" })
    succeeds(folder, "run mend --all-tenants --undo-log --yes")
    fails(folder, 3, "undo mend --all-tenants", "undoing mend for 3 tenants in production asks first")
    fails(folder, 3, "undo --forget mend", "asks first")
    succeeds(folder, "undo mend --all-tenants --yes")
    assert.are.equal("new new new", status_of(db, "acme"))
  end)

  it("--forget drops a run's pre-images, which cannot be undone afterwards", function()
    local db, folder = ran()
    succeeds(folder, "undo mend --tenant acme")
    local forgotten = succeeds(folder, "undo --forget mend --reason gdpr")
    assert.truthy(forgotten.err:find("the pre-images of 6 rows were dropped", 1, true), forgotten.err)
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_undo"))
    assert.are.equal("true", helper.value(db,
      "SELECT relforcerowsecurity::text FROM pg_class WHERE oid = 'dmlua_undo'::regclass"))
    fails(folder, 3, "undo mend --tenant globex", "were dropped by owner at")
    assert.truthy(succeeds(folder, "undo mend --tenant acme").err:find("nothing to do", 1, true))
    fails(folder, 3, "undo --forget mend", "were dropped by owner at")
  end)

  it("prints a line of JSON for each tenant, and one at the end", function()
    local _, folder = ran()
    succeeds(folder, "undo mend --tenant acme")
    local lines = {}
    for text in succeeds(folder, "undo mend --all-tenants --json").out:gmatch "[^\n]+" do
      local it = cjson.decode(text)
      if not it.event then lines[#lines + 1] = it end
    end
    assert.are.equal("acme skipped", lines[1].tenant .. " " .. lines[1].outcome)
    assert.are.equal("initech done 3", ("%s %s %d"):format(lines[2].tenant, lines[2].outcome, lines[2].rows))
    assert.are.equal("undo mend 2 1 6", ("%s %s %d %d %d"):format(lines[4].command, lines[4].script, lines[4].done,
      lines[4].skipped, lines[4].rows))
  end)

  it("is seen by triggers as any change; a column that a trigger sets is said", function()
    local db, folder = ran([[
      ALTER TABLE customers ADD COLUMN seen timestamptz DEFAULT '2020-01-01';
      CREATE TABLE sights (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
      GRANT SELECT, INSERT, DELETE ON sights TO app;
      CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.seen := clock_timestamp(); INSERT INTO sights DEFAULT VALUES; RETURN NEW; END $$;
      CREATE TRIGGER look BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION look()]],
      sql_fix("UPDATE customers SET status = 'active'", '"customers", "sights"'))
    assert.are.equal("9", helper.value(db, "SELECT count(*) FROM sights"))
    local undone = succeeds(folder, "undo mend --tenant acme")
    assert.truthy(undone.err:find("acme: seen of public.customers is not what it was: a trigger sets it", 1, true),
      undone.err)
    assert.are.equal("new new new", status_of(db, "acme"))
    assert.are.equal("9 12", helper.value(db, "SELECT concat_ws(' ', count(*), max(n)) FROM sights"))
  end)
end)

describe("run --undo-log", function()
  it("keeps the pre-images for the tenant's own eyes: row security is forced, nobody else has a privilege", function()
    local db, folder = project(activate)
    helper.execute(db.owner, "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app, PUBLIC")
    succeeds(folder, "run mend --all-tenants --undo-log")
    assert.are.equal("t t owner", helper.value(db, "SELECT concat_ws(' ', relrowsecurity, relforcerowsecurity,"
      .. " relowner::regrole) FROM pg_class WHERE oid = 'dmlua_undo'::regclass"))
    local app = helper.connect(db.app)
    for _, sql in ipairs { "SELECT FROM dmlua_undo", "DELETE FROM dmlua_undo",
      "INSERT INTO dmlua_undo DEFAULT VALUES" } do
      local ok, message = pcall(app.exec, app, sql)
      assert.falsy(ok)
      assert.are.equal("42501", message.sqlstate)
    end
    local owner = helper.connect(db.owner)
    for tenant, count in pairs { acme = 3, nobody = 0, [""] = 0 } do
      owner:exec("SELECT set_config('app.current_tenant_id', $1, false)", { tenant })
      assert.are.equal(count, #owner:exec("SELECT FROM dmlua_undo").rows)
    end
  end)

  it("is out of the fix's own reach", function()
    for _, sql in ipairs { "INSERT INTO pg_temp.dmlua_undo_rows (name, key) VALUES ('customers', 'x')",
      "DELETE FROM pg_temp.dmlua_undo_rows", "SELECT FROM pg_temp.dmlua_undo_rows", "DELETE FROM dmlua_undo" } do
      local db, folder = project(sql_fix(sql))
      helper.execute(db.owner, "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app, PUBLIC")
      fails(folder, 6, "run mend --tenant acme --undo-log", "permission denied for table dmlua_undo")
    end
  end)

  it("holds the fix to its header as without it, and keeps nothing of a fix that is taken back", function()
    for _, it in ipairs { { "CREATE TABLE mine (n int)", 3, "DDL" },
      { "DO $$ BEGIN CREATE TABLE mine (n int); END $$", 3, "it has changed the catalogue" },
      { "DISCARD TEMP", 3, "it has changed the catalogue" },
      { "UPDATE others SET n = 1", 3, "it has written to others" },
      { "UPDATE customers SET status = 'x'; SELECT 1/0", 6, "22012" } } do
      local db, folder = project(sql_fix(it[1]), "CREATE TABLE others (tenant_id text PRIMARY KEY, n int)")
      helper.execute(db.owner, "GRANT CREATE ON SCHEMA public TO app")
      fails(folder, it[2], "run mend --tenant acme --undo-log", it[3])
      assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_undo"))
      assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_progress"))
    end
  end)

  it("is refused where rows could not be found or read again, with the way out", function()
    local _, folder = project(activate, [[
      CREATE TABLE keyless (tenant_id text); CREATE VIEW seen AS SELECT * FROM customers]])
    for text, expected in pairs {
      [sql_fix("SELECT 1", '"keyless"')] = { 3, "public.keyless has no primary key" },
      [sql_fix("SELECT 1", '"seen"')] = { 3, "public.seen is no table" },
      ["function run() end"] = { 2, "this one names none" },
    } do
      helper.write(folder .. "/fixes/mend.lua", text)
      fails(folder, expected[1], "run mend --tenant acme --undo-log", expected[2])
    end
  end)

  it("names the GRANT that is missing", function()
    local db, folder = project(activate)
    helper.execute(db.owner, "REVOKE SELECT ON customers FROM app")
    fails(folder, 3, "run mend --tenant acme --undo-log", "GRANT SELECT ON public.customers TO app")
    helper.execute(db.owner, "GRANT SELECT ON customers TO app")
    helper.execute(db, ("REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC, owner; ALTER DATABASE %s OWNER TO postgres")
      :format(db.name, db.name))
    fails(folder, 3, "run mend --tenant acme --undo-log", "GRANT TEMPORARY ON DATABASE")
  end)

  it("keeps nothing of what other sessions do meanwhile, and keeps nobody waiting", function()
    local db, folder = project(fix [[op.execute("UPDATE customers SET status = 'active' WHERE id = 1")
      op.execute("SELECT pg_sleep(1)")]])
    local running = helper.start("run mend --tenant acme --undo-log", { cwd = folder })
    helper.eventually(function()
      return helper.value(db, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1)%'"
        .. " AND datname = current_database() AND pid <> pg_backend_pid()") == "1"
    end)
    helper.execute(db, "SET lock_timeout = '500ms'; UPDATE customers SET status = 'theirs' WHERE id = 2;"
      .. " DELETE FROM customers WHERE tenant_id = 'acme' AND id = 3")
    assert.are.equal(0, running.wait().code)
    assert.are.equal("1", helper.value(db, "SELECT count(*) FROM dmlua_undo"))
    succeeds(folder, "undo mend --all-tenants")
    assert.are.equal("new theirs", status_of(db, "acme"))
  end)

  it("works as a superuser, and as a role with BYPASSRLS", function()
    for _, role in ipairs { "postgres", "bypass" } do
      local db, folder = project(activate)
      helper.execute(db, "GRANT app TO bypass; GRANT CREATE ON SCHEMA public TO bypass;"
        .. " GRANT SELECT ON tenants TO bypass")
      local ini = helper.read(folder .. "/dmlua.ini")
      helper.write(folder .. "/dmlua.ini", (ini:gsub("owner@", role .. "@")))
      succeeds(folder, "run mend --all-tenants --undo-log")
      succeeds(folder, "undo mend --tenant acme --tenant globex")
      assert.are.equal("new new new", status_of(db, "acme"))
      assert.are.equal("active active active", status_of(db, "initech"))
      succeeds(folder, "undo --forget mend")
    end
  end)

  for _, kind in ipairs { "uuid", "bigint", "varchar(40)" } do
    it("works with tenants of type " .. kind, function()
      local db, folder = project(sql_fix("UPDATE things SET t = 'b'; DELETE FROM things WHERE id = 2", '"things"'), ([[
        DROP TABLE customers; DROP TABLE tenants;
        CREATE TABLE tenants (id %s PRIMARY KEY);
        INSERT INTO tenants VALUES ('%s'), ('%s');
        CREATE TABLE things (tenant_id %s, id int, t text, PRIMARY KEY (tenant_id, id));
        INSERT INTO things SELECT tenants.id, g, 'a' FROM tenants, generate_series(1, 2) g]]):format(kind,
        kind == "bigint" and "1" or "00000000-0000-0000-0000-000000000001",
        kind == "bigint" and "10" or "00000000-0000-0000-0000-000000000002", kind))
      local before = rows_of(db, "things")
      succeeds(folder, "run mend --all-tenants --undo-log")
      succeeds(folder, "undo mend --all-tenants")
      assert.are.equal(before, rows_of(db, "things"))
    end)
  end
end)

describe("kill -9", function()
  it("in a run or an undo leaves each tenant as it was or wholly done; the next one does the rest", function()
    local slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
      .. " 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END';"
      .. " CREATE TRIGGER slow AFTER UPDATE ON customers FOR EACH STATEMENT EXECUTE FUNCTION slow()"
    local db, folder = project(sql_fix "UPDATE customers SET status = status || '+'", slow)
    for _, words in ipairs { "run mend --all-tenants --undo-log", "undo mend --all-tenants" } do
      local status = words:find "^undo" and "new" or "new+"
      local running = helper.start(words, { cwd = folder })
      helper.eventually(function()
        return helper.value(db, ("SELECT count(*) FROM customers WHERE status = '%s'"):format(status)) ~= "0"
      end)
      running.kill "KILL"
      running.wait()
      activity.is_gone(db, "owner")
      if words:find "^undo" then break end
      succeeds(folder, words)
      assert.are.equal("9", helper.value(db, "SELECT count(*) FROM customers WHERE status = 'new+'"))
    end
    succeeds(folder, "undo mend --all-tenants")
    assert.are.equal("9", helper.value(db, "SELECT count(*) FROM customers WHERE status = 'new'"))
  end)
end)
