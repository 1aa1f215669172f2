-- tenants.each in --sql: a DO block that goes through the tenants on the server. The callback is called once, with a
-- tenant whose columns are known only there: they can be parameters, and nothing else.

local block = require "dmlua.block"
local errors = require "dmlua.errors"
local quote = require "dmlua.quote"
local sqltree = require "dmlua.sqltree"

local M = {}

local Column = { __parameter = true } -- see dmlua.params

local function unknown(column)
  errors.raise { kind = "usage", message = ("tenant.%s is not known in --sql"):format(column.name),
    hint = "it can be a parameter of a statement; for anything else ask context.is_offline_mode() first" }
end

--- Is it a column of a tenant?
function M.is_column(value)
  return getmetatable(value) == Column
end

-- Whatever an author may do to a value, but for comparing it with ==, which Lua decides alone; see `statement`.
for _, event in ipairs { "concat", "len", "call", "newindex", "lt", "le", "unm", "add", "sub", "mul", "div",
  "mod", "pow", "idiv", "tostring" } do
  Column["__" .. event] = function(a, b) unknown(M.is_column(a) and a or b) end
end

local template = [[

DECLARE
  dmlua_tenant json;
  dmlua_id text;
  dmlua_visited text[] := '{}';
  dmlua_unknown text;
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {role} AND (rolsuper OR rolbypassrls)) THEN
    RAISE EXCEPTION 'TenantIsolationError: tenants.each would run as role %, which passes row security', {role};
  END IF;
{check}  FOR dmlua_tenant IN {rows} LOOP
    dmlua_id := (SELECT value FROM pg_catalog.json_each_text(dmlua_tenant) LIMIT 1);
    IF dmlua_id IS NULL THEN
      RAISE EXCEPTION 'tenants_query gives NULL as a tenant''s id';
    END IF;
    CONTINUE WHEN dmlua_id = ANY (dmlua_visited);
    dmlua_visited := dmlua_visited || dmlua_id;
    PERFORM pg_catalog.set_config({setting}, dmlua_id, true), pg_catalog.set_config('row_security', 'on', true),
      pg_catalog.set_config('role', {role}, true);
{columns}{statements}
    IF coalesce(pg_catalog.current_setting({setting}, true), '') <> dmlua_id OR current_user <> {user} THEN
      RAISE EXCEPTION 'TenantIsolationError: the tenant context or the role was changed for tenant %', dmlua_id;
    END IF;
    PERFORM pg_catalog.set_config('role', 'none', true), pg_catalog.set_config('row_security', 'off', true),
      pg_catalog.set_config({setting}, '', true);
  END LOOP;
  IF dmlua_visited = '{}' AND NOT {allow_empty} THEN
    RAISE EXCEPTION 'tenants_query gives no tenant: the loop would do nothing';
  END IF;
END
]]

-- A statement as an expression of PL/pgSQL: its columns as literals, quoted when the loop comes to them.
local function expression(sql, params)
  if not params or #params == 0 then return quote.literal(sql) end
  local pieces, from = {}, 1
  for _, place in ipairs(sqltree.parameters(sql)) do
    local value = params[place.index]
    pieces[#pieces + 1] = quote.literal(sql:sub(from, place.start - 1))
    if M.is_column(value) then
      value.bound = true
      local text = value.name == "id" and "dmlua_id" or ("(dmlua_tenant ->> %s)"):format(quote.literal(value.name))
      pieces[#pieces + 1] = ("pg_catalog.quote_nullable(%s)"):format(text)
    else
      pieces[#pieces + 1] = quote.literal(value and quote.literal(value) or "NULL")
    end
    from = place.finish + 1
  end
  pieces[#pieces + 1] = quote.literal(sql:sub(from))
  return table.concat(pieces, " || ")
end

-- What a result without the column would say when a script runs: JSON's own null is there, SQL's is not.
local function column_checks(columns)
  local checks, seen = {}, { id = true }
  for _, column in ipairs(columns) do
    if not seen[column.name] then
      checks[#checks + 1] = block.fill(
        "    IF dmlua_tenant -> {name} IS NULL THEN\n      RAISE EXCEPTION USING MESSAGE = {message};\n    END IF;\n",
        { name = quote.literal(column.name), message = quote.literal("tenants_query gives no column " .. column.name) })
    end
    seen[column.name] = true
  end
  return table.concat(checks)
end

local as_json = "SELECT pg_catalog.row_to_json(q) FROM (%s) AS q"
local first = "(SELECT value FROM pg_catalog.json_each_text(%s) LIMIT 1)"

-- The rows of a list of ids, in its order: those of the tenant list, or without one the ids alone.
local function rows_of_ids(ids, known)
  local listed = ("pg_catalog.unnest(%s) WITH ORDINALITY AS i(id, n)"):format(quote.literals(ids))
  if not known then
    return ("SELECT pg_catalog.json_build_object('id', i.id) FROM %s ORDER BY i.n"):format(listed)
  end
  return ("SELECT t.j FROM (%s) AS t(j) JOIN %s ON i.id = %s ORDER BY i.n"):format(as_json:format(known), listed,
    first:format "t.j")
end

local unknown_ids = [[
  SELECT pg_catalog.string_agg(pg_catalog.quote_literal(i.id), ', ') INTO dmlua_unknown
    FROM ({ids} EXCEPT SELECT {first} FROM ({known}) AS t(j)) AS i(id);
  IF dmlua_unknown IS NOT NULL THEN
    RAISE EXCEPTION 'tenants.each: the tenant list does not know %', dmlua_unknown;
  END IF;
]]

-- SQL for the rows to visit, and the check that the tenant list knows them all. Another service's database cannot be
-- read from this one: its list can neither be visited nor compared with.
local function rows_of(settings, options, refuse)
  local elsewhere = settings.tenants_service and settings.tenants_service ~= settings.service
  local known = not elsewhere and settings.tenants_query or nil
  local own = options.ids or options.from
  if elsewhere and not own then
    refuse("tenants.each over the tenants of another service", "give it the ids: tenants.each(fn, { from = {…} })")
  elseif not known and not own then
    refuse("tenants.each without tenants_query", "set tenants_query, or give `from`")
  end
  local rows = options.ids and rows_of_ids(options.ids, known) or as_json:format(options.from or known)
  if not known or not own then return rows, "" end
  local ids = options.ids and "SELECT pg_catalog.unnest(" .. quote.literals(options.ids) .. ")"
    or ("SELECT %s FROM (%s) AS t(j)"):format(first:format "t.j", rows)
  return rows, block.fill(unknown_ids, { ids = ids, first = first:format "t.j", known = as_json:format(known) })
end

local function role_of(settings, refuse)
  local role = settings.tenant_role or settings.app_role
  if not role and settings.environment ~= "development" then
    refuse("tenants.each without tenant_role", "set tenant_role to a role that the policies hold")
  end
  return role
end

--- A loop that collects what its callback sends. `tenant` is what the callback is given. A database that the script
--- begins (`settings.begins`) may have no tenant yet.
function M.new(settings, options, refuse)
  local loop, statements, read = {}, {}, {}
  local rows, check = rows_of(settings, options, refuse)
  local role = role_of(settings, refuse)
  loop.tenant = setmetatable({}, { __index = function(_, name)
    read[#read + 1] = setmetatable({ name = name, bound = false }, Column)
    return read[#read]
  end })

  function loop.send(_, sql, params)
    statements[#statements + 1] = ("    EXECUTE %s;"):format(expression(sql, params))
  end

  -- What was read and never bound may have been compared, and Lua has said "not equal".
  function loop.statement()
    for _, column in ipairs(read) do
      if not column.bound then unknown(column) end
    end
    return block.statement(template, { rows = rows, check = check, setting = quote.literal(settings.tenant_setting),
      role = role and quote.literal(role) or "'none'", user = role and quote.literal(role) or "current_user",
      columns = column_checks(read), statements = table.concat(statements, "\n"),
      allow_empty = (options.allow_empty or settings.begins) and "true" or "false" })
  end

  return loop
end

return M
