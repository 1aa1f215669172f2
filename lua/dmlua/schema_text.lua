-- What pg_dump writes for a schema, made into the text of a migration.

local quote = require "dmlua.quote"
local sql = require "dmlua.sql"

local M = {}

-- What pg_dump sets for psql's session. A step has its own session: search_path and row_security are the host's, and
-- check_function_bodies is set by the migration itself.
local of_the_session = {}
for _, name in ipairs { "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
  "transaction_timeout", "client_encoding", "standard_conforming_strings", "check_function_bodies", "xmloption",
  "client_min_messages", "row_security", "search_path" } do
  of_the_session[name] = true
end

-- What pg_dump sets for the tables behind it, and what says that nothing is to be special.
local of_tables = { default_tablespace = "''", default_table_access_method = "heap" }

-- SET for the step alone, or nil where it says what is so anyway. `special`: the names that have been set otherwise.
local function setting(text, special)
  local name, value = text:match "^SET%s+([%w_]+)%s*=%s*(.*)$"
  if of_the_session[name] then return nil end
  if of_tables[name] == value and not special[name] then return nil end
  if name then special[name] = true end
  return name and "SET LOCAL " .. text:match "^SET%s+(.*)$" or text
end

local literal = "^E?'[^']*'"
local cast = "::character varying"

-- Where a list of texts of the type character varying ends that begins at `at`; nil when it is none.
local function texts_end(text, at)
  repeat
    local _, finish = text:find(literal, at)
    while finish and text:sub(finish + 1, finish + 1) == "'" do _, finish = text:find("^'[^']*'", finish + 1) end
    if not finish or text:sub(finish + 1, finish + #cast) ~= cast then return nil end
    at = finish + #cast + 1
    local goes_on = text:sub(at, at + 1) == ", "
    if goes_on then at = at + 2 end
  until not goes_on
  return at
end

-- `name IN ('a', 'b')` is dumped as (ARRAY['a'::character varying, …])::text[], which PostgreSQL reads as another
-- expression, with a cast for each text: the next dump would differ. A cast of the whole array between keeps it.
local function keep_arrays(text)
  local pieces, from, at = {}, 1, 1
  while true do
    local start, finish = text:find("(ARRAY[", at, true)
    if not start then break end
    local list_end = texts_end(text, finish + 1)
    at = finish + 1
    if list_end and text:sub(list_end, list_end + 9) == "])::text[]" then
      pieces[#pieces + 1] = text:sub(from, start - 1) .. "(" .. text:sub(start, list_end + 1) .. cast .. "[])::text[]"
      from, at = list_end + 10, list_end + 10
    end
  end
  return table.concat(pieces) .. text:sub(from)
end

-- Texts that hold no expressions of the server's.
local verbatim = { FUNCTION = true, PROCEDURE = true, ON = true }

-- One statement as the migration has it, or nil where it has none.
local function translate(text, words, user, special)
  local first, second = words[1], words[2]
  if first == "SET" and second ~= "SESSION" then return setting(text, special) end
  if text:find "^SELECT pg_catalog%.set_config%('search_path'," then return nil end
  if first == "ALTER" and text:sub(-#user - 10) == " OWNER TO " .. user then return nil end -- who runs it owns it
  if first == "COMMENT" and text:find "^COMMENT ON EXTENSION " then return nil end -- is its owner's to say
  if first == "CREATE" and second == "SCHEMA" then
    return (text:gsub("^CREATE SCHEMA ", "CREATE SCHEMA IF NOT EXISTS ")) -- the version table's is there already
  end
  return verbatim[second] and text or keep_arrays(text)
end

-- psql's own lines, which newer pg_dumps write round the whole.
local function without_restrict(dump)
  return (("\n" .. dump):gsub("\n\\u?n?restrict %w+%f[\n\0]", "\n"))
end

--- The statements of a dump, as list of texts, without what is the session's, and without the owner where that is
--- `user`, who will run it.
function M.statements(dump, user)
  local list, special = {}, {}
  local found, failure = sql.split(without_restrict(dump))
  if not found then error(("the dump cannot be read (line %d): %s"):format(failure.line + 1, failure.message)) end
  user = quote.ident(user)
  for _, statement in ipairs(found) do
    list[#list + 1] = translate(statement.sql, statement.words, user, special)
  end
  return list
end

-- A text in long brackets that nothing in it closes.
local function long(text)
  local equals = ""
  while text:find("]" .. equals .. "]", 1, true) do equals = equals .. "=" end
  return ("[%s[\n%s\n]%s]"):format(equals, text, equals)
end

-- Lua reads a carriage return in long brackets as a line's end; a function's body may hold some.
local function escaped(text)
  return '"' .. text:gsub('[\r\n"\\]', { ["\r"] = "\\r", ["\n"] = "\\n", ['"'] = '\\"', ["\\"] = "\\\\" }) .. '"'
end

local function execute(lines, texts)
  if #texts > 0 then lines[#lines + 1] = "  op.execute " .. long(table.concat(texts, "\n\n")) end
end

--- The body of upgrade() that carries the statements out.
function M.body(statements)
  local lines, texts = {}, {}
  lines[1] = "  -- functions may name what comes after them"
  lines[2] = '  op.execute "SET LOCAL check_function_bodies = false"'
  for _, text in ipairs(statements) do
    if text:find("\r", 1, true) then
      execute(lines, texts)
      texts = {}
      lines[#lines + 1] = "  op.execute(" .. escaped(text) .. ")"
    else
      texts[#texts + 1] = text .. ";"
    end
  end
  execute(lines, texts)
  return table.concat(lines, "\n")
end

return M
