-- What the specs of the local server share.

local cjson = require "cjson"
local helper = require "spec.helper"
local lfs = require "lfs"

local M = {}

M.root = helper.run("/usr/bin/id", { "-u" }).out == "0\n"

--- Runs `dmlua server ARGUMENTS` in a folder.
function M.run(folder, arguments, options)
  options = setmetatable({ cwd = folder }, { __index = options })
  return helper.dmlua({ "server", table.unpack(arguments) }, options)
end

--- A folder with a configuration; its server is stopped afterwards.
function M.project(folder, text)
  helper.write(folder .. "/dmlua.ini", text)
  helper.defer(function()
    if lfs.attributes(folder) then M.run(folder, { "stop" }) end
  end)
  return folder
end

--- What `dmlua server status` says, as a table.
function M.status(folder)
  return cjson.decode(M.run(folder, { "status", "--json" }).out)
end

--- Starts the server; what it says, as a table.
function M.start(folder)
  local result = M.run(folder, { "start", "--json" })
  assert(result.code == 0, result.err)
  return cjson.decode(result.out)
end

return M
