-- Raw SQL: op.execute sends, op.get_bind():execute waits for the rows.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"
local record = require "dmlua.record"
local result = require "dmlua.result"
local strict = require "dmlua.strict"

local M = {}

arguments.kind("sql", function(value)
  if type(value) == "string" then return value end
  if record.kind(value) == "text" then return value.text end
  return nil, "SQL text (a string or sa.text)"
end)

arguments.kind("parameters", function(value)
  if type(value) == "table" and not record.kind(value) then return value end
  return nil, "a table of parameters"
end)

-- The statements of a text with their origins. What refuses a transaction is refused here, before anything is sent.
local function statements(step, name, given)
  local sql, statement = require "dmlua.sql", require "dmlua.statement"
  local file, line = errors.where()
  local parts = sql.statements(given.sqltext, given.parameters, file, line)
  for _, part in ipairs(parts) do
    if part.refuses_block and not step.in_autocommit then
      errors.raise { kind = "migration", file = file, line = part.line,
        message = ("%s: %s cannot run inside a transaction"):format(name, statement.name(part)),
        hint = "put it into op.get_context():autocommit_block(fn)" }
    end
  end
  return parts
end

local signature = { { "sqltext", "sql" }, { "parameters", "parameters", optional = true } }

--- The raw SQL of one step: execute, get_bind.
function M.new(step)
  local bind, execution = step.bind, {}

  local function send(part, file)
    bind:send(part.sql, part.params, file, part.line, true)
  end

  local function connection_execute(_, ...)
    local given = arguments.read("bind:execute", signature, ...)
    local parts, file = statements(step, "bind:execute", given), (errors.where())
    for i = 1, #parts - 1 do send(parts[i], file) end
    local last = parts[#parts]
    return result.new(bind:query(last.sql, last.params, file, last.line, true))
  end

  local connection = strict.object("bind", { dialect = strict.view("dialect", { name = "postgresql" }) }, {
    execute = connection_execute,
    --- The first column of the first row.
    scalar = function(self, ...) return connection_execute(self, ...):scalar() end,
    --- The first column of all rows.
    scalars = function(self, ...) return connection_execute(self, ...):scalars() end,
  })

  --- execute(text, parameters): any number of statements, or one with parameters. Does not wait.
  function execution.execute(...)
    local given = arguments.read("op.execute", signature, ...)
    local file = errors.where()
    for _, part in ipairs(statements(step, "op.execute", given)) do send(part, file) end
  end

  --- get_bind(): the connection, whose execute waits for everything sent before.
  function execution.get_bind() return connection end

  return execution
end

return M
