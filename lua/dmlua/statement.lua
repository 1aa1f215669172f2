-- What a statement is, by its words and tokens: whether a script may send it at all, and whether PostgreSQL refuses it
-- inside a transaction block. A check for clear messages: the server has the last word on both.

local sqltree = require "dmlua.sqltree"

local M = {}

local TRANSACTION = "dmlua begins and ends the transactions itself: leave the word out; what has to run outside of one "
  .. "goes into op.get_context():autocommit_block(fn)"
local SAVEPOINT = TRANSACTION .. "; a DO block with EXCEPTION undoes what failed in it"
local SESSION = "the connection's state belongs to dmlua; leave it out"

-- By the first word: true for any statement, or the second words that count.
local transaction_words = {
  BEGIN = true, START = { TRANSACTION = true }, COMMIT = true, END = true, ROLLBACK = true, ABORT = true,
  SAVEPOINT = true, RELEASE = true, PREPARE = { TRANSACTION = true },
}
local with_savepoint = { SAVEPOINT = true, RELEASE = true, ROLLBACK = true }

local function is_transaction(words)
  local rule = transaction_words[words[1]]
  return rule == true or rule and rule[words[2]]
end

-- SET [SESSION|LOCAL] TRANSACTION …, SET SESSION CHARACTERISTICS AS TRANSACTION …: they reach into dmlua's.
local function sets_transaction(words)
  local at = 2
  while words[at] == "SESSION" or words[at] == "LOCAL" do at = at + 1 end
  return words[1] == "SET" and (words[at] == "TRANSACTION" or words[at] == "CHARACTERISTICS")
end

-- DISCARD ALL would give up the lock of this run and the settings, DEALLOCATE ALL dmlua's own prepared statements.
local function drops_session(words)
  if words[2] ~= "ALL" and not (words[2] == "PREPARE" and words[3] == "ALL") then return false end
  return words[1] == "DISCARD" or words[1] == "DEALLOCATE"
end

-- Walks the tokens outside parentheses: fn(token, place) until it answers.
local function outside_parentheses(tokens, fn)
  local depth = 0
  for i, token in ipairs(tokens) do
    if token == "(" then
      depth = depth + 1
    elseif token == ")" then
      depth = depth - 1
    elseif depth == 0 then
      local answer = fn(token, i)
      if answer then return answer end
    end
  end
end

-- "FROM STDIN", "TO STDOUT" where a COPY's rows come from or go to the client, else nil.
local function copies(statement)
  if statement.words[1] ~= "COPY" then return nil end
  local tokens = sqltree.tokens(statement.sql)
  return outside_parentheses(tokens, function(token, i)
    if token ~= "STDIN" and token ~= "STDOUT" then return nil end
    local direction = tokens[i - 1]
    return (direction == "FROM" or direction == "TO") and direction .. " " .. token
  end)
end

-- Behind it the server would read '\'' as a string, the scanner as the beginning of one.
local function escapes_strings(statement)
  local words = statement.words
  if words[1] ~= "SET" or not statement.sql:lower():find("standard_conforming_strings", 1, true) then return false end
  local tokens = sqltree.tokens(statement.sql)
  return tokens[#tokens - 2] == "STANDARD_CONFORMING_STRINGS"
    and not ("ON TRUE YES 1 'ON' 'TRUE' DEFAULT"):find(tokens[#tokens]:upper(), 1, true)
end

--- Why a script may not send this statement, and the way out; nil if it may. `statement` is of sqltree.split.
function M.refusal(statement)
  local words = statement.words
  if statement.psql then
    return ("%s is a command of psql, not SQL"):format(statement.psql), "leave the line out"
  elseif is_transaction(words) then
    return ("%s in a script"):format(table.concat(words, " ", 1, words[2] == "TRANSACTION" and 2 or 1)),
      with_savepoint[words[1]] and SAVEPOINT or TRANSACTION
  elseif sets_transaction(words) then
    return "SET TRANSACTION in a script", "the transaction belongs to dmlua; leave it out"
  elseif drops_session(words) then
    return ("%s ALL in a script"):format(words[1]), SESSION
  elseif escapes_strings(statement) then
    return "SET standard_conforming_strings = off in a script",
      "the text is cut into statements as the SQL standard reads strings: write those with backslashes as E'…'"
  end
  local copy = copies(statement)
  if copy and copy:find("^FROM") then
    return ("COPY %s has no rows behind it in a script"):format(copy), "op.copy_from sends rows"
  elseif copy then
    return ("COPY %s has no reader in a script"):format(copy), "op.get_bind():execute(query) answers with rows"
  end
end

local no = { FALSE = true, OFF = true, ["0"] = true, ["'FALSE'"] = true, ["'OFF'"] = true, ["'0'"] = true }

-- Is option `name` given and off: `name = false`? And is it given at all?
local function option_off(tokens, name)
  for i, token in ipairs(tokens) do
    if token == name and (tokens[i - 1] == "(" or tokens[i - 1] == ",") then
      local value = tokens[i + 1] == "=" and tokens[i + 2] or tokens[i + 1]
      return no[value:upper()] or false, true
    end
  end
  return false, false
end

-- The tokens behind the first `skip` and a list of options in parentheses.
local function after_options(tokens, skip)
  local at, depth = skip + 1, 0
  if tokens[at] == "(" then
    repeat
      depth = depth + (tokens[at] == "(" and 1 or tokens[at] == ")" and -1 or 0)
      at = at + 1
    until depth == 0 or not tokens[at]
  end
  return at
end

-- PreventInTransactionBlock() and its callers in PostgreSQL 13 to 18, by the statement's first words. Not here is what
-- only the server can know: CLUSTER and REINDEX of a partitioned table, DROP SUBSCRIPTION with a slot.
local refuses = {}

function refuses.VACUUM()
  return true
end

function refuses.ALTER_SYSTEM()
  return true
end

refuses.CREATE_DATABASE, refuses.DROP_DATABASE = refuses.VACUUM, refuses.VACUUM
refuses.CREATE_TABLESPACE, refuses.DROP_TABLESPACE = refuses.VACUUM, refuses.VACUUM

function refuses.CREATE_INDEX(tokens)
  return tokens[3] == "CONCURRENTLY"
end

function refuses.CREATE_UNIQUE(tokens)
  return tokens[3] == "INDEX" and tokens[4] == "CONCURRENTLY"
end

refuses.DROP_INDEX = refuses.CREATE_INDEX

local whole = { DATABASE = true, SCHEMA = true, SYSTEM = true }

function refuses.REINDEX(tokens)
  local at = after_options(tokens, 1)
  local off, given = option_off(tokens, "CONCURRENTLY")
  return whole[tokens[at]] or tokens[at + 1] == "CONCURRENTLY" or (given and not off)
end

function refuses.CLUSTER(tokens)
  local at = after_options(tokens, tokens[2] == "VERBOSE" and 2 or 1)
  return tokens[at] == nil
end

function refuses.ALTER_TABLE(tokens)
  return tokens[#tokens] == "CONCURRENTLY" and outside_parentheses(tokens, function(token, i)
    return token == "DETACH" and tokens[i + 1] == "PARTITION"
  end)
end

function refuses.ALTER_DATABASE(tokens)
  return tokens[4] == "SET" and tokens[5] == "TABLESPACE"
end

function refuses.CREATE_SUBSCRIPTION(tokens)
  return not option_off(tokens, "CREATE_SLOT") and not option_off(tokens, "CONNECT")
end

function refuses.ALTER_SUBSCRIPTION(tokens)
  local _, failover = option_off(tokens, "FAILOVER")
  local _, two_phase = option_off(tokens, "TWO_PHASE")
  if tokens[5] == "PUBLICATION" then return tokens[4] == "REFRESH" or not option_off(tokens, "REFRESH") end
  return tokens[4] == "SET" and (failover or two_phase)
end

--- How to call a statement that refuses a block: its words up to CONCURRENTLY, else up to the name of its object.
function M.name(statement)
  local words, last = statement.words, 1
  for i, word in ipairs(words) do
    if word == "CONCURRENTLY" then return table.concat(words, " ", 1, i) end
  end
  if refuses[words[1] .. "_" .. (words[2] or "")] or words[1] == "REINDEX" then last = 2 end
  return table.concat(words, " ", 1, math.min(last, #words))
end

--- Does PostgreSQL refuse this statement inside a transaction block?
function M.refuses_block(statement)
  local words = statement.words
  local rule = refuses[words[1]] or words[2] and refuses[words[1] .. "_" .. words[2]]
  if not rule then return false end
  return rule(sqltree.tokens(statement.sql)) and true or false
end

return M
