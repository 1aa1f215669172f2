-- What standard output is: how wide, and whether it shows colours.

local engine = require "dmlua.engine"

local M = {}

local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- The columns of a line: COLUMNS, else the terminal's, else 80.
function M.width()
  local columns = math.tointeger(tonumber(variable "COLUMNS"))
  if columns and columns > 0 then return columns end
  return engine.terminal().columns or 80
end

--- Are there colours? On a terminal that has them, unless --no-color or NO_COLOR (https://no-color.org) says no.
function M.colours(options)
  if options.no_color or variable "NO_COLOR" or variable "TERM" == "dumb" then return false end
  return engine.terminal().output
end

return M
