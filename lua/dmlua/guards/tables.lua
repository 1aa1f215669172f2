-- Guards that make, extend and rename the tables of tenants, and tie them together.

local arguments = require "dmlua.arguments"
local audit = require "dmlua.guards.audit"
local record = require "dmlua.record"
local table_blocks = require "dmlua.guards.table_blocks"

local M = {}

local function with(options, more)
  for name, kind in pairs(more) do options[name] = kind end
  return options
end

local key_options = { name = "name", ondelete = "action", onupdate = "action", deferrable = "boolean",
  initially = "initially" }

local signatures = {
  foreign_key = {
    { "table_name", "name" }, { "referent_table", "name" }, { "local_cols", "one_or_more_names" },
    { "remote_cols", "one_or_more_names" },
    options = with({ schema = "name", referent_schema = "name", column = "name" }, key_options),
  },
  add = { { "table_name", "name" }, { "new_column", "column" }, options = { schema = "name", column = "name" } },
  rename = { { "table_name", "name" }, { "new_name", "name" }, options = { schema = "name" } },
}

local function check_columns(name, given)
  if #given.local_cols ~= #given.remote_cols then
    arguments.fail(name, "local_cols has %d columns, remote_cols %d", #given.local_cols, #given.remote_cols)
  end
end

-- A column as it was given, without what the guards bring about in the tenant's way.
local function bare(column)
  local copy = record.copy(column)
  copy.index, copy.unique, copy.foreign_keys = nil, nil, {}
  return copy
end

-- Whether the tenant column is among the elements of a table.
local function has_column(elements, name)
  for _, element in ipairs(elements) do
    if record.kind(element) == "column" and element.name == name then return true end
  end
  return false
end

local function contains(list, name)
  for _, entry in ipairs(list) do
    if entry == name then return true end
  end
  return false
end

-- Indexes and keys that a column of a tenant's table asks for: they begin with the tenant column.
local function wishes_of(columns)
  local plain, unique, keys = {}, {}, {}
  for _, column in ipairs(columns) do
    if column.unique then unique[#unique + 1] = column.name end
    if column.index and not column.unique then plain[#plain + 1] = column.name end
    for _, key in ipairs(column.foreign_keys or {}) do
      keys[#keys + 1] = { here = { column.name }, there = { key.remote }, key = key }
    end
  end
  return plain, unique, keys
end

-- The elements of `list`, and what came behind it.
local function unfold(list, ...)
  local all = table.move(list, 1, #list, 1, {})
  return table.unpack(table.move({ ... }, 1, select("#", ...), #all + 1, all))
end

-- table, name, type, {…}, where the options are the column's and the guard's: as table, sa.Column, options.
local function with_column(table_name, name, ...)
  local list, place = { ... }, {}
  local options = record.plain(list[#list]) and table.remove(list) or {}
  local rest = {}
  for key, value in pairs(options) do
    local of = (key == "schema" or key == "column") and place or rest
    of[key] = value
  end
  list[#list + 1] = rest
  return table_name, require("dmlua.sa").Column(name, table.unpack(list)), place
end

--- Adds this family's guards to `guards`; `tools` are guards.lua's.
function M.add(guards, step, tools)
  local settings = step.bind.settings

  local function refer(given)
    tools.through_door({ { given.referent_table, schema = given.referent_schema },
      { given.table_name, schema = given.schema } }, table_blocks.refer(tools.place_of(given), given))
  end

  --- ensure_tenant_foreign_key(table, referent_table, local_cols, remote_cols, {name, ondelete, …}): the foreign key
  --- (tenant, local_cols…) to (tenant, remote_cols…) is there and valid, with the unique index that it needs.
  function guards.ensure_tenant_foreign_key(...)
    local name = "guards.ensure_tenant_foreign_key"
    local given = arguments.read(name, signatures.foreign_key, ...)
    check_columns(name, given)
    refer(given)
  end

  local function ensure_keys(table_name, schema, column, keys)
    for _, wish in ipairs(keys) do
      local key = wish.key
      local given = { table_name = table_name, schema = schema, column = column, referent_table = key.referent,
        referent_schema = key.referent_schema, local_cols = wish.here, remote_cols = wish.there, name = key.name,
        ondelete = key.ondelete, onupdate = key.onupdate, deferrable = key.deferrable, initially = key.initially,
        may_be_plain = true }
      refer(given)
    end
  end

  -- An element of create_table as it is in a tenant's table, or nil where it becomes a wish.
  local function confined(element, column, columns, keys)
    local kind = record.kind(element)
    if kind == "column" and element.name ~= column then
      columns[#columns + 1] = element
      return bare(element)
    elseif kind == "unique" and not contains(element.columns, column) then
      local copy = record.copy(element)
      copy.columns = { column, table.unpack(element.columns) }
      return copy
    elseif kind == "foreign_key" and not contains(element.local_cols, column) then
      keys[#keys + 1] = { here = element.local_cols, there = element.remote_cols, key = element }
      return nil
    end
    return element
  end

  -- The elements of create_table in their order, the tenant column behind the first unless it is there, columns bare;
  -- the columns, and the foreign keys of several.
  local function completed(elements, options)
    local column, list, columns, keys = options.column or settings.tenant_column, {}, {}, {}
    local missing = not has_column(elements, column)
    for _, element in ipairs(elements) do
      list[#list + 1] = confined(element, column, columns, keys)
      if missing and record.kind(element) == "column" then
        local sql = options.type and options.type.sql or settings.tenant_type or tools.default_type
        list[#list + 1] = record.new { kind = "column", name = column, nullable = false, foreign_keys = {}, checks = {},
          type = record.new { kind = "type", sql = sql } }
        missing = false
      end
    end
    return list, columns, keys
  end

  --- create_tenant_aware_table(table, elements…, {column, type, options of op.create_table}): op.create_table with the
  --- tenant column, which indexes, unique columns and foreign keys of the columns then begin with; isolated. The
  --- elements may be one list, as in the guide's helper.
  function guards.create_tenant_aware_table(...)
    local name, _, elements_given = "guards.create_tenant_aware_table", ...
    if record.plain(elements_given) and record.kind(elements_given[1]) then
      return guards.create_tenant_aware_table((...), unfold(elements_given, select(3, ...)))
    end
    local create = require("dmlua.signatures").create_table
    local given = arguments.read(name, { create[1], list = create.list,
      options = with({ column = "name", type = "type" }, create.options) }, ...)
    if given.tenant then arguments.fail(name, "is for tables of tenants: it takes no option 'tenant'") end
    local elements, columns, more = completed(given, given)
    local options = {}
    for key in pairs(create.options) do options[key] = given[key] end
    elements[#elements + 1] = options
    step.op.create_table(given.table_name, table.unpack(elements))
    local plain, unique, keys = wishes_of(columns)
    local place = { schema = given.schema, column = given.column }
    guards.ensure_tenant_column(given.table_name, with({ type = given.type }, place))
    guards.ensure_tenant_indexes(given.table_name, plain, with({ unique = unique }, place))
    guards.ensure_tenant_isolation(given.table_name, place)
    ensure_keys(given.table_name, given.schema, given.column, table.move(more, 1, #more, #keys + 1, keys))
  end

  --- add_tenant_aware_column(table, column, {schema, column}): op.add_column to an isolated table; what the column asks
  --- for, index, unique, foreign keys, begins with the tenant column. The column may be a name, a type and options, as
  --- in the guide's helper.
  function guards.add_tenant_aware_column(...)
    if type((select(2, ...))) == "string" then return guards.add_tenant_aware_column(with_column(...)) end
    local given = arguments.read("guards.add_tenant_aware_column", signatures.add, ...)
    local place = { schema = given.schema, column = given.column }
    local plain, unique, keys = wishes_of { given.new_column }
    guards.assert_tenant_isolation(given.table_name, place)
    step.op.add_column(given.table_name, bare(given.new_column), { schema = given.schema })
    if #plain + #unique > 0 then
      guards.ensure_tenant_indexes(given.table_name, plain, with({ unique = unique }, place))
    end
    ensure_keys(given.table_name, given.schema, given.column, keys)
  end

  --- rename_tenant_aware_table(table, new_name, {schema}): the table with its policy, indexes, constraints, sequences.
  function guards.rename_tenant_aware_table(...)
    local given = arguments.read("guards.rename_tenant_aware_table", signatures.rename, ...)
    local place = tools.place_of(given)
    local renamed = setmetatable({ table = given.new_name }, { __index = place })
    tools.send(table_blocks.rename(place, given.new_name))
    local move_audit = audit.rename(place, renamed, settings)
    if move_audit then tools.send(move_audit) end
    guards.assert_tenant_isolation(given.new_name, { schema = given.schema })
  end
end

return M
