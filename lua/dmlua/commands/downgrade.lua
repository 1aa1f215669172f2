-- downgrade: run migrations back to a revision.

local moving = require "dmlua.moving"

local function arguments(parser)
  parser:argument "revision":argname "REV":description "base, -N, an identifier or its beginning, LABEL@base, …"
  moving.tenant_arguments(parser)
  moving.arguments(parser)
end

local function run(context)
  return moving.run(context, "downgrade", { context.options.revision })
end

return { name = "downgrade", summary = "run migrations back to a revision", arguments = arguments, run = run }
