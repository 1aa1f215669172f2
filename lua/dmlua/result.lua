-- What a query answered, with SQLAlchemy's methods. Rows are read in order: fetchone takes the next, fetchall the rest,
-- `for row in result do` goes through them.

local errors = require "dmlua.errors"
local null = require "dmlua.null"
local strict = require "dmlua.strict"

local M = {}

local function fail(format, ...)
  errors.raise { kind = "migration", message = format:format(...) }
end

-- What comes through `read` (row → value) one after the other; shared by rows and by scalars.
local function cursor(answer, read)
  local at, self = 0, {}
  function self.next()
    if at >= #answer.rows then return nil end
    at = at + 1
    return read(answer.rows[at])
  end
  function self.rest()
    local values = { n = 0 }
    while at < #answer.rows do
      at, values.n = at + 1, values.n + 1
      values[values.n] = read(answer.rows[at])
    end
    return values
  end
  function self.count() return #answer.rows - at end
  return self
end

local function check_one(name, count, allow_none)
  if count > 1 then fail("%s: %d rows where one was expected", name, count) end
  if count == 0 and not allow_none then fail("%s: no row where one was expected", name) end
end

local function plain_list(values)
  values.n = nil
  return values
end

-- The methods that rows and scalars have in common.
local function common(rows)
  local methods = {}
  function methods.all() return plain_list(rows.rest()) end
  methods.fetchall = methods.all
  function methods.fetchone() return rows.next() end
  function methods.first()
    local value = rows.next()
    rows.rest()
    return value
  end
  function methods.one()
    check_one("one", rows.count())
    return rows.next()
  end
  function methods.one_or_none()
    check_one("one_or_none", rows.count(), true)
    return rows.next()
  end
  return methods
end

local function iterate(rows)
  return { __call = function() return rows.next() end, __len = function() return rows.count() end }
end

-- In a list, and between the turns of a loop, nil would be the end: NULL is null there.
local function first_column(row)
  if row[1] == nil then return null end
  return row[1]
end

-- One value alone is nil for NULL, as a row's field is.
local function scalar_methods(scalars)
  local methods = common(scalars)
  for _, name in ipairs { "first", "one", "one_or_none" } do
    local read = methods[name]
    methods[name] = function()
      local value = read()
      if value == null then return nil end
      return value
    end
  end
  return methods
end

-- SQLAlchemy's ResourceClosedError. Nil would read as "no row was there" where RETURNING was forgotten.
local function without_rows(rowcount)
  local function refuse()
    fail("this statement answers without rows: it is no query and has no RETURNING; rowcount is %s", tostring(rowcount))
  end
  local methods = { close = function() end }
  for _, name in ipairs { "fetchall", "all", "fetchone", "first", "one", "one_or_none", "scalar", "scalar_one",
    "scalar_one_or_none", "scalars", "mappings", "keys" } do
    methods[name] = refuse
  end
  return strict.object("result", { rowcount = rowcount, returns_rows = false }, methods,
    { __call = refuse, __len = refuse })
end

--- The result object over {columns, rows, rowcount}.
function M.new(answer)
  if #answer.columns == 0 and #answer.rows == 0 then return without_rows(answer.rowcount) end
  local rows = cursor(answer, function(row) return row end)
  local methods = common(rows)
  function methods.scalar()
    local row = methods.first()
    return row and row[1]
  end
  function methods.scalar_one()
    check_one("scalar_one", rows.count())
    return rows.next()[1]
  end
  function methods.scalar_one_or_none()
    check_one("scalar_one_or_none", rows.count(), true)
    local row = rows.next()
    return row and row[1]
  end
  --- The first column of the remaining rows.
  function methods.scalars()
    local scalars = cursor({ rows = rows.rest() }, first_column)
    return strict.object("scalars", {}, scalar_methods(scalars), iterate(scalars))
  end
  --- Rows answer by name already: the result itself.
  function methods.mappings(self) return self end
  function methods.keys() return table.move(answer.columns, 1, #answer.columns, 1, {}) end
  function methods.close() rows.rest() end
  return strict.object("result", { rowcount = answer.rowcount, returns_rows = true }, methods, iterate(rows))
end

return M
