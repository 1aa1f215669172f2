-- Whether a new file says what it was to say: a tree's own template may leave a field out, or break; and somebody else
-- may have written a revision of the same name meanwhile.

local errors = require "dmlua.errors"
local script = require "dmlua.engine.script"

local M = {}

local fields = { "down_revision", "branch_labels", "depends_on" }

-- nil, a name or a list of names, as one text.
local function text_of(names)
  return type(names) == "table" and table.concat(names, ", ") or names or ""
end

-- In Alembic's words, which has them for labels.
local function refuse(new, field, path, template)
  errors.raise {
    kind = "usage",
    message = ("Version %s specified %s %s, however the migration file %s does not have them; have you upgraded your "
      .. "script.lua.in to include the '%s' section?"):format(new.revision, field, text_of(new[field]), path, field),
    hint = ("write %s = ${%s_value} in %s"):format(field, field, template),
  }
end

local function check(config, new, path, template)
  local found = script.load(config, true):find(new.revision)
  if not found then
    errors.raise {
      kind = "usage",
      message = ("%s does not say that it is %s"):format(path, new.revision),
      hint = ("write revision = ${revision_value} in %s"):format(template),
    }
  end
  for _, field in ipairs(fields) do
    if text_of(found[field]) ~= text_of(new[field]) then refuse(new, field, path, template) end
  end
end

--- Reads the tree with the file anew; a file that is not as `new` wants it is taken away again, and is an error.
--- `path` and `template` as they are shown.
function M.check(config, new, path, template)
  local done, problem = pcall(check, config, new, path, template)
  if done then return end
  os.remove(path)
  error(problem, 0)
end

return M
