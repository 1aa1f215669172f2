-- Random SQL text for specs and fuzzing: quotes, comments and dollar quotes that end, in any order, between statements
-- that no server accepts. The same seed gives the same text.

local M = {}

local pieces = {
  "a", "B", "\u{e9}t\u{e9}", "1", "1.5e3", "$1", "+", "->>", "::", "x::int", ":=", ":v", ":'v;'", "[1:n]", ",", "=",
  "<>",
  "'s'", "'it''s; --'", "''", "E'a\\'b;'", "E'\\\\'", "U&'\\0041;'", 'U&"d\\0061t;"', '"q;"', '"a"";b"', "B'01'",
  "X'1F'",
  "$$;'$$", "$x$ $$ ; $y$ $x$", "$f$\nbegin; end;\n$f$", "$\u{e9}$;$\u{e9}$",
  "-- c;'\n", "--\n", "/* ; ' */", "/* /* ; */ ; */", "/**/", "\n", "\t", "  ", "\r\n",
  "SELECT", "case", "end", "CASE", "End", "function", "ATOMIC", "(", ")", "( ; )", "(';)(' ; )", "()", "[", "]",
  "BEGIN ATOMIC", "begin /* ; */ atomic", "E'\u{1f600};'", "'a'\n'b;'", "e'\\x3b;'", "n'x;'", "'a' -- ;\n 'b;'",
}
-- psql counts any BEGIN of a function's, and `AS end`, which sqltree knows better: neither stands among the pieces.

-- Pieces that are no SQL for a scanner, or not alone.
local broken = {
  "'", '"', "$$", "$x$", "/*", "*/", "E'\\", "U&'", "\\", "\\c x\n", "\0", "\xff", "\xc3", "\xed\xa0\x80", "''''",
  "1a", "$1a",
  "0x1f", "1_000", '""', "E'\\u00'", "E'\\ud800'", "\v", "\1", "\u{200b}", "\u{feff}", ":", ";", "COPY", "FROM",
  "stdin",
}

local function random(state, n)
  state.seed = (state.seed * 1103515245 + 12345) % 2147483648
  return (state.seed >> 8) % n + 1
end

local function statement(state, list)
  local out = { random(state, 3) == 1 and "CREATE OR REPLACE FUNCTION oops " or "oops " }
  for _ = 1, random(state, 12) do
    out[#out + 1] = list[random(state, #list)]
    out[#out + 1] = " "
  end
  -- What was opened is mostly closed again, or one statement would swallow all the others.
  if random(state, 10) > 1 then out[#out + 1] = (")"):rep(12) .. (" end"):rep(12) end
  return table.concat(out)
end

--- `count` statements whose quotes end, and of which no server accepts one.
function M.text(seed, count)
  local state, out = { seed = seed }, {}
  for i = 1, count do out[i] = statement(state, pieces) end
  return table.concat(out, ";\n")
end

--- The same with pieces that are broken.
function M.hostile(seed, count)
  local state, out, list = { seed = seed }, {}, table.move(broken, 1, #broken, 1, {})
  for _, piece in ipairs(pieces) do list[#list + 1] = piece end
  for i = 1, count do out[i] = statement(state, list) end
  return table.concat(out, random(state, 2) == 1 and ";" or "\n")
end

return M
