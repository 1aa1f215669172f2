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

local if_there = [[

BEGIN
  IF EXISTS ({query}) THEN
    EXECUTE {statement};
  END IF;
END
]]

--- A statement that has no IF EXISTS of its own, where `query` has a row; `values` are for the query's places.
function M.if_there(query, values, statement)
  return M.statement(if_there, { query = M.fill(query, values), statement = quote.literal(statement) })
end

return M
