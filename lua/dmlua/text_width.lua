-- How many columns of a terminal a text takes, and cutting it to so many. Two columns has what Unicode's East Asian
-- Width calls W and F, as far as it is in use; combining marks take no column of their own.

local M = {}

local wide = {
  { 0x1100, 0x115F }, { 0x2E80, 0x303E }, { 0x3041, 0x33FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF },
  { 0xA000, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
  { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 },
  { 0x1F300, 0x1F64F }, { 0x1F680, 0x1F6FF }, { 0x1F900, 0x1F9FF }, { 0x20000, 0x3FFFD },
}
local none = { { 0x300, 0x36F }, { 0x200B, 0x200F }, { 0x20D0, 0x20FF }, { 0xFE00, 0xFE0F }, { 0xFE20, 0xFE2F } }

local function lies_in(code, ranges)
  for _, range in ipairs(ranges) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

local function columns_of(code)
  if code < 0x300 then return 1 end
  return lies_in(code, none) and 0 or lies_in(code, wide) and 2 or 1
end

--- The columns of a text; of one that is no UTF-8, its bytes.
function M.of(text)
  if not text:find "[\128-\255]" or not utf8.len(text) then return #text end
  local columns = 0
  for _, code in utf8.codes(text) do columns = columns + columns_of(code) end
  return columns
end

--- The text, or as much of it as fits with an "…" into `limit` columns.
function M.cut(text, limit)
  if M.of(text) <= limit then return text end
  if limit < 1 then return "" end
  if not utf8.len(text) then return text:sub(1, limit - 1) .. "…" end
  local columns = 0
  for at, code in utf8.codes(text) do
    columns = columns + columns_of(code)
    if columns > limit - 1 then return text:sub(1, at - 1):gsub("%s+$", "") .. "…" end
  end
end

return M
