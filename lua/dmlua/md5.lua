-- MD5 (RFC 1321), for one thing: SQLAlchemy ends a name that it shortens with digits of it.

local shifts = { 7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21 }

local sines = {}
for i = 1, 64 do sines[i] = math.floor(math.abs(math.sin(i)) * 2 ^ 32) end

-- By round: the mixing function, and which word of the block comes with step i (from 0).
local rounds = {
  { function(b, c, d) return b & c | ~b & d end, function(i) return i end },
  { function(b, c, d) return d & b | ~d & c end, function(i) return (5 * i + 1) % 16 end },
  { function(b, c, d) return b ~ c ~ d end, function(i) return (3 * i + 5) % 16 end },
  { function(b, c, d) return c ~ (b | ~d) end, function(i) return 7 * i % 16 end },
}

local function rotated(value, by)
  value = value & 0xffffffff
  return value << by | value >> (32 - by)
end

local function mix(state, words)
  local a, b, c, d = table.unpack(state)
  for i = 0, 63 do
    local round = rounds[i // 16 + 1]
    local sum = a + round[1](b, c, d) + sines[i + 1] + words[round[2](i) + 1]
    a, b, c, d = d, b + rotated(sum, shifts[i // 16 * 4 + i % 4 + 1]), b, c
  end
  for i, value in ipairs { a, b, c, d } do state[i] = state[i] + value & 0xffffffff end
end

--- The digest of a text, in hexadecimal digits.
return function(text)
  local padded = text .. "\x80" .. ("\0"):rep((55 - #text) % 64) .. ("<I8"):pack(#text * 8)
  local state = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 }
  for at = 1, #padded, 64 do mix(state, { ("<" .. ("I4"):rep(16)):unpack(padded, at) }) end
  return (("<I4I4I4I4"):pack(table.unpack(state)):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end
