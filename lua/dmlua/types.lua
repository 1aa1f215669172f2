-- Types: each is a record {kind = "type", name, sql, affinity}, made by a call or written without "()". A row of the
-- table below is a type: its parameters in SQLAlchemy's order, and its SQL on PostgreSQL, as SQLAlchemy writes it.
-- Parameters that only matter to Python ("any") are taken and have no effect.

local arguments = require "dmlua.arguments"
local enum = require "dmlua.enum"
local quote = require "dmlua.quote"
local record = require "dmlua.record"

local M = {}

--- What each type takes, by module and name.
M.signatures = { sa = {}, postgresql = {} }

local function parameter(text)
  local name, kind = text:match("^([%w_]+):(%w+)$")
  return { name or text, kind or "any", optional = true }
end

-- Parameters that scripts read back from a type.
local told = { "length", "precision", "scale", "timezone", "collation", "none_as_null" }

-- A type: `sql` is text, or a function of the parameters that were given.
local function define(into, prefix, name, parameters, sql, affinity)
  local signature = {}
  M.signatures[prefix][name] = signature
  for i, text in ipairs(parameters) do signature[i] = parameter(text) end
  local render = type(sql) == "function" and sql or function() return sql end
  local function made(given)
    local fields = { kind = "type", name = name, sql = render(given), affinity = affinity }
    for _, field in ipairs(told) do fields[field] = given[field] end
    return fields
  end
  into[name] = record.callable(made({}), function(_, ...)
    return record.new(made(arguments.read(prefix .. "." .. name, signature, ...)))
  end)
end

local function sized(word)
  return function(given)
    local text = given.length and ("%s(%d)"):format(word, given.length) or word
    return given.collation and text .. " COLLATE " .. quote.ident(given.collation) or text
  end
end

local function numeric(word)
  return function(given)
    if not given.precision then return word end
    if not given.scale then return ("%s(%d)"):format(word, given.precision) end
    return ("%s(%d, %d)"):format(word, given.precision, given.scale)
  end
end

local function float(given)
  return given.precision and ("FLOAT(%d)"):format(given.precision) or "FLOAT"
end

local function timed(word)
  return function(given)
    local precision = given.precision and ("(%d)"):format(given.precision) or ""
    return ("%s%s %s TIME ZONE"):format(word, precision, given.timezone and "WITH" or "WITHOUT")
  end
end

local function interval(given)
  local fields = given.fields and " " .. given.fields:upper() or ""
  local precision = given.precision or given.second_precision
  return "INTERVAL" .. fields .. (precision and (" (%d)"):format(precision) or "")
end

local function bit(given)
  if given.varying then return given.length and ("BIT VARYING(%d)"):format(given.length) or "BIT VARYING" end
  return ("BIT(%d)"):format(given.length or 1)
end

local string_parameters = { "length:integer", "collation:name" }
local numeric_parameters = { "precision:integer", "scale:integer", "decimal_return_scale", "asdecimal" }
local float_parameters = { "precision:integer", "asdecimal", "decimal_return_scale" }
local zoned = { "timezone:boolean", "precision:integer" }

local generic = {
  { "String", string_parameters, sized("VARCHAR") },
  { "Unicode", string_parameters, sized("VARCHAR") },
  { "VARCHAR", string_parameters, sized("VARCHAR") },
  { "CHAR", string_parameters, sized("CHAR") },
  { "Text", string_parameters, sized("TEXT") },
  { "TEXT", string_parameters, sized("TEXT") },
  { "UnicodeText", string_parameters, sized("TEXT") },
  { "Integer", {}, "INTEGER", "integer" },
  { "INTEGER", {}, "INTEGER", "integer" },
  { "INT", {}, "INTEGER", "integer" },
  { "SmallInteger", {}, "SMALLINT", "smallint" },
  { "SMALLINT", {}, "SMALLINT", "smallint" },
  { "BigInteger", {}, "BIGINT", "bigint" },
  { "BIGINT", {}, "BIGINT", "bigint" },
  { "Boolean", { "create_constraint", "name" }, "BOOLEAN" },
  { "BOOLEAN", { "create_constraint", "name" }, "BOOLEAN" },
  { "Numeric", numeric_parameters, numeric("NUMERIC"), "numeric" },
  { "NUMERIC", numeric_parameters, numeric("NUMERIC"), "numeric" },
  { "Decimal", numeric_parameters, numeric("NUMERIC"), "numeric" }, -- the guide's name; SQLAlchemy has only DECIMAL
  { "DECIMAL", numeric_parameters, numeric("DECIMAL"), "numeric" },
  { "Float", float_parameters, float, "numeric" },
  { "FLOAT", float_parameters, float, "numeric" },
  { "REAL", float_parameters, "REAL", "numeric" },
  { "Double", float_parameters, "DOUBLE PRECISION", "numeric" },
  { "DOUBLE", float_parameters, "DOUBLE PRECISION", "numeric" },
  { "DOUBLE_PRECISION", float_parameters, "DOUBLE PRECISION", "numeric" },
  { "DateTime", zoned, timed("TIMESTAMP") },
  { "TIMESTAMP", zoned, timed("TIMESTAMP") },
  { "Time", zoned, timed("TIME") },
  { "TIME", zoned, timed("TIME") },
  { "Date", {}, "DATE" },
  { "DATE", {}, "DATE" },
  { "Interval", { "native", "second_precision:integer", "day_precision" }, interval },
  { "JSON", { "none_as_null:boolean" }, "JSON" },
  { "LargeBinary", { "length" }, "BYTEA" },
  { "UUID", { "as_uuid", "native_uuid" }, "UUID" },
  { "Uuid", { "as_uuid", "native_uuid" }, "UUID" },
}

local dialect = {
  { "BYTEA", { "length" }, "BYTEA" },
  { "BIT", { "length:integer", "varying:boolean" }, bit },
  { "INTERVAL", { "precision:integer", "fields:string" }, interval },
  { "JSON", { "none_as_null:boolean", "astext_type" }, "JSON" },
  { "JSONB", { "none_as_null:boolean", "astext_type" }, "JSONB" },
  { "UUID", { "as_uuid" }, "UUID" },
  { "HSTORE", { "text_type" }, "HSTORE" },
}
local plain_words = [[
  CIDR CITEXT INET MACADDR MACADDR8 MONEY OID REGCLASS REGCONFIG TSQUERY TSVECTOR
  INT4RANGE INT8RANGE NUMRANGE DATERANGE TSRANGE TSTZRANGE
  INT4MULTIRANGE INT8MULTIRANGE NUMMULTIRANGE DATEMULTIRANGE TSMULTIRANGE TSTZMULTIRANGE
]]
for word in plain_words:gmatch("%S+") do
  dialect[#dialect + 1] = { word, {}, word }
end
-- SQLAlchemy's dialect names the standard's types too.
local shared = { "CHAR", "VARCHAR", "TEXT", "INTEGER", "SMALLINT", "BIGINT", "BOOLEAN", "NUMERIC", "FLOAT", "REAL",
  "DOUBLE_PRECISION", "TIMESTAMP", "TIME", "DATE" }

local array_signature = { { "item_type", "type" }, { "as_tuple", "any", optional = true },
  { "dimensions", "integer", optional = true }, { "zero_indexes", "any", optional = true } }

local function define_array(into, prefix)
  M.signatures[prefix].ARRAY = array_signature
  function into.ARRAY(...)
    local given = arguments.read(prefix .. ".ARRAY", array_signature, ...)
    local element, collation = given.item_type.sql:match("^(.-)( COLLATE .*)$")
    local sql = (element or given.item_type.sql) .. ("[]"):rep(given.dimensions or 1) .. (collation or "")
    return record.new { kind = "type", name = "ARRAY", sql = sql, item_type = given.item_type,
      dimensions = given.dimensions }
  end
end

local function define_all(rows, into, prefix)
  for _, row in ipairs(rows) do define(into, prefix, row[1], row[2], row[3], row[4]) end
  define_array(into, prefix)
  M.signatures[prefix][enum.define(into, prefix)] = enum.signature
end

--- with_variant(type, "dialect"): on PostgreSQL a variant for it is the type; others are of no interest.
record.method("type", "with_variant", function(self, ...)
  local variant = { { "type", "type" }, list = "string" }
  local given = arguments.read("with_variant", variant, ...)
  for _, name in ipairs(given) do
    if name == "postgresql" then return given.type end
  end
  return self
end)

--- Adds SQLAlchemy's own types to `into`.
function M.generic(into)
  define_all(generic, into, "sa")
  --- A type that is written here as PostgreSQL reads it: sa.type("geometry(Point,4326)").
  function into.type(text)
    arguments.read("sa.type", { { "type", "name" } }, text)
    return record.new { kind = "type", name = text, sql = text }
  end
end

--- Adds the types of SQLAlchemy's PostgreSQL dialect.
function M.dialect(into, standard)
  define_all(dialect, into, "postgresql")
  for _, name in ipairs(shared) do
    into[name], M.signatures.postgresql[name] = standard[name], M.signatures.sa[name]
  end
end

return M
