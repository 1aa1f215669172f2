-- Which tenants a call means: `from` as authors write it, and its ids beside the list that knows all tenants.

local arguments = require "dmlua.arguments"
local errors = require "dmlua.errors"
local record = require "dmlua.record"
local strict = require "dmlua.strict"
local text_width = require "dmlua.text_width"

local M = {}

local SHOWN = 5 -- unknown ids that an error names
local WIDTH = 60 -- columns of an id that it shows

-- PostgreSQL's text holds no NUL, and an empty context is no context.
local function id_of(value)
  if math.type(value) == "integer" then return tostring(value) end
  return type(value) == "string" and value ~= "" and not value:find("\0", 1, true) and value or nil
end

arguments.kind("tenant", function(value)
  return id_of(value), "a tenant's id (a text that is not empty, or a whole number)"
end)

local function read_ids(list)
  local ids, seen = {}, {}
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then return nil end
  end
  for _, value in ipairs(list) do
    local id = id_of(value)
    if not id then return nil end
    if not seen[id] then
      seen[id], ids[#ids + 1] = true, id
    end
  end
  return ids
end

-- { query = SQL } or { ids = texts, each once }.
arguments.kind("tenants", function(value)
  local expected = "a query whose first column is the id, or a list of ids"
  if type(value) == "string" then return { query = value } end
  if record.kind(value) == "text" and not value.bound then return { query = value.text } end
  local ids = record.plain(value) and read_ids(value) or nil
  return ids and { ids = ids }, expected -- false would be a `from` that was not given: all tenants
end)

--- An id as an error shows it.
function M.shown(id)
  return "'" .. text_width.cut(id, WIDTH) .. "'"
end

-- "'globix' (did you mean 'globex'?), 'x' and 3 more"
local function named(unknown, known)
  local names, candidates = {}, {}
  for _, row in ipairs(known) do candidates[#candidates + 1] = #row.id <= WIDTH and row.id or nil end
  for i = 1, math.min(SHOWN, #unknown) do
    local id = unknown[i]
    names[i] = M.shown(id) .. (#id <= WIDTH and errors.suggestion(id, candidates) or "")
  end
  return table.concat(names, ", ") .. (#unknown > SHOWN and (" and %d more"):format(#unknown - SHOWN) or "")
end

local function by_id(rows)
  local rows_of = {}
  for _, row in ipairs(rows) do rows_of[row.id] = row end
  return rows_of
end

-- A tenant of whom nothing but the id is known.
local function alone(id)
  return strict.object("tenant", { id = id }, {})
end

--- The rows that `from` means: those of its own query (`rows`), else those of the tenant list (`known`) by its ids. An
--- id that the list does not know raises; without a list every id is taken as it is.
function M.choose(call, from, rows, known)
  local rows_of, chosen, unknown = by_id(known or {}), {}, {}
  for i, entry in ipairs(rows or from.ids) do
    local id = rows and entry.id or entry
    if known and not rows_of[id] then unknown[#unknown + 1] = id end
    chosen[i] = rows and entry or rows_of[id] or alone(id)
  end
  if #unknown > 0 then
    errors.raise { kind = "migration", hint = "tenants_query lists the tenants", message =
      ("%s: the tenant list does not know %s"):format(call, named(unknown, known)) }
  end
  return chosen
end

return M
