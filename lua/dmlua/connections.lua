-- The connections that scripts hold (op.get_bind()), and what each stands for: the step whose statements it sends.

local arguments = require "dmlua.arguments"
local ddl = require "dmlua.ddl"
local errors = require "dmlua.errors"

local M = {}

local steps = setmetatable({}, { __mode = "k" })

--- Makes `connection` known as that of `step`; returns it.
function M.add(connection, step)
  steps[connection] = step
  return connection
end

arguments.kind("connection", function(value)
  if type(value) == "table" and steps[value] then return value end
  return nil, "the connection, op.get_bind()"
end)

--- Sends the statements of a record over a connection, at the author's line.
function M.send(connection, record)
  local bind = steps[connection].bind
  local file, line = errors.where()
  for _, text in ipairs(ddl.render(record)) do bind:send(text, nil, file, line) end
end

--- The rows of a query, once all that was sent before is done.
function M.query(connection, sql, params)
  local file, line = errors.where()
  return steps[connection].bind:query(sql, params, file, line).rows
end

return M
