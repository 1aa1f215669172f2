-- CSV as PostgreSQL's COPY reads it: its quotes, its line ends, and the line that ends it. Pure.

local M = {}

-- `fn(piece, quoted, last)` for what stands between the quotes; what it returns takes the piece's place. A doubled
-- quote is a quoted piece that ends and another that begins: nothing stands between them.
local function between_quotes(text, fn)
  local pieces, at, quoted = {}, 1, false
  while true do
    local place = text:find('"', at, true)
    local piece = text:sub(at, (place or 0) - 1)
    pieces[#pieces + 1] = fn(piece, quoted, not place) or piece
    if not place then return table.concat(pieces, '"') end
    at, quoted = place + 1, not quoted
  end
end

--- The number of the line at which COPY would stop before the text's end (`\.` alone, outside quotes), or nil. Up to
--- PostgreSQL 17 that is so in CSV, too, and what stands behind it is passed over in silence.
function M.end_mark(text)
  if not ("\n" .. text .. "\n"):find("[\r\n]\\%.[\r\n]") then return nil end
  local line, found, before = 1, nil, "\n"
  local function look(piece, quoted, last)
    local seen = before .. piece .. (last and "\n" or '"')
    local place = not quoted and not found and seen:find("[\r\n]\\%.[\r\n]")
    if place then found = line + select(2, seen:sub(2, place):gsub("\n", "")) end
    line = line + select(2, piece:gsub("\n", ""))
    before = '"'
  end
  between_quotes(text, look)
  return found
end

--- The same rows as psql can pass on: it takes each line `\.` for the end, also in quotes, and ends the data with a
--- line feed, which has to be the line end of all lines.
function M.for_psql(text)
  if not text:find("\r", 1, true) and not text:find("\n\\.", 1, true) then return text end
  return between_quotes(text, function(piece, quoted)
    if not quoted then return (piece:gsub("\r\n?", "\n")) end
    return (piece:gsub("\n\\%.%f[\r\n]", '\n\\"."')) -- a field may leave its quotes and come back
  end)
end

--- The fields of the first line, as they are named, and nil for one that cannot be read.
function M.first_line(text, delimiter)
  local fields, at = {}, 1
  while true do
    local finish
    if text:sub(at, at) == '"' then
      finish = at
      repeat -- the quote that is not doubled
        finish = text:find('"', finish + 1, true)
        local doubled = finish and text:sub(finish + 1, finish + 1) == '"'
        if doubled then finish = finish + 1 end
      until not doubled
      if not finish then return nil end
      fields[#fields + 1] = text:sub(at + 1, finish - 1):gsub('""', '"')
      finish = finish + 1
    else
      finish = text:find("[\r\n" .. delimiter:gsub("%W", "%%%0") .. "]", at) or #text + 1
      fields[#fields + 1] = text:sub(at, finish - 1)
    end
    if text:sub(finish, finish) ~= delimiter then
      if text:find("^[^\r\n]", finish) then return nil end
      return fields
    end
    at = finish + 1
  end
end

return M
