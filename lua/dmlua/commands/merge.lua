-- merge: writes a migration file that joins several revisions.

local errors = require "dmlua.errors"
local new_revision = require "dmlua.new_revision"

local function arguments(parser)
  parser:argument "revisions":args "+":argname "REV":description "the revisions to join; heads names all of them"
  parser:option "-m --message":argname "MESSAGE":description "names the file"
  parser:option "--rev-id":argname "ID":description "the identifier, else 12 random hexadecimal digits"
  parser:option "--branch-label":argname "LABEL":description "a name for the branch that begins here"
  parser:flag "--splice":description "allow revisions that are no heads"
  new_revision.arguments(parser)
end

local function run(context)
  local options, graph = context.options, context.tree():graph()
  local joined, seen = {}, {}
  for _, name in ipairs(options.revisions) do
    if name == "head" then new_revision.check_single(context.tree(), "`dmlua merge heads` joins them") end
    for _, id in ipairs(graph:resolve(name)) do
      if seen[id] then errors.usage("Duplicate head revisions specified: %s", id) end
      seen[id] = true
      joined[#joined + 1] = id
    end
  end
  if #joined < 2 then
    errors.usage("a merge joins two revisions or more; %s names %s", table.concat(options.revisions, " "),
      joined[1] or "none")
  end
  new_revision.check_heads(context.tree(), joined, options.splice)
  return new_revision.write(context, {
    message = options.message or "merge " .. table.concat(joined, " and "),
    rev_id = options.rev_id,
    down_revision = joined,
    branch_labels = options.branch_label and { options.branch_label },
  })
end

return {
  name = "merge",
  summary = "write a migration file that joins several heads",
  arguments = arguments,
  run = run,
}
