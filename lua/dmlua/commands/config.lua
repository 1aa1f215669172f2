-- config: the settings in force, and where each comes from.

local output = require "dmlua.output"

-- One document: what the run would use, then every setting with its origin.
local function to_json(config, rows)
  local settings = {}
  for i, row in ipairs(rows) do
    settings[i] = output.object("key", row.key, "value", row.value, "origin", row.origin, "note", row.note)
  end
  return output.object("file", config:file(), "folder", config:folder(), "service", config:service(),
    "services", config:services(), "environment", config:environment(), "isolation", config:isolation(),
    "rls", config:rls(), "settings", settings)
end

local function width(rows, field)
  local most = 0
  for _, row in ipairs(rows) do most = math.max(most, utf8.len(row[field] or "") or #row[field]) end
  return math.min(most, 48)
end

local function padded(text, size)
  return text .. (" "):rep(size - (utf8.len(text) or #text))
end

-- Text keeps a row on one line: the lines of a long query are joined.
local function to_lines(rows)
  for _, row in ipairs(rows) do row.value = (row.value or ""):gsub("%s*\n%s*", " ") end
  local key_width, value_width = width(rows, "key"), width(rows, "value")
  local lines = {}
  for _, row in ipairs(rows) do
    lines[#lines + 1] = ("%s  %s  %s"):format(padded(row.key, key_width), padded(row.value, value_width), row.origin)
    if row.note then lines[#lines + 1] = "  ! " .. row.note end
  end
  return lines
end

local function run(context)
  local config = context.config()
  local rows = config:rows()
  if context.options.json then
    output.json(to_json(config, rows))
  else
    output.lines(to_lines(rows))
  end
  return 0
end

return {
  name = "config",
  summary = "show the settings in force and where each comes from",
  description = "Shows every setting in force and where it comes from: file and line, variable, option or default. " ..
    "Passwords are not shown. A line that begins with ! says why a verb that uses the database would refuse.",
  run = run,
}
