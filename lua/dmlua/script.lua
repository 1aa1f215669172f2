-- What the host needs of Lua to read and run a script.

local environment = require "dmlua.environment"
local fix = require "dmlua.fix"
local header = require "dmlua.header"
local sandbox = require "dmlua.engine.sandbox"

local M = { header = header.read, python_header = header.python, fix_header = fix.header }

--- The environment of a script over `bind`, the step's bind table; nil when only the header is read.
function M.environment(lib, bind)
  return environment.new {
    lib = lib,
    reading = bind == nil,
    vocabulary = function() return require "dmlua.vocabulary"(bind) end,
    print = sandbox.print,
    guarded = sandbox,
  }
end

return M
