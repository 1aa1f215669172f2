-- Privileges: record → statements. Pure.

local quote = require "dmlua.quote"

local M = {}

local with_schema = { TABLE = true, SEQUENCE = true, FUNCTION = true, PROCEDURE = true, ROUTINE = true, TYPE = true,
  DOMAIN = true }
local with_arguments = { FUNCTION = true, PROCEDURE = true, ROUTINE = true }

local function privileges(record)
  if not record.columns then return table.concat(record.privileges, ", ") end
  local parts = {}
  for i, word in ipairs(record.privileges) do parts[i] = word .. " (" .. quote.idents(record.columns) .. ")" end
  return table.concat(parts, ", ")
end

local function objects(record, kind)
  local parts = {}
  for i, name in ipairs(record.names) do
    parts[i] = quote.qualified(with_schema[kind] and record.schema or nil, name)
    if with_arguments[kind] and record.arguments then parts[i] = parts[i] .. "(" .. record.arguments .. ")" end
  end
  return kind .. " " .. table.concat(parts, ", ")
end

function M.grant(record)
  return { "GRANT " .. privileges(record) .. " ON " .. objects(record, record.on or "TABLE") .. " TO "
    .. quote.roles(record.roles) .. (record.with_grant_option and " WITH GRANT OPTION" or "") }
end

function M.revoke(record)
  return { "REVOKE " .. (record.grant_option_for and "GRANT OPTION FOR " or "") .. privileges(record) .. " ON "
    .. objects(record, record.on or "TABLE") .. " FROM " .. quote.roles(record.roles)
    .. (record.cascade and " CASCADE" or "") }
end

function M.default_privileges(record)
  local text = "ALTER DEFAULT PRIVILEGES "
  if record.for_role then text = text .. "FOR ROLE " .. quote.roles { record.for_role } .. " " end
  if record.schema then text = text .. "IN SCHEMA " .. quote.ident(record.schema) .. " " end
  text = text .. (record.revoke and "REVOKE " or "GRANT ") .. privileges(record) .. " ON " .. record.on
    .. (record.revoke and " FROM " or " TO ") .. quote.roles(record.roles)
  if record.with_grant_option then text = text .. " WITH GRANT OPTION" end
  return { text .. (record.cascade and " CASCADE" or "") }
end

return M
