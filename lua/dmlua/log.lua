-- log.info("%d rows", n): a log line in its place among the server's answers.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"

local M = {}

local function text_of(name, format, ...)
  if select("#", ...) == 0 then return tostring(format) end
  local ok, text = pcall(string.format, format, ...)
  if errors.is(text) then error(text, 0) end -- a value has refused to be text
  if not ok then arguments.fail(name, "%s", (text:gsub("^bad argument (#%d+) to '[^']*'", "argument %1"))) end
  return text
end

--- The log of one step.
function M.new(step)
  local log = {}
  for _, level in ipairs { "debug", "info", "warn", "error" } do
    log[level] = function(format, ...) step.bind:log(level, text_of("log." .. level, format, ...)) end
  end
  log.warning = log.warn
  return log
end

return M
