-- list_templates: what `dmlua init -t` can make. The form is Alembic's.

local init_files = require "dmlua.init_files"
local output = require "dmlua.output"

local function run(context)
  if context.options.json then
    local list = {}
    for i, template in ipairs(init_files.templates) do
      list[i] = output.object("name", template.name, "summary", template.summary)
    end
    output.json(output.object("templates", list))
    return 0
  end
  output.line "Available templates:\n"
  for _, template in ipairs(init_files.templates) do
    output.line(("%s - %s"):format(template.name, template.summary))
  end
  output.line "\nTemplates are used via the 'init' command, e.g.:\n"
  output.line "  dmlua init --template generic ./scripts"
  return 0
end

return { name = "list_templates", summary = "list what init can make", run = run }
