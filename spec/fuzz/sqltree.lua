-- What must hold for any text whatever: see spec/fuzz/run.

local sqltree = require "dmlua.sqltree"
local sql = require "dmlua.sql"

-- A text is scanned or has a fault that lies inside it.
local function answer(fn, text)
  local found, fault = fn(text)
  if found then return found end
  assert(type(fault.message) == "string" and fault.message ~= "")
  assert(fault.offset >= 1 and fault.offset <= #text + 1)
  assert(fault.line == select(2, text:sub(1, fault.offset - 1):gsub("\n", "")))
end

-- Statements lie in the text one behind the other, and each is one statement by itself.
local function check_statements(text, statements)
  local from = 1
  for _, statement in ipairs(statements) do
    assert(statement.offset >= from and statement.sql ~= "")
    assert(text:sub(statement.offset, statement.offset + #statement.sql - 1) == statement.sql)
    assert(statement.line == select(2, text:sub(1, statement.offset - 1):gsub("\n", "")))
    local again = assert(answer(sqltree.split, statement.sql))
    assert(#again == 1 and again[1].sql == statement.sql)
    from = statement.offset + #statement.sql
  end
end

-- Places lie one behind the other, and are what they say.
local function check_parameters(text, places)
  local from, values = 1, {}
  for _, place in ipairs(places) do
    assert(place.start >= from and place.finish > place.start)
    local written = text:sub(place.start, place.finish)
    assert(place.name and written == ":" .. place.name or place.index and written:match("^%$%d+$"))
    from = place.finish + 1
    values[place.name or place.index] = "v"
  end
  return values
end

-- A statement whose places have become `$n` has these places, in this order.
local function check_bound(text, values)
  local bound = sql.bind(text, values)
  if not bound then return end
  local places = assert(answer(sqltree.parameters, bound.sql))
  assert(#places == #bound.params)
  for i, place in ipairs(places) do assert(place.index == i) end
end

return function(text)
  local statements, tokens = answer(sqltree.split, text), answer(sqltree.tokens, text)
  local places = answer(sqltree.parameters, text)
  assert((statements == nil) == (tokens == nil) and (tokens == nil) == (places == nil))
  sql.split(text)
  if not statements then return end
  check_statements(text, statements)
  check_bound(text, check_parameters(text, places))
end
