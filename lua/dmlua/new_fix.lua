-- Writing a new file of an ad-hoc fix: `dmlua run --new NAME -m MESSAGE`.

local errors = require "dmlua.errors"
local fix_files = require "dmlua.fix_files"
local lfs = require "lfs"
local output = require "dmlua.output"
local template = require "dmlua.template"

local M = {}

local text = [[
-- %s

description = %s
tables = { }     -- the tables that it may write; writing another one is refused and rolled back
max_rows = 1000  -- how many rows it may write for one tenant

-- Called first; an error, or false and why, stops here for this tenant.
function check(tenant)
end

function run(tenant)
end

-- Called last, in the same transaction: an error, or false and why, takes everything back for this tenant.
function verify(tenant)
end
]]

local function check_name(name)
  if not name:find "^[%w_][%w_%-]*$" then
    errors.raise { kind = "usage", message = ("'%s' is no name for a fix"):format(name),
      hint = "it becomes a file name: letters, digits, '_' and '-'" }
  end
end

--- Writes fixes/NAME.lua into the tree and says so. Returns the exit code.
function M.write(context, name, message)
  if not message then errors.usage "--new takes a message, too: -m MESSAGE says what the fix is for" end
  name = name:gsub("%.lua$", "")
  check_name(name)
  local folder = fix_files.folder(context.config())
  local path = folder .. "/" .. name .. ".lua"
  if lfs.symlinkattributes(path) then errors.usage("%s exists already; nothing was written", fix_files.shown(path)) end
  if not lfs.attributes(folder, "mode") then lfs.mkdir(folder) end
  local file, why = io.open(path, "wb")
  if not file then errors.usage("cannot write: %s", why) end
  local comment = message:gsub("\r?\n", "\n-- ")
  local written = file:write(text:format(comment, template.quoted(message)))
  if not file:close() or not written then errors.usage("could not write %s completely", fix_files.shown(path)) end
  if context.options.json then
    output.json(output.object("name", name, "path", fix_files.shown(path)))
  else
    output.line(("Generating %s ...  done"):format(fix_files.shown(path)))
  end
  return 0
end

return M
