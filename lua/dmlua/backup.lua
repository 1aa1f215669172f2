-- Copies of tables before something is done to them that cannot be undone: every tenant's rows, through the one door,
-- counted for each tenant, under the same row security, policies, grants and owner.

local arguments = require "dmlua.arguments"
local blocks = require "dmlua.guards.blocks"
local errors = require "dmlua.errors"
local quote = require "dmlua.quote"

local M = {}

-- A table is a backup by its comment, which the copy was given: no other is restored from, or dropped.
local check_backup = [[

DECLARE
  backup regclass := to_regclass({backup});
BEGIN
  IF backup IS NULL OR coalesce(obj_description(backup, 'pg_class'), '') NOT LIKE 'dmlua: backup of %' THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD011',
        MESSAGE = format(CASE WHEN backup IS NULL THEN 'there is no backup %s of %s'
          ELSE '%s is there, but not as a backup of %s' END, {backup}, {of}),
        DETAIL = json_build_object('table', {of}, 'checks', ARRAY['backup_missing'])::text,
        HINT = 'op.backup_table makes it; another name is the option name.';
  END IF;
END
]]

-- Rows that differ in number, for any tenant: the first few are named.
local compare = [[
    EXECUTE {counts} INTO difference;
    IF difference IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD011',
        MESSAGE = format('%s and %s differ: %s', target, backup, difference),
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['backup_counts'])::text,
        HINT = 'A trigger or rule has kept rows back, or has added some.';
    END IF;
]]

local copy = [[
  DECLARE
    backup regclass;
    source pg_catalog.pg_class;
    part record;
    origin text;
    policy text;
    tenants bigint;
    columns text;
    difference text;
  BEGIN
{own}
    SELECT * INTO source FROM pg_catalog.pg_class WHERE oid = target;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', target);
    IF to_regclass({backup}) IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD011',
        MESSAGE = format('%s is there already%s', {backup}, (SELECT ' (' || d || ')'
          FROM obj_description(to_regclass({backup}), 'pg_class') AS d WHERE d LIKE 'dmlua: backup of %')),
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['backup_exists'])::text,
        HINT = 'Give this one another name with the option name, or drop that one with op.drop_backup.';
    END IF;
    -- what existing rows need not keep to, the copied ones might break
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING STORAGE%s%s)', {backup}, target,
      CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_constraint
        WHERE conrelid = target AND contype = 'c' AND NOT convalidated) THEN ' INCLUDING CONSTRAINTS' END,
      CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_index
        WHERE indrelid = target AND NOT indisvalid) THEN ' INCLUDING INDEXES' END);
    backup := {backup}::regclass;
    origin := CASE source.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || target;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns FROM pg_catalog.pg_attribute
    WHERE attrelid = target AND attnum > 0 AND NOT attisdropped;
    EXECUTE format('INSERT INTO %s (%s) SELECT %2$s FROM %s', backup, columns, origin);
    GET DIAGNOSTICS amount = ROW_COUNT;
    EXECUTE {tenants} INTO tenants;
{compare}
    FOR part IN -- what default privileges have given
      SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
      FROM pg_catalog.pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
      WHERE c.oid = backup AND a.grantee <> c.relowner GROUP BY 1
    LOOP
      EXECUTE format('REVOKE ALL ON %s FROM %s', backup, part.grantee);
    END LOOP;
    FOR part IN
      SELECT p.polname, p.polpermissive, p.polcmd, pg_get_expr(p.polqual, p.polrelid) AS seen,
        pg_get_expr(p.polwithcheck, p.polrelid) AS written,
        CASE WHEN p.polname NOT IN (source.relname || '_tenant_isolation', 'tenant_isolation') THEN p.polname
          ELSE CASE WHEN octet_length({name_of_backup}) <= 46 THEN {name_of_backup} || '_' ELSE '' END
            || 'tenant_isolation' END AS name,
        (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ')
         FROM unnest(p.polroles) AS r) AS roles
      FROM pg_catalog.pg_policy p WHERE p.polrelid = target ORDER BY p.polname
    LOOP
      policy := format('CREATE POLICY %s ON %%s AS %s FOR %s TO %s', replace(quote_ident(part.name), '%', '%%'),
        CASE WHEN part.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        CASE part.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
          ELSE 'ALL' END, replace(part.roles, '%', '%%'))
        || coalesce(' USING (' || replace(part.seen, '%', '%%') || ')', '')
        || coalesce(' WITH CHECK (' || replace(part.written, '%', '%%') || ')', '');
      BEGIN
        EXECUTE format(policy, backup);
      EXCEPTION WHEN undefined_table OR undefined_column THEN
        -- a sub-select names the table, whose name the copy has for a moment
        EXECUTE format('ALTER TABLE %s RENAME TO dmlua_source', target);
        EXECUTE format('ALTER TABLE %s RENAME TO %I', backup, source.relname);
        EXECUTE format(policy, backup);
        EXECUTE format('ALTER TABLE %s RENAME TO %I', backup, {name_of_backup}::text);
        EXECUTE format('ALTER TABLE %s RENAME TO %I', target, source.relname);
      END;
    END LOOP;
    FOR part IN
      SELECT a.privilege_type AS privilege, a.is_grantable, NULL::text AS of_column,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
      FROM aclexplode(source.relacl) AS a WHERE a.grantee <> source.relowner
      UNION ALL
      SELECT a.privilege_type, a.is_grantable, quote_ident(c.attname),
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
      FROM pg_catalog.pg_attribute c CROSS JOIN LATERAL aclexplode(c.attacl) AS a
      WHERE c.attrelid = target AND c.attnum > 0 AND NOT c.attisdropped AND a.grantee <> source.relowner
    LOOP
      EXECUTE format('GRANT %s%s ON %s TO %s%s', part.privilege, coalesce(' (' || part.of_column || ')', ''), backup,
        part.grantee, CASE WHEN part.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    IF source.relrowsecurity THEN
      EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', backup);
    END IF;
    IF {was_forced} THEN
      EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', backup);
    END IF;
    IF to_regclass({declared}) IS NOT NULL THEN
      DELETE FROM {declarations} d USING pg_catalog.pg_namespace n
      WHERE n.oid = source.relnamespace AND d.name = format('%I.%I', n.nspname, {name_of_backup}::text);
      INSERT INTO {declarations} (name, declared, reason)
      SELECT format('%I.%I', n.nspname, {name_of_backup}::text), d.declared, 'backup of ' || d.name
      FROM {declarations} d JOIN pg_catalog.pg_namespace n ON n.oid = source.relnamespace
      WHERE d.name = format('%I.%I', n.nspname, source.relname)
      UNION ALL SELECT format('%I.%I', n.nspname, {name_of_backup}::text), 'global', 'backup of ' || target
      FROM pg_catalog.pg_namespace n WHERE n.oid = source.relnamespace AND (tenants IS NULL OR {open})
      ON CONFLICT (name) DO NOTHING;
    END IF;
    EXECUTE format('COMMENT ON TABLE %s IS %L', backup, 'dmlua: backup of ' || target || ', ' || amount || ' rows');
    IF (SELECT relowner FROM pg_catalog.pg_class WHERE oid = backup) <> source.relowner THEN
      EXECUTE format('ALTER TABLE %s OWNER TO %I', backup, pg_get_userbyid(source.relowner));
    END IF;
    changes := changes || format('%s%s copied to %s', {rows},
      ' of ' || tenants || CASE WHEN tenants = 1 THEN ' tenant' ELSE ' tenants' END, backup);
  END;
]]

local restore = [[
  DECLARE
    backup regclass := {backup}::regclass;
    columns text;
    assignments text;
    differ text;
    joined text;
    difference text;
    written text;
    repeated bigint;
    part record;
    put_back text[] := '{}';
    statement text;
  BEGIN
{own}
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', target);
    SELECT string_agg(quote_ident(t.attname), ', ' ORDER BY t.attnum),
      string_agg(format('%1$I = b.%1$I', t.attname), ', ' ORDER BY t.attnum)
        FILTER (WHERE t.attnum <> ALL (coalesce(i.indkey, '')::int2[]) AND t.attidentity <> 'a'),
      string_agg(format('t.%1$I::text IS DISTINCT FROM b.%1$I::text', t.attname), ' OR ')
        FILTER (WHERE t.attnum <> ALL (coalesce(i.indkey, '')::int2[]) AND t.attidentity <> 'a'
          AND (t.atttypid, t.atttypmod) = (b.atttypid, b.atttypmod)),
      string_agg(format('t.%1$I::text IS DISTINCT FROM b.%1$I::text', t.attname), ' OR ')
        FILTER (WHERE t.attnum <> ALL (coalesce(i.indkey, '')::int2[]) AND t.attidentity <> 'a')
    INTO columns, assignments, differ, written
    FROM pg_catalog.pg_attribute t
    JOIN pg_catalog.pg_attribute b ON b.attrelid = backup AND b.attname = t.attname AND NOT b.attisdropped
    LEFT JOIN pg_catalog.pg_index i ON i.indrelid = target AND i.indisprimary
    WHERE t.attrelid = target AND t.attnum > 0 AND NOT t.attisdropped AND t.attgenerated = '';
    SELECT string_agg(format('t.%1$I = b.%1$I', a.attname), ' AND ') INTO joined
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_attribute a ON a.attrelid = target AND a.attnum = ANY (i.indkey::int2[])
    JOIN pg_catalog.pg_attribute b ON b.attrelid = backup AND b.attname = a.attname AND NOT b.attisdropped
    WHERE i.indrelid = target AND i.indisprimary
    HAVING count(*) = max(i.indnkeyatts);
    IF joined IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD011',
        MESSAGE = format('%s has no primary key, by which a row of %s could be known again', target, backup),
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['primary_key_missing'])::text,
        HINT = 'Write the statement yourself, inside op.across_tenants.';
    END IF;
    -- No ON CONFLICT, which knows no deferrable key; nobody else writes meanwhile. One statement, because rows that
    -- have changed may refer to rows that are gone; these come second, because others may have their values now.
    EXECUTE coalesce('WITH changed AS (UPDATE ' || target || ' AS t SET ' || assignments || ' FROM ' || backup
        || ' AS b WHERE ' || joined || ' AND (' || written || ') RETURNING 1) ', 'WITH changed AS (SELECT) ')
      || format('INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM %3$s AS b'
        ' WHERE (SELECT count(*) FROM changed) >= 0 AND NOT EXISTS (SELECT FROM %1$s AS t WHERE %4$s)', target, columns,
        backup, joined);
    EXECUTE format('SELECT count(*) FROM %s', backup) INTO amount;
    EXECUTE format({unmatched}, backup, target, joined) INTO difference;
    IF difference IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD011',
        MESSAGE = format('rows of %s did not come back into %s: %s', backup, target, difference),
        DETAIL = json_build_object('table', {table}, 'checks', ARRAY['backup_counts'])::text,
        HINT = 'A trigger or rule has kept them back.';
    END IF;
    IF differ IS NOT NULL THEN
      EXECUTE format('SELECT count(*) FROM %s AS t JOIN %s AS b ON %s WHERE %s', target, backup, joined, differ)
        INTO repeated;
    END IF;
    IF repeated > 0 THEN -- triggers have written something else: those that may, stand back
      SET CONSTRAINTS ALL IMMEDIATE;
      FOR part IN -- BEFORE UPDATE, FOR EACH ROW
        SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', target, tgname) AS off,
          format('ALTER TABLE %s ENABLE %s TRIGGER %I', target, CASE tgenabled WHEN 'A' THEN 'ALWAYS' END, tgname)
            AS back
        FROM pg_catalog.pg_trigger
        WHERE tgrelid = target AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype::int & 19 = 19
      LOOP
        EXECUTE part.off;
        put_back := put_back || part.back;
      END LOOP;
      EXECUTE format('UPDATE %s AS t SET %s FROM %s AS b WHERE %s AND (%s)', target,
        assignments, backup, joined, differ);
      SET CONSTRAINTS ALL IMMEDIATE;
      FOREACH statement IN ARRAY put_back LOOP
        EXECUTE statement;
      END LOOP;
      EXECUTE format('SELECT count(*) FROM %s AS t JOIN %s AS b ON %s WHERE %s', target, backup, joined, differ)
        INTO repeated;
      IF repeated > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'ZD011',
          MESSAGE = format('%s of %s did not come back into %s as they were', {repeated_rows}, backup, target),
          DETAIL = json_build_object('table', {table}, 'checks', ARRAY['backup_counts'])::text,
          HINT = 'A trigger has changed them.';
      END IF;
    END IF;
    FOR part IN -- what a sequence gives next must be new
      SELECT q.oid::regclass AS sequence, a.attname, s.seqincrement AS step
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S'
      JOIN pg_catalog.pg_sequence s ON s.seqrelid = q.oid
      JOIN pg_catalog.pg_attribute a ON a.attrelid = target AND a.attnum = d.refobjsubid
      WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target
        AND d.deptype IN ('a', 'i')
    LOOP
      EXECUTE format('SELECT setval(%L, highest) FROM (SELECT %s(%I) AS highest FROM %s) AS t, %s AS q WHERE highest %s'
        ' q.last_value', part.sequence, CASE WHEN part.step > 0 THEN 'max' ELSE 'min' END, part.attname, target,
        part.sequence, CASE WHEN part.step > 0 THEN '>=' ELSE '<=' END);
    END LOOP;
    changes := changes || format('%s restored from %s', {rows}, backup);
  END;
]]

local drop = [[
{own}
  RAISE NOTICE USING MESSAGE = format('dmlua: %s: backup dropped', target);
  EXECUTE format('DROP TABLE %s', target);
]]

-- For each tenant the number of rows in both tables, where they differ. A table without tenants is one group.
-- SQL for that text; the table's own rows are those of `origin`.
local function counts_of(there, tenant)
  local group = tenant or "''"
  return quote.literal(([[SELECT string_agg(format('%%s: %%s and %%s rows', coalesce(a.k, b.k, 'NULL'),
    coalesce(a.n, 0), coalesce(b.n, 0)), '; ')
    FROM (SELECT %s::text AS k, count(*) AS n FROM ]]):format(group)) .. " || origin || "
    .. quote.literal(([[ GROUP BY 1) AS a
    FULL JOIN (SELECT %s::text AS k, count(*) AS n FROM %s GROUP BY 1) AS b
    ON coalesce('=' || a.k, '') = coalesce('=' || b.k, '')
    WHERE a.n IS DISTINCT FROM b.n]]):format(group, there))
end

local options = { options = { schema = "name", name = "name", column = "name" }, { "table_name", "name" } }

-- The table and its backup, as SQL.
local function read(step, directive, ...)
  local given = arguments.read("op." .. directive, options, ...)
  local name = given.name or "backup_" .. given.table_name
  if #name > 63 and not given.name then
    arguments.fail("op." .. directive, "the backup would be called %s: PostgreSQL keeps 63 bytes of its %d, "
      .. "so say another with the option name", name, #name)
  end
  local place = { table = given.table_name, schema = given.schema, column = given.column
    or step.bind.settings.tenant_column }
  local backup = { name, schema = given.schema, sql = quote.qualified(given.schema, name),
    of = quote.qualified(given.schema, given.table_name) }
  return place, backup
end

-- Does the table have the tenant column? Only the server knows: the count is made of what it finds.
local counts_by_tenant = [[(SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute
      WHERE attrelid = target AND attname = {column} AND NOT attisdropped) THEN {by_tenant} ELSE {plain} END)]]

local unmatched = [[(SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute
      WHERE attrelid = backup AND attname = {column} AND NOT attisdropped) THEN {by_tenant} ELSE {plain} END)]]

-- A text for format().
local function unmatched_of(tenant)
  return "SELECT string_agg(coalesce(k, 'NULL') || ': ' || n || CASE n WHEN 1 THEN ' row' ELSE ' rows' END, '; ')"
    .. " FROM (SELECT "
    .. tenant:gsub("%%", "%%%%") .. "::text AS k, count(*) AS n FROM %s AS b"
    .. " WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s) GROUP BY 1) AS missing"
end

--- backup_table, restore_table and drop_backup of one step.
function M.new(step, doors)
  local op, bind = {}, step.bind

  local function send(sql)
    local file, line = errors.where()
    bind:send(sql, nil, file, line)
  end

  local function through(place, backup, template, values)
    local tables = { { place.table, schema = place.schema } }
    if backup then tables[2] = { backup[1], schema = backup.schema } end
    values.own = blocks.own(place)
    doors.open(tables, function()
      values.was_forced = doors.was_forced "target"
      values.rows, values.repeated_rows = blocks.rows "amount", blocks.rows "repeated"
      values.open = bind.settings.rls and "NOT source.relrowsecurity" or "false"
      send(blocks.statement(place, blocks.fill(template, place, values)))
    end)
  end

  local function require_backup(place, backup)
    send(quote.block(blocks.fill(check_backup, place, { backup = quote.literal(backup.sql),
      of = quote.literal(backup.of) })))
  end

  --- backup_table(table, {name, schema, column}): all rows of the table in backup_TABLE, as isolated as they are there.
  function op.backup_table(...)
    local place, backup = read(step, "backup_table", ...)
    local declarations = quote.qualified(bind.settings.schema, "dmlua_tables")
    local counts = blocks.fill(counts_by_tenant, place, {
      by_tenant = counts_of(backup.sql, quote.ident(place.column)), plain = counts_of(backup.sql) })
    through(place, nil, copy, {
      tenants = blocks.fill(counts_by_tenant, place, { plain = "'SELECT NULL'", by_tenant = quote.literal(
        ("SELECT count(DISTINCT %s) FROM %s"):format(quote.ident(place.column), backup.sql)) }),
      backup = quote.literal(backup.sql), name_of_backup = quote.literal(backup[1]),
      compare = blocks.fill(compare, place, { counts = counts }),
      declarations = declarations, declared = quote.literal(declarations),
    })
  end

  --- restore_table(table, {name, schema, column}): the backup's rows are in the table again, as they were. Rows that
  --- have come since stay.
  function op.restore_table(...)
    local place, backup = read(step, "restore_table", ...)
    require_backup(place, backup)
    through(place, backup, restore, {
      backup = quote.literal(backup.sql),
      unmatched = blocks.fill(unmatched, place, {
        by_tenant = quote.literal(unmatched_of("b." .. quote.ident(place.column))),
        plain = quote.literal(unmatched_of "''") }),
    })
  end

  --- drop_backup(table, {name, schema}): the backup is gone; a table that is no backup is refused.
  function op.drop_backup(...)
    local place, backup = read(step, "drop_backup", ...)
    local copy_place = setmetatable({ table = backup[1] }, { __index = place })
    require_backup(place, backup)
    send(blocks.statement(copy_place, blocks.fill(drop, copy_place, { own = blocks.own(copy_place) })))
  end

  return op
end

return M
