-- A guard's call as an author would write it: what a refusal says to do.

local json = require "dmlua.json"

-- A name, or a list of names and lists, as Lua. A text is written in JSON's way, which Lua reads.
local function written(value)
  if type(value) == "string" then return json.encode(value) end
  local parts = {}
  for i, entry in ipairs(value) do
    parts[i] = type(entry) == "table" and #entry == 1 and written(entry[1]) or written(entry)
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- `guards.NAME("table", arguments…, { options })`: options are {name, value} in order; what is nil or empty is left
--- out, but for a list in front of options.
return function(name, table_name, options, list)
  local parts, given = { written(table_name) }, {}
  for _, option in ipairs(options) do
    local value = option[2]
    if type(value) == "string" or type(value) == "table" and #value > 0 then
      given[#given + 1] = option[1] .. " = " .. written(value)
    end
  end
  if list and (#list > 0 or #given > 0) then parts[#parts + 1] = #list > 0 and written(list) or "{}" end
  if #given > 0 then parts[#parts + 1] = "{ " .. table.concat(given, ", ") .. " }" end
  return ("guards.%s(%s)"):format(name, table.concat(parts, ", "))
end
