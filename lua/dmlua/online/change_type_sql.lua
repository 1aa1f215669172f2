-- The statements for the server of change_type_online: what is looked up, written in a block's variables `target` (the
-- table) and `number` (of the column).

local M = {}

-- What depends on the column, and which kind of it can be carried over: the rest is refused by name, so that nothing
-- is lost.
M.dependents = [[
  SELECT d.classid, d.objid, d.objsubid,
    CASE
      WHEN d.classid = 'pg_catalog.pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_attrdef x
        WHERE x.oid = d.objid AND x.adrelid = target AND x.adnum = number) THEN 'default'
      WHEN d.classid = 'pg_catalog.pg_class'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_index i
        WHERE i.indexrelid = d.objid AND i.indrelid = target AND NOT i.indisreplident) THEN 'index'
      WHEN d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'a' AND EXISTS (SELECT FROM pg_catalog.pg_class s
        WHERE s.oid = d.objid AND s.relkind = 'S') THEN 'sequence'
      WHEN d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'i' AND EXISTS (SELECT FROM pg_catalog.pg_class s
        WHERE s.oid = d.objid AND s.relkind = 'S') THEN 'identity'
      WHEN d.classid = 'pg_catalog.pg_constraint'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_constraint c
        JOIN pg_catalog.pg_class r ON r.oid = c.conrelid AND r.relkind = 'r' AND NOT r.relispartition
        WHERE c.oid = d.objid AND c.contype = 'f' AND c.confrelid = target AND number = ANY (c.confkey)
          AND NOT (c.conrelid = target AND number = ANY (c.conkey))) THEN 'incoming'
      WHEN d.classid = 'pg_catalog.pg_constraint'::regclass THEN (SELECT CASE
        WHEN c.contype IN ('p', 'u') AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
          WHERE i.indexrelid = c.conindid AND i.indisreplident) THEN 'key'
        WHEN c.contype = 'c' THEN 'check'
        WHEN c.contype = 'f' AND NOT (c.confrelid = target AND number = ANY (c.confkey))
          AND to_jsonb(c)->>'confdelsetcols' IS NULL THEN 'foreign_key'
        WHEN c.contype = 'n' THEN 'not_null' END
        FROM pg_catalog.pg_constraint c WHERE c.oid = d.objid AND c.conrelid = target)
    END AS kind
  FROM (SELECT DISTINCT classid, objid, objsubid, deptype FROM pg_catalog.pg_depend
        WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid = target AND refobjsubid = number) AS d
]]

-- A view of what has to be made anew on the new column, read off an empty copy of the table whose column has been given
-- the type and the name of the new one: PostgreSQL itself says how the definitions then read.
M.prepare = [[

DECLARE
  target regclass := {table}::regclass;
  attribute pg_catalog.pg_attribute%ROWTYPE;
  number int2;
  relation pg_catalog.pg_class%ROWTYPE;
  schema name;
  blocking text;
  item record;
  place int := 0;
  prefix text;
  suffix text;
  indexes jsonb := '[]';
  constraints jsonb := '[]';
  incoming jsonb := '[]';
BEGIN
  SELECT * INTO relation FROM pg_catalog.pg_class WHERE oid = target;
  SELECT nspname INTO schema FROM pg_catalog.pg_namespace WHERE oid = relation.relnamespace;
  SELECT * INTO attribute FROM pg_catalog.pg_attribute
  WHERE attrelid = target AND attname = {column} AND attnum > 0 AND NOT attisdropped;
  number := attribute.attnum;
  IF number IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('%s has no column %s', target, {column});
  END IF;
  IF relation.relkind <> 'r' OR relation.relispartition
     OR EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE target IN (inhrelid, inhparent)) THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
      MESSAGE = format('%s is no plain table: partitions and inheritance cannot be changed online', target),
      HINT = 'op.alter_column does it, at the top of the tree, under an ACCESS EXCLUSIVE lock on all of it.';
  END IF;
  IF attribute.attgenerated <> '' THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
      MESSAGE = format('%s.%s is a generated column, which cannot be changed online', target, {column}),
      HINT = 'op.alter_column does it under an ACCESS EXCLUSIVE lock.';
  END IF;
  SELECT string_agg(pg_describe_object(classid, objid, objsubid), ', ' ORDER BY 1) INTO blocking
  FROM ({dependents}) AS d WHERE kind IS NULL AND pg_describe_object(classid, objid, objsubid) IS NOT NULL;
  IF blocking IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist',
      MESSAGE = format('%s.%s cannot be changed online: on it depend %s', target, {column}, blocking),
      HINT = 'Drop them before, and make them again behind it: foreign keys with op.add_foreign_key_online.';
  END IF;

  SELECT string_agg(r.oid::regclass::text, ', ') INTO blocking FROM ({dependents}) AS d
  JOIN pg_catalog.pg_constraint c ON d.kind IN ('foreign_key', 'incoming') AND c.oid = d.objid
  JOIN pg_catalog.pg_class r ON r.oid IN (c.conrelid, c.confrelid) AND r.relrowsecurity AND r.relforcerowsecurity
  WHERE NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user);
  IF blocking IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD006',
      MESSAGE = format('TenantIsolationError: role %s does not see all rows of %s', current_user, blocking),
      DETAIL = json_build_object('table', blocking, 'checks', ARRAY['online'])::text,
      HINT = format('A foreign key leads from or to %s. Run it as a role that has BYPASSRLS (ALTER ROLE %I BYPASSRLS, '
        'by a superuser).', target, current_user);
  END IF;

  SELECT string_agg(r.oid::regclass::text, ', ') INTO blocking FROM ({dependents}) AS d
  JOIN pg_catalog.pg_constraint c ON d.kind = 'incoming' AND c.oid = d.objid
  JOIN pg_catalog.pg_class r ON r.oid = c.conrelid AND NOT pg_has_role(r.relowner, 'USAGE');
  IF blocking IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
      MESSAGE = format('role %s does not own %s, whose foreign keys lead to %s.%s', current_user, blocking, target,
        {column});
  END IF;

  -- what a run that was given up has left
  PERFORM set_config('client_min_messages', 'warning', true);
  EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', {trigger}, target);
  EXECUTE format('DROP FUNCTION IF EXISTS %I.%I()', schema, {function});
  EXECUTE format('ALTER TABLE %s DROP COLUMN IF EXISTS %I', target, {new});

  EXECUTE format('CREATE TEMPORARY TABLE dmlua_clone (LIKE %s)', target);
  FOR item IN
    SELECT i.*, c.relname, obj_description(c.oid, 'pg_class') AS comment, k.conname, k.contype, k.condeferrable,
      k.condeferred, obj_description(k.oid, 'pg_constraint') AS constraint_comment,
      format('CREATE %sINDEX %I ON %I.%I', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname,
        schema, relation.relname) AS prefix
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = target
      AND k.contype IN ('p', 'u')
    WHERE i.indrelid = target AND (i.indexrelid IN (SELECT objid FROM ({dependents}) AS d WHERE kind = 'index')
      OR k.oid IN (SELECT objid FROM ({dependents}) AS d WHERE kind = 'key'))
    ORDER BY c.relname
  LOOP
    place := place + 1;
    suffix := substr(pg_get_indexdef(item.indexrelid), length(item.prefix) + 1);
    EXECUTE format('CREATE %sINDEX dmlua_clone_%s ON pg_temp.dmlua_clone%s',
      CASE WHEN item.indisunique THEN 'UNIQUE ' ELSE '' END, place, suffix);
    indexes := indexes || jsonb_build_object('name', item.relname, 'unique', item.indisunique, 'comment', item.comment,
      'constraint', item.conname, 'type', item.contype, 'deferrable', item.condeferrable, 'deferred', item.condeferred,
      'constraint_comment', item.constraint_comment, 'clustered', item.indisclustered, 'definition', place::text);
  END LOOP;
  FOR item IN
    SELECT c.*, obj_description(c.oid, 'pg_constraint') AS comment FROM pg_catalog.pg_constraint c
    WHERE c.oid IN (SELECT objid FROM ({dependents}) AS d WHERE kind IN ('check', 'foreign_key')) ORDER BY c.conname
  LOOP
    place := place + 1;
    IF item.contype = 'c' THEN
      EXECUTE format('ALTER TABLE pg_temp.dmlua_clone ADD CONSTRAINT dmlua_clone_%s %s', place,
        pg_get_constraintdef(item.oid));
      suffix := place::text;
    ELSE
      SELECT 'FOREIGN KEY (' || string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) || ')',
        'FOREIGN KEY (' || string_agg(CASE a.attname WHEN {column} THEN quote_ident({new}) ELSE quote_ident(a.attname)
          END, ', ' ORDER BY k.place) || ')' INTO prefix, suffix
      FROM unnest(item.conkey) WITH ORDINALITY AS k(attnum, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = target AND a.attnum = k.attnum;
      suffix := suffix || substr(replace(pg_get_constraintdef(item.oid), ' NOT VALID', ''), length(prefix) + 1);
    END IF;
    constraints := constraints || jsonb_build_object('name', item.conname, 'type', item.contype,
      'valid', item.convalidated, 'comment', item.comment, 'definition', suffix);
  END LOOP;
  EXECUTE format('ALTER TABLE pg_temp.dmlua_clone ALTER COLUMN %I TYPE {type} USING NULL', {column});
  EXECUTE format('ALTER TABLE pg_temp.dmlua_clone RENAME COLUMN %I TO %I', {column}, {new});
  IF attribute.attidentity <> '' AND (SELECT atttypid NOT IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
      FROM pg_catalog.pg_attribute WHERE attrelid = 'pg_temp.dmlua_clone'::regclass AND attname = {new}) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
      MESSAGE = format('%s.%s is an identity column: its type must be smallint, integer or bigint', target, {column});
  END IF;
  SELECT coalesce(jsonb_agg(entry || jsonb_build_object('definition', (
      SELECT substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*')
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = 'pg_temp.dmlua_clone'::regclass AND c.relname = 'dmlua_clone_' || (entry->>'definition')))),
    '[]') INTO indexes FROM jsonb_array_elements(indexes) AS entry;
  SELECT coalesce(jsonb_agg(CASE entry->>'type' WHEN 'c' THEN entry || jsonb_build_object('definition', (
      SELECT replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') FROM pg_catalog.pg_constraint c
      WHERE c.conrelid = 'pg_temp.dmlua_clone'::regclass AND c.conname = 'dmlua_clone_' || (entry->>'definition')))
    ELSE entry END), '[]') INTO constraints FROM jsonb_array_elements(constraints) AS entry;
  FOR item IN
    SELECT c.*, obj_description(c.oid, 'pg_constraint') AS comment, n.nspname, r.relname FROM pg_catalog.pg_constraint c
    JOIN pg_catalog.pg_class r ON r.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
    WHERE c.oid IN (SELECT objid FROM ({dependents}) AS d WHERE kind = 'incoming')
    ORDER BY n.nspname, r.relname, c.conname
  LOOP
    -- pg_get_constraintdef with the names of the referred columns as they will be; first on copies, for the types
    SELECT ' (' || string_agg(CASE k.attnum WHEN number THEN quote_ident({new}) ELSE quote_ident(a.attname) END, ', '
      ORDER BY k.place) || ')', ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) || ')'
      INTO suffix, prefix FROM unnest(item.confkey) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = target AND a.attnum = k.attnum;
    SELECT 'FOREIGN KEY (' || string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) || ') REFERENCES ' INTO blocking
    FROM unnest(item.conkey) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = item.conrelid AND a.attnum = k.attnum;
    EXECUTE format('CREATE TEMPORARY TABLE dmlua_child (LIKE %s)', item.conrelid::regclass);
    EXECUTE format('ALTER TABLE pg_temp.dmlua_child ADD %spg_temp.dmlua_clone%s', blocking, suffix);
    DROP TABLE pg_temp.dmlua_child;
    incoming := incoming || jsonb_build_object('schema', item.nspname, 'table', item.relname, 'name', item.conname,
      'valid', item.convalidated, 'comment', item.comment, 'definition', blocking || {table} || suffix
      || substr(replace(pg_get_constraintdef(item.oid), ' NOT VALID', ''),
        length(blocking || target::text || replace(prefix, ' (', '(')) + 1));
  END LOOP;
  DROP TABLE pg_temp.dmlua_clone;

  PERFORM set_config('dmlua.change_type', jsonb_build_object(
    'schema', schema, 'not_null', attribute.attnotnull,
    'indexes', indexes, 'constraints', constraints, 'incoming', incoming,
    'default', (SELECT pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef
                WHERE adrelid = target AND adnum = number),
    'comment', col_description(target, number),
    'options', array_to_string(attribute.attoptions, ', '),
    'statistics', nullif(attribute.attstattarget, -1),
    'sequences', (SELECT jsonb_agg(objid::regclass::text) FROM ({dependents}) AS d WHERE kind = 'sequence'),
    'identity', (SELECT jsonb_build_object('sequence', s.seqrelid::regclass::text,
        'comment', obj_description(s.seqrelid, 'pg_class'),
        'generated', CASE attribute.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
        'options', format('START WITH %s INCREMENT BY %s %s %s CACHE %s %s', s.seqstart, s.seqincrement,
          CASE WHEN s.seqmin = l.least THEN 'NO MINVALUE' ELSE 'MINVALUE ' || s.seqmin END,
          CASE WHEN s.seqmax = l.greatest THEN 'NO MAXVALUE' ELSE 'MAXVALUE ' || s.seqmax END,
          s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END),
        'grants', (SELECT jsonb_agg(jsonb_build_object('privilege', g.privilege_type, 'grantable', g.is_grantable,
            'grantee', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END))
          FROM pg_catalog.pg_class c, aclexplode(c.relacl) AS g WHERE c.oid = s.seqrelid))
      FROM ({dependents}) AS d JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid
      JOIN (VALUES ('int2'::regtype, -32768, 32767), ('int4', -2147483648, 2147483647),
        ('int8', -9223372036854775808, 9223372036854775807)) AS l(type, least, greatest) ON l.type = s.seqtypid
      WHERE d.kind = 'identity'),
    'grants', (SELECT jsonb_agg(jsonb_build_object('privilege', g.privilege_type, 'grantable', g.is_grantable,
        'grantee', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END))
      FROM aclexplode(attribute.attacl) AS g),
    'dependents', (SELECT string_agg(concat_ws('/', classid, objid, objsubid), ' ' ORDER BY classid, objid, objsubid)
      FROM ({dependents}) AS d))::text, true);
END
]]

-- Values are assigned as the author's expression says, over the new row's columns.
M.sync_function = [[

BEGIN
  NEW.{new} := (SELECT {using} FROM (SELECT NEW.*) AS {alias});
  RETURN NEW;
END
]]

-- What came to depend on the column since would go with it.
M.unchanged = [[

DECLARE
  target regclass := {table}::regclass;
  number int2 := (SELECT attnum FROM pg_catalog.pg_attribute WHERE attrelid = target AND attname = {column});
BEGIN
  IF (SELECT string_agg(concat_ws('/', classid, objid, objsubid), ' ' ORDER BY classid, objid, objsubid)
      FROM ({dependents}) AS d) IS DISTINCT FROM {known} THEN
    RAISE EXCEPTION USING ERRCODE = 'object_in_use',
      MESSAGE = format('what depends on %s.%s has changed while its type was being changed', target, {column}),
      HINT = 'Put it back as it was and run again.';
  END IF;
END
]]

return M
