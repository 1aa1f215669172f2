-- edit: opens a migration in the user's editor.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"

local function arguments(parser)
  parser:argument "revision":argname "REV":description "an identifier or its beginning, head, heads, current, …"
end

local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- In Alembic's order. EDITOR and VISUAL may have arguments, so a shell reads them; else what Debian has.
local function command(paths)
  local editor = variable "EDITOR" or variable "VISUAL" or "sensible-editor"
  local argv = { "sh", "-c", editor .. ' "$@"', editor }
  return table.move(paths, 1, #paths, #argv + 1, argv), editor
end

local function paths_of(context)
  local name, tree = context.options.revision, context.tree()
  local rows = name == "current" and context.session():current().rows or nil
  local paths = {}
  for i, id in ipairs(tree:graph():resolve(name, rows)) do paths[i] = tree:find(id).path end
  if #paths == 0 and name == "current" then errors.usage "No current revisions" end
  if #paths == 0 then errors.usage("No revision files indicated by symbol '%s'", name) end
  return paths
end

local function check_terminal(paths)
  local terminal = engine.terminal()
  if terminal.input and terminal.output then return end
  errors.raise {
    kind = "usage",
    message = "there is no terminal for an editor here",
    hint = "the file is " .. table.concat(paths, ", "),
  }
end

local function run(context)
  local paths = paths_of(context)
  check_terminal(paths)
  context.close() -- no connection waits for a person
  local argv, editor = command(paths)
  argv.dialogue = true
  local code = engine.run_program(argv)
  if code ~= 0 then errors.usage("Error executing editor (%s): exit code %d", editor, code) end
  return 0
end

return { name = "edit", summary = "open a migration in the editor", arguments = arguments, run = run }
