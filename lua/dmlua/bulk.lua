-- op.bulk_insert: rows as INSERTs of many rows each, whose values travel beside them. A row that leaves out a column
-- gets the column's default there.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"
local expression = require "dmlua.ddl.expression"
local params = require "dmlua.params"
local quote = require "dmlua.quote"
local record = require "dmlua.record"
local strict = require "dmlua.strict"
local typed = require "dmlua.typed"

local M = {}

-- A statement's bounds: below the protocol's 65,535 parameters, and small enough to be sent on while the next is made.
local MOST_ROWS, MOST_PARAMETERS, MOST_BYTES = 1000, 32000, 1 << 20

arguments.kind("table_record", function(value)
  if record.kind(value) == "table" then return value end
  return nil, "a sa.table, or what op.create_table answered"
end)

arguments.kind("rows", function(value)
  local expected = "a list of rows, each a table by column name"
  if not record.plain(value) then return nil, expected end
  for key, row in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #value or not record.plain(row) then return nil, expected end
  end
  return value
end)

--- What bulk_insert takes.
M.signature = { { "table", "table_record" }, { "rows", "rows" }, options = { multiinsert = "boolean" } }

local function fail(format, ...)
  arguments.fail("op.bulk_insert", format, ...)
end

-- The columns of the table that any row names, in the table's order; what rows name and the table lacks is an error.
local function used_columns(target, rows)
  local used, known, columns = {}, {}, {}
  for _, column in ipairs(target.columns) do known[column.name] = true end
  for i, row in ipairs(rows) do
    for name in pairs(row) do
      if not known[name] then
        fail("row %d: table %s has no column '%s'%s", i, target.name, tostring(name),
          errors.suggestion(name, strict.names(known)))
      end
      used[name] = true
    end
  end
  for _, column in ipairs(target.columns) do
    if used[column.name] then columns[#columns + 1] = column end
  end
  return columns
end

-- One statement in the making: groups of places, parameters, bytes.
local function new_statement()
  return { rows = {}, params = {}, bytes = 0 }
end

local expressions = { text = true, func = true, literal = true }

-- The SQL of one value; what travels beside the statement joins its parameters.
local function place_of(statement, column, value, row)
  if value == nil then return "DEFAULT" end
  if expressions[record.kind(value)] then return expression.sql(value) end
  local encoded, why = params.encode(typed.value(column.type, value))
  if encoded == nil then fail("row %d, column %s: %s", row, column.name, why) end
  statement.params[#statement.params + 1] = encoded
  statement.bytes = statement.bytes + (type(encoded) == "string" and #encoded or 0)
  return "$" .. #statement.params
end

local function add_row(statement, columns, row, number)
  local places = {}
  for i, column in ipairs(columns) do places[i] = place_of(statement, column, row[column.name], number) end
  statement.rows[#statement.rows + 1] = "(" .. table.concat(places, ", ") .. ")"
end

local function is_full(statement, columns, most_rows)
  return #statement.rows >= most_rows or #statement.params + #columns > MOST_PARAMETERS
    or statement.bytes >= MOST_BYTES
end

local function head_of(target, columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return ("INSERT INTO %s (%s) VALUES "):format(quote.qualified(target.schema, target.name), quote.idents(names))
end

--- Sends the rows; a statement is sent as soon as it is full.
function M.insert(bind, ...)
  local given = arguments.read("op.bulk_insert", M.signature, ...)
  if #given.rows == 0 then return end
  local file, line = errors.where()
  local most_rows = given.multiinsert == false and 1 or MOST_ROWS
  local columns = used_columns(given.table, given.rows)
  if #columns == 0 then fail("the rows name no column") end
  local head = head_of(given.table, columns)
  local statement = new_statement()
  local function send()
    if #statement.rows == 0 then return end
    bind:send(head .. table.concat(statement.rows, ",\n"), statement.params, file, line)
    statement = new_statement()
  end
  for i, row in ipairs(given.rows) do
    add_row(statement, columns, row, i)
    if is_full(statement, columns, most_rows) then send() end
  end
  send()
end

return M
