-- completion: a completion script for a shell, made from the verbs' own tables.

local argparse = require "argparse"
local global_options = require "dmlua.global_options"
local output = require "dmlua.output"
local verbs = require "dmlua.verbs"

local function arguments(parser)
  parser:argument "shell":choices { "bash", "zsh", "fish" }:description "bash, zsh or fish"
end

-- One parser with every verb as a command: what argparse makes completions from.
local function whole_parser()
  local parser = argparse "dmlua":add_help(false)
  global_options.add(parser)
  for _, row in ipairs(verbs.list) do
    local verb = verbs.load(row[1])
    local command = parser:command(row[1]):summary(row[2]):add_help(false)
    if verb.arguments then verb.arguments(command) end
    global_options.add(command)
  end
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
