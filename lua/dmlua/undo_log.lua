-- `dmlua run --undo-log`: may the tables' rows be kept, and by which statements.

local errors = require "dmlua.errors"
local params = require "dmlua.params"
local undo_sql = require "dmlua.undo_sql"

local M = {}

local function refuse(hint, format, ...)
  errors.raise { kind = "refused", message = "--undo-log: " .. format:format(...), hint = hint }
end

local function check(it, role)
  if it.kind ~= "r" and it.kind ~= "p" then
    refuse("name the tables below it in `tables`", "%s is no table", it.name)
  elseif #it.key == 0 then
    refuse("ALTER TABLE … ADD PRIMARY KEY, or run without --undo-log",
      "%s has no primary key, by which undo would find its rows again", it.name)
  elseif not it.readable then
    refuse(("GRANT SELECT ON %s TO %s"):format(it.name, role), "role %s may not read every column of %s", role, it.name)
  elseif not it.temporary then
    refuse("GRANT TEMPORARY ON DATABASE … TO the migrator", "the migrator may make no temporary table here")
  end
end

--- What the engine sends (host/undo.h): {make, before, after}. `state`: of session:fix_state. Raises usage errors, or
-- kind refused.
function M.new(session, config, header, state)
  if not header.tables then
    errors.usage "--undo-log keeps rows of the tables that the header names; this one names none: tables = { … }"
  end
  local names = {}
  for i, it in ipairs(state.tables) do names[i] = it.quoted end
  local role = config:get "tenant_role" or config:get "app_role"
  local tables = undo_sql.tables(session:read(undo_sql.columns, { params.encode(names), "true", role or false }))
  for _, it in ipairs(tables) do check(it, role or "which runs it") end
  return { make = undo_sql.make(state.schema, state.version_table, config:get "tenant_setting"),
    before = undo_sql.keep(tables, "before"), after = undo_sql.keep(tables, "after") }
end

return M
