-- tenants.each in --sql: a DO block that goes through the tenants on the server. A tenant's columns are known only
-- there (offline/outcomes.lua): what the callback comes to for them is written as branches. For a list it is called
-- once for each id, as when it runs, and each id is a branch.

local block = require "dmlua.block"
local column = require "dmlua.offline.column"
local errors = require "dmlua.errors"
local outcomes = require "dmlua.offline.outcomes"
local quote = require "dmlua.quote"
local sqltree = require "dmlua.sqltree"
local strict = require "dmlua.strict"

local M = {}

--- Is it a column of a tenant?
function M.is_column(value)
  return column.facts(value) ~= nil
end

local template = [[

DECLARE
  dmlua_tenant record;
  dmlua_id text;
  dmlua_visited text[] := '{}';
  dmlua_unknown text;
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {role} AND (rolsuper OR rolbypassrls)) THEN
    RAISE EXCEPTION 'TenantIsolationError: tenants.each would run as role %, which passes row security', {role};
  END IF;
{check}  FOR dmlua_tenant IN {rows}
  LOOP
    dmlua_id := (SELECT value FROM pg_catalog.json_each_text(pg_catalog.row_to_json(dmlua_tenant)) LIMIT 1);
    IF coalesce(dmlua_id, '') = '' THEN
      RAISE EXCEPTION 'tenants_query gives NULL or an empty text as a tenant''s id';
    END IF;
    CONTINUE WHEN dmlua_id = ANY (dmlua_visited);
    dmlua_visited := dmlua_visited || dmlua_id;
{columns}    PERFORM pg_catalog.set_config({setting}, dmlua_id, true),
      pg_catalog.set_config('row_security', 'on', true), pg_catalog.set_config('role', {role}, true);
{statements}
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

-- A tenant's column where the loop has come to it, as text: what a script is given is what PostgreSQL prints.
local function column_text(fact)
  return fact.name == "id" and "dmlua_id" or "dmlua_tenant." .. quote.ident(fact.name) .. "::text"
end

-- A statement as an expression of PL/pgSQL: its columns as literals, quoted when the loop comes to them.
local function expression(sql, params)
  if not params or #params == 0 then return quote.literal(sql) end
  local pieces, from = {}, 1
  for _, place in ipairs(sqltree.parameters(sql)) do
    local value = params[place.index]
    pieces[#pieces + 1] = quote.literal(sql:sub(from, place.start - 1))
    local fact = column.facts(value)
    if fact then
      pieces[#pieces + 1] = ("pg_catalog.quote_nullable(%s)"):format(column_text(fact))
    else
      pieces[#pieces + 1] = quote.literal(value and quote.literal(value) or "NULL")
    end
    from = place.finish + 1
  end
  pieces[#pieces + 1] = quote.literal(sql:sub(from))
  return table.concat(pieces, " || ")
end

local function executed(statements, indent)
  local lines = {}
  for i, statement in ipairs(statements) do
    lines[i] = indent .. "EXECUTE " .. expression(statement.sql, statement.params) .. ";"
  end
  return #lines > 0 and table.concat(lines, "\n") or indent .. "NULL;"
end

-- The script fails for such a tenant, and so does the loop.
local function raised(failure, indent)
  local hint = errors.is(failure) and failure.hint
  return ("%sRAISE EXCEPTION USING MESSAGE = 'tenant ' || dmlua_id || ': ' || %s%s;"):format(indent,
    quote.literal(tostring(failure)), hint and ", HINT = " .. quote.literal(hint) or "")
end

local function is_boolean(name, value)
  local text = "dmlua_tenant." .. quote.ident(name)
  return ("pg_catalog.pg_typeof(%s) = 'boolean'::pg_catalog.regtype AND %s::text = '%s'"):format(text, text, value)
end

local conditions = {
  { "null", function(name) return "dmlua_tenant." .. quote.ident(name) .. " IS NULL" end },
  { "true", function(name) return is_boolean(name, "true") end },
  { "false", function(name) return is_boolean(name, "false") end },
}

-- A tree of outcomes as PL/pgSQL.
local function branches(tree, indent)
  if tree.failure then return raised(tree.failure, indent) end
  if not tree.column then return executed(tree.statements, indent) end
  local lines, word = {}, "IF "
  for _, condition in ipairs(conditions) do
    local branch = tree[condition[1]]
    if branch ~= tree.other then
      lines[#lines + 1] = indent .. word .. condition[2](tree.column) .. " THEN\n" .. branches(branch, indent .. "  ")
      word = "ELSIF "
    end
  end
  lines[#lines + 1] = indent .. "ELSE\n" .. branches(tree.other, indent .. "  ")
  lines[#lines + 1] = indent .. "END IF;"
  return table.concat(lines, "\n")
end

-- What a result without the column, or with several of it, would say when a script runs.
local function column_checks(names)
  local checks = {}
  for i, name in ipairs(names) do
    checks[i] = block.fill([[
    IF (SELECT pg_catalog.count(*) FROM pg_catalog.json_object_keys(pg_catalog.row_to_json(dmlua_tenant)) AS k
        WHERE k = {name}) <> 1 THEN
      RAISE EXCEPTION USING MESSAGE = {message};
    END IF;
]], { name = quote.literal(name), message = quote.literal("tenants_query gives no column " .. name .. ", or several") })
  end
  return table.concat(checks)
end

local first = "(SELECT value FROM pg_catalog.json_each_text(pg_catalog.row_to_json(t)) LIMIT 1)"

-- The rows of a list of ids, in its order: those of the tenant list, or without one the ids alone.
local function rows_of_ids(ids, known)
  local listed = ("pg_catalog.unnest(%s) WITH ORDINALITY AS i(id, n)"):format(quote.literals(ids))
  if not known then return ("SELECT i.id FROM %s ORDER BY i.n"):format(listed) end
  return ("SELECT t.* FROM (%s) AS t JOIN %s ON i.id = %s ORDER BY i.n"):format(known, listed, first)
end

local unknown_ids = [[
  SELECT pg_catalog.string_agg(pg_catalog.quote_literal(i.id), ', ') INTO dmlua_unknown
    FROM ({ids} EXCEPT SELECT {first} FROM ({known}) AS t) AS i(id);
  IF dmlua_unknown IS NOT NULL THEN
    RAISE EXCEPTION 'tenants.each: the tenant list does not know %', dmlua_unknown;
  END IF;
]]

local function inner(query)
  return query and query:gsub("[;%s]+$", "") .. "\n" or nil -- which may end with a comment
end

-- SQL for the rows to visit, and the check that the tenant list knows them all; and whether it does. Another service's
-- database cannot be read from this one: its list can neither be visited nor compared with.
local function rows_of(settings, options, refuse)
  local elsewhere = settings.tenants_service and settings.tenants_service ~= settings.service
  local known = not elsewhere and inner(settings.tenants_query) or nil
  local own = options.ids or inner(options.from)
  if elsewhere and not options.ids then
    refuse("tenants.each over the tenants of another service", "give it the ids: tenants.each(fn, { from = {…} })")
  elseif not known and not own then
    refuse("tenants.each without tenants_query", "set tenants_query, or give `from`")
  end
  local rows = options.ids and rows_of_ids(options.ids, known) or own or known
  if not known or not own then return rows, "", known ~= nil end
  local ids = options.ids and "SELECT pg_catalog.unnest(" .. quote.literals(options.ids) .. ")"
    or ("SELECT %s FROM (%s) AS t"):format(first, rows)
  return rows, block.fill(unknown_ids, { ids = ids, first = first, known = known }), true
end

local function role_of(settings, refuse)
  local role = settings.tenant_role or settings.app_role
  if not role and settings.environment ~= "development" then
    refuse("tenants.each without tenant_role", "set tenant_role to a role that the policies hold")
  end
  return role
end

local function names_read(reads)
  local names, seen = {}, { id = true }
  for _, name in ipairs(reads) do
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  return names
end

-- Each id of a list has a branch of its own.
local function branches_by_id(ids, tree_of)
  local lines = {}
  for i, id in ipairs(ids) do
    lines[#lines + 1] = ("    %s dmlua_id = %s THEN"):format(i == 1 and "IF" or "ELSIF", quote.literal(id))
    lines[#lines + 1] = branches(tree_of(id), "      ")
  end
  lines[#lines + 1] = #lines > 0 and "    END IF;" or "    NULL;"
  return table.concat(lines, "\n")
end

--- A loop of `options` (from, ids, allow_empty): send(sql, params) takes what its callback sends, statement(fn) answers
--- the loop. A database that the script begins (`settings.begins`) may have no tenant yet.
function M.new(settings, options, refuse)
  local loop, reads, outcome = {}, {}, nil
  local rows, check, has_rows = rows_of(settings, options, refuse)
  local role = role_of(settings, refuse)

  function loop.send(_, sql, params)
    outcome.statements[#outcome.statements + 1] = { sql = sql, params = params or {} }
  end

  --- What --sql cannot do stays refused, also where the script catches the error.
  function loop.refused(failure) outcome.refused = failure end

  local function begin(again)
    outcome, loop.again = { statements = {} }, again
    return outcome
  end

  -- Of a tenant that no list knows there is the id alone.
  local function tree_of(fn, id)
    if not has_rows and id then
      begin()
      fn(strict.object("tenant", { id = id }, {}))
      return outcome
    end
    return outcomes.of(fn, begin, { id = id, texts = settings.x or {}, reads = reads })
  end

  --- The DO block that does what `fn` does for every tenant.
  function loop.statement(fn)
    local statements = options.ids and branches_by_id(options.ids, function(id) return tree_of(fn, id) end)
      or branches(tree_of(fn), "    ")
    return block.statement(template, { check = check, rows = rows, columns = column_checks(names_read(reads)),
      statements = statements, setting = quote.literal(settings.tenant_setting),
      role = role and quote.literal(role) or "'none'", user = role and quote.literal(role) or "current_user",
      allow_empty = (options.allow_empty or settings.begins) and "true" or "false" })
  end

  return loop
end

return M
