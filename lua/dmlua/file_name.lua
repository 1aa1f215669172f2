-- The name of a new migration file: Alembic's file_template, a text for Python's % operator, and the message as a slug.

local errors = require "dmlua.errors"

local M = {}

local tokens = { "rev", "slug", "epoch", "year", "month", "day", "hour", "minute", "second" }

-- Capitals beyond ASCII, of Europe's alphabets: from, to, how many of them to the next one, and to the small letter.
local capitals = {
  { 0xc0, 0xd6, 1, 32 }, { 0xd8, 0xde, 1, 32 }, { 0x100, 0x12e, 2, 1 }, { 0x132, 0x136, 2, 1 },
  { 0x139, 0x147, 2, 1 }, { 0x14a, 0x176, 2, 1 }, { 0x178, 0x178, 1, -121 }, { 0x179, 0x17d, 2, 1 },
  { 0x386, 0x386, 1, 38 }, { 0x388, 0x38a, 1, 37 }, { 0x38c, 0x38c, 1, 64 }, { 0x38e, 0x38f, 1, 63 },
  { 0x391, 0x3a1, 1, 32 }, { 0x3a3, 0x3ab, 1, 32 }, { 0x400, 0x40f, 1, 80 }, { 0x410, 0x42f, 1, 32 },
  { 0x460, 0x480, 2, 1 }, { 0x48a, 0x4be, 2, 1 }, { 0x1e00, 0x1e94, 2, 1 }, { 0x1ea0, 0x1efe, 2, 1 },
}

-- Signs that are neither letter nor digit: of Latin-1, and of typography.
local letters_among_signs = "ªµº²³¹¼½¾"
local function is_sign(code, char)
  if code < 0xc0 then return not letters_among_signs:find(char, 1, true) end
  return code == 0xd7 or code == 0xf7 or (code >= 0x2000 and code <= 0x206f) or (code >= 0x20a0 and code <= 0x20cf)
    or (code >= 0x2190 and code <= 0x23ff) or (code >= 0x2500 and code <= 0x27bf) or (code >= 0x3000 and code <= 0x3003)
end

-- A character that is not ASCII as it stands in a slug.
local function simple(char)
  local code = utf8.codepoint(char)
  if is_sign(code, char) then return " " end
  for _, row in ipairs(capitals) do
    if code >= row[1] and code <= row[2] and (code - row[1]) % row[3] == 0 then return utf8.char(code + row[4]) end
  end
end

--- The words of the message joined by "_", at most `limit` characters, cut between words as Alembic cuts.
function M.slug(message, limit)
  local words = {}
  if utf8.len(message) then message = message:gsub("[\xc2-\xf4][\x80-\xbf]+", simple) end
  for word in message:gmatch "[%w_\128-\255]+" do words[#words + 1] = word:lower() end
  local slug = table.concat(words, "_")
  if (utf8.len(slug) or #slug) <= limit then return slug end
  local cut = slug:sub(1, (utf8.len(slug) and utf8.offset(slug, limit + 1) or limit + 1) - 1)
  return (cut:match "^(.*)_" or cut) .. "_"
end

-- One conversion: %(month).2d. Python's flags, width and precision are those of C.
local function convert(values, key, format, kind)
  local value = values[key]
  if value == nil then
    errors.usage("file_template: unknown token '%%(%s)%s'%s", key, kind, errors.suggestion(key, tokens))
  end
  if kind == "u" then kind = "d" end
  local done, text = pcall(string.format, "%" .. format .. kind, value)
  return done and text or errors.usage("file_template: '%%(%s)%s%s' does not fit its token", key, format, kind)
end

--- The name, without its extension. `values` has the tokens.
function M.fill(pattern, values)
  local parts, at = {}, 1
  while at <= #pattern do
    local text = pattern:match("^[^%%]+", at)
    if text then
      parts[#parts + 1], at = text, at + #text
    elseif pattern:sub(at, at + 1) == "%%" then
      parts[#parts + 1], at = "%", at + 2
    else
      local key, format, kind, finish = pattern:match("^%%%((%w+)%)([-+ #0]*%d*%.?%d*)([sdiuxXo])()", at)
      if not key then
        errors.raise {
          kind = "usage",
          message = ("file_template: '%s' is no token"):format(pattern:sub(at)),
          hint = "a token is %(NAME)s or %(NAME)d, in the file %%(NAME)s; a percent sign is %%, in the file %%%%",
        }
      end
      parts[#parts + 1], at = convert(values, key, format, kind), finish
    end
  end
  return table.concat(parts)
end

return M
