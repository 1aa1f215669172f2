-- Statements that PostgreSQL refuses inside a transaction block, as parts of a step: how to see what came of one.

local sql = require "dmlua.sql"
local sqltree = require "dmlua.sqltree"

-- A bare word comes in upper case from the scanner; PostgreSQL folds it to lower case.
local function identifier(token)
  return token:sub(1, 1) == '"' and token or token:lower()
end

-- The name that begins at token `at`, with its schema if it has one, and the token behind it.
local function name_at(tokens, at)
  local name = identifier(tokens[at])
  if tokens[at + 1] == "." then return identifier(tokens[at + 2]), identifier(tokens[at]), at + 3 end
  return name, nil, at + 1
end

local function qualified(schema, name)
  return schema and schema .. "." .. name or name
end

-- Skips IF [NOT] EXISTS.
local function after_if(tokens, at)
  if tokens[at] ~= "IF" then return at end
  return tokens[at + 1] == "NOT" and at + 3 or at + 2
end

-- CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table …: an index lies in its table's schema.
local function created(tokens)
  local at = tokens[2] == "UNIQUE" and 3 or 2
  if tokens[at] ~= "INDEX" or tokens[at + 1] ~= "CONCURRENTLY" then return nil end
  at = after_if(tokens, at + 2)
  if tokens[at] == "ON" then return nil end -- PostgreSQL will choose the name
  local name, _, on = name_at(tokens, at)
  local table_at = tokens[on + 1] == "ONLY" and on + 2 or on + 1
  local _, schema = name_at(tokens, table_at)
  return qualified(schema, name)
end

-- DROP INDEX CONCURRENTLY [IF EXISTS] name
local function dropped(tokens)
  if tokens[2] ~= "INDEX" or tokens[3] ~= "CONCURRENTLY" then return nil end
  local name, schema = name_at(tokens, after_if(tokens, 4))
  return qualified(schema, name)
end

--- nil for a statement that may stand in a transaction block; else {index =, drops =}: the quoted name of the index
--- that the statement makes or drops concurrently, nil for another kind.
return function(text)
  local statements = sql.split(text)
  if not statements or not statements[1] or not statements[1].refuses_block then return nil end
  local tokens = sqltree.tokens(statements[1].sql)
  if tokens[1] == "CREATE" then return { index = created(tokens), drops = false } end
  if tokens[1] == "DROP" then return { index = dropped(tokens), drops = true } end
  return { drops = false }
end
