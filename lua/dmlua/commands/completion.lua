-- completion: a completion script for a shell, made from the verbs' own tables.

local argparse = require "argparse"
local global_options = require "dmlua.global_options"
local output = require "dmlua.output"
local verbs = require "dmlua.verbs"

local function arguments(parser)
  parser:argument "shell":choices { "bash", "zsh", "fish" }:description "bash, zsh or fish"
end

local function visible(options)
  local list = {}
  for _, option in ipairs(options) do
    if not option._hidden then list[#list + 1] = option end
  end
  return list
end

-- argparse completes commands but no arguments: an argument with choices becomes commands below the verb.
local function add_verb(parser, name, summary)
  local verb = verbs.load(name)
  local command = parser:command(name):summary(summary):description(summary):add_help(false)
  if verb.arguments then verb.arguments(command) end
  command._options = visible(command._options)
  for _, argument in ipairs(command._arguments) do
    for _, choice in ipairs(argument._choices or {}) do command:command(choice):add_help(false) end
  end
  command._arguments = {}
end

-- One parser with every verb as a command: what argparse makes completions from.
local function whole_parser()
  local parser = argparse "dmlua":add_help(false)
  global_options.add(parser)
  for _, option in ipairs(parser._options) do
    if option._name == "--env" then option:choices { "development", "staging", "production" } end
  end
  for _, row in ipairs(verbs.list) do add_verb(parser, row[1], row[2]) end
  return parser
end

local function run(context)
  local shell = context.options.shell
  local parser = whole_parser()
  local script = parser["get_" .. shell .. "_complete"](parser)
  if context.options.json then
    output.json(output.object("shell", shell, "script", script))
  else
    output.line((script:gsub("\n$", "")))
  end
  return 0
end

return {
  name = "completion",
  summary = "print a completion script for bash, zsh or fish",
  description = "Prints a completion script. For bash: source <(dmlua completion bash).",
  arguments = arguments,
  run = run,
}
