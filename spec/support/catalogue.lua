-- The schema of a database as one text, to be compared, a line for each relation, column, constraint, index, comment,
-- enum and policy of the schemas that are not PostgreSQL's own.

local query = [[
WITH own AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
SELECT string_agg(regexp_replace(line, '\s*\n\s*', ' ', 'g'), E'\n' ORDER BY line) AS text FROM (
  SELECT format('%s.%s %s %s %s %s', nspname, relname, relkind, relpersistence, reloptions, relrowsecurity) AS line
    FROM pg_class c JOIN own ON own.oid = relnamespace
  UNION ALL SELECT format('%s.%s.%s %s %s %s %s %s', nspname, relname, attname, format_type(atttypid, atttypmod),
      attnotnull, attidentity, attgenerated, (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
        WHERE adrelid = attrelid AND adnum = attnum))
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN own ON own.oid = relnamespace
    WHERE attnum > 0 AND NOT attisdropped
  UNION ALL SELECT format('%s %s: %s', conname, conrelid::regclass, pg_get_constraintdef(c.oid))
    FROM pg_constraint c JOIN own ON own.oid = connamespace
  UNION ALL SELECT pg_get_indexdef(indexrelid) || ' ' || indisvalid
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN own ON own.oid = relnamespace
  UNION ALL SELECT format('comment %s %s: %s', objoid::regclass, objsubid, description) FROM pg_description
    WHERE classoid = 'pg_class'::regclass AND objoid::regclass::text !~ '^pg_' AND objoid > 16383
  UNION ALL SELECT format('%s.%s %s', nspname, typname, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder)
      FROM pg_enum WHERE enumtypid = t.oid))
    FROM pg_type t JOIN own ON own.oid = typnamespace WHERE typtype = 'e'
) AS lines]]

return function(connection)
  return connection:exec(query).rows[1].text or ""
end
