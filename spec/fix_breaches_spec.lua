-- What a fix's header does not allow is found, wherever it hides.

local fixes = require "spec.support.fixes"
local helper = require "spec.helper"

local fails, fix, project, succeeds = fixes.fails, fixes.fix, fixes.project, fixes.succeeds

local more = [[
  CREATE TABLE others (tenant_id text, id int PRIMARY KEY, n int);
  INSERT INTO others VALUES ('acme', 1, 0);
  CREATE TABLE guests (tenant_id text, id int, customer int, PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer) REFERENCES customers ON DELETE CASCADE);
  INSERT INTO guests VALUES ('acme', 1, 3);
  CREATE TABLE old_audit (tenant_id text, id int PRIMARY KEY);
  CREATE FUNCTION sneak() RETURNS int LANGUAGE sql AS 'UPDATE others SET n = n + 1; SELECT 1';
  CREATE FUNCTION sneak_definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'UPDATE others SET n = n + 1; SELECT 1';
  GRANT CREATE ON SCHEMA public TO app;
  GRANT TRUNCATE ON customers, guests TO app;
]]

local function sql(text)
  return ("op.execute [==[%s]==]"):format(text)
end

local other = "it has written to others, which tables does not name"
local catalogue = "it has changed the catalogue"

local cases = {
  ["another table in a function"] = { sql "SELECT sneak()", other },
  ["another table in a function of its owner's"] = { sql "SELECT sneak_definer()", other },
  ["another table by MERGE or an upsert"] = { sql [[INSERT INTO others VALUES ('acme', 1, 2)
    ON CONFLICT (id) DO UPDATE SET n = 2]], other },
  ["another table in a CTE"] = { sql "WITH w AS (DELETE FROM others RETURNING *) SELECT * FROM w", other },
  ["another table under a stronger lock"] = { sql "LOCK TABLE others IN EXCLUSIVE MODE; DELETE FROM others", other },
  ["another table by a prepared statement"] = { sql "PREPARE p AS DELETE FROM others; EXECUTE p", other },
  ["another table by a cascade"] = { sql "DELETE FROM customers WHERE id = 3", "it has written to guests" },
  ["an audit's name that is none"] = { sql "INSERT INTO old_audit VALUES ('acme', 1)", "it has written to old_audit" },
  ["another table when a cursor is kept beyond the transaction"] = {
    sql "DECLARE c CURSOR WITH HOLD FOR SELECT sneak()", false },
  ["SELECT INTO"] = { sql "SELECT 1 AS n INTO mine", catalogue },
  ["SELECT INTO a temporary table"] = { sql "SELECT 1 AS n INTO TEMP mine", catalogue },
  ["a temporary table in a DO block"] = { sql "DO $$ BEGIN CREATE TEMP TABLE mine (n int); END $$", catalogue },
  ["TRUNCATE"] = { sql "TRUNCATE customers", "DDL belongs into a migration" },
  ["TRUNCATE in a DO block"] = { sql "DO $$ BEGIN TRUNCATE customers CASCADE; END $$", catalogue },
  ["a large object"] = { sql "SELECT lo_create(0)", catalogue },
  ["DDL behind the host's own numbers"] = { sql [[SELECT set_config('dmlua.fix_catalogue', '999999', true),
    set_config('dmlua.fix_rows', '999999', true); SELECT 1 AS n INTO mine]], catalogue },
  ["rows behind the host's own numbers"] = { sql [[SELECT set_config('dmlua.fix_rows', '999999', true);
    DO $$ BEGIN UPDATE customers SET status = 'a'; UPDATE customers SET status = 'b'; END $$]],
    "6 rows written, max_rows is 3" },
}

describe("a fix may not do what its header does not say:", function()
  local db, folder = project("", more)
  for name, case in pairs(cases) do
    it(name, function()
      helper.write(folder .. "/fixes/mend.lua", (fix(case[1]):gsub("\nfunction", "\nmax_rows = 3\nfunction", 1)))
      if case[2] then
        fails(folder, 3, "run mend --tenant acme", case[2])
      else
        succeeds(folder, "run mend --tenant acme")
      end
      assert.are.equal("new new new 0", helper.value(db, "SELECT string_agg(status, ' ' ORDER BY id) || ' ' ||"
        .. " (SELECT n FROM others) FROM customers WHERE tenant_id = 'acme'"))
      assert.falsy(helper.value(db, "SELECT to_regclass('mine')::text"))
    end)
  end
end)

describe("a fix", function()
  it("may not write dmlua's own tables, whatever its role may and its header says", function()
    local db, folder = project(fix("", '"customers"'))
    succeeds(folder, "run mend --tenant acme")
    for name, tables in pairs { dmlua_ledger = '"dmlua_ledger"', dmlua_progress = '"customers"',
      dmlua_database = false } do
      helper.execute(db.owner, ("GRANT ALL ON %s TO app"):format(name))
      helper.write(folder .. "/fixes/mend.lua", ("%s\nfunction run() %s end"):format(
        tables and ("tables = { %s }"):format(tables) or "", sql("DELETE FROM " .. name)))
      fails(folder, 3, "run mend --tenant acme", "it has written to " .. name .. ": dmlua's own tables are no fix's")
      assert.are_not.equal("0", helper.value(db, "SELECT count(*) FROM " .. name))
    end
  end)

  it("begins for each tenant with the settings that the session had", function()
    local db, folder = project(fix [[
      op.execute("UPDATE customers SET status = current_setting('application_name') || current_setting('DateStyle')")
      op.execute("SET DateStyle = 'German'")
      op.execute("DO $$ BEGIN PERFORM set_config('application_name', 'mine', false); END $$")]])
    succeeds(folder, "run mend --all-tenants")
    assert.are.equal("1", helper.value(db, "SELECT count(DISTINCT status) FROM customers"))
    assert.are.equal("dmluaISO, MDY", helper.value(db, "SELECT max(status) FROM customers"))
  end)
end)
