-- The only quoting in Lua: what is not SQL becomes SQL here and nowhere else.

local errors = require "dmlua.errors"
local json = require "dmlua.json"
local keywords = require "dmlua.keywords"
local null = require "dmlua.null"

local M = {}

-- NAMEDATALEN - 1. PostgreSQL cuts a longer name with a mere notice, so two names can become one.
local LONGEST_NAME = 63

local function fail(format, ...)
  errors.raise { kind = "migration", message = format:format(...) }
end

local function check_text(what, text)
  if type(text) ~= "string" then fail("%s must be a string, got %s", what, type(text)) end
  if text:find("\0", 1, true) then fail("%s holds a NUL byte, which PostgreSQL cannot store", what) end
  local ok, at = utf8.len(text)
  if not ok then fail("%s is not valid UTF-8 (byte %d)", what, at) end
end

-- SQLAlchemy's _truncate_and_render_maxlen_name (of ASCII, where its characters are bytes): what became of a name that
-- it made, or that op.f marked.
local function hint_of(name)
  if name:find "[\x80-\xff]" then return nil end
  local shortened = name:sub(1, LONGEST_NAME - 8) .. "_" .. require("dmlua.md5")(name):sub(-4)
  return ("a database that Alembic made has '%s', where `index` made the name or op.f marked it"):format(shortened)
end

--- A name as SQL, quoted only where it must be: PostgreSQL's quote_identifier. Raises for one that is empty, longer
--- than 63 bytes or not text.
function M.ident(name)
  check_text("a name", name)
  if name == "" then fail("a name is empty") end
  if #name > LONGEST_NAME then
    errors.raise { kind = "migration",
      message = ("the name '%s' has %d bytes; PostgreSQL keeps %d and would cut it: choose a shorter one")
        :format(name, #name, LONGEST_NAME),
      hint = hint_of(name) }
  end
  if name:find("^[a-z_][a-z0-9_]*$") and not keywords[name] then return name end
  return '"' .. name:gsub('"', '""') .. '"'
end

--- A name of ours, cut to what PostgreSQL keeps; a character is not cut.
function M.cut(name)
  if #name <= LONGEST_NAME then return name end
  return name:sub(1, utf8.offset(name, 0, LONGEST_NAME + 1) - 1)
end

--- A name with its schema, where there is one.
function M.qualified(schema, name)
  if schema == nil then return M.ident(name) end
  return M.ident(schema) .. "." .. M.ident(name)
end

--- Names with commas between them.
function M.idents(names)
  local quoted = {}
  for i, name in ipairs(names) do quoted[i] = M.ident(name) end
  return table.concat(quoted, ", ")
end

-- What PostgreSQL reads as a word of its own where a role may stand.
local role_words = { public = "PUBLIC", CURRENT_USER = "CURRENT_USER", CURRENT_ROLE = "CURRENT_ROLE",
  SESSION_USER = "SESSION_USER", PUBLIC = "PUBLIC" }

--- Names of roles with commas between them.
function M.roles(names)
  local quoted = {}
  for i, name in ipairs(names) do quoted[i] = role_words[name] or M.ident(name) end
  return table.concat(quoted, ", ")
end

--- Text as a literal: PostgreSQL's quote_literal. It reads the same whatever standard_conforming_strings says.
function M.literal(text)
  check_text("a text", text)
  local doubled = text:gsub("'", "''")
  if not text:find("\\", 1, true) then return "'" .. doubled .. "'" end
  return "E'" .. doubled:gsub("\\", "\\\\") .. "'"
end

--- A list of texts as an array of text.
function M.literals(texts)
  local quoted = {}
  for i, text in ipairs(texts) do quoted[i] = M.literal(text) end
  return "ARRAY[" .. table.concat(quoted, ", ") .. "]::text[]"
end

local function number(value)
  if math.type(value) == "integer" then return tostring(value) end
  local finite = value == value and math.abs(value) ~= math.huge
  if not finite then fail("%s is no number that SQL can write", value) end
  return json.number(value)
end

local writers = {
  string = M.literal,
  number = number,
  boolean = function(value) return value and "true" or "false" end,
}

--- A Lua value (string, number, boolean, null) as a literal; nil for any other.
function M.value(value)
  if value == null then return "NULL" end
  local write = writers[type(value)]
  return write and write(value)
end

--- Text in dollar quotes whose tag does not occur in it.
function M.dollar(text)
  check_text("a block", text)
  local tag, number_of_tag = "$dmlua", 0
  while text:find(tag, 1, true) do
    number_of_tag = number_of_tag + 1
    tag = "$dmlua" .. number_of_tag .. "_"
  end
  return tag .. "$" .. text .. tag .. "$"
end

--- Statements of PL/pgSQL as a DO block.
function M.block(text)
  return "DO " .. M.dollar(text)
end

return M
