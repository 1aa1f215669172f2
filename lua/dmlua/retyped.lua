-- The command line that was typed, and others like it: for the ways out that an error names. What is printed can be
-- typed into a shell as it stands.

local errors = require "dmlua.errors"

local M = {}

-- A control character would end the line, or be shown as something else.
local function escape(char)
  return ("\\%03o"):format(char:byte())
end

--- `text` as one word for the shell (bash, zsh, ksh; any POSIX shell where it holds no control character).
function M.word(text)
  if text:find "^[%w_@%%+=:,./-]+$" then return text end
  if text:find "%c" then return "$'" .. text:gsub("[\\']", "\\%0"):gsub("%c", escape) .. "'" end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- An option and its value: one word where the value might be taken for an option.
function M.option(name, value)
  return name .. (value:find "^%-" and "=" or " ") .. M.word(value)
end

-- The global options that say where: by the parser's field. A URL may hold a password, which is never printed.
local places = { { "config", "-c" }, { "service", "--service" }, { "env", "--env" } }

local function has_password(text)
  return text:find "://[^/@]*:[^/]*@" ~= nil or text:lower():find("passw", 1, true) ~= nil
end

local function put_values(words, options)
  if options.url then
    words[#words + 1] = has_password(options.url) and "--url URL" or M.option("--url", options.url)
  end
  for _, value in ipairs(options.x or {}) do
    words[#words + 1] = has_password(value) and "-x KEY=VALUE" or M.option("-x", value)
  end
end

--- The values of an option that may be repeated, each once; raises what is no UTF-8 text.
function M.each_once(name, values)
  local list, seen = {}, {}
  for _, value in ipairs(values or {}) do
    if not utf8.len(value) then errors.usage("%s is no UTF-8 text", name) end
    if not seen[value] then list[#list + 1] = value end
    seen[value] = true
  end
  return list
end

--- `dmlua`, the global options that were given, and the words, which are quoted already.
function M.command(options, ...)
  local words = { "dmlua" }
  for _, place in ipairs(places) do
    local value = options[place[1]]
    if value then words[#words + 1] = M.option(place[2], value) end
  end
  put_values(words, options)
  return table.concat(table.move({ ... }, 1, select("#", ...), #words + 1, words), " ")
end

return M
