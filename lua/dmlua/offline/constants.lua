-- The values that a script could compare something with: the strings, the numbers and the keys in its text.

local M = {}

-- Nobody compares a tenant's column with a text of this length; SQL is longer.
local LONGEST = 200

-- A name behind a dot or before "=" may be the key of a table that is asked by a value.
local function name(word, found, text, first, last)
  if text:find("^%.", first - 1) or text:find("^%s*=[^=]", last + 1) then found[word] = true end
end

local function number(text, found)
  local value = tonumber(text)
  if value then found[value] = true end
end

local function quoted(token, found)
  local read = load("return " .. token, "=constant", "t", {})
  local value = read and read()
  if value and #value <= LONGEST then found[value] = true end
end

-- From a quote to the one that closes it.
local function end_of_quoted(text, from)
  local quote, at = text:sub(from, from), from + 1
  while at <= #text do
    local c = text:sub(at, at)
    if c == quote then return at end
    at = at + (c == "\\" and 2 or 1)
  end
  return #text
end

-- What is read at a place: {pattern, what is done with it}; the first one that fits.
local tokens = {
  { "^%s+()" },
  { "^%-%-%[(=*)%[.-%]%1%]()" },
  { "^%-%-[^\n]*()" },
  { "^%[(=*)%[.-%]%1%]()", quoted },
  { "^0[xX][%x.pP]+()", number },
  { "^%.?%d[%d.]*[eE]?[-+]?%d*()", number },
  { "^[%a_][%w_]*()", name },
}

local function next_token(text, at, found)
  if text:find("^[\"']", at) then
    local last = end_of_quoted(text, at)
    quoted(text:sub(at, last), found)
    return last + 1
  end
  for _, token in ipairs(tokens) do
    local first, last = text:find(token[1], at)
    if first then
      if token[2] then token[2](text:sub(first, last), found, text, first, last) end
      return last + 1
    end
  end
  return at + 1
end

--- Adds the constants of a text of Lua to the set `found`.
function M.add(text, found)
  local at = 1
  while at <= #text do at = next_token(text, at, found) end
end

return M
