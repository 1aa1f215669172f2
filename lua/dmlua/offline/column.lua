-- A column of a tenant that is known on the server only: it can be a parameter, and nothing else.

local errors = require "dmlua.errors"

local M = {}

local Column = { __parameter = true } -- see dmlua.params

-- What a column is, by the object that stands for it, which is empty: a script may look into it.
local facts = setmetatable({}, { __mode = "k" })

--- The refusal of what a script does with a column, at its line.
function M.refuse(name, what, file, line)
  errors.raise { kind = "usage", message = ("tenant.%s is not known in --sql%s"):format(name, what), file = file,
    line = line, hint = "it can be a parameter of a statement, and its absence and its truth can be asked; "
      .. "for anything else ask context.is_offline_mode() first, or give tenants.each a list" }
end

--- A column; `refused(error)` is told of what may not be done with it, for a script may catch the error.
function M.new(name, refused)
  local file, line = errors.where()
  local column = setmetatable({}, Column)
  facts[column] = { name = name, refused = refused, file = file, line = line }
  return column
end

--- What stands behind a column: {name, file, line}; nil for any other value.
function M.facts(value)
  return facts[value]
end

local function unknown(value)
  local fact = facts[value]
  local _, failure = pcall(M.refuse, fact.name, "", errors.where())
  fact.refused(failure)
  error(failure, 0)
end

function Column.__eq(a, b)
  if facts[a] and facts[b] and facts[a].name == facts[b].name then return true end
  unknown(facts[a] and a or b)
end

-- Whatever else an author may do to a value. What it is compared with by == is not asked here: see outcomes.lua.
for _, event in ipairs { "concat", "len", "call", "index", "newindex", "pairs", "lt", "le", "unm", "add", "sub", "mul",
  "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr", "bnot", "tostring", "close" } do
  Column["__" .. event] = function(a, b) unknown(facts[a] and a or b) end
end

return M
