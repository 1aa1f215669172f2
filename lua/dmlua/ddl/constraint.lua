-- Constraints: record → the text that stands in CREATE TABLE and behind ADD. Pure.

local expression = require "dmlua.ddl.expression"
local quote = require "dmlua.quote"

local M = {}

local function named(constraint)
  return constraint.name and "CONSTRAINT " .. quote.ident(constraint.name) .. " " or ""
end

local function deferrability(constraint)
  local text = ""
  if constraint.deferrable ~= nil then text = constraint.deferrable and " DEFERRABLE" or " NOT DEFERRABLE" end
  if constraint.initially then text = text .. " INITIALLY " .. constraint.initially end
  return text
end

local function validity(constraint)
  return constraint.postgresql_not_valid and " NOT VALID" or ""
end

--- What follows the columns of a foreign key: REFERENCES … with its rules.
function M.references(key)
  local text = "REFERENCES " .. quote.qualified(key.referent_schema, key.referent)
    .. " (" .. quote.idents(key.remote_cols or { key.remote }) .. ")"
  if key.match then text = text .. " MATCH " .. key.match end
  if key.ondelete then text = text .. " ON DELETE " .. key.ondelete end
  if key.onupdate then text = text .. " ON UPDATE " .. key.onupdate end
  return text .. deferrability(key) .. validity(key)
end

function M.foreign_key(key)
  return named(key) .. "FOREIGN KEY(" .. quote.idents(key.local_cols) .. ") " .. M.references(key)
end

function M.primary_key(key)
  return named(key) .. "PRIMARY KEY (" .. quote.idents(key.columns) .. ")" .. deferrability(key)
end

function M.unique(constraint)
  local include = constraint.postgresql_include
  return named(constraint) .. "UNIQUE " .. (constraint.postgresql_nulls_not_distinct and "NULLS NOT DISTINCT " or "")
    .. "(" .. quote.idents(constraint.columns) .. ")"
    .. (include and " INCLUDE (" .. quote.idents(include) .. ")" or "") .. deferrability(constraint)
end

function M.check(constraint)
  return named(constraint) .. "CHECK (" .. expression.sql(constraint.condition) .. ")" .. deferrability(constraint)
    .. validity(constraint)
end

local function element(constraint, entry)
  local what, operator = entry[1], entry[2]
  local text = type(what) == "string" and quote.ident(what) or expression.sql(what)
  local class = type(what) == "string" and constraint.ops and constraint.ops[what]
  return text .. (class and " " .. class or "") .. " WITH " .. operator
end

function M.exclude(constraint)
  local elements = {}
  for i, entry in ipairs(constraint.elements) do elements[i] = element(constraint, entry) end
  local where = constraint.where
  return named(constraint) .. "EXCLUDE USING " .. (constraint.using or "gist"):lower() .. " ("
    .. table.concat(elements, ", ") .. ")" .. (where and " WHERE (" .. expression.sql(where) .. ")" or "")
    .. deferrability(constraint)
end

--- Any constraint by its kind.
function M.sql(constraint)
  return M[constraint.kind](constraint)
end

return M
