-- The undo of a fix, for one tenant after the other: what the host calls in the tenant's transaction, context and role,
-- with the tenant's pre-images in the stage pg_temp.dmlua_undo_rows.

local errors = require "dmlua.errors"
local params = require "dmlua.params"
local undo_sql = require "dmlua.undo_sql"

local M = {}

local shown_at_most = 5

local function fail(hint, text, ...)
  errors.raise { kind = "migration", message = text:format(...), hint = hint }
end

local function value(text)
  if not text then return "NULL" end
  if utf8.len(text) and utf8.len(text) > 60 then text = text:sub(1, utf8.offset(text, 58) - 1) .. "..." end
  return "'" .. text .. "'"
end

local said = {
  gone = function(name, row) return ("%s %s is gone"):format(name, row.shown) end,
  taken = function(name, row) return ("the key of %s %s is taken again"):format(name, row.shown) end,
  differs = function(name, row)
    return ("%s %s: %s is %s, the fix left %s"):format(name, row.shown, row.column_name, value(row.found),
      value(row.wanted))
  end,
}

-- Reads with the texts of the images, and puts the settings back.
local function images(bind, sql)
  bind:send(undo_sql.format_on)
  local answer = bind:query(sql)
  bind:send(undo_sql.format_off)
  return answer.rows
end

-- The tables of the stage, as undo_sql.reconcile takes them; columns are to come.
local function work_of(bind)
  local names, known = {}, {}
  for _, row in ipairs(bind:query([[SELECT u.name, e.key AS column_name FROM (SELECT name,
      pg_catalog.max(coalesce(before, after)) AS image FROM pg_temp.dmlua_undo_rows GROUP BY name) AS u,
      LATERAL pg_catalog.json_object_keys(CAST(u.image AS json)) AS e(key) ORDER BY u.name]]).rows) do
    if not known[row.name] then names[#names + 1], known[row.name] = row.name, {} end
    known[row.name][row.column_name] = true
  end
  local _, by_name = undo_sql.tables(bind:query(undo_sql.columns, { params.encode(names), "false", false }).rows)
  local work, of = {}, {}
  for i, name in ipairs(names) do
    local it = by_name[name]
    if not it then fail("it was dropped or renamed since", "there is no table %s any more", name) end
    work[i] = { it = it, columns = {}, known = known[name] }
    of[name] = work[i]
  end
  for _, row in ipairs(bind:query(undo_sql.kinds).rows) do of[row.name].kinds = row end
  return work, of
end

local function check_key(w)
  for _, column in ipairs(w.it.key) do
    if not w.known[column] then
      fail(nil, "%s has another primary key now: %s is not in the pre-images", w.it.name, column)
    end
  end
  if #w.it.key == 0 then fail(nil, "%s has no primary key any more", w.it.name) end
end

-- What a column held that is gone since cannot be brought back.
local function find_columns(bind, of)
  for _, row in ipairs(bind:query(undo_sql.changed).rows) do
    local w = of[row.name]
    if not w.it.rows[row.column_name] then
      fail("it was dropped or renamed since; write the way back as a fix of its own",
        "%s has no column %s any more, which the fix has changed", row.name, row.column_name)
    end
    if row.updated then w.columns[#w.columns + 1] = row.column_name end
  end
end

-- Every row must be as the fix left it.
local function check_unchanged(bind, work)
  local lines, rows = {}, 0
  for _, w in ipairs(work) do
    local last
    for _, row in ipairs(images(bind, undo_sql.differences(w.it, "after"))) do
      if row.key ~= last then rows = rows + 1 end
      last = row.key
      if #lines < shown_at_most then lines[#lines + 1] = said[row.what](w.it.name, row) end
    end
  end
  if rows == 0 then return end
  fail("undo takes nothing back over what came later; put the rows right with a fix of its own",
    "%d row%s changed since the fix: %s%s", rows, rows == 1 and "" or "s", table.concat(lines, "; "),
    rows > #lines and "; …" or "")
end

-- Everything at once; where rows want each other's values, which are UNIQUE, these come first, one by one.
local function bring_back(bind, work)
  local stubborn = {}
  for _, w in ipairs(work) do
    if undo_sql.is_stubborn(w) then stubborn[#stubborn + 1] = w end
  end
  if #stubborn == 0 then return bind:query(undo_sql.reconcile(work, true)) end
  bind:send(undo_sql.try(work))
  if bind:query "SELECT pg_catalog.current_setting('dmlua.undo_stubborn') AS way".rows[1].way == "no" then return end
  for _, w in ipairs(stubborn) do
    bind:send(undo_sql.stubborn(w))
    w.stubborn = true
  end
  bind:query(undo_sql.reconcile(work, true))
end

-- What triggers have done to the rows meanwhile. Those of a table whose own triggers set values before they are stored
-- would only be set again.
local function left_over(bind, work)
  local rest, values = {}, {}
  for _, w in ipairs(work) do
    local keys, whats, columns, seen, kinds = {}, {}, {}, {}, {}
    for _, row in ipairs(w.it.triggers and {} or images(bind, undo_sql.differences(w.it, "before"))) do
      if not seen[row.key] then keys[#keys + 1], whats[#whats + 1], seen[row.key] = row.key, row.what, true end
      kinds[row.what] = true
      if row.column_name and not columns[row.column_name] then
        columns[row.column_name], columns[#columns + 1] = true, row.column_name
      end
    end
    if #keys > 0 then
      rest[#rest + 1] = { it = w.it, columns = columns, known = w.known, kinds = kinds }
      values[#values + 1], values[#values + 2] = params.encode(keys), params.encode(whats)
    end
  end
  return rest, values
end

-- All rows must be what they were; a column that a trigger sets by itself is said.
local function check_back(bind, work, tenant)
  for _, w in ipairs(work) do
    local columns = {}
    for _, row in ipairs(images(bind, undo_sql.differences(w.it, "before"))) do
      if row.what ~= "differs" or row.unmoved then
        fail("a trigger or a policy keeps it so", "%s %s could not be brought back", w.it.name, row.shown)
      end
      if not columns[row.column_name] then
        columns[row.column_name], columns[#columns + 1] = true, row.column_name
      end
    end
    if #columns > 0 then
      bind:log("warn", ("%s: %s of %s is not what it was: a trigger sets it"):format(tenant.id,
        table.concat(columns, ", "), w.it.name))
    end
  end
end

local function undo(bind, tenant)
  local work, of = work_of(bind)
  if #work == 0 then return end
  for _, w in ipairs(work) do check_key(w) end
  find_columns(bind, of)
  check_unchanged(bind, work)
  bind:send "SET CONSTRAINTS ALL DEFERRED"
  bind:send "SET LOCAL jit = off" -- as in undo_sql
  bring_back(bind, work)
  local rest, values = left_over(bind, work)
  if #rest > 0 then bind:query(undo_sql.reconcile(rest, false), values) end
  check_back(bind, work, tenant)
end

--- Undoes for the tenants that the bind table has.
function M.run(bind)
  bind:fix(function(tenant) undo(bind, tenant) end, bind.tenants, bind.options.on_tenant)
end

return M
