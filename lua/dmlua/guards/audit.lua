-- Who changed what in a table of tenants: TABLE_audit, to which rows are only added, isolated like the table.

local arguments = require "dmlua.arguments"
local block = require "dmlua.block"
local blocks = require "dmlua.guards.blocks"
local quote = require "dmlua.quote"

local M = {}

-- The function writes as its owner, in the context of the row's own tenant, whoever changed the row: an application's
-- request, a loop, or a step that sees all tenants; then the context is put back. (As a SET of the function, which
-- PostgreSQL would put back by itself, only a superuser may name a setting of this kind.) A row that changes its tenant
-- is a row that one tenant loses and another gains: each sees its own side.
local write = [[

DECLARE
  before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  context text := coalesce(current_setting({setting}, true), '');
  moved boolean := TG_OP = 'UPDATE' AND before->>{column} IS DISTINCT FROM after->>{column};
BEGIN
  IF before IS NOT NULL THEN
    PERFORM set_config({setting}, before->>{column}, true);
    INSERT INTO {audit} ({tenant}, action, row_before, row_after)
    VALUES (OLD.{tenant}, TG_OP, before, CASE WHEN NOT moved THEN after END);
  END IF;
  IF moved OR before IS NULL THEN
    PERFORM set_config({setting}, after->>{column}, true);
    INSERT INTO {audit} ({tenant}, action, row_before, row_after) VALUES (NEW.{tenant}, TG_OP, NULL, after);
  END IF;
  PERFORM set_config({setting}, context, true);
  RETURN NULL;
END
]]

local refuse = [[

BEGIN
  RAISE EXCEPTION USING ERRCODE = 'ZD010',
    MESSAGE = format('TenantIsolationError: %s only grows: no %s', TG_RELID::regclass, TG_OP),
    HINT = 'An audit table is dropped with its trigger, or kept.';
END
]]

local ensure = [[
  DECLARE
    kind text := (SELECT format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
                  WHERE attrelid = target AND attname = {column} AND NOT attisdropped);
  BEGIN
    IF to_regclass({audit}) IS NOT NULL AND (SELECT count(*) FROM pg_catalog.pg_attribute
        WHERE attrelid = to_regclass({audit}) AND NOT attisdropped
          AND attname IN ({column}, 'at', 'who', 'action', 'row_before', 'row_after')) < 6 THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD010',
        MESSAGE = format('TenantIsolationError: %s is there, but is no audit table of %s', {audit}, target),
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['audit_table_differs'])::text,
        HINT = 'Rename it: an audit table has this name.';
    END IF;
    IF to_regclass({audit}) IS NULL THEN
{own}
      EXECUTE format('CREATE TABLE {audit_text} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {tenant_text} %s'
        ' NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), who name NOT NULL DEFAULT session_user,'
        ' action text NOT NULL, row_before jsonb, row_after jsonb)', kind);
      EXECUTE {index};
      changes := changes || format('audit table %s created', {audit});
    END IF;
    IF (SELECT prosrc FROM pg_catalog.pg_proc WHERE oid = to_regprocedure({function_name} || '()'))
        IS DISTINCT FROM {body} THEN
{own}
      EXECUTE {function};
      EXECUTE {revoke};
      changes := changes || 'audit function written'::text;
    END IF;
    IF to_regprocedure({keep_name} || '()') IS NULL THEN
      EXECUTE {keep};
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = target AND tgname = {trigger_name}) THEN
      EXECUTE {trigger};
      changes := changes || 'audit trigger created'::text;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger
                   WHERE tgrelid = {audit}::regclass AND tgname = {keep_trigger_name}) THEN
      EXECUTE {keep_trigger};
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgname = {trigger_name} AND tgrelid = target
               AND tgenabled NOT IN ('O', 'A')) THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD010',
        MESSAGE = format('TenantIsolationError: the audit trigger of %s is disabled', target),
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['audit_trigger_disabled'])::text,
        HINT = format('ALTER TABLE %s ENABLE TRIGGER %I', target, {trigger_name}::text);
    END IF;
{grant}
  END;
]]

-- The application reads the trail of its tenant; it never writes there itself.
local grant = [[
    IF NOT has_table_privilege({role}, {audit}, 'SELECT') THEN
      EXECUTE {grant};
      changes := changes || format('SELECT on %s granted to %s', {audit}, {role});
    END IF;
]]

-- All that is called after the table.
local function names_of(place)
  local schema, name = place.schema, place.table
  return {
    audit = quote.qualified(schema, name .. "_audit"), table = quote.qualified(schema, name),
    write = quote.qualified(schema, name .. "_audit_write"), keep = quote.qualified(schema, name .. "_audit_keep"),
  }
end

local function write_function(names, body)
  return ("CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
    .. " SET search_path = pg_catalog, pg_temp SET row_security = on AS %s"):format(names.write, quote.dollar(body))
end

-- A trigger must not look for its table by search_path. Where no schema is named, the server says where the table is,
-- and puts that into the text that it then carries out.
local HERE = "dmlua_here"

local find_schema = [[

DECLARE
  space text := coalesce((SELECT quote_ident(n.nspname) FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass({table})),
    quote_ident(current_schema()));
BEGIN
  IF space ~ '[''$]' THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD001',
      MESSAGE = format('TenantIsolationError: the schema %s has to be named in the call', space),
      DETAIL = json_build_object('table', {table}, 'checks', ARRAY['schema_unnamed'])::text,
      HINT = 'Its name has a quotation mark: give it as the option schema.';
  END IF;
  EXECUTE replace({text}, {here}, space || '.');
END
]]

-- The statement that `make` writes for the table of `place`, wherever that is.
local function in_its_schema(place, make)
  if place.schema then return make(place) end
  local text = make(setmetatable({ schema = HERE }, { __index = place }))
  return text and block.statement(find_schema, { table = quote.literal(quote.ident(place.table)),
    text = quote.literal(text), here = quote.literal(HERE .. ".") })
end

--- The audit table of `place`, its functions and triggers.
function M.block(place)
  local names, tenant = names_of(place), quote.ident(place.column)
  local trigger, keep_trigger = place.table .. "_audit_write", place.table .. "_audit_keep"
  local body = blocks.fill(write, place, { setting = quote.literal(place.setting), audit = names.audit,
    tenant = tenant })
  local values = {
    audit = quote.literal(names.audit), own = blocks.own(place), body = quote.literal(body),
    audit_text = (names.audit:gsub("'", "''"):gsub("%%", "%%%%")),
    tenant_text = (tenant:gsub("'", "''"):gsub("%%", "%%%%")),
    index = quote.literal(("CREATE INDEX ON %s (%s, at)"):format(names.audit, tenant)),
    function_name = quote.literal(names.write), ["function"] = quote.literal(write_function(names, body)),
    revoke = quote.literal(("REVOKE ALL ON FUNCTION %s() FROM PUBLIC"):format(names.write)),
    keep_name = quote.literal(names.keep),
    keep = quote.literal(("CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS %s"):format(names.keep,
      quote.dollar(refuse))),
    trigger_name = quote.literal(trigger), keep_trigger_name = quote.literal(keep_trigger),
    trigger = quote.literal(("CREATE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION"
      .. " %s()"):format(quote.ident(trigger), names.table, names.write)),
    keep_trigger = quote.literal(("CREATE TRIGGER %s BEFORE UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION %s()")
      :format(quote.ident(keep_trigger), names.audit, names.keep)),
  }
  values.grant = place.app_role and blocks.fill(grant, place, { role = quote.literal(place.app_role),
    audit = values.audit, grant = quote.literal(("GRANT SELECT ON %s TO %s"):format(names.audit,
      quote.ident(place.app_role))) }) or ""
  return blocks.statement(place, blocks.fill(ensure, place, values))
end

-- What is called after a table that is called `name` in full.
local LONGEST = 63 - #"_audit_write"

local refuse_name = [[
  IF to_regclass({old_audit}) IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD010',
      MESSAGE = format('TenantIsolationError: %s has an audit table, whose function''s name would be cut', target),
      DETAIL = json_build_object('table', {table}, 'checks', ARRAY['audit_name_too_long'])::text,
      HINT = 'Give the table a name of at most {longest} bytes.';
  END IF;
]]

local move = [[
  IF to_regclass({old_audit}) IS NOT NULL THEN
    EXECUTE {table};
    EXECUTE {write};
    EXECUTE {keep};
    EXECUTE {trigger};
    EXECUTE {function};
    IF EXISTS (SELECT FROM pg_catalog.pg_policy
               WHERE polrelid = to_regclass({new_audit}) AND polname = {old_policy}) THEN
      EXECUTE {policy};
    END IF;
  END IF;
]]

-- As the guards call it (bindings/guard.c).
local function policy_of(place)
  local name = place.table .. "_audit"
  return (#name <= 46 and name .. "_" or "") .. "tenant_isolation"
end

local function rename(old, new, settings)
  if #old.table > LONGEST then return nil end -- it cannot have one
  local from = names_of(old)
  if #new.table > LONGEST then
    return blocks.statement(new, blocks.fill(refuse_name, new, { old_audit = quote.literal(from.audit),
      longest = tostring(LONGEST) }))
  end
  local to = names_of(new)
  local body = blocks.fill(write, new, { setting = quote.literal(settings.tenant_setting), audit = to.audit,
    tenant = quote.ident(new.column) })
  local function sql(format, ...) return quote.literal(format:format(...)) end
  local function bare(name) return quote.ident(new.table .. name) end
  return blocks.statement(new, block.fill(move, {
    old_audit = quote.literal(from.audit), new_audit = quote.literal(to.audit),
    table = sql("ALTER TABLE %s RENAME TO %s", from.audit, bare "_audit"),
    write = sql("ALTER FUNCTION %s() RENAME TO %s", from.write, bare "_audit_write"),
    keep = sql("ALTER FUNCTION %s() RENAME TO %s", from.keep, bare "_audit_keep"),
    trigger = sql("ALTER TRIGGER %s ON %s RENAME TO %s", quote.ident(old.table .. "_audit_keep"), to.audit,
      bare "_audit_keep"),
    ["function"] = quote.literal(write_function(to, body)),
    old_policy = quote.literal(policy_of(old)),
    policy = sql("ALTER POLICY %s ON %s RENAME TO %s", quote.ident(policy_of(old)), to.audit,
      quote.ident(policy_of(new))),
  }))
end

--- Gives the audit table, if there is one, the name of a table that has been renamed; nil where there can be none.
function M.rename(old, new, settings)
  return in_its_schema(new, function(place)
    return rename(setmetatable({ schema = place.schema }, { __index = old }), place, settings)
  end)
end

--- Adds ensure_audit_trigger(table, {column, schema}).
function M.add(guards, step, tools)
  function guards.ensure_audit_trigger(...)
    local given = arguments.read("guards.ensure_audit_trigger", { { "table_name", "name" },
      options = { column = "name", schema = "name" } }, ...)
    local place = tools.place_of(given)
    guards.assert_tenant_column(given.table_name, { column = given.column, schema = given.schema })
    tools.send(in_its_schema(place, M.block))
    local audit = tools.place_of { table_name = given.table_name .. "_audit", schema = given.schema,
      column = given.column }
    audit.app_role = nil -- which only reads there
    tools.send(in_its_schema(audit, step.bind.settings.rls and blocks.ensure_isolation or blocks.assert_column))
  end
end

return M
