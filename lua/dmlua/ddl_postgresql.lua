-- DDL of the directives that Alembic lacks, by topic. Loaded when a script uses one.

local M = {}

for _, topic in ipairs { "object", "sequence", "view", "routine", "trigger", "enum_values", "policy", "privilege",
  "partition" } do
  for kind, render in pairs(require("dmlua.ddl." .. topic)) do M[kind] = render end
end

return M
