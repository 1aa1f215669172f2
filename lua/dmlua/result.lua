-- What a query answered, with SQLAlchemy's methods. Rows are read in order: fetchone takes the next, fetchall the rest,
-- `for row in result do` goes through them.

local errors = require "dmlua.errors"
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

local function first_column(row)
  return row[1]
end

--- The result object over {columns, rows, rowcount, tag}.
function M.new(answer)
  local rows = cursor(answer, function(row) return row end)
  local methods = common(rows)
  local function scalar_rows()
    local scalars = cursor({ rows = rows.rest() }, first_column)
    return scalars
  end
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
    local scalars = scalar_rows()
    return strict.object("scalars", {}, common(scalars), iterate(scalars))
  end
  --- Rows answer by name already: the result itself.
  function methods.mappings(self) return self end
  function methods.keys() return table.move(answer.columns, 1, #answer.columns, 1, {}) end
  function methods.close() rows.rest() end
  local returns_rows = #answer.columns > 0
  return strict.object("result", { rowcount = answer.rowcount, returns_rows = returns_rows }, methods, iterate(rows))
end

return M
