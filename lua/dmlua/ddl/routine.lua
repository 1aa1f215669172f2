-- Functions and procedures: record → statements. Pure.

local drop = require "dmlua.ddl.drop"
local quote = require "dmlua.quote"

local M = {}

-- The elements of a list such as search_path are separate literals: one literal would be one odd name.
local function setting_text(name, value)
  if type(value) ~= "string" then return quote.value(value) end
  if name ~= "search_path" then return quote.literal(value) end
  local parts = {}
  for part in value:gmatch("[^,]+") do
    local schema = part:match("^%s*(.-)%s*$"):gsub('^"(.*)"$', "%1")
    parts[#parts + 1] = quote.literal(schema)
  end
  return #parts > 0 and table.concat(parts, ", ") or "''"
end

local function settings(record, add)
  local names = {}
  for name in pairs(record.set or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local parts = {}
    for part in name:gmatch("[^.]+") do parts[#parts + 1] = quote.ident(part) end
    add("SET " .. table.concat(parts, ".") .. " TO " .. setting_text(name, record.set[name]))
  end
end

local function signature(name)
  return function(record)
    return quote.qualified(record.schema, record[name]) .. "(" .. (record.arguments or "") .. ")"
  end
end
local function_signature, procedure_signature = signature "function_name", signature "procedure_name"

local function create(what, name_of, record, clauses)
  local lines = { "CREATE " .. (record.replace and "OR REPLACE " or "") .. what .. " " .. name_of(record) }
  local function add(text) lines[#lines + 1] = text end
  clauses(add)
  if record.security_definer then add("SECURITY DEFINER") end
  settings(record, add)
  add("AS " .. quote.dollar(record.body))
  return { table.concat(lines, "\n") }
end

function M.create_function(record)
  return create("FUNCTION", function_signature, record, function(add)
    if record.returns then add("RETURNS " .. record.returns) end
    add("LANGUAGE " .. quote.ident(record.language or "plpgsql"))
    if record.volatility then add(record.volatility) end
    if record.strict then add("STRICT") end
    if record.leakproof then add("LEAKPROOF") end
    if record.parallel then add("PARALLEL " .. record.parallel) end
    if record.cost then add("COST " .. quote.value(record.cost)) end
    if record.rows then add("ROWS " .. quote.value(record.rows)) end
  end)
end

function M.create_procedure(record)
  return create("PROCEDURE", procedure_signature, record, function(add)
    add("LANGUAGE " .. quote.ident(record.language or "plpgsql"))
  end)
end

-- Without arguments given the name alone: right as long as there is one of that name.
local function dropped(name)
  return function(record)
    return quote.qualified(record.schema, record[name]) .. (record.arguments and "(" .. record.arguments .. ")" or "")
  end
end
M.drop_function = drop("FUNCTION", dropped "function_name")
M.drop_procedure = drop("PROCEDURE", dropped "procedure_name")

return M
