-- What the specs of resumable loops share: twelve tenants with a customer each, whom a loop visits, or fails for.

local assert = require "luassert"
local helper = require "spec.helper"

local M = {}

function M.says(result, text)
  assert.truthy(result.err:find(text, 1, true), result.err)
end

function M.succeeded(result)
  assert.are.equal("", result.code == 0 and "" or result.err)
end

function M.refused(result, code, text)
  assert.are.equal(code, result.code, result.err)
  M.says(result, text)
end

--- How often `text` stands in `whole`.
function M.count(whole, text)
  local n, at = 0, 1
  while true do
    local from, to = whole:find(text, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end

--- The tables, as text of a migration.
M.schema = [[ op.execute([=[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants SELECT 't' || lpad(g::text, 2, '0') FROM generate_series(1, 12) g;
  CREATE TABLE customers (tenant_id text NOT NULL, visits int NOT NULL DEFAULT 0, note text);
  INSERT INTO customers SELECT id FROM tenants;
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY customers_tenant_isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, UPDATE ON customers TO app;
  CREATE TABLE sabotage (tenant_id text);
  GRANT SELECT ON sabotage TO app;
]=]) ]]

--- Visits the tenant, or fails for one that sabotage names.
M.visit = [[
  op.execute("UPDATE customers SET visits = visits + 1")
  op.execute("SELECT 1 / (CASE WHEN EXISTS (SELECT FROM sabotage WHERE tenant_id = :t) THEN 0 ELSE 1 END)",
    { t = tenant.id })
]]

--- The loop as text of a migration.
function M.loop(body, options)
  local text = "tenants.each(function(tenant)\n%s end, { mode = 'resumable'%s })\n"
  return text:format(body or M.visit, options or "")
end

--- A database at aaaa, with bbbb (and what else `more` has) to come: a function that runs dmlua there, the database,
--- the folder.
function M.project(upgrade, more)
  local db = helper.database()
  more = more or {}
  local versions = { { revision = "aaaa", upgrade = M.schema },
    { revision = "bbbb", down = "aaaa", upgrade = upgrade, downgrade = more.downgrade } }
  for _, version in ipairs(more.versions or {}) do versions[#versions + 1] = version end
  local folder = helper.project { database = db, versions = versions,
    settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id", global_tables = "sabotage" } }
  M.succeeded(helper.dmlua("upgrade aaaa", { cwd = folder }))
  local function run(...)
    return helper.dmlua(..., { cwd = folder })
  end
  return run, db, folder
end

--- Lets the loop fail for these tenants, and no others.
function M.sabotage(db, ...)
  helper.execute(db, "TRUNCATE sabotage")
  for _, id in ipairs { ... } do
    helper.execute(db, "INSERT INTO sabotage VALUES ('" .. id:gsub("'", "''") .. "')")
  end
end

function M.rewrite(folder, upgrade, more)
  helper.write(folder .. "/versions/bbbb.lua", helper.revision { revision = "bbbb", down = "aaaa", upgrade = upgrade,
    downgrade = more and more.downgrade })
end

--- How often tenants were visited: "1:12" is all twelve once.
function M.visits(db)
  return helper.value(db, "SELECT string_agg(visits || ':' || n, ' ' ORDER BY visits)"
    .. " FROM (SELECT visits, count(*) AS n FROM customers GROUP BY visits) v")
end

function M.version(db)
  return helper.value(db, "SELECT string_agg(version_num, ' ') FROM alembic_version")
end

return M
