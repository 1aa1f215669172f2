-- Tables: record → statements, in Alembic's order. Pure.

local column_ddl = require "dmlua.ddl.column"
local constraint_ddl = require "dmlua.ddl.constraint"
local enum_ddl = require "dmlua.ddl.enum_type"
local index_ddl = require "dmlua.ddl.index"
local null = require "dmlua.null"
local quote = require "dmlua.quote"

local M = {}

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

-- SQLAlchemy's order of a key that no constraint spells out: the column that is counted up, then the others.
local function counted_first(columns, names)
  for _, column in ipairs(columns) do
    if column.primary_key and column.autoincrement == true then
      for place, name in ipairs(names) do
        if name == column.name then table.insert(names, 1, table.remove(names, place)) end
      end
      return names
    end
  end
  return names
end

-- The table's primary key: a constraint, or the columns that say primary_key.
local function primary_key_of(record)
  local names = {}
  for _, column in ipairs(record.columns) do
    if column.primary_key then names[#names + 1] = column.name end
  end
  for _, constraint in ipairs(record.constraints) do
    if constraint.kind == "primary_key" then
      if #constraint.columns > 0 then return constraint, constraint.columns end
      local key = setmetatable({ columns = names }, { __index = constraint })
      return key, names
    end
  end
  names = counted_first(record.columns, names)
  return { kind = "primary_key", columns = names, name = record.primary_key_name }, names
end

-- Columns that a foreign key starts from: those are not counted up.
local function referring(record)
  local names = {}
  for _, constraint in ipairs(record.constraints) do
    if constraint.kind == "foreign_key" then
      for _, name in ipairs(constraint.local_cols) do names[name] = true end
    end
  end
  for _, column in ipairs(record.columns) do
    if #column.foreign_keys > 0 then names[column.name] = true end
  end
  return names
end

local function column_lines(record, key_columns, lines)
  local in_key, refers = set_of(key_columns), referring(record)
  for _, column in ipairs(record.columns) do
    local view = setmetatable({ refers = refers[column.name] }, { __index = column })
    if in_key[column.name] then view.nullable = false end
    local serial = in_key[column.name] and column_ddl.counts_up(view, #key_columns == 1)
    lines[#lines + 1] = column_ddl.definition(view, serial)
  end
end

local function own_lines(column, lines)
  if column.unique and not column.index then
    lines[#lines + 1] = constraint_ddl.unique { name = column.unique_name, columns = { column.name } }
  end
  for _, foreign_key in ipairs(column.foreign_keys) do
    if not foreign_key.use_alter then
      lines[#lines + 1] = constraint_ddl.foreign_key(column_ddl.foreign_key(column, foreign_key))
    end
  end
end

-- SQLAlchemy's order, by which the server chooses between two of one kind and names those without a name: the primary
-- key, the table's constraints as they were written, then what the columns bring along. A foreign key that says
-- use_alter stands in no CREATE TABLE: SQLAlchemy's create_all adds it when all tables are there, which Alembic's
-- create_table does not.
local function constraint_lines(record, key, lines)
  if #key.columns > 0 then lines[#lines + 1] = constraint_ddl.primary_key(key) end
  for _, constraint in ipairs(record.constraints) do
    local later = constraint.kind == "primary_key" or constraint.use_alter
    if not later then lines[#lines + 1] = constraint_ddl.sql(constraint) end
  end
  for _, column in ipairs(record.columns) do own_lines(column, lines) end
end

local function suffix(record)
  local parts = {}
  local inherits = record.postgresql_inherits
  if inherits then parts[#parts + 1] = "INHERITS (" .. quote.idents(inherits) .. ")" end
  if record.postgresql_partition_by then parts[#parts + 1] = "PARTITION BY " .. record.postgresql_partition_by end
  if record.postgresql_with_oids == false then parts[#parts + 1] = "WITHOUT OIDS" end
  if record.postgresql_on_commit then
    parts[#parts + 1] = "ON COMMIT " .. record.postgresql_on_commit:gsub("_", " ")
  end
  local tablespace = record.postgresql_tablespace
  if tablespace then parts[#parts + 1] = "TABLESPACE " .. quote.ident(tablespace) end
  return #parts > 0 and " " .. table.concat(parts, " ") or ""
end

local function create_statement(record)
  local key, key_columns = primary_key_of(record)
  local lines = {}
  column_lines(record, key_columns, lines)
  constraint_lines(record, key, lines)
  local words = { "CREATE" }
  for _, prefix in ipairs(record.prefixes or {}) do words[#words + 1] = prefix end
  words[#words + 1] = record.if_not_exists and "TABLE IF NOT EXISTS" or "TABLE"
  words[#words + 1] = quote.qualified(record.schema, record.table_name)
  return table.concat(words, " ") .. " (\n    " .. table.concat(lines, ",\n    ") .. "\n)" .. suffix(record)
end

--- The types of enumerations that its columns need, CREATE TABLE, then its indexes, then the comments.
function M.create_table(record)
  local statements = enum_ddl.needed(record.columns)
  statements[#statements + 1] = create_statement(record)
  for _, column in ipairs(record.columns) do
    if column.index then
      statements[#statements + 1] = index_ddl.create_index(column_ddl.index(column, record))[1]
    end
  end
  if record.comment then
    local name = quote.qualified(record.schema, record.table_name)
    statements[#statements + 1] = "COMMENT ON TABLE " .. name .. " IS " .. quote.literal(record.comment)
  end
  for _, column in ipairs(record.columns) do
    if column.comment then
      statements[#statements + 1] = column_ddl.comment(record.schema, record.table_name, column.name, column.comment)
    end
  end
  return statements
end

local function cascade(record)
  return record.cascade and " CASCADE" or ""
end

function M.drop_table(record)
  local words = record.if_exists and "DROP TABLE IF EXISTS " or "DROP TABLE "
  return { words .. quote.qualified(record.schema, record.table_name) .. cascade(record) }
end

local function alter(record)
  return "ALTER TABLE " .. quote.qualified(record.schema, record.table_name) .. " "
end

function M.rename_table(record)
  return { "ALTER TABLE " .. quote.qualified(record.schema, record.old_table_name) .. " RENAME TO "
    .. quote.ident(record.new_table_name) }
end

local function named(name)
  return name and " CONSTRAINT " .. quote.ident(name) or ""
end

-- What stands in ADD COLUMN comes about with the column, and not again where the column is there already.
local function inline_constraints(record)
  local column, text = record.column, ""
  if record.if_not_exists and column.unique and not column.index then text = named(column.unique_name) .. " UNIQUE" end
  if not record.inline_references and not record.if_not_exists then return text end
  for _, key in ipairs(column.foreign_keys) do
    text = text .. named(key.name) .. " " .. constraint_ddl.references(key)
  end
  return text
end

local function add_column_text(record)
  local column = record.column
  local view = setmetatable({ refers = #column.foreign_keys > 0 }, { __index = column })
  local serial = column.primary_key and column_ddl.counts_up(view, true)
  local text = "ADD COLUMN " .. (record.if_not_exists and "IF NOT EXISTS " or "") .. column_ddl.definition(view, serial)
  if record.inline_primary_key and column.primary_key then text = text .. " PRIMARY KEY" end
  return text .. inline_constraints(record)
end

--- ALTER TABLE … ADD COLUMN, then its constraints, its index, its comment.
function M.add_column(record)
  local column = record.column
  local statements = { alter(record) .. add_column_text(record) }
  if column.unique and not column.index and not record.if_not_exists then
    local unique = constraint_ddl.unique { name = column.unique_name, columns = { column.name } }
    statements[#statements + 1] = alter(record) .. "ADD " .. unique
  end
  local inline = record.inline_references or record.if_not_exists
  for _, key in ipairs(inline and {} or column.foreign_keys) do
    local constraint = column_ddl.foreign_key(column, key)
    statements[#statements + 1] = alter(record) .. "ADD " .. constraint_ddl.foreign_key(constraint)
  end
  if column.index then statements[#statements + 1] = index_ddl.create_index(column_ddl.index(column, record))[1] end
  if column.comment then
    statements[#statements + 1] = column_ddl.comment(record.schema, record.table_name, column.name, column.comment)
  end
  return statements
end

function M.drop_column(record)
  local words = record.if_exists and "DROP COLUMN IF EXISTS " or "DROP COLUMN "
  return { alter(record) .. words .. quote.ident(record.column_name) .. cascade(record) }
end

local function comment_on_table(record, text)
  return { "COMMENT ON TABLE " .. quote.qualified(record.schema, record.table_name) .. " IS " .. quote.value(text) }
end

function M.create_table_comment(record)
  return comment_on_table(record, record.comment)
end

function M.drop_table_comment(record)
  return comment_on_table(record, null)
end

--- ADD of a constraint that the record carries.
function M.add_constraint(record)
  return { alter(record) .. "ADD " .. constraint_ddl.sql(record.constraint) }
end

function M.drop_constraint(record)
  return { alter(record) .. "DROP CONSTRAINT " .. (record.if_exists and "IF EXISTS " or "")
    .. quote.ident(record.constraint_name) .. cascade(record) }
end

return M
