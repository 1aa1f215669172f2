-- ALTER COLUMN: one statement per change, in Alembic's order: TYPE, NULL, DEFAULT or IDENTITY, COMMENT, RENAME; round
-- them the CHECKs that types bring along. Pure.

local column_ddl = require "dmlua.ddl.column"
local constraint_ddl = require "dmlua.ddl.constraint"
local errors = require "dmlua.errors"
local expression = require "dmlua.ddl.expression"
local null = require "dmlua.null"
local quote = require "dmlua.quote"
local record_kind = require "dmlua.record".kind

local M = {}

local function type_change(record)
  local using = record.postgresql_using
  return "TYPE " .. record.type_.sql .. (using and " USING " .. expression.sql(using) or "")
end

-- Alembic: an Identity over none is added, over another its options are set, null over one drops it.
local function identity_change(new, old)
  if new == null then return "DROP IDENTITY" end
  if record_kind(old) ~= "identity" then return "ADD " .. column_ddl.identity(new) end
  local changes = { "SET GENERATED " .. (new.always and "ALWAYS" or "BY DEFAULT") }
  for _, option in ipairs(column_ddl.identity_options(new)) do changes[#changes + 1] = "SET " .. option end
  return table.concat(changes, " ")
end

local function default_change(record)
  local new, old = record.server_default, record.existing_server_default
  if record_kind(new) == "identity" or (new == null and record_kind(old) == "identity") then
    return identity_change(new, old)
  end
  if new == null then return "DROP DEFAULT" end
  return "SET DEFAULT " .. expression.default(new)
end

-- The CHECK of a type that is left has to go first, as in Alembic's alter_column, where it has a name.
local function drop_check(name, check)
  if not check.name then
    errors.raise { kind = "migration", message = "op.alter_column: existing_type has a CHECK without a name",
      hint = "name it, or leave create_constraint out of existing_type and drop it with op.drop_constraint" }
  end
  return "ALTER TABLE " .. name .. " DROP CONSTRAINT " .. quote.ident(check.name)
end

--- The statements of one alter_column.
function M.alter_column(record)
  local name = quote.qualified(record.schema, record.table_name)
  local head = ("ALTER TABLE %s ALTER COLUMN %s "):format(name, quote.ident(record.column_name))
  local statements = {}
  local function add(text) statements[#statements + 1] = text end
  if record.old_check then add(drop_check(name, record.old_check)) end
  if record.type_ then add(head .. type_change(record)) end
  if record.nullable ~= nil then add(head .. (record.nullable and "DROP NOT NULL" or "SET NOT NULL")) end
  if record.server_default ~= nil then add(head .. default_change(record)) end
  if record.comment ~= nil then
    add(column_ddl.comment(record.schema, record.table_name, record.column_name, record.comment))
  end
  if record.new_column_name then
    local old, new = quote.ident(record.column_name), quote.ident(record.new_column_name)
    add(("ALTER TABLE %s RENAME %s TO %s"):format(name, old, new))
  end
  if record.new_check then add("ALTER TABLE " .. name .. " ADD " .. constraint_ddl.check(record.new_check)) end
  return statements
end

return M
