-- What the online composites have in common, as statements for the server.

local block = require "dmlua.block"
local quote = require "dmlua.quote"

local M = {}

-- A statement that waits for an ACCESS EXCLUSIVE lock lets nobody pass, not even readers. So it waits for two seconds,
-- lets everybody pass for one, and tries again; the subtransaction gives the lock back.
local gently = [[

BEGIN
  FOR attempt IN 1..20 LOOP
    BEGIN
      PERFORM set_config('lock_timeout', '2s', true);
      EXECUTE {statement};
      RETURN;
    EXCEPTION WHEN lock_not_available THEN
      IF attempt = 20 THEN
        RAISE;
      END IF;
    END;
    PERFORM pg_sleep(1);
  END LOOP;
END
]]

--- `statement`, whose lock keeps others out, with patience: a minute in pieces of two seconds.
function M.gently(statement)
  return block.statement(gently, { statement = quote.literal(statement) })
end

local sees_all = [[

DECLARE
  hidden text;
BEGIN
  SELECT string_agg(c.oid::regclass::text, ', ') INTO hidden
  FROM pg_catalog.pg_class c
  WHERE c.oid = ANY (SELECT t::regclass FROM unnest({tables}) AS t
                     UNION SELECT p.relid FROM unnest({tables}) AS t, pg_partition_tree(t::regclass) AS p)
    AND c.relrowsecurity AND c.relforcerowsecurity
    AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user);
  IF hidden IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD006',
      MESSAGE = format('TenantIsolationError: role %s does not see all rows of %s', current_user, hidden),
      DETAIL = json_build_object('table', hidden, 'checks', ARRAY['online'])::text,
      HINT = format({hint}, current_user);
  END IF;
END
]]

--- Raises where row security is forced and the migrator would not see every row. The way out of op.across_tenants
--- would lock the tables, which is what an online composite is there to avoid.
function M.sees_all(tables, offline)
  local hint = "Run it as a role that has BYPASSRLS (ALTER ROLE %I BYPASSRLS, by a superuser)"
    .. (offline and "; " .. offline .. " works without, and locks the tables" or "") .. "."
  return block.statement(sees_all, { tables = quote.literals(tables), hint = quote.literal(hint) })
end

-- As the index is, the name and its table taken out.
local index_probe = [[

DECLARE
  target regclass := {table}::regclass;
  found oid;
  partitioned bool := (SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = target);
  state text := 'missing';
  existing text;
  wanted text;
BEGIN
  SELECT c.oid INTO found FROM pg_catalog.pg_class c
  WHERE c.relname = {name} AND c.relnamespace = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = target);
  IF found IS NOT NULL THEN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indexrelid = found AND indrelid = target) THEN
      RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
        MESSAGE = format('%s is there already, and is no index of %s', {name}, target);
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index WHERE index_relid = found) THEN
      RAISE EXCEPTION USING ERRCODE = 'lock_not_available',
        MESSAGE = format('index %s is being built by another session', {name});
    END IF;
    SELECT CASE WHEN indisvalid AND indisready THEN 'sound' ELSE 'invalid' END INTO state
    FROM pg_catalog.pg_index WHERE indexrelid = found;
  END IF;
  IF state = 'sound' OR found IS NOT NULL AND partitioned THEN
    existing := pg_get_indexdef(found);
    BEGIN
      EXECUTE format('CREATE TEMPORARY TABLE dmlua_probe (LIKE %s)', target);
      EXECUTE {probe};
      wanted := pg_get_indexdef((SELECT indexrelid FROM pg_catalog.pg_index
                                 WHERE indrelid = 'pg_temp.dmlua_probe'::regclass));
      RAISE EXCEPTION USING ERRCODE = 'ZD999';
    EXCEPTION WHEN SQLSTATE 'ZD999' THEN
      NULL;
    END;
    IF split_part(existing, ' INDEX ', 1) <> split_part(wanted, ' INDEX ', 1)
       OR substring(existing FROM ' USING .*') <> substring(wanted FROM ' USING .*') THEN
      RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
        MESSAGE = format('index %s on %s is there already, and is another one', {name}, target),
        DETAIL = format('there: %s; wanted: %s', existing, {create}),
        HINT = 'Drop or rename it first.';
    END IF;
  END IF;
  IF partitioned AND state <> 'sound' THEN
    state := 'partitioned';
  END IF;
  PERFORM set_config('dmlua.index', state, true);
END
]]

--- Leaves in the setting dmlua.index what there is of the index: `missing`, `invalid`, or `sound` when it is as wanted;
--- `partitioned` where it is not, and the table has partitions; raises when it is another one. `create` makes it,
--- `probe` makes it on pg_temp.dmlua_probe.
function M.look_for_index(table_name, name, create, probe)
  return block.statement(index_probe, { table = quote.literal(table_name), name = quote.literal(name),
    create = quote.literal(create), probe = quote.literal(probe) })
end

return M
