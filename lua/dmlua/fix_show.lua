-- What a fix has changed, row by row: the tenant's rows of the tables that its header names, before and after, compared
-- by primary key. Both are read in the tenant's own transaction and context. Values are the JSON texts of the server.

local engine = require "dmlua.engine"
local output = require "dmlua.output"

local M = {}
local Show = {}
Show.__index = Show

local rows_at_most = 1000 -- of one tenant in one table; of more the comparison would be no small matter

--- Shows the first `limit` rows. `tables`: {name, quoted, key}…; one without a primary key is passed over, `say` tells.
function M.new(limit, tables, say)
  local kept = {}
  for _, it in ipairs(tables) do
    if it.key then kept[#kept + 1] = it else say(("--show: %s has no primary key"):format(it.name)) end
  end
  return setmetatable({ left = limit, tables = kept, say = say, changes = {} }, Show)
end

-- {keys = list, columns by key = list of names, values by key = text by column}; nil where there are too many rows.
-- Of those `say` tells.
local function read(bind, it, say)
  local answer = bind:query(([[SELECT r.key, c.key AS name, CAST(c.value AS text) AS value
    FROM (SELECT CAST(ROW(%s) AS text) AS key, pg_catalog.row_to_json(t) AS row,
      pg_catalog.row_number() OVER (ORDER BY %s) AS place FROM %s AS t LIMIT %d) AS r,
      LATERAL pg_catalog.json_each(r.row) WITH ORDINALITY AS c(key, value, place)
    ORDER BY r.place, c.place]]):format(it.key, it.key, it.quoted, rows_at_most + 1))
  local image = { keys = {}, rows = {} }
  for _, cell in ipairs(answer.rows) do
    local row = image.rows[cell.key]
    if not row then
      row = {}
      image.rows[cell.key], image.keys[#image.keys + 1] = row, cell.key
    end
    row[#row + 1], row[cell.name] = cell.name, cell.value
  end
  if #image.keys <= rows_at_most then return image end
  say(("--show: more than %d rows in %s"):format(rows_at_most, it.name))
end

--- Before run(tenant).
function Show:before(bind)
  self.images, self.changes = {}, {}
  if self.left == 0 then return end
  for _, it in ipairs(self.tables) do
    self.images[it] = read(bind, it, self.say)
  end
end

-- The columns of a row that are another in the other row, as JSON; all where there is no other; nil where none is.
local function difference(row, other)
  if not row then return nil end
  local parts = {}
  for _, name in ipairs(row) do
    if not other or row[name] ~= other[name] then parts[#parts + 1] = output.encode(name) .. ":" .. row[name] end
  end
  return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or nil
end

function Show:add(it, key, before, after)
  local old, new = difference(before, after), difference(after, before)
  if (old or new) and #self.changes < self.left then
    self.changes[#self.changes + 1] = { table = it.name, key = key, before = old, after = new }
  end
end

--- After it.
function Show:after(bind)
  for _, it in ipairs(self.tables) do
    local before = self.images[it]
    local after = before and read(bind, it, self.say)
    for _, key in ipairs(after and before.keys or {}) do self:add(it, key, before.rows[key], after.rows[key]) end
    for _, key in ipairs(after and after.keys or {}) do
      if not before.rows[key] then self:add(it, key, nil, after.rows[key]) end
    end
  end
end

-- One object; before and after are JSON already.
local function json_line(tenant, it)
  local head = output.encode(output.object("tenant", tenant, "table", it.table, "key", it.key))
  return ('%s,"before":%s,"after":%s}\n'):format(head:sub(1, -2), it.before or "null", it.after or "null")
end

--- The tenant's transaction is over: prints what it has changed, or would have in a dry run.
function Show:print(tenant, as_json)
  for _, it in ipairs(self.changes) do
    if as_json then
      engine.write(json_line(tenant, it))
    else
      output.line(("%s %s %s: %s -> %s"):format(tenant, it.table, it.key, it.before or "none", it.after or "none"))
    end
  end
  self.left = self.left - #self.changes
  self.changes = {}
end

return M
