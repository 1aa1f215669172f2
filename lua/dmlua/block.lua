-- DO blocks from templates: `{name}` stands for SQL that quote has written. Nothing else gets into one.

local quote = require "dmlua.quote"

local M = {}

--- The template with its places filled in; a place without a value is a fault of ours.
function M.fill(template, values)
  return (template:gsub("{(%a[%w_]*)}", function(name)
    return values[name] or error("no value for {" .. name .. "}")
  end))
end

--- The filled template as a DO block.
function M.statement(template, values)
  return quote.block(M.fill(template, values))
end

return M
