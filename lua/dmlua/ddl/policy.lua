-- Row security: record → statements. Pure.

local compare = require "dmlua.ddl.compare"
local expression = require "dmlua.ddl.expression"
local quote = require "dmlua.quote"

local M = {}

local function name_of(record)
  return quote.qualified(record.schema, record.table_name)
end

local function create_text(record, name)
  local parts = { "CREATE POLICY " .. quote.ident(name) .. " ON " .. name_of(record) }
  local function add(text) if text then parts[#parts + 1] = text end end
  add(record.restrictive and "AS RESTRICTIVE")
  add(record.command and "FOR " .. record.command)
  add(record.roles and "TO " .. quote.roles(record.roles))
  add(record.using and "USING (" .. expression.sql(record.using) .. ")")
  add(record.with_check and "WITH CHECK (" .. expression.sql(record.with_check) .. ")")
  return table.concat(parts, " ")
end

local function definition(name)
  return "(SELECT json_build_object('command', polcmd, 'permissive', polpermissive,"
    .. " 'roles', ARRAY(SELECT r::regrole::text FROM unnest(polroles) AS r ORDER BY 1),"
    .. " 'using', pg_catalog.pg_get_expr(polqual, polrelid),"
    .. " 'with_check', pg_catalog.pg_get_expr(polwithcheck, polrelid))::text"
    .. " FROM pg_catalog.pg_policy WHERE polrelid = target AND polname = " .. name .. ")"
end

local function drop_text(record, if_exists)
  return "DROP POLICY " .. (if_exists and "IF EXISTS " or "") .. quote.ident(record.policy_name) .. " ON "
    .. name_of(record)
end

function M.create_policy(record)
  local function create(name) return create_text(record, name) end
  if record.if_not_exists then
    return { compare.statement("policy", name_of(record), record.policy_name, definition, create) }
  end
  local statements = {}
  if record.replace then statements[1] = drop_text(record, true) end
  statements[#statements + 1] = create(record.policy_name)
  return statements
end

function M.drop_policy(record)
  return { drop_text(record, record.if_exists) }
end

local function switch(words)
  return function(record) return { "ALTER TABLE " .. name_of(record) .. " " .. words .. " ROW LEVEL SECURITY" } end
end
M.force_rls, M.unforce_rls, M.disable_rls = switch "FORCE", switch "NO FORCE", switch "DISABLE"

function M.enable_rls(record)
  return { switch("ENABLE")(record)[1] .. (record.force and ", FORCE ROW LEVEL SECURITY" or "") }
end

return M
