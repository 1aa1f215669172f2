-- tenants.each { covers = … }: the rows of a table that no tenant of the loop reaches, counted across tenants through
-- the one door, and named. It is a report: such rows are somebody's trouble, but not the loop's.

local arguments = require "dmlua.arguments"
local door = require "dmlua.door"
local errors = require "dmlua.errors"
local params = require "dmlua.params"
local quote = require "dmlua.quote"
local record = require "dmlua.record"
local tenant_lists = require "dmlua.tenant_lists"

local M = {}

local SHOWN = 5 -- ids of a kind that are named

-- A name, { name, schema = … }, or a list of these.
local function read_tables(call, covers)
  if not record.plain(covers) or covers.schema then covers = { covers } end
  return arguments.value(call, "covers", "tables", covers)
end

local find_types = [[
  SELECT n.name, c.oid IS NOT NULL AS there, c.relkind NOT IN ('r', 'p', 'f') AS is_other,
   pg_catalog.format_type(a.atttypid, -1) AS type
  FROM pg_catalog.unnest(CAST($1 AS text[])) WITH ORDINALITY AS n(name, place)
  LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name)
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND NOT a.attisdropped
  ORDER BY n.place]]

-- Ids are compared as the policies compare them: as values of the column's type, without its length.
local count_rows = [[
  WITH listed AS (SELECT CAST(id AS %s) AS id, visited
      FROM ROWS FROM (pg_catalog.unnest(CAST($1 AS text[])), pg_catalog.unnest(CAST($2 AS boolean[])))
        AS l(id, visited)),
    missed AS (SELECT t.%s AS id, pg_catalog.count(*) AS rows FROM %s AS t
      WHERE NOT EXISTS (SELECT FROM listed AS l WHERE l.visited AND l.id = t.%s) GROUP BY 1),
    kinds AS (SELECT CAST(m.id AS text) AS id, m.rows, CASE WHEN m.id IS NULL THEN 'null'
      WHEN EXISTS (SELECT FROM listed AS l WHERE l.id = m.id) THEN 'left out' ELSE 'orphan' END AS kind FROM missed m)
  SELECT * FROM (SELECT kind, id, rows, pg_catalog.sum(rows) OVER k AS total, pg_catalog.count(*) OVER k AS ids,
      pg_catalog.row_number() OVER (PARTITION BY kind ORDER BY rows DESC, id) AS place FROM kinds
    WINDOW k AS (PARTITION BY kind)) AS counted
  WHERE place <= %d ORDER BY kind, place]]

local function check_table(call, name, found, column)
  local why
  if not found.there then
    why = ("there is no table %s"):format(name)
  elseif found.is_other then
    why = ("%s is no table; name those that it shows"):format(name)
  elseif not found.type then
    why = ("table %s has no column %s, which would say whose its rows are"):format(name, column)
  end
  if why then errors.raise { kind = "migration", message = ("%s: covers: %s"):format(call, why) } end
end

local phrases = {
  null = "%s without a tenant (NULL)",
  orphan = "%s of ids that the tenant list does not know: %s",
  ["left out"] = "%s of tenants that the call's `from` leaves out: %s",
}

local function rows_text(count)
  return ("%d row%s"):format(count, count == 1 and "" or "s")
end

-- "3 rows of ids that the tenant list does not know: 'ghost' 2, 'unknown' 1"
local function describe(answers)
  local parts, at = {}, 1
  while answers[at] do
    local first, ids = answers[at], {}
    while answers[at] and answers[at].kind == first.kind do
      ids[#ids + 1] = answers[at].id and ("%s %d"):format(tenant_lists.shown(answers[at].id), answers[at].rows)
      at = at + 1
    end
    local more = first.ids > SHOWN and (" and %d more"):format(first.ids - SHOWN) or ""
    parts[#parts + 1] = phrases[first.kind]:format(rows_text(math.tointeger(tonumber(first.total))),
      table.concat(ids, ", ") .. more)
  end
  return table.concat(parts, "; ")
end

local function ids_of(rows)
  local ids = {}
  for i, row in ipairs(rows) do ids[i] = row.id end
  return ids
end

-- Every id that is known, and whether the loop visits it.
local function listed(visited, known)
  local visits, ids, flags = {}, ids_of(known), {}
  for _, row in ipairs(visited) do visits[row.id] = true end
  for i, id in ipairs(ids) do flags[i] = visits[id] or false end
  return { params.encode(ids), params.encode(flags) }
end

--- Counts, for each table, the rows that none of the `visited` tenants reaches, warns of them and notes it in the
--- ledger. `known`: the tenant list, of which the visited ones are a part.
function M.report(step, call, covers, visited, known)
  local bind, column, tables = step.bind, step.bind.settings.tenant_column, read_tables(call, covers)
  local file, line = errors.where()
  local names, values = {}, listed(visited, known)
  for i, entry in ipairs(tables) do names[i] = quote.qualified(entry.schema, entry[1]) end
  local types = bind:query(find_types, { params.encode(names), column }, file, line).rows
  for i, name in ipairs(names) do check_table(call, name, types[i], column) end
  door.of(step).open(tables, function()
    for i, name in ipairs(names) do
      local quoted = quote.ident(column)
      local text = describe(bind:query(count_rows:format(types[i].type, quoted, name, quoted, SHOWN), values, file,
        line).rows)
      bind:mark("covers", name .. ": " .. (text == "" and "every row is of a tenant that is visited" or text))
      if text ~= "" then bind:log("warn", ("%s reaches not every row of %s: %s"):format(call, name, text)) end
    end
  end)
end

return M
