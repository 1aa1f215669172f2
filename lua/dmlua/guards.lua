-- The tenant guards: `ensure_*` brings about what has to be so and says what it changed, `assert_*` only looks. Both
-- are statements of the step's own transaction (guards/blocks), sent like any other.

local arguments = require "dmlua.arguments"
local blocks = require "dmlua.guards.blocks"
local door = require "dmlua.door"
local errors = require "dmlua.errors"
local record = require "dmlua.record"
local target_of = require "dmlua.target"

local M = {}

-- What an earlier guard of DotMac gave a column that it had to add, and what the guide's tables have.
local DEFAULT_TYPE = "character varying(255)"

-- Columns of one index: a name, or several in a list.
local function column_lists(value)
  local expected = "a list of column names, or of lists of them"
  if not record.plain(value) then return nil, expected end
  local lists = {}
  for key, entry in pairs(value) do
    local list = type(entry) == "string" and { entry } or entry
    if math.type(key) ~= "integer" or not record.plain(list) then return nil, expected end
    for _, name in ipairs(list) do
      if type(name) ~= "string" then return nil, expected end
    end
    lists[key] = table.move(list, 1, #list, 1, {})
  end
  if #lists == 0 and next(lists) ~= nil then return nil, expected end
  return lists
end
arguments.kind("column_lists", column_lists)
arguments.kind("column_lists_or_all", function(value)
  if type(value) == "boolean" then return value end
  local lists, expected = column_lists(value)
  return lists, not lists and expected .. ", or true for all" or nil
end)

local function signature(options)
  options.schema, options.column = "name", "name"
  return { { "table_name", "name" }, options = options }
end

local signatures = {
  column = signature { type = "type", backfill = "expression", references = "name", online = "boolean",
    batch_size = "integer" },
  assert_column = signature { type = "type" },
  indexes = signature { unique = "column_lists_or_all" },
  ensure_indexes = signature { unique = "column_lists_or_all", online = "boolean" },
  isolation = signature {},
  enable = signature { strategy = "string" },
  setup = { options = { strategy = "string" } },
}
for _, name in ipairs { "indexes", "ensure_indexes" } do
  table.insert(signatures[name], { "additional_columns", "column_lists", optional = true })
end

local function check_strategy(name, strategy)
  if strategy == nil or strategy == "rls" then return end
  if strategy == "schema" then
    arguments.fail(name, "strategy 'schema' belongs to a service whose isolation is schema")
  end
  arguments.fail(name, "Unknown isolation strategy: %s%s", strategy, errors.suggestion(strategy, { "rls", "schema" }))
end

-- The indexes that a tenant's table needs: the tenant column, with created_at where there is such a column, with each
-- column that was named. The names are the guide's; what counts is the definition.
local function wanted_indexes(place, given)
  local wanted, seen, names = {}, {}, {}
  local function want(columns, suffix, more)
    local name = ("idx_%s_%s"):format(place.table, suffix)
    local index = { columns = { place.column, table.unpack(columns) }, name = name }
    for key, value in pairs(more or {}) do index[key] = value end
    local key = table.concat(index.columns, "\0")
    if seen[key] then return end
    if names[name] then index.name = nil end -- the server finds another
    wanted[#wanted + 1], seen[key], names[name] = index, true, true
  end
  local unique, plain = given.unique or {}, given.additional_columns or {}
  want({}, place.column)
  for _, columns in ipairs(unique) do want(columns, "tenant_" .. table.concat(columns, "_"), { is_unique = true }) end
  for _, columns in ipairs(plain) do want(columns, "tenant_" .. table.concat(columns, "_")) end
  want({ "created_at" }, "tenant_created", { optional = true })
  return wanted
end

-- table, column, {…}, as the guide's helper has it: as table, {column = …, …}.
local function with_column_named(...)
  local table_name, column, options = ...
  if type(column) ~= "string" or select("#", ...) > 3 or type(options or {}) ~= "table" then return ... end
  local all = { column = column }
  for key, value in pairs(options or {}) do all[key] = value end
  return table_name, all
end

--- The guards of one step.
function M.new(step)
  local bind, settings, guards = step.bind, step.bind.settings, {}

  local function send(sql)
    local file, line = errors.where()
    bind:send(sql, nil, file, line)
  end

  local function place_of(given)
    return {
      table = given.table_name, schema = given.schema, column = given.column or settings.tenant_column,
      given_column = given.column, columns = given.additional_columns or {}, unique = given.unique,
      setting = settings.tenant_setting, app_role = settings.app_role, default_type = DEFAULT_TYPE,
      type = given.type and given.type.sql or settings.tenant_type, check_column = settings.isolation == "rls",
    }
  end

  local function read(name, kind, ...)
    local given = arguments.read("guards." .. name, signatures[kind], ...)
    return place_of(given), given
  end

  local function read_indexes(name, kind, ...)
    local _, given = read(name, kind, ...)
    if given.unique == true then
      given.unique, given.additional_columns = given.additional_columns, nil
    elseif given.unique == false then
      given.unique = nil
    end
    return place_of(given), given
  end

  local function through_door(tables, sql)
    door.of(step).open(tables, function() send(sql) end)
  end

  local function key_of(reference)
    local key = {}
    key.schema, key.table, key.column = target_of("guards.ensure_tenant_column", reference)
    return key
  end

  --- ensure_tenant_column(table, {column, type, backfill, references, schema, online, batch_size}): the column is there
  --- and NOT NULL. Rows without a tenant are filled in by the SQL expression `backfill`, or refused. `references` is
  --- "table.column". `online`: in parts, without a lock over a scan.
  function guards.ensure_tenant_column(...)
    local place, given = read("ensure_tenant_column", "column", with_column_named(...))
    if given.online then
      return require("dmlua.guards.online").ensure_column(step, place, given,
        given.references and key_of(given.references), send)
    end
    if given.backfill then
      local expression = require("dmlua.ddl.expression").sql(given.backfill)
      send(blocks.add_column(place))
      through_door({ { place.table, schema = place.schema } }, blocks.fill_column(place, expression))
    end
    send(blocks.ensure_column(place, given.backfill))
    if given.references then
      local key = key_of(given.references)
      through_door({ { key.table, schema = key.schema }, { place.table, schema = place.schema } },
        blocks.refer_column(place, key))
    end
  end

  --- assert_tenant_column(table, {column, type, schema})
  function guards.assert_tenant_column(...)
    send(blocks.assert_column((read("assert_tenant_column", "assert_column", with_column_named(...)))))
  end

  --- ensure_tenant_indexes(table, {columns…}, {unique = {columns…}, schema, column, online}): `online` builds them
  --- concurrently, each outside of a transaction.
  function guards.ensure_tenant_indexes(...)
    local place, given = read_indexes("ensure_tenant_indexes", "ensure_indexes", ...)
    if given.online then
      return require("dmlua.guards.online").ensure_indexes(step, place, wanted_indexes(place, given), send)
    end
    send(blocks.ensure_indexes(place, wanted_indexes(place, given)))
  end

  --- assert_tenant_indexes: as ensure_tenant_indexes, but only looks.
  function guards.assert_tenant_indexes(...)
    local place, given = read_indexes("assert_tenant_indexes", "indexes", ...)
    send(blocks.assert_indexes(place, wanted_indexes(place, given)))
  end

  local function left_open()
    return settings.isolation == "none" and "isolation = none" or "skip_rls_setup"
  end

  --- ensure_tenant_isolation(table, {column, schema}): row security as the environment says, the tenant's policy, the
  --- application role's rights; and the audit trigger, where the environment asks for it.
  function guards.ensure_tenant_isolation(...)
    local place = read("ensure_tenant_isolation", "isolation", ...)
    send(settings.rls and blocks.ensure_isolation(place) or blocks.leave_open(place, left_open()))
    if settings.audit then
      guards.ensure_audit_trigger(place.table, { column = place.given_column, schema = place.schema })
    end
  end
  guards.validate_tenant_isolation = guards.ensure_tenant_isolation -- the guide's name

  --- assert_tenant_isolation: as ensure_tenant_isolation, but only looks.
  function guards.assert_tenant_isolation(...)
    local place = read("assert_tenant_isolation", "isolation", ...)
    send(settings.rls and blocks.assert_isolation(place) or blocks.leave_open(place, left_open()))
  end

  --- drop_tenant_isolation(table, {schema}): the way back of ensure_tenant_isolation.
  function guards.drop_tenant_isolation(...)
    send(blocks.drop_isolation((read("drop_tenant_isolation", "isolation", ...))))
  end

  --- setup_tenant_isolation({strategy}): what has to be so before any table: policies need no functions here, so it is
  --- the application role.
  function guards.setup_tenant_isolation(...)
    local name = "guards.setup_tenant_isolation"
    check_strategy(name, arguments.read(name, signatures.setup, ...).strategy)
    if settings.rls and settings.app_role then send(blocks.ensure_role(settings.app_role)) end
  end

  --- enable_tenant_isolation_on(table, {strategy, schema}): column, indexes and row security in one call.
  function guards.enable_tenant_isolation_on(...)
    local _, given = read("enable_tenant_isolation_on", "enable", ...)
    check_strategy("guards.enable_tenant_isolation_on", given.strategy)
    local options = { schema = given.schema, column = given.column }
    guards.ensure_tenant_column(given.table_name, options)
    guards.ensure_tenant_indexes(given.table_name, options)
    guards.ensure_tenant_isolation(given.table_name, options)
  end

  -- What few migrations call is loaded when one does.
  local function load()
    setmetatable(guards, nil)
    local tools = { send = send, through_door = through_door, place_of = place_of, default_type = DEFAULT_TYPE }
    for _, family in ipairs { "tables", "audit", "declare" } do
      require("dmlua.guards." .. family).add(guards, step, tools)
    end
    setmetatable(guards, { __index = function(_, name) require("dmlua.guards.former").tell(name) end })
  end
  return setmetatable(guards, {
    __index = function(_, name) load() return guards[name] end,
    __pairs = function() load() return pairs(guards) end,
  })
end

return M
