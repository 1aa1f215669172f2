-- upgrade: run migrations up to a revision.

local moving = require "dmlua.moving"

local function arguments(parser)
  parser:argument "revision":argname "REV":description "head, heads, +N, an identifier or its beginning, LABEL@head, …"
  moving.tenant_arguments(parser)
  moving.arguments(parser)
end

local function run(context)
  return moving.run(context, "upgrade", { context.options.revision })
end

return { name = "upgrade", summary = "run migrations up to a revision", arguments = arguments, run = run }
