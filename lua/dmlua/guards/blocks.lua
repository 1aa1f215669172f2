-- The guards as SQL: DO blocks that look with the probes of dmlua.guard and raise, or mend and look again. They hold
-- inside the step's own transaction and cost no round trip.
--
-- What is raised: SQLSTATE class ZD, a message that begins with "TenantIsolationError: ", the failed checks as one JSON
-- object in DETAIL, the repair in HINT. What was changed comes back as a notice that begins with "dmlua: ".

local block = require "dmlua.block"
local call_text = require "dmlua.guards.call"
local guard = require "dmlua.guard"
local json = require "dmlua.json"
local quote = require "dmlua.quote"

local M = {}

local declarations = [[

DECLARE
  target regclass := to_regclass({table});
  findings json;
  finding record;
  changes text[] := '{}';
  cast_type text;
  amount bigint;
  table_owner name := (SELECT pg_get_userbyid(relowner) FROM pg_catalog.pg_class WHERE oid = target);
BEGIN
  IF target IS NULL OR (SELECT relkind NOT IN ({kinds}) FROM pg_catalog.pg_class WHERE oid = target) THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD001',
      MESSAGE = format('TenantIsolationError: there is no table %s', {table}),
      DETAIL = json_build_object('table', {table}, 'checks', ARRAY['table_missing'])::text,
      HINT = 'Create it first; the schema is an option of the call.';
  END IF;
]]

local ending = [[
  IF cardinality(changes) > 0 THEN
    RAISE NOTICE USING MESSAGE = format('dmlua: %s: %s', target, array_to_string(changes, '; '));
  END IF;
END
]]

-- findings := what the probe answers.
local look = [[
  EXECUTE 'SELECT coalesce(json_agg(f), ''[]'') FROM (' || {probe} || ') AS f' INTO findings USING {arguments};
]]

-- ALTER TABLE would say the same, but not what to grant.
local own = [[
  IF NOT pg_has_role(current_user, table_owner, 'USAGE') {and_needed} THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD005',
      MESSAGE = format('TenantIsolationError: role %s has to own %s to set it right', current_user, target),
      DETAIL = json_build_object('table', {table}, 'checks', ARRAY['owner'])::text,
      HINT = format('GRANT %I TO %I, or ALTER TABLE %s OWNER TO %2$I.', table_owner, current_user, target);
  END IF;
]]

local needed = "AND EXISTS (SELECT FROM json_array_elements(findings) AS f WHERE f->>'done' IS NOT NULL)"

local mend = [[
  FOR finding IN
    SELECT f->>'repair' AS repair, f->>'done' AS done FROM json_array_elements(findings) AS f
    WHERE f->>'done' IS NOT NULL
  LOOP
    EXECUTE finding.repair;
    changes := changes || finding.done;
  END LOOP;
]]

local complain = [[
  IF json_array_length(findings) > 0 THEN
    RAISE EXCEPTION USING ERRCODE = {code},
      MESSAGE = 'TenantIsolationError: '
        || (SELECT string_agg(f->>'detail', '; ') FROM json_array_elements(findings) AS f),
      DETAIL = json_build_object('table', {table},
        'checks', (SELECT json_agg(f->'failed') FROM json_array_elements(findings) AS f),
        'repair', (SELECT json_agg(f->'repair') FROM json_array_elements(findings) AS f
                   WHERE f->>'repair' IS NOT NULL))::text,
      HINT = (SELECT string_agg(h.hint, ' ' ORDER BY h.place) FROM (
        SELECT coalesce(f.value->>'hint', {call} || ' sets it right.') AS hint, min(f.place) AS place
        FROM json_array_elements(findings) WITH ORDINALITY AS f(value, place) GROUP BY 1) AS h);
  END IF;
]]

-- A table's names as the templates want them. What an author wrote is put in by the one pass of block.fill and never
-- read again as a template.
local function fill(template, place, values)
  values.table = quote.literal(quote.qualified(place.schema, place.table))
  values.name, values.column = quote.literal(place.table), quote.literal(place.column)
  return block.fill(template, values)
end

-- The call of a guard for this table that brings about what is missing.
local function call_of(place, name, more)
  local options = { { "schema", place.schema }, { "column", place.given_column } }
  for _, option in ipairs(more or {}) do options[#options + 1] = option end
  return call_text(name, place.table, options, more and more.list)
end

-- Looks with a probe and complains, naming `call` as the way out; when `mending`, first carries out the repairs that
-- the findings bring: "table" by the table's owner, "role" by whoever may.
local function check(place, probe, arguments, code, call, mending)
  local parts = { look }
  if mending == "table" then parts[#parts + 1] = own end
  if mending then parts[#parts + 1] = mend .. "  IF FOUND THEN\n" .. look .. "  END IF;\n" end
  parts[#parts + 1] = complain
  return fill(table.concat(parts), place, { probe = quote.dollar(guard.sql[probe]), arguments = arguments,
    code = quote.literal(code), and_needed = needed, call = quote.literal(call) })
end

local function text_or_null(text)
  return text and quote.literal(text) or "NULL::text"
end

local function statement(place, ...)
  local beginning = fill(declarations, place, { kinds = place.kinds or "'r', 'p'" })
  return quote.block(beginning .. table.concat({ ... }) .. ending)
end

M.fill, M.statement = fill, statement

--- SQL: a number of rows in words, "1 row", "3 rows".
function M.rows(number)
  return ("(%s || CASE WHEN %s = 1 THEN ' row' ELSE ' rows' END)"):format(number, number)
end

--- Refuses what is no table.
function M.sees_table(place)
  return statement(place)
end

--- Refuses a role that does not count as the table's owner.
function M.own(place)
  return fill(own, place, { and_needed = "" })
end

local function column_check(place)
  local arguments = ("target, %s, %s"):format(quote.literal(place.column), text_or_null(place.type))
  return check(place, "tenant_column", arguments, "ZD002", call_of(place, "ensure_tenant_column"))
end

--- The tenant column is there, of this type (where one is given), and not nullable.
function M.assert_column(place)
  return statement(place, column_check(place))
end

-- The failing statement's own effects are undone when its handler begins, and the raise undoes the handler's.
local refuse_rows = [[
    EXCEPTION WHEN not_null_violation THEN
      IF (SELECT relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = target) THEN
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', target);
      END IF;
      EXECUTE format('SELECT count(*) FROM (SELECT FROM %s WHERE {condition} LIMIT 1001) AS r', target, {column})
        INTO amount;
      RAISE EXCEPTION USING ERRCODE = 'ZD002',
        MESSAGE = format('TenantIsolationError: %s of %s no %s',
          CASE WHEN amount > 1000 THEN 'more than 1000 rows' WHEN amount = 1 THEN '1 row' ELSE amount || ' rows' END,
          target || CASE WHEN amount = 1 THEN ' has' ELSE ' have' END, {column}),
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['tenant_column_null'], 'rows', amount)::text,
        HINT = {say_whose};
    END;
]]

local function refuse_text(place, condition)
  local call = call_of(place, "ensure_tenant_column", { { "backfill", "SQL expression" } })
  return fill(refuse_rows, place, { condition = condition, say_whose = quote.literal("Say whose they are: " .. call
    .. "; online = true, beside backfill, holds no lock over a large table.") })
end

local add_column = [[
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
                 WHERE attrelid = target AND attname = {column} AND NOT attisdropped) THEN
{own}
    BEGIN
      EXECUTE format('ALTER TABLE %s ADD COLUMN %I {type}{null}', target, {column});
{refuse}
    changes := changes || format('column %s {type} added', {column});
  END IF;
]]

local fill_column = [[
  IF NOT (SELECT attnotnull FROM pg_catalog.pg_attribute
          WHERE attrelid = target AND attname = {column} AND NOT attisdropped) THEN
    EXECUTE {update};
    GET DIAGNOSTICS amount = ROW_COUNT;
    IF amount > 0 THEN
      changes := changes || format('%s filled in for %s', {column}, {rows});
    END IF;
  END IF;
]]

local forbid_null = [[
  IF NOT (SELECT attnotnull FROM pg_catalog.pg_attribute
          WHERE attrelid = target AND attname = {column} AND NOT attisdropped) THEN
{own}
    BEGIN
      EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', target, {column});
{refuse}
    changes := changes || format('%s made NOT NULL', {column});
  END IF;
]]

-- A type stands inside a text that format() reads.
local function inside_format(sql)
  return (sql:gsub("'", "''"):gsub("%%", "%%%%"))
end

local function add_column_text(place, null)
  return fill(add_column, place, {
    own = M.own(place), type = inside_format(place.type or place.default_type), null = null,
    refuse = refuse_text(place, "true"),
  })
end

--- The first statement of ensure_tenant_column with rows to fill: the column is there, nullable if it is new.
function M.add_column(place)
  return statement(place, add_column_text(place, ""))
end

--- Fills in the tenant of the rows that have none.
function M.fill_column(place, expression)
  local name, column = quote.qualified(place.schema, place.table), quote.ident(place.column)
  local update = ("UPDATE %s SET %s = (%s) WHERE %s IS NULL"):format(name, column, expression, column)
  return statement(place, fill(fill_column, place, { update = quote.literal(update), rows = M.rows "amount" }))
end

--- The column is there, filled and NOT NULL; on rows without a tenant it is refused, with their number.
function M.ensure_column(place, is_there)
  local forbid = fill(forbid_null, place, { own = M.own(place),
    refuse = refuse_text(place, "%I IS NULL") })
  return statement(place, is_there and "" or add_column_text(place, " NOT NULL"), forbid, column_check(place))
end

local refer = [[
  SELECT c.conname AS name, c.convalidated AS validated INTO finding FROM pg_catalog.pg_constraint c
  JOIN pg_catalog.pg_attribute l ON l.attrelid = c.conrelid AND ARRAY[l.attnum] = c.conkey
  JOIN pg_catalog.pg_attribute r ON r.attrelid = c.confrelid AND ARRAY[r.attnum] = c.confkey
  WHERE c.contype = 'f' AND c.conrelid = target AND c.confrelid = to_regclass({referent})
    AND l.attname = {column} AND r.attname = {remote} ORDER BY c.convalidated DESC, c.conname LIMIT 1;
  IF NOT FOUND THEN
{own}
    EXECUTE {alter};
    changes := changes || format('foreign key to %s added', {referent});
  ELSIF NOT finding.validated THEN
{own}
    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', target, finding.name);
    changes := changes || format('foreign key %s validated', finding.name);
  END IF;
]]

--- The tenant column refers to the table of tenants; `key` has schema, table, column.
function M.refer_column(place, key)
  local referent = quote.qualified(key.schema, key.table)
  local alter = ("ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES %s (%s)"):format(
    quote.qualified(place.schema, place.table), quote.ident(place.column), referent, quote.ident(key.column))
  return statement(place, fill(refer, place, {
    referent = quote.literal(referent), remote = quote.literal(key.column), alter = quote.literal(alter),
    own = M.own(place),
  }))
end

local function index_check(place, wanted, mending)
  local arguments = ("target, %s::json"):format(quote.literal(json.encode(wanted)))
  local call = call_of(place, "ensure_tenant_indexes", { list = place.columns, { "unique", place.unique } })
  return check(place, "tenant_indexes", arguments, "ZD003", call, mending)
end

--- The wanted indexes: a list of {columns, is_unique, optional, name}.
function M.assert_indexes(place, wanted)
  return statement(place, index_check(place, wanted))
end

function M.ensure_indexes(place, wanted)
  return statement(place, index_check(place, wanted, "table"))
end

local function isolate(place)
  return call_of(place, "ensure_tenant_isolation")
end

local function role_check(place, mending)
  if not place.app_role then return "" end
  local schema = "(SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = target)"
  return check(place, "app_role", quote.literal(place.app_role) .. ", " .. schema, "ZD005", isolate(place),
    mending)
end

local find_type = [[
  EXECUTE {cast} INTO cast_type USING target, {column};
]]

local function isolation_check(place, mending)
  local arguments = ("target, %s, %s, cast_type"):format(quote.literal(place.column), quote.literal(place.setting))
  return fill(find_type, place, { cast = quote.dollar(guard.sql.cast_type) })
    .. check(place, "tenant_isolation", arguments, "ZD004", isolate(place), mending)
end

local function privilege_check(place, mending)
  if not place.app_role then return "" end
  return check(place, "app_privileges", "target, " .. quote.literal(place.app_role), "ZD005",
    isolate(place), mending)
end

--- Column, row security, policy and the application role's rights are as they have to be.
function M.assert_isolation(place)
  return statement(place, column_check(place), role_check(place), isolation_check(place), privilege_check(place))
end

function M.ensure_isolation(place)
  return statement(place, column_check(place), role_check(place, "role"), isolation_check(place, "table"),
    privilege_check(place, "table"))
end

local role_declarations = [[

DECLARE
  findings json;
  finding record;
  changes text[] := '{}';
  target text := {schema};
BEGIN
]]

--- The application role is there, cannot pass policies and may use the schema that tables are made in.
function M.ensure_role(role)
  local name = "quote_ident(current_schema())"
  local arguments = ("%s, to_regnamespace(%s)::oid"):format(quote.literal(role), name)
  local place = { table = "current_schema", column = "" }
  return quote.block(block.fill(role_declarations, { schema = name })
    .. check(place, "app_role", arguments, "ZD005", "guards.setup_tenant_isolation()", "role") .. ending)
end

local drop = [[
  DECLARE
    finding_policy name;
  BEGIN
{own}
  FOR finding IN
    SELECT c.oid::regclass AS id, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.oid IN (
      WITH RECURSIVE member(id) AS (SELECT target::oid
        UNION SELECT h.inhrelid FROM member JOIN pg_catalog.pg_inherits h ON h.inhparent = id)
      SELECT id FROM member) ORDER BY c.oid
  LOOP
    FOR finding_policy IN SELECT polname FROM pg_catalog.pg_policy
      WHERE polrelid = finding.id AND polpermissive AND polname ~ '(^|_)tenant_isolation$' ORDER BY 1
    LOOP
      EXECUTE format('DROP POLICY %I ON %s', finding_policy, finding.id);
      changes := changes || format('policy %I dropped', finding_policy);
    END LOOP;
    IF finding.relrowsecurity OR finding.relforcerowsecurity THEN
      EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY', finding.id);
      changes := changes || format('row security of %s turned off', finding.id);
    END IF;
  END LOOP;
  END;
]]

--- Row security and the tenant's policy are gone.
function M.drop_isolation(place)
  return statement(place, fill(drop, place, { own = M.own(place) }))
end

--- Says that no row security is set up here, and why.
function M.leave_open(place, why)
  local notice = ("  changes := ARRAY[%s];\n"):format(quote.literal("no row security is set up here (" .. why .. ")"))
  return statement(place, place.check_column and column_check(place) or "", notice)
end

return M
