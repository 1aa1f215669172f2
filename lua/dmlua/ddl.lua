-- DDL: a record in, its statements out. Pure: the same record makes the same SQL, and nothing is sent from here.

local errors = require "dmlua.errors"

local M = {}

local renderers = {}
for _, topic in ipairs { "table", "index", "alter_column", "enum_type" } do
  for kind, render in pairs(require("dmlua.ddl." .. topic)) do renderers[kind] = render end
end

--- The SQL texts of a record, in the order in which they are to be sent.
function M.render(record)
  local render = renderers[record.kind] or require("dmlua.ddl_postgresql")[record.kind]
  if not render then errors.raise { kind = "migration", message = "no DDL is known for " .. tostring(record.kind) } end
  return render(record)
end

return M
