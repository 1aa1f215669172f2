-- JSON text read as RFC 8259 has it. Integers stay integers where Lua has them; null is `null`; an empty list stays a
-- list.

local null = require "dmlua.null"

local MAX_DEPTH = 200

local read -- forward: lists and objects hold values

local function fail(text, at, what)
  local found = at > #text and "the end" or ("'%s'"):format(text:match(utf8.charpattern, at) or "?")
  error({ message = ("%s expected at byte %d, found %s"):format(what, at, found) }, 0)
end

-- The next byte that is no blank.
local function skip(text, at)
  return text:find("[^ \t\n\r]", at) or #text + 1
end

local escapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- The character of an escape \uXXXX, or of two that make one, and the place behind.
local function read_unicode(text, at)
  local high = tonumber(text:match("^\\u(%x%x%x%x)", at) or fail(text, at, "\\u with four digits"), 16)
  if high < 0xd800 or high > 0xdfff then return utf8.char(high), at + 6 end
  local low = tonumber(text:match("^\\u([dD][c-fC-F]%x%x)", at + 6) or "0", 16)
  if high > 0xdbff or low == 0 then fail(text, at, "a whole pair of surrogates") end
  return utf8.char(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)), at + 12
end

local function read_string(text, at)
  local pieces, from = {}, at + 1
  while true do
    local stop = text:find('[%z\1-\31"\\]', from)
    if not stop then fail(text, #text + 1, "the end of a string") end
    pieces[#pieces + 1] = text:sub(from, stop - 1)
    local c = text:sub(stop, stop)
    if c == '"' then return table.concat(pieces), stop + 1 end
    if c ~= "\\" then fail(text, stop, "an escape for a control character") end
    local escaped = escapes[text:sub(stop + 1, stop + 1)]
    if escaped then
      pieces[#pieces + 1], from = escaped, stop + 2
    else
      pieces[#pieces + 1], from = read_unicode(text, stop)
    end
  end
end

local function read_number(text, at)
  local whole = text:match("^%-?0", at) or text:match("^%-?[1-9]%d*", at) or fail(text, at, "a value")
  local fraction = text:match("^%.%d+", at + #whole) or ""
  local exponent = text:match("^[eE][+-]?%d+", at + #whole + #fraction) or ""
  local written = whole .. fraction .. exponent
  local value = fraction == "" and exponent == "" and math.tointeger(tonumber(written)) or tonumber(written)
  return value, at + #written
end

-- What stands between brackets: `one(at)` reads an element and answers with the place behind it.
local function read_elements(text, at, close, one)
  at = skip(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = skip(text, one(at))
    local c = text:sub(at, at)
    if c == close then return at + 1 end
    if c ~= "," then fail(text, at, ("',' or '%s'"):format(close)) end
    at = skip(text, at + 1)
  end
end

local function read_list(text, at, depth, empty)
  local list = {}
  at = read_elements(text, at, "]", function(place)
    local behind
    list[#list + 1], behind = read(text, place, depth, empty)
    return behind
  end)
  return #list > 0 and list or empty(), at
end

local function read_object(text, at, depth, empty)
  local object = {}
  at = read_elements(text, at, "}", function(place)
    if text:sub(place, place) ~= '"' then fail(text, place, "a name in quotes") end
    local name, behind = read_string(text, place)
    behind = skip(text, behind)
    if text:sub(behind, behind) ~= ":" then fail(text, behind, "':'") end
    object[name], behind = read(text, skip(text, behind + 1), depth, empty)
    return behind
  end)
  return object, at
end

local function word(text_of_word, value)
  return function(text, at)
    if text:sub(at, at + #text_of_word - 1) ~= text_of_word then fail(text, at, "a value") end
    return value, at + #text_of_word
  end
end

local readers = {
  ["["] = read_list, ["{"] = read_object, ['"'] = read_string,
  t = word("true", true), f = word("false", false), n = word("null", null),
}

function read(text, at, depth, empty)
  if depth > MAX_DEPTH then fail(text, at, ("no more than %d lists inside each other"):format(MAX_DEPTH)) end
  return (readers[text:sub(at, at)] or read_number)(text, at, depth + 1, empty)
end

--- The value of JSON text; `empty()` makes an empty list. Raises a table with a message.
return function(text, empty)
  local value, behind = read(text, skip(text, 1), 1, empty)
  behind = skip(text, behind)
  if behind <= #text then fail(text, behind, "the end") end
  return value
end
