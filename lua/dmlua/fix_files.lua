-- Where a tree's ad-hoc fixes are.

local errors = require "dmlua.errors"
local lfs = require "lfs"

local M = {}

--- As the user would type it.
function M.shown(path)
  local here = lfs.currentdir() .. "/"
  return path:sub(1, #here) == here and path:sub(#here + 1) or path
end

--- The folder fixes/ of the configuration's tree; it need not be there.
function M.folder(config)
  local location = config:get "script_location"
  if not location then
    config:require_service()
    errors.usage "no 'script_location' is configured; `dmlua init` makes a configuration and a tree"
  end
  location = location:gsub("^%./+", ""):gsub("(.)/+$", "%1")
  if location == "." then return config:folder() .. "/fixes" end
  return (location:sub(1, 1) == "/" and location or config:folder() .. "/" .. location) .. "/fixes"
end

local function is_file(path)
  return lfs.attributes(path, "mode") == "file"
end

-- The names of the fixes that are there.
local function names(folder)
  local list = {}
  if lfs.attributes(folder, "mode") ~= "directory" then return list end
  for name in lfs.dir(folder) do list[#list + 1] = name:match "^(.+)%.lua$" end
  table.sort(list)
  return list
end

--- The path of the fix that `word` means, a path or a name in fixes/, and its name. Raises when there is none.
function M.find(config, word)
  local folder = M.folder(config)
  local name = word:match "[^/]*$":gsub("%.lua$", "")
  for _, path in ipairs { word, folder .. "/" .. word, folder .. "/" .. word .. ".lua" } do
    if is_file(path) then return M.shown(path), name end
  end
  errors.raise { kind = "usage",
    message = ("there is no fix %s%s"):format(word, errors.suggestion(name, names(folder))),
    hint = ("a fix is a file, or a name in %s; `dmlua run --new NAME -m MESSAGE` writes one"):format(M.shown(folder)) }
end

return M
