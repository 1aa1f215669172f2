-- Expressions: record or Lua value → SQL. Pure.

local errors = require "dmlua.errors"
local quote = require "dmlua.quote"
local record = require "dmlua.record"

local M = {}

local function fail(format, ...)
  errors.raise { kind = "migration", message = format:format(...) }
end

local function argument(value)
  local kind = record.kind(value)
  if kind then
    if not M.kinds[kind] then fail("a %s cannot be an argument of an SQL function", kind) end
    return M.sql(value)
  end
  local text = quote.value(value)
  if not text then fail("a %s cannot be an argument of an SQL function", type(value)) end
  return text
end

-- Called without parentheses where they have no argument (PostgreSQL's grammar; SQLAlchemy's AnsiFunction).
local bare = {}
for name in ([[current_catalog current_date current_role current_schema current_time current_timestamp current_user
  localtime localtimestamp session_user user]]):gmatch "%S+" do bare[name] = true end

--- The records that are SQL.
M.kinds = { text = true, func = true, literal = true, table_column = true }

--- An sa.text, an sa.func, an sa.column, an op.inline_literal, or a string that is SQL already.
function M.sql(value)
  if type(value) == "string" then return value end
  if value.kind == "literal" then return M.default(value.value) end
  if value.kind == "table_column" then return quote.ident(value.name) end
  if value.kind == "text" then
    if value.bound then fail("DDL takes no parameters: write the value into the text of sa.text") end
    return value.text
  end
  for part in (value.name .. "."):gmatch "(.-)%." do
    if not part:find("^[%a_][%w_]*$") then fail("sa.func: '%s' is no name of a function", value.name) end
  end
  if value.arguments.n == 0 and bare[value.name:lower()] then return value.name:upper() end
  local written = {}
  for i = 1, value.arguments.n do written[i] = argument(value.arguments[i]) end
  return value.name .. "(" .. table.concat(written, ", ") .. ")"
end

--- A server default: a string is a literal, as in Alembic; sa.text stands as it is.
function M.default(value)
  if record.kind(value) then return M.sql(value) end
  return quote.value(value)
end

return M
