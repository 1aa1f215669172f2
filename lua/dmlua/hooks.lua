-- Post-write hooks: programs that run on the file of a new revision, as [post_write_hooks] says. Keys and words are
-- Alembic's (its script/write_hooks.py); of its types, dmlua has exec.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"

local M = {}

local token = "REVISION_SCRIPT_FILENAME"
local interrupted = 130 -- what a program's exit code is when Ctrl-C ended it

local function key_of(name, field)
  return ("post_write_hooks.%s.%s"):format(name, field)
end

local function value_of(config, name, field)
  local problem = config:problem(key_of(name, field))
  if problem then errors.usage("%s", problem) end
  return config:get(key_of(name, field))
end

local function required(config, name, field)
  return value_of(config, name, field)
    or errors.usage("Key %s.%s is required for post write hook '%s'", name, field, name)
end

-- The text in double quotes that begins at `at`, and where it ends.
local function double_quoted(text, at)
  local finish = at + 1
  while finish <= #text do
    local c = text:sub(finish, finish)
    if c == '"' then return (text:sub(at + 1, finish - 1):gsub('\\(["\\])', "%1")), finish + 1 end
    finish = finish + (c == "\\" and 2 or 1)
  end
  return nil
end

local function piece_at(text, at)
  local c = text:sub(at, at)
  if c == "'" then return text:match("^'([^']*)'()", at) end
  if c == '"' then return double_quoted(text, at) end
  if c == "\\" then return text:match("^\\(.)()", at) end
  return text:match("^([^%s'\"\\]+)()", at)
end

-- One word from `at` on: its text, and where it ends. Nil when a quote has no end.
local function word_at(text, at)
  local parts = {}
  while at <= #text and not text:find("^%s", at) do
    local piece, finish = piece_at(text, at)
    if not piece then return nil end
    parts[#parts + 1], at = piece, finish
  end
  return table.concat(parts), at
end

-- A text as the words that a shell would make of it, as Python's shlex has them; nil when a quote has no end.
local function words_of(text)
  local words, at = {}, text:find "%S"
  while at do
    local word, finish = word_at(text, at)
    if not word then return nil end
    words[#words + 1] = word
    at = text:find("%S", finish)
  end
  return words
end

-- Relative paths are under the configuration's folder.
local function under(config, path)
  return path:sub(1, 1) == "/" and path or config:folder() .. "/" .. path
end

local function exec_hook(config, name)
  local executable = required(config, name, "executable")
  local options = value_of(config, name, "options") or ""
  local folder = value_of(config, name, "cwd")
  local argv = words_of(options) or errors.usage("%s.options: a quote has no end: %s", name, options)
  table.insert(argv, 1, executable:find("/", 1, true) and under(config, executable) or executable)
  argv.folder = folder and under(config, folder)
  return argv
end

-- Python's hooks format Python: in an alembic.ini they are passed over, as what only Python needs.
local function python_hook(config, name, kind)
  if not config:is_alembic() then
    errors.raise {
      kind = "usage",
      message = ("%s.type = %s: dmlua runs hooks of the type exec only"):format(name, kind),
      hint = ("write %s.type = exec and %s.executable = PROGRAM, or use --no-hooks"):format(name, name),
    }
  end
  engine.log("warn", "dmlua",
    ("post write hook '%s' is passed over: its type %s runs Python's programs"):format(name, kind))
  return nil
end

local types = { exec = exec_hook, console_scripts = python_hook, module = python_hook }

--- The hooks that are configured: a list of {name, argv}. What is missing or wrong is a usage error, before anything is
--- written.
function M.read(config)
  local list = {}
  for name in (config:get "post_write_hooks.hooks" or ""):gmatch "[^%s,]+" do
    local kind = required(config, name, "type")
    local read = types[kind] or errors.usage("No formatter with name '%s' registered%s", kind,
      errors.suggestion(kind, { "exec", "console_scripts", "module" }))
    local argv = read(config, name, kind)
    if argv then list[#list + 1] = { name = name, argv = argv } end
  end
  return list
end

local function quoted(word)
  if word:find "^[%w_@%%+=:,./-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function shown(argv)
  local words = {}
  for i, word in ipairs(argv) do words[i] = quoted(word) end
  return table.concat(words, " ")
end

--- Runs the hooks on the file, one after the other; each is shown before it runs. One that fails is an error.
function M.run(hooks, path)
  for _, hook in ipairs(hooks) do
    local argv = { folder = hook.argv.folder }
    for i, word in ipairs(hook.argv) do
      argv[i] = i == 1 and word or word:gsub(token, (path:gsub("%%", "%%%%")))
    end
    engine.log("info", "dmlua", ("Running post write hook '%s': %s"):format(hook.name, shown(argv)))
    local code = engine.run_program(argv)
    if code ~= 0 then
      errors.raise {
        kind = code == interrupted and "interrupted" or "usage",
        message = ("post write hook '%s' ended with exit code %d"):format(hook.name, code),
        detail = ("the file is written: %s"):format(path),
        hint = "--no-hooks runs none",
      }
    end
  end
end

return M
