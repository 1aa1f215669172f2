-- UPDATE in batches along a table's key: the statement of one batch, which the engine repeats with the cursor that it
-- answered the time before.

local quote = require "dmlua.quote"

local M = {}

--- The key along which a table is walked: its primary key, else a unique index over columns that are NOT NULL. A row a
--- column: name, type. $1 text: the table.
M.key_query = [[
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
FROM (SELECT i.indkey, i.indnkeyatts FROM pg_catalog.pg_index i
      WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
        AND i.indexprs IS NULL
        AND NOT EXISTS (SELECT FROM unnest(i.indkey) AS k JOIN pg_catalog.pg_attribute b
                        ON b.attrelid = i.indrelid AND b.attnum = k WHERE NOT b.attnotnull)
      ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) AS chosen
CROSS JOIN LATERAL unnest(chosen.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::regclass AND a.attnum = k.attnum
WHERE k.place <= chosen.indnkeyatts
ORDER BY k.place]]

local function each(key, format)
  local parts = {}
  for i, column in ipairs(key) do parts[i] = format(quote.ident(column.name), i, column.type) end
  return parts
end

--- One batch. `batch`: table_name, schema, key (rows of key_query), size, set (list of {column, SQL}), where (SQL or
--- nil). Its parameter is the cursor, NULL at the beginning; it answers cursor (NULL at the end) and rows changed.
function M.statement(batch)
  local alias, key = quote.ident(batch.table_name), batch.key
  local from = quote.qualified(batch.schema, batch.table_name) .. " AS " .. alias
  local columns = each(key, function(name) return alias .. "." .. name end)
  local bounds = each(key, function(_, i, type) return ("($1::text[])[%d]::%s"):format(i, type) end)
  local selected = each(key, function(name, i) return ("%s.%s AS dmlua_key_%d"):format(alias, name, i) end)
  local joined = each(key, function(name, i) return ("%s.%s = dmlua_key_%d"):format(alias, name, i) end)
  local texts = each(key, function(_, i) return ("dmlua_key_%d::text"):format(i) end)
  local backwards = each(key, function(_, i) return ("dmlua_key_%d DESC"):format(i) end)
  local changes = {}
  for i, change in ipairs(batch.set) do changes[i] = quote.ident(change[1]) .. " = " .. change[2] end
  local where = batch.where and " AND (" .. batch.where .. ")" or ""
  return table.concat({
    "WITH dmlua_batch AS (SELECT " .. table.concat(selected, ", ") .. " FROM " .. from,
    "  WHERE $1::text[] IS NULL OR ROW(" .. table.concat(columns, ", ") .. ") > ROW(" .. table.concat(bounds, ", ")
      .. ")",
    "  ORDER BY " .. table.concat(columns, ", ") .. " LIMIT " .. batch.size .. "),",
    "dmlua_changed AS (UPDATE " .. from .. " SET " .. table.concat(changes, ", "),
    "  FROM dmlua_batch WHERE " .. table.concat(joined, " AND ") .. where .. " RETURNING 1)",
    "SELECT (SELECT ARRAY[" .. table.concat(texts, ", ") .. "] FROM dmlua_batch ORDER BY "
      .. table.concat(backwards, ", ") .. " LIMIT 1), (SELECT count(*) FROM dmlua_changed)",
  }, "\n")
end

return M
