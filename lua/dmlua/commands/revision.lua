-- revision: writes a new migration file upon a head.

local errors = require "dmlua.errors"
local listing = require "dmlua.listing"
local new_revision = require "dmlua.new_revision"

local function refuse_autogenerate()
  errors.raise {
    kind = "usage",
    message = "--autogenerate is not there yet: dmlua has no declared schema to compare the database with",
    hint = "write the changes with op.*: `dmlua revision -m MESSAGE` makes the file",
  }
end

local function refuse_sql()
  errors.usage "there is no --sql: revision writes a file and asks no database"
end

local function arguments(parser)
  parser:option "-m --message":argname "MESSAGE":description "what the migration does; names the file"
  parser:option "--rev-id":argname "ID":description "the identifier, else 12 random hexadecimal digits"
  parser:option "--head":argname "REV":default "head":show_default(false)
    :description "the revision it comes after (default: the head); base begins a new history"
  parser:flag "--splice":description "allow a --head that is no head: begin a new branch there"
  parser:option "--branch-label":argname "LABEL":description "a name for the branch that begins here"
  parser:option "--version-path":argname "PATH"
    :description "the folder for the file, one of version_locations (default: its parent's)"
  parser:option "--depends-on":argname "REV":count "*"
    :description "a revision that must be there before; may be repeated"
  new_revision.arguments(parser)
  parser:flag "--sql":hidden(true):action(refuse_sql)
  parser:flag "--autogenerate":hidden(true):action(refuse_autogenerate)
end

-- The revisions that the new one comes after.
local function parents(tree, head, splice)
  if head == "head" then new_revision.check_single(tree, "--head REV chooses one, `dmlua merge heads` joins them") end
  return new_revision.check_heads(tree, tree:graph():resolve(head), splice)
end

-- As Alembic writes them: a label as it is, the beginning of an identifier as the whole.
local function dependencies(graph, names)
  local list, seen = {}, {}
  local function add(name)
    if not seen[name] then list[#list + 1] = name end
    seen[name] = true
  end
  for _, name in ipairs(names) do
    local ids = graph:resolve(name)
    if #ids == 0 then errors.usage("--depends-on %s names no revision", name) end
    for _, id in ipairs(ids) do
      local labels = listing.set(graph:describe(id).labels)
      add(labels[name] and name or id)
    end
  end
  return list
end

local function run(context)
  local options, tree = context.options, context.tree()
  return new_revision.write(context, {
    message = options.message,
    rev_id = options.rev_id,
    version_path = options.version_path,
    down_revision = parents(tree, options.head, options.splice),
    branch_labels = options.branch_label and { options.branch_label },
    depends_on = dependencies(tree:graph(), options.depends_on),
  })
end

return { name = "revision", summary = "write a new migration file", arguments = arguments, run = run }
