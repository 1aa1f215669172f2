-- tenants.each { batch = { table = …, key = …, size = … } }: a tenant's rows of a table in ranges of a key, each in a
-- transaction of its own with the cursor that says how far the tenant is. The engine knows batches by a cursor alone,
-- which the callback returns; here is the callback that makes ranges of it.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"
local params = require "dmlua.params"
local quote = require "dmlua.quote"
local record = require "dmlua.record"
local tenant_lists = require "dmlua.tenant_lists"
local text_width = require "dmlua.text_width"

local M = {}

local WIDTH = 80 -- columns of a cursor that an error shows
local SIZE, SIZE_MOST = 1000, 1000000000

arguments.kind("batch_size", function(value)
  if math.type(value) == "integer" and value >= 1 and value <= SIZE_MOST then return value end
  return nil, "a number of rows, 1 or more"
end)

local signature = { { "table", "name" }, { "key", "name", optional = true },
  options = { size = "batch_size", schema = "name" } }

arguments.kind("batch", function(value)
  if math.type(value) == "integer" and value >= 1 and value <= SIZE_MOST then return value end
  if record.plain(value) and type(next(value)) == "string" then
    return arguments.read("tenants.each: batch", signature, nil, nil, value)
  end
  return nil, "a number of rows, or { table = …, key = …, size = … }"
end, true)

-- The columns of the key: the one that is named, or those of the primary key but for the tenant's, which is the same in
-- all rows that a callback sees.
local find_key = [[
  SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, -1) AS type, a.attnotnull AS is_set,
    c.oid IS NOT NULL AS there
  FROM (SELECT pg_catalog.to_regclass($1) AS oid) AS c
  LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND CASE WHEN CAST($2 AS text) IS NULL THEN a.attnum = ANY (i.indkey) AND a.attname <> CAST($3 AS text)
      ELSE a.attname = CAST($2 AS text) END
  ORDER BY a.attnum]]

local function fail(format, ...)
  arguments.fail("tenants.each", "batch: " .. format, ...)
end

local function names_of(columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return table.concat(names, ", ")
end

local function key_of(step, given, name, file, line)
  local bind = step.bind
  local columns = bind:query(find_key, { params.encode(name), given.key or false, bind.settings.tenant_column }, file,
    line).rows
  local key = columns[1]
  if not key.there then fail("there is no table %s", name) end
  if not key.name then
    fail(given.key and "table %s has no column %s" or "table %s has no primary key: say by which column, key = …", name,
      given.key)
  elseif #columns > 1 then
    fail("the primary key of %s has several columns (%s): say by which one, key = …", name, names_of(columns))
  elseif given.key and key.name ~= given.key then -- the answer is an earlier run's
    fail("an earlier run went by %s.%s, not by %s: finish the loop with the file as it was", name, key.name, given.key)
  elseif not key.is_set then
    fail("column %s of %s may be NULL, and a row without it would be in no batch: ALTER COLUMN … SET NOT NULL first",
      key.name, name)
  end
  return key
end

-- A cursor says of which key it is: a run that was taken up with another one would pass over rows.
local function read_cursor(tenant, prefix, cursor)
  if not cursor or cursor:sub(1, #prefix) == prefix then return cursor and cursor:sub(#prefix + 1) end
  errors.raise { kind = "migration", hint = "finish the loop with the file as it was",
    message = ("tenants.each: batch: tenant %s has come to %s, and the batches are now of %s"):format(
      tenant_lists.shown(tenant.id), text_width.cut(cursor, WIDTH), prefix:sub(1, -2)) }
end

-- One more key than a batch has says whether there is another batch. uuid has no max().
local next_keys = [[
  WITH keys AS (SELECT t.%s AS key, pg_catalog.row_number() OVER (ORDER BY t.%s) AS place
    FROM (SELECT %s FROM %s %s ORDER BY %s LIMIT %d) AS t)
  SELECT CAST(key AS text) AS key, place FROM keys
  WHERE place IN (1, %d) OR place = (SELECT pg_catalog.max(place) FROM keys) ORDER BY place]]

local whole_numbers = { smallint = true, integer = true, bigint = true }

-- A key as a script reads it from a row.
local function value_of(key, text)
  return text and whole_numbers[key.type] and math.tointeger(text) or text
end

--- The function that the engine calls for the author's: fn(tenant, {first, last, after, size}) for the next keys of the
--- tenant, first and last of them inclusive, or not at all where none is left.
function M.ranges(step, given, fn)
  local file, line = errors.where()
  local size, name = given.size or SIZE, quote.qualified(given.schema, given.table)
  local key = key_of(step, given, name, file, line)
  local column = quote.ident(key.name)
  local from_start = next_keys:format(column, column, column, name, "", column, size + 1, size)
  local behind = next_keys:format(column, column, column, name,
    ("WHERE %s > CAST($1 AS %s)"):format(column, key.type), column, size + 1, size)
  local prefix = name .. "." .. column .. "="
  return size, function(tenant, batch)
    local after = read_cursor(tenant, prefix, batch.cursor)
    local rows = step.bind:query(after and behind or from_start, after and { after } or nil, file, line).rows
    if #rows == 0 then return nil end
    local more = rows[#rows].place > size
    local last = more and rows[#rows - 1] or rows[#rows]
    fn(tenant, { first = value_of(key, rows[1].key), last = value_of(key, last.key), after = value_of(key, after),
      size = last.place })
    return more and prefix .. last.key or nil
  end
end

return M
