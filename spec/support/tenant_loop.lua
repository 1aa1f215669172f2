-- A project with one resumable loop over tenants that each have one row.

local helper = require "spec.helper"

local M = {}

local schema = [[ op.execute([=[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants SELECT 't' || lpad(g::text, 3, '0') FROM generate_series(1, %d) g;
  CREATE TABLE customers (tenant_id text PRIMARY KEY, visits int NOT NULL DEFAULT 0);
  INSERT INTO customers SELECT id FROM tenants;
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY customers_tenant_isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  CREATE TABLE kinds (id int PRIMARY KEY);
  CREATE TABLE notes (tenant_id text NOT NULL, kind int REFERENCES kinds DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE counters (n int NOT NULL);
  INSERT INTO counters VALUES (0);
  CREATE FUNCTION leave_something() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN PERFORM set_config('search_path', 'pg_catalog', false); END $$;
  GRANT SELECT, UPDATE ON customers, counters TO app;
  GRANT INSERT ON notes TO app;
]=]) ]]

--- A call of tenants.each with this body and these options.
function M.loop(body, options)
  return ("tenants.each(function(tenant)\n%s\nend, { mode = 'resumable'%s })"):format(body,
    options and ", " .. options or "")
end

--- A database at the revision before the loop's, and its project's folder. given: tenants (a number), upgrade (text).
function M.project(given)
  local db = helper.database()
  local folder = helper.project { database = db,
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id" },
    versions = { { revision = "aaaa", upgrade = schema:format(given.tenants) },
      { revision = "bbbb", down = "aaaa", upgrade = given.upgrade } } }
  local result = helper.dmlua("upgrade aaaa", { cwd = folder })
  assert(result.code == 0, result.err)
  return db, folder
end

--- How often tenants were visited: "1:12" is all twelve once.
function M.visits(db)
  return helper.value(db, "SELECT string_agg(visits || ':' || n, ' ' ORDER BY visits)"
    .. " FROM (SELECT visits, count(*) AS n FROM customers GROUP BY visits) v")
end

--- Asserts that the text stands in what was said on stderr.
function M.says(result, text)
  if not result.err:find(text, 1, true) then error(("not said: %s\n%s"):format(text, result.err), 2) end
end

--- Waits until so many tenants are done.
function M.wait_for_rows(db, count)
  helper.eventually(function()
    return count <= tonumber(helper.value(db,
      "SELECT count(*) FROM dmlua_progress WHERE tenant <> '' AND state = 'done'"))
  end)
end

return M
