-- The command line: finds the verb, loads its file alone, parses the words, runs it. Returns the exit code.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local global_options = require "dmlua.global_options"
local verb_context = require "dmlua.verb_context"
local verbs = require "dmlua.verbs"

-- argparse ends the process when it does not understand; here that is a usage error like any other.
local function refuse_words(parser)
  function parser.error(_, message)
    local first = global_options.unprotect(message:match "^[^\n]*")
    local name = first:match "^unknown option '(.*)'$"
    if name then
      global_options.refuse(name)
      local names = {}
      for _, option in ipairs(parser._options) do
        for _, alias in ipairs(option._aliases) do names[#names + 1] = alias end
      end
      first = first .. errors.suggestion(name, names)
    end
    errors.raise { kind = "usage", message = first, hint = ("`%s --help` shows the options"):format(parser._name) }
  end
end

local function new_parser(name)
  local parser = require "argparse"(name)
  return parser:add_help(false):usage_max_width(100):help_max_width(100):help_description_margin(26)
end

local function verb_parser(name, verb)
  local parser = new_parser("dmlua " .. name)
  if verb.arguments then verb.arguments(parser) end
  return parser
end

-- The verb's own options come first; the usage line leaves the global ones out.
local function verb_help(parser, verb)
  parser:description(verb.description or (verb.summary:gsub("^%l", string.upper) .. "."))
  parser:usage((parser:get_usage():gsub("^Usage: dmlua", "%0 [global options]")))
  if #parser._options > 0 then parser:group("Options", table.unpack(parser._options)) end
  global_options.add(parser)
  return parser:get_help() .. "\n"
end

local function parse(parser, words)
  global_options.add(parser)
  refuse_words(parser)
  return global_options.unprotect(parser:parse(global_options.protect(words)))
end

local function general_help()
  local lines = {
    "Usage: dmlua [global options] VERB [options]", "",
    "Runs database migrations written in Lua on PostgreSQL databases that many tenants share.", "", "Verbs:",
  }
  for _, verb in ipairs(verbs.list) do lines[#lines + 1] = ("  %-14s %s"):format(verb[1], verb[2]) end
  lines[#lines + 1] = ""
  local parser = new_parser "dmlua"
  global_options.add(parser)
  lines[#lines + 1] = (parser:get_help():match "Global options:.*")
  lines[#lines + 1] = "`dmlua VERB --help` shows a verb's options."
  return table.concat(lines, "\n") .. "\n"
end

local function show_versions()
  local v = engine.versions()
  engine.write(("dmlua %s (%s, libpq %s, libpg_query %s; PostgreSQL servers 13 to 18)\n")
    :format(v.dmlua, "Lua " .. v.lua, v.libpq, v.libpg_query))
  return 0
end

local function verb_problem(name)
  if not name then return "no verb given" end
  if verbs.instead_of(name) then return ("the verb '%s' is not there yet"):format(name) end
  return ("unknown verb '%s'%s"):format(name, errors.suggestion(name, verbs.names()))
end

local function unknown_verb(name)
  errors.raise { kind = "usage", message = verb_problem(name),
    hint = name and verbs.instead_of(name) or "`dmlua --help` lists the verbs" }
end

-- Is one of these flags among the words? Nothing after "--" is a flag.
local function has_flag(words, ...)
  for _, word in ipairs(words) do
    if word == "--" then return false end
    for _, name in ipairs { ... } do
      if word == name then return true end
    end
  end
  return false
end

-- Loads the verb's file, parses the words and runs it.
local function run_verb(name, words)
  local verb = verbs.load(name)
  local parser, rest = verb_parser(name, verb), nil
  if verb.cut then words, rest = verb.cut(words) end -- words that are another program's
  if has_flag(words, "--version") then return show_versions() end
  if has_flag(words, "-h", "--help") then
    engine.write(verb_help(parser, verb))
    return 0
  end
  local options = parse(parser, words)
  engine.report { json = options.json, quiet = options.quiet, verbose = options.verbose, no_color = options.no_color,
    no_progress = options.no_progress, progress = options.progress }
  local context = verb_context.new(options, verb)
  context.rest = rest
  local _ <close> = setmetatable({}, { __close = context.close })
  return verb.run(context) or 0
end

return function(argv)
  local words = table.move(argv, 1, #argv, 1, {})
  engine.report { json = has_flag(words, "--json") }
  local name, rest = global_options.split(words)
  if name and verbs.has(name) then return run_verb(name, rest) end
  if has_flag(words, "--version") then return show_versions() end
  if name or not has_flag(words, "-h", "--help") then unknown_verb(name) end
  engine.write(general_help())
  return 0
end
