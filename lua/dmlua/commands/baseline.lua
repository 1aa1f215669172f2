-- baseline: writes one migration that makes the present schema and replaces the history before it.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local new_revision = require "dmlua.new_revision"
local schema_text = require "dmlua.schema_text"
local template = require "dmlua.template"

local function arguments(parser)
  parser:option "-m --message":argname "MESSAGE":default "baseline":show_default(false)
    :description "what the migration is called (default: baseline)"
  parser:option "--rev-id":argname "ID":description "the identifier, else 12 random hexadecimal digits"
  parser:option "--version-path":argname "PATH":description "the folder for the file, one of version_locations"
  new_revision.arguments(parser)
end

local function refuse(message, hint)
  errors.raise { kind = "usage", message = message, hint = hint }
end

-- The schema must be what the files make, all of them and nothing half.
local function check_standing(graph, state)
  local heads, at = graph:heads(true), {}
  if #state.parts > 0 then
    refuse(("%s of %s is unfinished"):format(state.parts[1].direction, state.parts[1].revision),
      "a baseline is made of a database whose steps are all done: finish it first")
  end
  for _, id in ipairs(graph:rows(state.rows)) do at[id] = true end
  for _, id in ipairs(heads) do
    if not at[id] then
      refuse(("the database is not at the head %s, whose schema the baseline is to make"):format(id),
        "`dmlua upgrade heads` brings it there")
    end
  end
  return heads
end

-- All that the new file stands for: the tree, and what earlier baselines in it stand for; and the labels of branches,
-- which are the baseline's from now on.
local function history(tree)
  local ids, labels, seen = {}, {}, {}
  local function add(list, value)
    if not seen[value] then list[#list + 1] = value end
    seen[value] = true
  end
  for _, it in ipairs(tree:revisions()) do
    add(ids, it.revision)
    for _, id in ipairs(it.replaces) do add(ids, id) end
    local own = it.branch_labels or {}
    for _, label in ipairs(type(own) == "table" and own or { own }) do add(labels, label) end
  end
  return ids, labels
end

-- The lines of a list, a few ids on each.
local function wrapped(ids)
  local lines, line = {}, " "
  for _, id in ipairs(ids) do
    local text = (" %s,"):format(template.quoted(id))
    if #line + #text > 118 then
      lines[#lines + 1] = line
      line = " "
    end
    line = line .. text
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- `replaces`, in the form that lua/dmlua/header.lua reads.
local function replaces_value(ids, heads)
  if #ids == 0 then return "nil" end
  local quoted = {}
  for i, id in ipairs(heads) do quoted[i] = template.quoted(id) end
  return ("{\n  heads = { %s },\n%s\n}"):format(table.concat(quoted, ", "), wrapped(ids))
end

local file = [[
-- ${message}
--
-- Makes what the revisions that it replaces have made. A database that is at their heads has nothing to do; a new one
-- has this step alone. It makes the schema and no rows; and there is no downgrade(), for nothing is to come before it.
--
-- Revision ID: ${revision}
-- Revises:
-- Create Date: ${create_date}

revision = ${revision_value}
down_revision = nil
branch_labels = ${branch_labels_value}
depends_on = nil
replaces = ]]

local function run(context)
  local options, tree, session = context.options, context.tree(), context.session()
  local state = session:current(tree)
  local heads = check_standing(tree:graph(), state)
  local ids, labels = history(tree)
  local statements = schema_text.statements(session:dump())
  local code = new_revision.write(context, {
    message = options.message,
    rev_id = options.rev_id,
    version_path = options.version_path,
    down_revision = {},
    branch_labels = labels,
    depends_on = {},
    replaces = ids,
    text = function(new)
      return ("%s%s\n\nfunction upgrade()\n%s\nend\n"):format(template.render(file, "baseline", new),
        replaces_value(ids, heads), schema_text.body(statements))
    end,
  })
  engine.log("info", "dmlua", #ids == 0 and "it replaces nothing: `dmlua stamp head` says that this database has it"
    or ("it replaces %d revision%s, whose files count no more; delete them when no database is in the middle of them")
      :format(#ids, #ids == 1 and "" or "s"))
  return code
end

return {
  name = "baseline",
  summary = "write one migration that makes the present schema and replaces the history before it",
  arguments = arguments,
  run = run,
}
