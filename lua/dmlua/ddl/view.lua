-- Views: record → statements. Pure.

local block = require "dmlua.block"
local drop = require "dmlua.ddl.drop"
local quote = require "dmlua.quote"
local storage = require "dmlua.ddl.storage"

local M = {}

local function name_of(record)
  return quote.qualified(record.schema, record.view_name)
end

local function columns(record)
  return record.columns and " (" .. quote.idents(record.columns) .. ")" or ""
end

local function options(record)
  local parts = {}
  for _, option in ipairs { "security_barrier", "security_invoker" } do
    if record[option] ~= nil then parts[#parts + 1] = option .. " = " .. tostring(record[option]) end
  end
  return #parts > 0 and " WITH (" .. table.concat(parts, ", ") .. ")" or ""
end

-- Tables of tenants that the relation `target` reads, through views too. A table is one of a tenant's when it has row
-- security or the tenant column.
local find_tables = [[
  WITH RECURSIVE reads(id) AS (
    SELECT target::oid
    UNION
    SELECT d.refobjid FROM reads
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.id
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass)
  SELECT string_agg(DISTINCT c.oid::regclass::text, ', ') INTO tables
  FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.id
  WHERE c.relkind IN ('r', 'p') AND (c.relrowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname = {column} AND NOT a.attisdropped));
]]

-- Without security_invoker a view is read with its owner's eyes: row security of the tables behind it is the owner's.
local confine = [[

DECLARE
  target regclass := {view}::regclass;
  tables text;
BEGIN
]] .. find_tables .. [[
  IF tables IS NULL THEN
    RETURN;
  END IF;
  IF current_setting('server_version_num')::int < 150000 THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD004',
      MESSAGE = format('TenantIsolationError: view %s would show every tenant''s rows of %s', target, tables),
      DETAIL = json_build_object('table', target::text, 'checks', ARRAY['view_definer'])::text,
      HINT = 'security_invoker came with PostgreSQL 15. Filter by tenant in the query, and say '
        '{ security_invoker = false }.';
  END IF;
  EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', target);
END
]]

local warn = [[

DECLARE
  target regclass := {view}::regclass;
  tables text;
BEGIN
]] .. find_tables .. [[
  IF tables IS NOT NULL THEN
    RAISE WARNING USING MESSAGE = format('materialized view %s keeps rows of every tenant of %s; row security does not '
      'hold for it: grant it to no application role', target, tables);
  END IF;
END
]]

local function look(template, record)
  return block.statement(template, { view = quote.literal(name_of(record)),
    column = quote.literal(record.tenant_column) })
end

--- CREATE VIEW; where nothing is said of security_invoker and there is a tenant column, then what makes it so over the
--- tables of tenants. CREATE OR REPLACE VIEW would forget the option.
function M.create_view(record)
  local words = record.replace and "CREATE OR REPLACE VIEW " or "CREATE VIEW "
  local check = record.check_option and "\nWITH " .. record.check_option .. " CHECK OPTION" or ""
  local text = words .. name_of(record) .. columns(record) .. options(record) .. " AS\n" .. record.query .. check
  local statements = { text }
  if record.tenant_column and record.security_invoker == nil then statements[2] = look(confine, record) end
  return statements
end

M.drop_view = drop("VIEW", name_of)

local function data(record)
  if record.with_data == nil then return "" end
  return record.with_data and "\nWITH DATA" or "\nWITH NO DATA"
end

--- CREATE MATERIALIZED VIEW, then a warning where it keeps rows of tenants.
function M.create_materialized_view(record)
  local text = "CREATE MATERIALIZED VIEW " .. (record.if_not_exists and "IF NOT EXISTS " or "") .. name_of(record)
    .. columns(record)
  if record.postgresql_with then text = text .. " WITH (" .. storage(record.postgresql_with) .. ")" end
  if record.postgresql_tablespace then text = text .. " TABLESPACE " .. quote.ident(record.postgresql_tablespace) end
  local statements = { text .. " AS\n" .. record.query .. data(record) }
  if record.tenant_column then statements[2] = look(warn, record) end
  return statements
end

function M.refresh_materialized_view(record)
  return { "REFRESH MATERIALIZED VIEW " .. (record.concurrently and "CONCURRENTLY " or "") .. name_of(record)
    .. data(record):gsub("\n", " ") }
end

M.drop_materialized_view = drop("MATERIALIZED VIEW", name_of)

return M
