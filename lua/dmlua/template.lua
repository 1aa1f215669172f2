-- The text of a new migration file: the tree's own script.lua.in, or the one below, with its tokens filled in.
--
-- Tokens for comments: ${message} ${revision} ${revises} ${create_date}. Tokens that become Lua values, quoted as
-- needed: ${revision_value} ${down_revision_value} ${branch_labels_value} ${depends_on_value}.

local errors = require "dmlua.errors"

local M = {}

M.builtin = [[
-- ${message}
--
-- Revision ID: ${revision}
-- Revises: ${revises}
-- Create Date: ${create_date}

revision = ${revision_value}
down_revision = ${down_revision_value}
branch_labels = ${branch_labels_value}
depends_on = ${depends_on_value}

function upgrade()
end

function downgrade()
end
]]

--- A text as a Lua literal.
function M.quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return (c == '"' or c == "\\") and "\\" .. c or ("\\%03d"):format(c:byte())
  end) .. '"'
end

-- nil, "a" or { "a", "b" }
local function value_of(list)
  if not list or #list == 0 then return "nil" end
  if #list == 1 then return M.quoted(list[1]) end
  local parts = {}
  for i, text in ipairs(list) do parts[i] = M.quoted(text) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- The message stands in comments: each of its lines begins one.
local function comment(text)
  return (text:gsub("\r?\n", "\n-- "):gsub("[^\n%C]", " "):gsub("%-%- \n", "--\n"))
end

local function tokens_of(new)
  return {
    message = comment(new.message),
    revision = new.revision,
    revises = table.concat(new.down_revision, ", "),
    create_date = new.create_date,
    revision_value = M.quoted(new.revision),
    down_revision_value = value_of(new.down_revision),
    branch_labels_value = value_of(new.branch_labels),
    depends_on_value = value_of(new.depends_on),
  }
end

local function names(tokens)
  local list = {}
  for name in pairs(tokens) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- The file's text. `text` is the template, `path` names it in errors; `new` has message, revision, create_date and
--- the lists down_revision, branch_labels, depends_on. An unknown token is a usage error.
function M.render(text, path, new)
  local tokens = tokens_of(new)
  local line = 0
  return (text:gsub("[^\n]*\n?", function(part)
    line = line + 1
    return (part:gsub("%${%s*([^}]-)%s*}", function(name)
      return tokens[name] or errors.raise {
        kind = "usage",
        file = path,
        line = line,
        message = ("unknown token '${%s}'%s"):format(name, errors.suggestion(name, names(tokens))),
        hint = "the tokens are " .. table.concat(names(tokens), ", "),
      }
    end))
  end))
end

return M
