-- "table.column" or "schema.table.column", as SQLAlchemy reads what a foreign key refers to.

local arguments = require "dmlua.arguments"

--- Schema (or nil), table, column. Raises for `directive` when the text is neither.
return function(directive, text)
  local path, column = text:match("^(.+)%.([^.]+)$")
  if not path then arguments.fail(directive, "'%s' must be \"table.column\" or \"schema.table.column\"", text) end
  local schema, name = path:match("^(.+)%.([^.]+)$")
  return schema, name or path, column
end
