-- The name of a new migration file: Alembic's file_template, a text for Python's % operator, and the message as a slug.

local errors = require "dmlua.errors"

local M = {}

local tokens = { "rev", "slug", "epoch", "year", "month", "day", "hour", "minute", "second" }

--- The words of the message joined by "_", at most `limit` characters, cut between words as Alembic cuts.
function M.slug(message, limit)
  local words = {}
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
