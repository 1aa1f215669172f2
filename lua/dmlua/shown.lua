-- Control characters are shown, not sent: no name, comment or note of a database moves a terminal's cursor. C1 too,
-- which UTF-8 writes in two bytes.

local function hex(char)
  return ("\\x%02x"):format(char:byte(-1))
end

--- The text with its control characters as \xNN, but for tabs and line breaks.
return function(text)
  return (text:gsub("[^%C\t\n]", hex):gsub("\xc2[\x80-\x9f]", hex))
end
