-- Raw SQL: op.execute sends, op.get_bind():execute waits for the rows.

local arguments = require "dmlua.arguments"
local connections = require "dmlua.connections"
local errors = require "dmlua.errors"
local record = require "dmlua.record"
local result = require "dmlua.result"
local strict = require "dmlua.strict"
local typed = require "dmlua.typed"

local M = {}

arguments.kind("sql", function(value)
  if type(value) == "string" or record.kind(value) == "text" then return value end
  return nil, "SQL text (a string or sa.text)"
end)

arguments.kind("parameters", function(value)
  if type(value) == "table" and not record.kind(value) then return value end
  return nil, "a table of parameters"
end)

-- What sa.text(…):bindparams(…) holds and what was given beside it: the latter wins, the types of the former stay.
local function with_bound(text, parameters)
  if not text.bound then return parameters end
  local values = {}
  for name, bound in pairs(text.bound) do values[name] = bound.value end
  for name, value in pairs(parameters or {}) do values[name] = value end
  for name, bound in pairs(text.bound) do values[name] = typed.value(bound.type_, values[name]) end
  return values
end

-- SQLAlchemy's executemany: a list of tables by name is as many statements.
local function is_many(parameters)
  if not parameters or #parameters == 0 then return false end
  for _, set in ipairs(parameters) do
    if not record.plain(set) or type(next(set)) ~= "string" then return false end
  end
  return true
end

local function statements_of(given, parameters, file, line)
  local sql, text = require "dmlua.sql", given.sqltext
  if type(text) == "string" then return sql.statements(text, parameters, file, line) end
  return sql.statements(text.text, with_bound(text, parameters), file, line)
end

local function all_statements(given, file, line)
  if not is_many(given.parameters) then return statements_of(given, given.parameters, file, line) end
  local parts = {}
  for _, set in ipairs(given.parameters) do
    local made = statements_of(given, set, file, line)
    table.move(made, 1, #made, #parts + 1, parts)
  end
  return parts
end

-- SQLAlchemy's way out of the transaction is not ours; its other options are Python's business.
local function check_options(name, options)
  if not options or not options.isolation_level then return end
  arguments.fail(name, "the isolation level is dmlua's: put it into op.get_context():autocommit_block(fn)")
end

-- The one statement that row security does not know: it would empty the table for all tenants.
local function refuse_truncate(name, parts, file)
  for _, part in ipairs(parts) do
    if part.words and part.words[1] == "TRUNCATE" then
      errors.raise { kind = "refused", file = file, line = part.line, hint = "DELETE FROM empties it for this tenant",
        message = ("TenantIsolationError: %s: TRUNCATE in a tenant's loop takes the rows of all tenants"):format(name) }
    end
  end
end

-- The statements of a text with their origins, and the author's file. What refuses a transaction is refused here,
-- before anything is sent.
local function statements(step, name, given)
  local statement = require "dmlua.statement"
  local file, line = errors.where()
  check_options(name, given.execution_options)
  local parts = all_statements(given, file, line)
  for _, part in ipairs(parts) do
    if part.refuses_block and not step.in_autocommit then
      errors.raise { kind = "migration", file = file, line = part.line,
        message = ("%s: %s cannot run inside a transaction"):format(name, statement.name(part)),
        hint = "put it into op.get_context():autocommit_block(fn)" }
    end
  end
  if not step.tenant and not step.bind.fix then -- inside, the server compares before the tenant's transaction ends
    require("dmlua.by_hand").refuse(name, step.bind.settings, parts, file)
  elseif step.tenant then
    refuse_truncate(name, parts, file)
  end
  return parts, file
end

local signature = { { "sqltext", "sql" }, { "parameters", "parameters", optional = true },
  options = { execution_options = "string_map" } }

-- { execution_options = … } alone behind the text is no table of parameters.
local function read(name, ...)
  local text, second = ...
  local alone = select("#", ...) == 2 and record.plain(second) and second.execution_options
  if alone and next(second) == "execution_options" and next(second, "execution_options") == nil then
    return arguments.read(name, signature, text, nil, second)
  end
  return arguments.read(name, signature, ...)
end

--- The raw SQL of one step: execute, get_bind.
function M.new(step)
  local bind, execution = step.bind, {}

  local function send(part, file)
    bind:send(part.sql, part.params, file, part.line, true, part.verbatim)
  end

  local function connection_execute(_, ...)
    local given = read("bind:execute", ...)
    local parts, file = statements(step, "bind:execute", given)
    for i = 1, #parts - 1 do send(parts[i], file) end
    local last = parts[#parts]
    return result.new(bind:query(last.sql, last.params, file, last.line, true, last.verbatim))
  end

  local dialect = strict.view("dialect", { name = "postgresql" })
  local engine = strict.view("engine", { dialect = dialect })
  local connection = strict.object("bind", { dialect = dialect, engine = engine }, {
    execute = connection_execute,
    --- The text as it stands: SQLAlchemy's name for execute without sa.text.
    exec_driver_sql = connection_execute,
    --- The first column of the first row.
    scalar = function(self, ...) return connection_execute(self, ...):scalar() end,
    --- The first column of all rows.
    scalars = function(self, ...) return connection_execute(self, ...):scalars() end,
  })

  connections.add(connection, step)

  --- execute(text, parameters): any number of statements, or one with parameters. Does not wait.
  function execution.execute(...)
    local given = read("op.execute", ...)
    local parts, file = statements(step, "op.execute", given)
    for _, part in ipairs(parts) do send(part, file) end
  end

  --- get_bind(): the connection, whose execute waits for everything sent before.
  function execution.get_bind() return connection end

  return execution
end

return M
