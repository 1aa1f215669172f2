-- Fixes with an undo log, for the specs.

local assert = require "luassert"
local helper = require "spec.helper"

local M = {}

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants VALUES ('acme'), ('globex'), ('initech');
  CREATE TABLE customers (tenant_id text NOT NULL, id int NOT NULL, status text NOT NULL DEFAULT 'new',
    PRIMARY KEY (tenant_id, id));
  INSERT INTO customers SELECT tenants.id, g FROM tenants, generate_series(1, 3) g;
]]

-- Row security as the guards set it, and the application's grants, on each table that has the column.
local isolate = [[
  DO $$ DECLARE it record; BEGIN
    FOR it IN SELECT c.oid::regclass AS name, format_type(a.atttypid, -1) AS type FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND attname = 'tenant_id'
        WHERE relkind IN ('r', 'p') AND NOT relrowsecurity AND relname !~ '^dmlua' LOOP
      EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', it.name);
      EXECUTE format('CREATE POLICY isolation ON %s USING (tenant_id = (SELECT nullif('
        || 'current_setting(''app.current_tenant_id'', true), '''')::%s))', it.name, it.type);
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO app', it.name);
    END LOOP;
  END $$]]

--- A fix with this body, for tables as its header has them.
function M.fix(body, tables)
  return ('description = "x"\ntables = { %s }\nfunction run(tenant)\n%s\nend\n'):format(tables or '"customers"', body)
end

--- A fix of these statements.
function M.sql_fix(sql, tables)
  return M.fix(("op.execute [==[%s]==]"):format(sql), tables)
end

--- A database with three tenants, more tables as `more` makes them, and a folder with the fix as fixes/mend.lua.
function M.project(text, more, settings)
  local db = helper.database()
  helper.execute(db.owner, schema)
  if more then helper.execute(db.owner, more) end
  helper.execute(db.owner, isolate)
  settings = settings or {}
  settings.app_role = settings.app_role or "app"
  settings.tenants_query = "SELECT id FROM tenants ORDER BY id"
  local folder = helper.project { database = db, settings = settings, files = { ["fixes/mend.lua"] = text } }
  return db, folder
end

function M.dmlua(folder, words)
  return helper.dmlua(words, { cwd = folder })
end

--- The program's answer, which must be exit 0.
function M.succeeds(folder, words)
  local result = M.dmlua(folder, words)
  assert.are.equal("", result.code == 0 and "" or result.err)
  return result
end

--- It must be this exit code, and say these texts.
function M.fails(folder, code, words, ...)
  local result = M.dmlua(folder, words)
  assert.are.equal(code, result.code, result.err)
  for _, text in ipairs { ... } do assert.truthy(result.err:find(text, 1, true), result.err) end
  return result
end

--- All rows of the tables as text.
function M.rows_of(db, ...)
  local parts = {}
  for i, name in ipairs { ... } do
    parts[i] = ("SELECT %d AS place, it::text AS row FROM %s it"):format(i, name)
  end
  return helper.value(db, "SELECT string_agg(place || ': ' || row, E'\\n' ORDER BY place, row COLLATE \"C\") FROM ("
    .. table.concat(parts, " UNION ALL ") .. ") rows")
end

return M
