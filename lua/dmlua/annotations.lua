-- What lua-language-server reads to complete and check scripts: the vocabulary as a `---@meta` file, made from the
-- signatures that the vocabulary itself reads its arguments by.

local fixed = require "dmlua.annotations_fixed"
local strict = require "dmlua.strict"
local types = require "dmlua.types"
local vocabulary = require "dmlua.vocabulary"
require "dmlua.postgresql" -- with sa, it fills in the types

local M = {}

-- The editor's type for each kind of argument; what is not here is any.
local editor_types = {
  name = "string", constraint_name = "string", string = "string", word = "string", boolean = "boolean",
  number = "number", integer = "integer", signed = "integer", ["function"] = "function",
  nameless = "string|dmlua.null", string_or_null = "string|dmlua.null", names = "string[]", texts = "string[]",
  one_or_more_names = "string|string[]", expression = "string|dmlua.expression",
  columns = "(string|dmlua.expression)[]", type = "dmlua.type", column = "dmlua.column",
  column_item = "dmlua.column_item", table_element = "dmlua.table_element", exclude_element = "table",
  default = "string|number|boolean|dmlua.expression|dmlua.identity|dmlua.computed|dmlua.null",
  string_map = "table<string, any>", autoincrement = 'boolean|"auto"|"ignore_fk"',
  action = '"CASCADE"|"SET NULL"|"SET DEFAULT"|"RESTRICT"|"NO ACTION"', initially = '"DEFERRED"|"IMMEDIATE"',
  match = '"FULL"|"PARTIAL"|"SIMPLE"', constraint_type = '"foreignkey"|"primary"|"unique"|"check"',
  recreate = '"auto"|"always"|"never"', table_record = "dmlua.table", rows = "table<string, any>[]",
  table_column = "dmlua.table_column", connection = "dmlua.connection",
  batch_size = "integer", assignments = "table<string, any>", copy_source = "string|table[]", character = "string",
  privileges = "string|string[]", events = "string|string[]", routine_arguments = "string|string[]",
  plain_value = "string|number|boolean|dmlua.null", sql = "string|dmlua.expression", query = "string|dmlua.expression",
}

local function editor_type(kind)
  return editor_types[kind] or "any"
end

-- Words of Lua cannot name a parameter.
local reserved = { ["function"] = true, ["end"] = true, ["for"] = true, ["in"] = true, ["not"] = true }

local function parameter_name(name)
  return reserved[name] and name .. "_" or name
end

-- The options of a call as a class of their own: the keyword arguments, and what may also stand in its place.
local function options_class(out, class, signature)
  local fields = {}
  for name, kind in pairs(signature.options or {}) do fields[name] = kind end
  for _, parameter in ipairs(signature) do fields[parameter[1]] = fields[parameter[1]] or parameter[2] end
  local names = strict.names(fields)
  if #names == 0 then return nil end
  out[#out + 1] = ("---@class %s"):format(class)
  for _, name in ipairs(names) do out[#out + 1] = ("---@field %s? %s"):format(name, editor_type(fields[name])) end
  out[#out + 1] = ""
  return class
end

-- The parameters of a call: name and type; those that may be left out may also be the table of options.
local function parameters_of(signature, class)
  local list = {}
  for _, parameter in ipairs(signature) do
    local text = editor_type(parameter[2])
    if parameter.optional and class then text = text .. "|" .. class end
    list[#list + 1] = { parameter_name(parameter[1]) .. (parameter.optional and "?" or ""), text }
  end
  if signature.list then
    list[#list + 1] = { "...", editor_type(signature.list) .. (class and "|" .. class or "") }
  elseif class then
    list[#list + 1] = { "options?", class }
  end
  return list
end

local function call(out, place, name, signature, result)
  local class = options_class(out, (place .. "." .. name):gsub(":", ".") .. ".options", signature)
  local names = {}
  for i, parameter in ipairs(parameters_of(signature, class)) do
    names[i] = parameter[1]:gsub("%?$", "")
    out[#out + 1] = ("---@param %s %s"):format(parameter[1], parameter[2])
  end
  if result then out[#out + 1] = "---@return " .. result end
  local divider = place:find("^inspector") and ":" or "."
  out[#out + 1] = ("function %s%s%s(%s) end\n"):format(place:match("[^.]+$"), divider, name, table.concat(names, ", "))
end

-- A type may be written with or without "()": it is a value that can be called.
local function type_value(out, place, name, signature)
  local class = ("dmlua.%s.%s"):format(place, name)
  local options = options_class(out, class .. ".options", signature)
  local parts = {}
  for i, parameter in ipairs(parameters_of(signature, options)) do
    parts[i] = ("%s: %s"):format(parameter[1], parameter[2])
  end
  out[#out + 1] = ("---@class %s: dmlua.type"):format(class)
  out[#out + 1] = ("---@overload fun(%s): dmlua.type"):format(table.concat(parts, ", "))
  out[#out + 1] = ("%s.%s = {}\n"):format(place, name)
end

local function calls(out, place, signatures, results)
  for _, name in ipairs(strict.names(signatures)) do
    call(out, place, name, signatures[name], results and results[name])
  end
end

local sa_results = {
  Column = "dmlua.column", ForeignKey = "dmlua.column_item", CheckConstraint = "dmlua.check",
  PrimaryKeyConstraint = "dmlua.table_element", UniqueConstraint = "dmlua.table_element",
  ForeignKeyConstraint = "dmlua.table_element", ExcludeConstraint = "dmlua.table_element", Identity = "dmlua.identity",
  Computed = "dmlua.computed", FetchedValue = "dmlua.computed", DefaultClause = "any",
  text = "dmlua.text", bindparam = "dmlua.bindparam", column = "dmlua.table_column",
  table = "dmlua.table", inspect = "inspector",
}

local function inspector_results(signatures)
  local results = {}
  for name in pairs(signatures) do
    results[name] = name:find("^has_") and "boolean" or name:find("_names$") and "string[]" or "table"
  end
  results.get_view_definition = "string|nil"
  return results
end

-- What reads its arguments in a way of its own and is not described by hand: at least its name is known.
local function remaining(out)
  local words = vocabulary { settings = {} }
  local written = table.concat(out, "\n") .. fixed.tail
  for _, place in ipairs { "op", "guards", "tenants", "context", "log" } do
    for _, name in ipairs(strict.names(words[place])) do
      local full = place .. "." .. name
      if not written:find(full .. "[ (,]") then
        out[#out + 1] = ("---@param ... any\nfunction %s(...) end\n"):format(full)
      end
    end
  end
end

--- The text of the file.
function M.text()
  local out = { fixed.head }
  calls(out, "op", require "dmlua.signatures", { create_table = "dmlua.table" })
  calls(out, "op", require "dmlua.signatures_postgresql")
  calls(out, "op", require("dmlua.online").signatures)
  call(out, "op", "bulk_insert", require("dmlua.bulk").signature)
  call(out, "op", "copy_from", require("dmlua.copy").signature)
  out[#out + 1] = fixed.batch
  calls(out, "batch_op", require("dmlua.batch").signatures)
  calls(out, "sa", require "dmlua.signatures_sa", sa_results)
  for _, place in ipairs { "sa", "postgresql" } do
    for _, name in ipairs(strict.names(types.signatures[place])) do
      type_value(out, place, name, types.signatures[place][name])
    end
  end
  local inspector = require("dmlua.inspect").signatures
  calls(out, "inspector", inspector, inspector_results(inspector))
  out[#out + 1] = fixed.tail
  remaining(out)
  return table.concat(out, "\n")
end

return M
