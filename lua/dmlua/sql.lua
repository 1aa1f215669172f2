-- SQL text of authors: cut into statements, refused where it cannot be right, its parameters made `$n`.
--
-- The pure functions answer nil and a failure {message, hint, line}: `line` counts from 0 within the text.

local errors = require "dmlua.errors"
local params = require "dmlua.params"
local sqltree = require "dmlua.sqltree"
local statement_of = require "dmlua.statement"

local M = {}

-- PostgreSQL's protocol counts parameters in 16 bits.
local MAX_PARAMETERS = 65535

local function refusal_of(statements)
  for _, statement in ipairs(statements) do
    local message, hint = statement_of.refusal(statement)
    if message then return { message = message, hint = hint, line = statement.psql_line or statement.line } end
  end
end

-- What the scanner cannot read may have its reason before that place: rows behind a COPY FROM STDIN are no SQL.
local function scan_failure(text, fault)
  local before = sqltree.split(text:sub(1, fault.offset - 1))
  return before and refusal_of(before) or { message = fault.message, line = fault.line }
end

-- The callback of a loop sends the same text for ten thousand tenants: what was found out about the last texts is kept.
local KEPT, LONGEST = 64, 16384
local kept, count = {}, 0

local function about(text)
  local known = kept[text]
  if known then return known end
  known = { lines = {} }
  if #text > LONGEST then return known end
  if count == KEPT then kept, count = {}, 0 end
  kept[text], count = known, count + 1
  return known
end

local function split(text)
  local statements, fault = sqltree.split(text)
  if not statements then return nil, scan_failure(text, fault) end
  local failure = refusal_of(statements)
  if failure then return nil, failure end
  for _, statement in ipairs(statements) do statement.refuses_block = statement_of.refuses_block(statement) end
  return statements
end

-- The caller's own: what it does with them is not kept.
local function copies(statements)
  local list = {}
  for i, statement in ipairs(statements) do
    local copy = {}
    for key, value in pairs(statement) do copy[key] = value end
    list[i] = copy
  end
  return list
end

--- The statements of a text: list of {sql, line, words, refuses_block}; or nil and a failure. `line` counts from 0 and
--- is that of the statement's first word; `words` are those it begins with, in upper case.
function M.split(text)
  local known = about(text)
  if not known.statements then
    local statements, failure = split(text)
    if not statements then return nil, failure end
    known.statements = statements
  end
  return copies(known.statements)
end

local function keys_of(values)
  local keys = {}
  for key in pairs(values) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return keys
end

-- The key under which a place finds its value, and how authors write it.
local function key_of(place)
  if place.index then return place.index, "$" .. place.index end
  return place.name, ":" .. place.name
end

local function check_style(places)
  for _, place in ipairs(places) do
    if (place.index ~= nil) ~= (places[1].index ~= nil) then
      local _, first = key_of(places[1])
      local _, other = key_of(place)
      return ("%s and %s: parameters are named or numbered, not both"):format(first, other)
    end
  end
end

-- Every value has its place; or why not.
local function check_used(places, values)
  local used, names = {}, {}
  for _, place in ipairs(places) do
    used[key_of(place)] = true
    names[#names + 1] = place.name
  end
  for _, name in ipairs(keys_of(values)) do
    local key = values[name] == nil and math.tointeger(tonumber(name)) or name
    if not used[key] then
      return ("parameter '%s' does not stand in the statement%s"):format(name, errors.suggestion(name, names)),
        "strings, quoted identifiers, dollar quotes and comments hold no parameters"
    end
  end
end

-- The encoded value of one place, or nil and why there is none.
local function value_of(place, values)
  local key, name = key_of(place)
  if values[key] == nil then
    local nearest = place.name and errors.suggestion(key, keys_of(values)) or ""
    return nil, ("parameter %s has no value%s"):format(name, nearest),
      "NULL is written null; the bound of a slice stands apart from its colon: a[1 : n]"
  end
  local value, why = params.encode(values[key])
  if value == nil then return nil, ("parameter %s: %s"):format(name, why) end
  return value
end

-- The text with `$1`, `$2` … for its places, and their values: an occurrence may need another type than the one before.
local function number_places(text, places, values)
  local pieces, encoded, from = {}, {}, 1
  for i, place in ipairs(places) do
    local value, message, hint = value_of(place, values)
    if value == nil then return nil, message, hint end
    local before = text:sub(from, place.start - 1)
    pieces[#pieces + 1] = before .. (before:sub(-1) == "$" and " $" or "$") .. i -- $$ would begin a string
    encoded[i] = value
    from = place.finish + 1
  end
  pieces[#pieces + 1] = text:sub(from)
  return table.concat(pieces), encoded
end

local function one_statement(text)
  local statements, failure = M.split(text)
  if not statements then return nil, failure end
  if #statements == 1 then return statements[1] end
  return nil, {
    message = ("with parameters the text is one statement; here it is %d"):format(#statements),
    hint = "without a parameter table a text may hold many",
    line = statements[2] and statements[2].line or 0,
  }
end

--- One statement with `:name` or `$1` parameters: {sql, params, line, words, refuses_block}, where each occurrence has
--- become a `$n` of its own and `params` are texts, false for NULL; or nil and a failure.
function M.bind(text, values)
  local statement, failure = one_statement(text)
  if not statement then return nil, failure end
  local known = about(text)
  local places = known.places or sqltree.parameters(statement.sql)
  known.places = places
  local message, hint = check_style(places)
  if not message and #places > MAX_PARAMETERS then
    message = ("a statement has at most %d parameters"):format(MAX_PARAMETERS)
  end
  if not message then message, hint = check_used(places, values) end
  if message then return nil, { message = message, hint = hint, line = statement.line } end
  local sql, encoded
  sql, encoded, hint = number_places(statement.sql, places, values)
  if not sql then return nil, { message = encoded, hint = hint, line = statement.line } end
  statement.sql, statement.params = sql, encoded
  return statement
end

-- The line of `file` where `text` begins, nearest to `line`; nil when it does not stand there as it is. Lua skips a
-- newline behind [[, and a text may have been written long before the call that sends it.
local function line_of_text(file, line, text)
  local handle = io.open(file, "r")
  if not handle then return nil end
  local source = handle:read("a"):gsub("\r\n", "\n")
  handle:close()
  local nearest, at, counted, current = nil, 1, 1, 1
  while true do
    at = source:find(text, at, true)
    if not at then return nearest end
    current = current + select(2, source:sub(counted, at - 1):gsub("\n", ""))
    counted = at
    if not nearest or math.abs(current - line) < math.abs(nearest - line) then nearest = current end
    at = at + 1
  end
end

local function first_line(file, line, text)
  local lines, place = about(text).lines, file .. ":" .. line
  if lines[place] == nil then lines[place] = line_of_text(file, line, text) or false end
  return lines[place]
end

-- From lines within the text to the author's: fn(line from 0), and whether the text stands in the file as it is.
local function author_lines(text, file, line)
  local first = file and text:find("\n", 1, true) and first_line(file, line, text)
  return function(offset) return first and first + offset or line end, first ~= nil and first ~= false
end

local function statements_of(text, values)
  if values == nil then return M.split(text) end
  local statement, failure = M.bind(text, values)
  return { statement }, failure
end

--- What op.execute sends: list of {sql, params, line, verbatim, words, refuses_block}; `values` nil: the text as it is.
--- `file` and `line` are of errors.where(); each statement gets its own line, and `verbatim` says that its line feeds
--- are the file's. What cannot be sent raises at its line.
function M.statements(text, values, file, line)
  local line_of, verbatim = author_lines(text, file, line)
  local statements, failure = statements_of(text, values)
  if not failure and #statements == 0 then failure = { message = "the text holds no statement", line = 0 } end
  if failure then
    errors.raise { kind = "migration", message = failure.message, hint = failure.hint, file = file,
      line = line_of(failure.line) }
  end
  for _, statement in ipairs(statements) do
    statement.line, statement.verbatim = line_of(statement.line), verbatim
  end
  return statements
end

return M
