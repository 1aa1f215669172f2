-- The matcher of dmlua against Lua's own, which it stands in for.

local pattern = require "dmlua.pattern"

-- What a function answers, as one text; of an error, its message without the place.
local function answer(fn, ...)
  local results = table.pack(pcall(fn, ...))
  for i = 1, results.n do results[i] = ("%q"):format(results[i]) end
  if results[1] == "false" then return "error" end
  return table.concat(results, " ", 1, results.n)
end

local function matches(gmatch, ...)
  local list = {}
  for a, b in gmatch(...) do
    list[#list + 1] = ("%q %q"):format(a, b)
    if #list > 50 then break end
  end
  return table.concat(list, "|")
end

local pieces = { "a", "b", ".", "%a", "%A", "%d", "%s", "%w", "%z", "%y", "%.", "[ab]", "[^a]", "[a-c]", "[]]",
  "[^]x]", "[%a_]", "[a-]", "%bab", "%f[a]", "%f[%A]", "%f[^b]", "(", ")", "()", "(a", "b)",
  "%1", "%2", "x", " ", "\0" }
local quantifiers = { "", "", "", "*", "+", "-", "?" }

local function random_of(list)
  return list[math.random(#list)]
end

local function random_pattern()
  local parts = { math.random(8) == 1 and "^" or "" }
  for _ = 1, math.random(0, 6) do
    parts[#parts + 1] = random_of(pieces)
    parts[#parts + 1] = random_of(quantifiers)
  end
  if math.random(8) == 1 then parts[#parts + 1] = "$" end
  return table.concat(parts)
end

local function random_subject()
  local parts = {}
  for i = 1, math.random(0, 12) do parts[i] = random_of { "a", "a", "b", "c", "x", "]", "1", " ", "_", "\0", "-" } end
  return table.concat(parts)
end

-- Lua notices a fault in a pattern only when the match comes to it.
local function same(name, ...)
  local own, theirs = answer(pattern[name], ...), answer(string[name], ...)
  if own ~= "error" then assert.equal(theirs, own, ("%s %q %q"):format(name, ...)) end
end

describe("a pattern", function()
  it("matches, finds and replaces as Lua's own matcher does", function()
    math.randomseed(20240115)
    for _ = 1, 6000 do
      local subject, text, init = random_subject(), random_pattern(), math.random(-3, 5)
      same("find", subject, text, init)
      same("match", subject, text, init)
      same("find", subject, text, init, true)
      same("gsub", subject, text, random_of { "<%0>", "%1", "%%", "z", "%2" }, math.random(0, 5))
      same("gsub", subject, text, { a = "A", b = false, [1] = "one" })
      same("gsub", subject, text, function(...) return select("#", ...) end)
      if answer(matches, pattern.gmatch, subject, text) ~= "error" then
        assert.equal(matches(string.gmatch, subject, text, init), matches(pattern.gmatch, subject, text, init), text)
      end
    end
  end)

  it("is refused with Lua's words when it is malformed", function()
    for text, message in pairs {
      ["a%"] = "malformed pattern (ends with '%')",
      ["[a"] = "malformed pattern (missing ']')",
      ["[^]"] = "malformed pattern (missing ']')",
      ["[%"] = "malformed pattern (missing ']')",
      ["%b("] = "malformed pattern (missing arguments to '%b')",
      ["%fa"] = "missing '[' after '%f' in pattern",
      ["(a"] = "unfinished capture",
      ["a)"] = "invalid pattern capture",
      ["%1"] = "invalid capture index %1 in pattern",
      ["(%1)"] = "invalid capture index %1 in pattern",
      [("()"):rep(33)] = "too many captures",
    } do
      local ok, problem = pcall(pattern.match, "a", text)
      assert.is_false(ok)
      assert.equal(message, problem)
    end
  end)

  it("takes an argument of a wrong type as Lua does", function()
    for _, arguments in ipairs { {}, { "a" }, { {}, "a" }, { "a", "a", {} }, { "a", "a", "b", "x" } } do
      for _, name in ipairs { "find", "match", "gmatch", "gsub" } do
        assert.equal(pcall(string[name], table.unpack(arguments)), pcall(pattern[name], table.unpack(arguments)))
      end
    end
    assert.has_error(function() pattern.gsub("a", "a", "%") end, "invalid use of '%' in replacement string")
    assert.has_error(function() pattern.gsub("a", "a", "%2") end, "invalid capture index %2 in replacement string")
    assert.has_error(function() pattern.gsub("a", "a", function() return {} end) end,
      "invalid replacement value (a table)")
  end)

  it("lets the count hook look during a match that would take years", function()
    local seen = 0
    debug.sethook(function()
      seen = seen + 1
      if seen == 5 then error("enough", 0) end
    end, "", 1000)
    local text = ("a?"):rep(40) .. ("a"):rep(40) .. "b"
    local ok, problem = pcall(pattern.find, ("a"):rep(40), text)
    debug.sethook()
    assert.is_false(ok)
    assert.equal("enough", problem)
  end)

  it("has no limit of depth", function()
    assert.equal(1, (pattern.find(("a"):rep(5000), ("a?"):rep(5000) .. "$")))
  end)
end)
