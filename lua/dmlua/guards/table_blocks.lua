-- Guards of tables that belong together, as SQL: foreign keys inside a tenant, and new names.

local blocks = require "dmlua.guards.blocks"
local json = require "dmlua.json"
local quote = require "dmlua.quote"

local M = {}

-- An index serves a foreign key when it is unique at once, whole, and has exactly these columns, in any order
-- (PostgreSQL's transformFkeyCheckAttrs).
local refer = [[
  DECLARE
    referent regclass := to_regclass({referent});
    present record;
  BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
                   WHERE attrelid = referent AND attname = {column} AND NOT attisdropped) THEN
{plain}
      RAISE EXCEPTION USING ERRCODE = 'ZD008',
        MESSAGE = CASE WHEN referent IS NULL THEN format('TenantIsolationError: there is no table %s', {referent})
          ELSE format('TenantIsolationError: %s has no column %s, so that no key can stay inside a tenant', referent,
            {column}) END,
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['foreign_key_target'])::text,
        HINT = 'A table without tenants is referred to with op.create_foreign_key.';
    END IF;
    IF NOT EXISTS (
      SELECT FROM pg_catalog.pg_index i
      WHERE i.indrelid = referent AND i.indisunique AND i.indisvalid AND i.indimmediate
        AND i.indpred IS NULL AND i.indexprs IS NULL
        AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C")
             FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.place <= i.indnkeyatts)
          = (SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest({remote}) AS n)
    ) THEN
      IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_catalog.pg_class WHERE oid = referent), 'USAGE') THEN
        RAISE EXCEPTION USING ERRCODE = 'ZD005',
          MESSAGE = format('TenantIsolationError: role %s has to own %s to give it a unique index', current_user,
            referent),
          DETAIL = json_build_object('table', referent::text, 'checks', ARRAY['owner'])::text,
          HINT = format('GRANT %I TO %I.', (SELECT pg_get_userbyid(relowner) FROM pg_catalog.pg_class
            WHERE oid = referent), current_user);
      END IF;
      EXECUTE {unique};
      changes := changes || format('unique index on %s added', {referred});
    END IF;
    SELECT c.conname AS name, c.convalidated AS validated, c.confdeltype::text || c.confupdtype::text AS actions
      INTO present
      FROM pg_catalog.pg_constraint c
      WHERE c.contype = 'f' AND c.conrelid = target AND c.confrelid = referent
        AND (SELECT jsonb_object_agg(l.attname, r.attname) FROM unnest(c.conkey, c.confkey) AS k(here, there)
             JOIN pg_catalog.pg_attribute l ON l.attrelid = c.conrelid AND l.attnum = k.here
             JOIN pg_catalog.pg_attribute r ON r.attrelid = c.confrelid AND r.attnum = k.there) = {pairs}::jsonb
      ORDER BY c.conname LIMIT 1;
    IF FOUND THEN
      IF present.actions <> {actions} THEN
        RAISE EXCEPTION USING ERRCODE = 'ZD008',
          MESSAGE = format('TenantIsolationError: the foreign key %s of %s is there, with other ON DELETE or ON UPDATE',
            present.name, target),
          DETAIL = json_build_object('table', {table}, 'checks', ARRAY['foreign_key_differs'])::text,
          HINT = format('op.drop_constraint(%s, …) first, or correct ondelete and onupdate.',
            to_json(present.name::text));
      ELSIF NOT present.validated THEN
        EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', target, present.name);
        changes := changes || format('foreign key %s validated', present.name);
      END IF;
    ELSE
{own}
{old_server}
      EXECUTE {alter};
      changes := changes || format('foreign key to %s added', {referred});
    END IF;
  END;
]]

-- Of all columns, SET NULL would take the tenant column too, which is NOT NULL.
local old_server = [[
      IF current_setting('server_version_num')::int < 150000 THEN
        RAISE EXCEPTION USING ERRCODE = 'ZD008',
          MESSAGE = 'TenantIsolationError: ON DELETE {action} of a key with the tenant column needs PostgreSQL 15',
          DETAIL = json_build_object('table', {table}, 'checks', ARRAY['foreign_key_action'])::text,
          HINT = 'Before 15 it would set the tenant column, too: use ON DELETE CASCADE or RESTRICT.';
      END IF;
]]

local letters = { ["NO ACTION"] = "a", RESTRICT = "r", CASCADE = "c", ["SET NULL"] = "n", ["SET DEFAULT"] = "d" }

-- To a table for everybody the key is a plain one.
local plain = [[
      IF referent IS NOT NULL THEN
{own}
        EXECUTE {plain_alter};
        RAISE NOTICE USING MESSAGE = format('dmlua: %s: foreign key to %s added', target, {plain_referred});
        RETURN;
      END IF;
]]

local function with_tenant(place, columns)
  return { place.column, table.unpack(columns) }
end

local function actions_sql(key, plainly)
  local parts, sets = {}, key.ondelete == "SET NULL" or key.ondelete == "SET DEFAULT"
  if key.ondelete then
    local columns = sets and not plainly and " (" .. quote.idents(key.local_cols) .. ")" or ""
    parts[1] = " ON DELETE " .. key.ondelete .. columns
  end
  if key.onupdate then parts[#parts + 1] = " ON UPDATE " .. key.onupdate end
  if key.deferrable ~= nil then parts[#parts + 1] = key.deferrable and " DEFERRABLE" or " NOT DEFERRABLE" end
  if key.initially then parts[#parts + 1] = " INITIALLY " .. key.initially end
  return table.concat(parts), sets
end

--- (tenant, columns…) refer to (tenant, columns…) of the referent, which gets the unique index that this needs. `key`:
--- local_cols, referent_table, referent_schema, remote_cols, name, ondelete, onupdate, deferrable, initially.
function M.refer(place, key)
  local here, there = with_tenant(place, key.local_cols), with_tenant(place, key.remote_cols)
  local referent = quote.qualified(key.referent_schema, key.referent_table)
  local referred = ("%s (%s)"):format(referent, quote.idents(there))
  local actions, sets = actions_sql(key)
  local pairs_of = {}
  for i, name in ipairs(here) do pairs_of[name] = there[i] end
  local function add(columns, target, with_actions)
    return ("ALTER TABLE %s ADD %sFOREIGN KEY (%s) REFERENCES %s%s"):format(
      quote.qualified(place.schema, place.table), key.name and "CONSTRAINT " .. quote.ident(key.name) .. " " or "",
      quote.idents(columns), target, with_actions)
  end
  local plainly = ("%s (%s)"):format(referent, quote.idents(key.remote_cols))
  return blocks.statement(place, blocks.fill(refer, place, {
    plain = key.may_be_plain and blocks.fill(plain, place, { own = blocks.own(place),
      plain_alter = quote.literal(add(key.local_cols, plainly, (actions_sql(key, true)))),
      plain_referred = quote.literal(plainly) }) or "",
    referent = quote.literal(referent), referred = quote.literal(referred), remote = quote.literals(there),
    unique = quote.literal(("CREATE UNIQUE INDEX ON %s"):format(referred)),
    pairs = quote.literal(json.encode(pairs_of)),
    actions = quote.literal(letters[key.ondelete or "NO ACTION"] .. letters[key.onupdate or "NO ACTION"]),
    own = blocks.own(place), alter = quote.literal(add(here, referred, actions)),
    old_server = sets and blocks.fill(old_server, place, { action = key.ondelete }) or "",
  }))
end

-- Everything that bears the table's name gets the new one, and stays what it is. A name that would be too long, or is
-- taken, stays.
local rename = [[
  DECLARE
    old_name text := (SELECT relname FROM pg_catalog.pg_class WHERE oid = target);
    space name := (SELECT n.nspname FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target);
    part record;
  BEGIN
{own}
    EXECUTE format('ALTER TABLE %s RENAME TO %I', target, {new}::text);
    FOR part IN
      SELECT o.kind, o.name, o.place, p.prefix || {new} || substr(o.name, length(p.prefix || old_name) + 1) AS renamed
      FROM (
        SELECT 'CONSTRAINT' AS kind, conname::text AS name, target::text AS place FROM pg_catalog.pg_constraint
        WHERE conrelid = target AND contype IN ('p', 'u', 'f', 'c', 'x', 'n') AND coninhcount = 0
        UNION ALL
        SELECT 'INDEX', x.relname, NULL FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = target AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint
          WHERE conindid = i.indexrelid AND conrelid = target AND contype IN ('p', 'u', 'x'))
        UNION ALL
        SELECT 'SEQUENCE', q.relname, NULL FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S'
        WHERE d.refobjid = target AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        UNION ALL
        SELECT 'POLICY', polname, target::text FROM pg_catalog.pg_policy WHERE polrelid = target
        UNION ALL
        SELECT 'TRIGGER', tgname, target::text FROM pg_catalog.pg_trigger WHERE tgrelid = target AND NOT tgisinternal
      ) AS o
      JOIN unnest('{"",idx_,ix_,uq_,ck_,fk_,pk_}'::text[]) AS p(prefix)
        ON starts_with(o.name, p.prefix || old_name || '_')
      ORDER BY o.kind, o.name
    LOOP
      CONTINUE WHEN octet_length(part.renamed) > 63 OR (part.kind NOT IN ('POLICY', 'TRIGGER')
        AND to_regclass(format('%I.%I', space, part.renamed)) IS NOT NULL);
      EXECUTE CASE part.kind
        WHEN 'CONSTRAINT' THEN format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', part.place, part.name, part.renamed)
        WHEN 'POLICY' THEN format('ALTER POLICY %I ON %s RENAME TO %I', part.name, part.place, part.renamed)
        WHEN 'TRIGGER' THEN format('ALTER TRIGGER %I ON %s RENAME TO %I', part.name, part.place, part.renamed)
        ELSE format('ALTER %s %I.%I RENAME TO %I', part.kind, space, part.name, part.renamed)
      END;
      changes := changes || format('%s %s renamed to %s', lower(part.kind), part.name, part.renamed);
    END LOOP;
    changes := format('renamed from %s', old_name) || changes;
  END;
]]

--- The table and all that bears its name are called `new`.
function M.rename(place, new)
  quote.ident(new) -- refuses what is no name
  return blocks.statement(place, blocks.fill(rename, place, { own = blocks.own(place), new = quote.literal(new) }))
end

return M
