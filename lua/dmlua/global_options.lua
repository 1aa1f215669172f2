-- The options that every verb has. They stand before the verb or after it.

local errors = require "dmlua.errors"

local M = {}

local function seconds(text)
  local value = tonumber(text)
  if value and value > 0 and value < math.huge then return value end
  return nil, ("--progress takes seconds, more than 0, not '%s'"):format(text)
end

-- names, the value's name (none for a flag), help
local options = {
  { "-c --config", "FILE", "configuration file (also DMLUA_CONFIG); else dmlua.ini or alembic.ini, here or above" },
  { "--service", "NAME", "one of the services of the configuration (also SERVICE_TYPE)" },
  { "--env", "NAME", "environment: development, staging, production (also DMLUA_ENV)" },
  { "--url", "URL", "database: a libpq URI or conninfo, or local: (also DATABASE_URL)" },
  { "-x", "KEY=VALUE", "a value for the migration files, which read it with context.get_x_argument", repeated = true },
  { "--reason", "TEXT", "why this is done; the ledger keeps it" },
  { "-q --quiet", nil, "no log lines but warnings and errors" },
  { "-v --verbose", nil, "say more" },
  { "--json", nil, "results and errors as JSON on stdout" },
  { "--no-color", nil, "no colours" },
  { "--no-progress", nil, "no progress of loops over tenants, neither a bar nor lines" },
  { "--progress", "SECONDS", "a line of progress every so many seconds, and no bar", convert = seconds },
  { "-h --help", nil, "show this help" },
  { "--version", nil, "show the versions of the program and its parts" },
}

-- Of Alembic's global options: what dmlua has in their place.
local refused = {
  ["--raiseerr"] = "dmlua always shows file, line and traceback of a failing migration; --json has them as fields",
  ["--package"] = "`dmlua init FOLDER` makes plain folders",
  ["-n"] = "a section is chosen with --service NAME and --env NAME",
  ["--name"] = "a section is chosen with --service NAME and --env NAME",
}

-- A number, or a range that begins with one, is a revision and no option: -1, -3:current.
local function is_number(word)
  return word:find "^%-%d" ~= nil
end

local function option_of(name)
  for _, option in ipairs(options) do
    for alias in option[1]:gmatch "%S+" do
      if alias == name then return option end
    end
  end
  return nil
end

--- All names of the global options.
function M.names()
  local names = {}
  for _, option in ipairs(options) do
    for alias in option[1]:gmatch "%S+" do names[#names + 1] = alias end
  end
  return names
end

local function check_known(name)
  if refused[name] then
    errors.raise { kind = "usage", message = ("there is no option '%s'"):format(name), hint = refused[name] }
  end
  local option = option_of(name)
  if option then return option end
  errors.raise {
    kind = "usage",
    message = ("unknown option '%s'%s"):format(name, errors.suggestion(name, M.names())),
    hint = "`dmlua --help` lists the global options; a verb's own options stand after the verb",
  }
end

-- Does the option word in front of the verb take the word behind it as its value?
local function takes_next(word)
  if word:sub(1, 2) == "--" then
    return check_known(word:match "^[^=]+")[2] ~= nil and not word:find("=", 1, true)
  end
  for i = 2, #word do
    if check_known("-" .. word:sub(i, i))[2] then return i == #word end
  end
  return false
end

--- The verb of a command line, the words without it, and where it stood; nil where there is none. Words in front of
--- the verb that are no global option are a usage error.
function M.split(words)
  local i = 1
  while words[i] and words[i]:find "^%-." and not is_number(words[i]) do
    if words[i] == "--" then
      i = i + 1
      break
    end
    i = i + (takes_next(words[i]) and 2 or 1)
  end
  if i > #words + 1 then
    errors.raise { kind = "usage", message = ("option '%s' requires an argument"):format(words[#words]) }
  end
  local rest = table.move(words, 1, #words, 1, {})
  return table.remove(rest, i), rest, i
end

--- Adds the options to an argparse parser.
function M.add(parser)
  local group = {}
  for _, option in ipairs(options) do
    local added = option[2] and parser:option(option[1]):argname(option[2]) or parser:flag(option[1])
    group[#group + 1] = added:description(option[3])
    if option.repeated then added:count "*" end
    if option.convert then added:convert(option.convert) end
  end
  parser:group("Global options", table.unpack(group))
end

--- Refuses Alembic's global options that stand after the verb, where the verb has none of that name.
function M.refuse(name)
  if refused[name] then check_known(name) end
end

-- Marks a number so that argparse takes it for an argument; no command line word can hold this byte at its head.
local mark = "\1"

--- The words with numbers marked as arguments.
function M.protect(words)
  local marked = {}
  for i, word in ipairs(words) do marked[i] = is_number(word) and mark .. word or word end
  return marked
end

--- Takes the marks of `protect` off what was parsed, in place, or off a text that quotes it.
function M.unprotect(value)
  if type(value) == "string" then return (value:gsub(mark .. "%-", "-")) end
  if type(value) ~= "table" then return value end
  for key, item in pairs(value) do value[key] = M.unprotect(item) end
  return value
end

return M
