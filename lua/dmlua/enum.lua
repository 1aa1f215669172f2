-- Enumerations: sa.Enum and postgresql.ENUM, types that are made and dropped themselves.

local arguments = require "dmlua.arguments"
local connections = require "dmlua.connections"
local quote = require "dmlua.quote"
local record = require "dmlua.record"

local M = {}

--- What an enumeration takes. What only Python has use for is taken and has no effect.
M.signature = { list = "string", options = {
  name = "name", schema = "name", create_type = "boolean", native_enum = "boolean", create_constraint = "boolean",
  length = "integer", metadata = "any", values_callable = "any", validate_strings = "any", omit_aliases = "any",
  sort_key_function = "any",
} }

local function longest(labels)
  local length = 1
  for _, label in ipairs(labels) do length = math.max(length, utf8.len(label) or #label) end
  return length
end

-- Without a type of its own an Enum is text, and a CHECK where that is asked for.
local function as_text(given, labels)
  local quoted = {}
  for i, label in ipairs(labels) do quoted[i] = quote.literal(label) end
  return record.new { kind = "type", name = "VARCHAR", sql = ("VARCHAR(%d)"):format(given.length or longest(labels)),
    length = given.length or longest(labels), allowed = given.create_constraint and table.concat(quoted, ", ") or nil,
    constraint_name = given.name }
end

--- The CHECK that a column's type brings along: an Enum that is text may; else nil.
function M.check(column_name, type_)
  if not type_ or not type_.allowed then return nil end
  return { kind = "check", name = type_.constraint_name,
    condition = ("%s IN (%s)"):format(quote.ident(column_name), type_.allowed) }
end

local function maker(full, checkfirst)
  return function(...)
    local given = arguments.read(full, M.signature, ...)
    local labels = table.move(given, 1, #given, 1, {})
    if given.native_enum == false then return as_text(given, labels) end
    if not given.name then arguments.fail(full, "needs a name: { name = \"…\" } is the type's on PostgreSQL") end
    return record.new { kind = "type", name = "ENUM", type_name = given.name, schema = given.schema, labels = labels,
      sql = quote.qualified(given.schema, given.name), create_type = given.create_type, checkfirst = checkfirst }
  end
end

-- SQLAlchemy looks first for postgresql.ENUM, and for sa.Enum only when told to.
local function sender(name, kind)
  local signature = { { "bind", "connection" }, { "checkfirst", "boolean", optional = true } }
  return function(self, ...)
    if not self.labels then arguments.fail(name, "is of enumerations: %s is none", tostring(self)) end
    local given = arguments.read(name, signature, ...)
    local checkfirst = given.checkfirst
    if checkfirst == nil then checkfirst = self.checkfirst end
    connections.send(given.bind, { kind = kind, enum = self, checkfirst = checkfirst })
  end
end

record.method("type", "create", sender("create", "create_enum_type"))
record.method("type", "drop", sender("drop", "drop_enum_type"))

--- Adds sa.Enum, or postgresql.ENUM, to `into`; returns its name there.
function M.define(into, prefix)
  local name = prefix == "sa" and "Enum" or "ENUM"
  into[name] = maker(prefix .. "." .. name, prefix ~= "sa")
  return name
end

return M
