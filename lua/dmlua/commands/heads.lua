-- heads: the newest revision of each branch.

local errors = require "dmlua.errors"
local listing = require "dmlua.listing"
local revision_lines = require "dmlua.revision_lines"

local function arguments(parser)
  parser:flag "--resolve-dependencies":description "leave out the heads that another branch depends on"
  parser:flag "--single":description "exit 3 when there are several heads, for CI"
end

local function run(context)
  local options = context.options
  local heads = context.tree():graph():heads(options.resolve_dependencies)
  listing.write(context, heads, revision_lines.head, "heads")
  if options.single and #heads > 1 then
    errors.raise {
      kind = "refused",
      message = ("there are %d heads: %s"):format(#heads, table.concat(heads, ", ")),
      hint = ("dmlua merge -m MESSAGE %s"):format(table.concat(heads, " ")),
    }
  end
  return 0
end

return {
  name = "heads",
  summary = "list the newest revision of each branch",
  headers_only = true,
  arguments = arguments,
  run = run,
}
