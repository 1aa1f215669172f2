-- The tenant context belongs to tenants.each and tenants.with, which set it, hold it and take it back. A script that
-- sets it by itself is refused before anything is sent. What SQL does out of sight (a DO block, a function) is seen by
-- the engine's check at the end of the step.

local errors = require "dmlua.errors"
local sqltree = require "dmlua.sqltree"

local M = {}

local HINT = "tenants.each(fn) calls fn(tenant) in the context and role of each tenant, tenants.with(id, fn) in one's;"
  .. " what has to see every tenant's rows goes into op.across_tenants"

-- What a string constant says, however it is written; a parameter is the text that travels beside the statement.
local function constant(token, params)
  local index = token:match "^%$(%d+)$"
  if index then
    local value = params and params[tonumber(index)]
    return type(value) == "string" and value or nil
  end
  local _, dollars = token:match "^(%$[^$]*%$)(.*)%$[^$]*%$$"
  if dollars then return dollars end
  local quoted = token:match "^[EeNnUu]?&?'(.*)'$"
  return quoted and (quoted:gsub("''", "'"))
end

-- What a word of SET means: a name without quotes is in lower case, tokens are in upper case.
local function word(token)
  if not token then return "" end
  local name = token:match '^[Uu]?&?"(.*)"$'
  if name then return (name:gsub('""', '"')) end
  return constant(token) or token:lower()
end

-- SET [SESSION|LOCAL] name {TO|=} value, SET ROLE value, SET SESSION AUTHORIZATION value: name and value. The word SET
-- is the token `set`.
local function of_set(tokens, set)
  local at, names = set + 1, {}
  while tokens[at] == "SESSION" or tokens[at] == "LOCAL" do at = at + 1 end
  if tokens[at] == "AUTHORIZATION" or tokens[at] == "ROLE" and tokens[at + 1] ~= "TO" and tokens[at + 1] ~= "=" then
    return "role", word(tokens[at + 1])
  end
  while tokens[at] and tokens[at] ~= "TO" and tokens[at] ~= "=" do
    names[#names + 1] = word(tokens[at])
    at = at + 1
  end
  return table.concat(names):lower(), word(tokens[at + 1])
end

local of_whom = { ROLE = true, USER = true, DATABASE = true, SYSTEM = true }

-- ALTER ROLE app SET …: it would be every session's context.
local function of_alter(tokens)
  for i, token in ipairs(tokens) do
    if token == "SET" then return of_set(tokens, i) end
  end
end

-- The arguments of a call, whose parenthesis is the token `at`: lists of tokens.
local function arguments_of(tokens, at)
  local list, depth = { {} }, 0
  for i = at, #tokens do
    local token = tokens[i]
    if token == ")" or token == "]" then depth = depth - 1 end
    if depth == 0 and i > at then break end
    if depth == 1 and token == "," then
      list[#list + 1] = {}
    elseif i > at then
      table.insert(list[#list], token)
    end
    if token == "(" or token == "[" then depth = depth + 1 end
  end
  return list
end

-- The constant that stands for a parameter of set_config, by its name or else by its place.
local function argument(list, name, place, params)
  local found = list[place] or {}
  for _, tokens in ipairs(list) do
    if tokens[1] == name and (tokens[2] == "=>" or tokens[2] == ":=") then found = tokens end
  end
  for _, token in ipairs(found) do
    local value = constant(token, params)
    if value then return value end
  end
end

-- Calls fn(name, value) for each setting that a statement makes in plain sight.
local function settings_of(statement, fn)
  local tokens
  if statement.words[1] == "SET" then
    tokens = sqltree.tokens(statement.sql)
    fn(of_set(tokens, 1))
  elseif statement.words[1] == "ALTER" and of_whom[statement.words[2]] then
    local name, value = of_alter(sqltree.tokens(statement.sql))
    local harmless = name == "role" or name == "row_security" or value == "" or value == "default"
    if name and not harmless then fn(name, value) end
  elseif statement.sql:lower():find("set_config", 1, true) then
    tokens = sqltree.tokens(statement.sql)
    for i, token in ipairs(tokens) do
      if word(token) == "set_config" and tokens[i + 1] == "(" then
        local list = arguments_of(tokens, i + 1)
        fn((argument(list, "SETTING_NAME", 1, statement.params) or ""):lower(),
          argument(list, "NEW_VALUE", 2, statement.params))
      end
    end
  end
end

-- What PostgreSQL's parse_bool takes for false; a default is not.
local off = { of = true, off = true, n = true, no = true, f = true, fa = true, fal = true, fals = true,
  ["false"] = true, ["0"] = true }

-- What a setting would do to the tenant context, or nil.
local function meddling(settings, name, value)
  local role = settings.tenant_role or settings.app_role
  if name == settings.tenant_setting:lower() then return "sets " .. settings.tenant_setting end
  if name == "role" and role and value == role then return "takes the tenants' role " .. role end
  if name == "row_security" and not off[(value or ""):lower()] then return "turns row_security on" end
end

--- Raises when one of the statements (of sql.statements) sets the tenant context, takes its role or turns row security
--- on by itself. `call` is what the author wrote.
function M.refuse(call, settings, statements, file)
  for _, statement in ipairs(statements) do
    settings_of(statement, function(name, value)
      local what = meddling(settings, name, value)
      if what then
        errors.raise { kind = "refused", file = file, line = statement.line, hint = HINT,
          message = ("TenantIsolationError: %s %s by hand"):format(call, what) }
      end
    end)
  end
end

return M
