-- sa.inspect(bind): the catalogue, with SQLAlchemy's names for what is found. Every call asks the server, behind all
-- that was sent before: what it tells is never older than the script's own DDL.

local arguments = require "dmlua.arguments"
local connections = require "dmlua.connections"
local json = require "dmlua.json"
local null = require "dmlua.null"
local queries = require "dmlua.inspect.queries"
local strict = require "dmlua.strict"
local types = require "dmlua.inspect.types"

local M = {}

-- NULL is nil in what is handed out, but in lists: there it keeps its place.
local function without_nulls(value)
  if type(value) ~= "table" then return value end
  for key, entry in pairs(value) do
    if entry == null and type(key) == "string" then value[key] = nil else without_nulls(entry) end
  end
  return setmetatable(value, nil)
end

local function decoded(text)
  return text and without_nulls(json.decode(text)) or {}
end

local of_table = { { "table_name", "name" }, { "schema", "name", optional = true } }
local of_schema = { { "schema", "name", optional = true } }

--- What a call of the inspector takes: its signature by its name.
M.signatures = {}

local methods = {}

-- Defines a method: `fn(connection, given)` answers.
local function method(name, signature, fn)
  M.signatures[name] = signature
  methods[name] = function(self, ...)
    if type(self) ~= "table" or not rawget(self, "bind") then
      arguments.fail("inspector." .. name, "is called with a colon: inspector:%s(…)", name)
    end
    return fn(self.bind, arguments.read("inspector:" .. name, signature, ...))
  end
end

local function ask(connection, query, given)
  local expression = query:gsub("%%", "%%%%")
  local rows = connections.query(connection, (queries.of_table:gsub("%%s", expression)),
    { given.table_name, given.schema or false })
  if #rows == 0 then
    local name = given.schema and given.schema .. "." .. given.table_name or given.table_name
    arguments.fail("inspector", "there is no table %s (NoSuchTableError)", name)
  end
  return decoded(rows[1].found)
end

local function asking(name, query)
  method(name, of_table, function(connection, given) return ask(connection, query, given) end)
end
asking("get_foreign_keys", queries.foreign_keys)
asking("get_indexes", queries.indexes)
asking("get_unique_constraints", queries.unique_constraints)
asking("get_check_constraints", queries.check_constraints)
asking("get_policies", queries.policies)
asking("get_table_comment", queries.table_comment)

method("get_columns", of_table, function(connection, given)
  local columns = ask(connection, queries.columns, given)
  for _, column in ipairs(columns) do
    column.type = types.read(column)
    column.labels, column.type_name, column.type_schema = nil, nil, nil
    if column.computed then column.computed = { sqltext = column.computed, persisted = true } end
    local default = column.default
    column.autoincrement = column.identity ~= nil or default ~= nil and default:find("^nextval%(") ~= nil
  end
  return columns
end)

method("get_pk_constraint", of_table, function(connection, given)
  local key = ask(connection, queries.primary_keys, given)[1]
  if not key then return { constrained_columns = {} } end
  return { name = key.name, constrained_columns = key.column_names, comment = key.comment }
end)

method("get_view_definition", of_table, function(connection, given)
  return ask(connection, queries.view_definition, given).text
end)

local function listing(name, query)
  method(name, of_schema, function(connection, given)
    local names = {}
    for i, row in ipairs(connections.query(connection, query, { given.schema or false })) do names[i] = row.name end
    return names
  end)
end
listing("get_table_names", queries.relations "'r', 'p'")
listing("get_foreign_table_names", queries.relations "'f'")
listing("get_view_names", queries.relations "'v'")
listing("get_materialized_view_names", queries.relations "'m'")
listing("get_sequence_names", queries.relations "'S'")

method("get_schema_names", {}, function(connection)
  local names = {}
  for i, row in ipairs(connections.query(connection, queries.schemas)) do names[i] = row.name end
  return names
end)

method("get_enums", of_schema, function(connection, given)
  local enums = {}
  for i, row in ipairs(connections.query(connection, queries.enums, { given.schema or false })) do
    enums[i] = decoded(row.found)
  end
  return enums
end)

local function asking_whether(name, kinds)
  local query, signature = queries.has_relation(kinds), { { name:match("^has_(.*)") .. "_name", "name" }, of_table[2] }
  method(name, signature, function(connection, given)
    return connections.query(connection, query, { given[signature[1][1]], given.schema or false })[1].found
  end)
end
asking_whether("has_table", "'r', 'p', 'v', 'm', 'f'")
asking_whether("has_sequence", "'S'")

method("has_schema", { { "schema_name", "name" } }, function(connection, given)
  local query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1::text) AS found"
  return connections.query(connection, query, { given.schema_name })[1].found
end)

-- Whether a table has a part of this name; a table that is not there has none.
local function having(part, reader)
  local name = part .. "_name"
  method("has_" .. part, { of_table[1], { name, "name" }, of_table[2] }, function(connection, given)
    local self = { bind = connection }
    if not methods.has_table(self, given.table_name, given.schema) then return false end
    for _, entry in ipairs(methods[reader](self, given.table_name, given.schema)) do
      if entry.name == given[name] then return true end
    end
    return false
  end)
end
having("column", "get_columns")
having("index", "get_indexes")
having("policy", "get_policies")

--- The inspector of a connection.
function M.new(connection)
  return strict.object("inspector", { bind = connection }, methods)
end

return M
