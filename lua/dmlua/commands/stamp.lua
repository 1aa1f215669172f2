-- stamp: sets the version of the database without running anything.

local moving = require "dmlua.moving"

local function arguments(parser)
  parser:argument "revisions":args "+":argname "REV"
    :description "the revisions that the database is to be at; base: none"
  parser:flag "--purge":description "forget first what the version table says, whatever it is"
  moving.arguments(parser)
end

local function run(context)
  return moving.run(context, "stamp", context.options.revisions)
end

return {
  name = "stamp",
  summary = "set the version of the database without running anything",
  arguments = arguments,
  run = run,
}
