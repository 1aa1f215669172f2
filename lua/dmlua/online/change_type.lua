-- change_type_online: a column of the new type beside the old one, kept in step by a trigger, filled in batches, given
-- the old one's indexes and constraints, and put in its place.

local batches = require "dmlua.online.batches"
local block = require "dmlua.block"
local blocks = require "dmlua.online.blocks"
local expression = require "dmlua.ddl.expression"
local json = require "dmlua.json"
local null = require "dmlua.null"
local quote = require "dmlua.quote"
local sql = require "dmlua.online.change_type_sql"

local function given_value(value)
  return value ~= nil and value ~= null and value ~= "" and value or nil
end

-- The names of a change, and its SQL for the table.
local function new_change(given)
  local names = given.table_name .. "_" .. given.column_name
  local change = {
    column = given.column_name, new = quote.cut("dmlua_new_" .. given.column_name), table_name = given.table_name,
    -- triggers fire in the order of their names: this one behind all that may change the column
    trigger = quote.cut("zzzz_dmlua_" .. names), fn = quote.cut("dmlua_sync_" .. names),
    table = quote.qualified(given.schema, given.table_name), type = given.type_.sql,
  }
  local using = given.postgresql_using
  change.using = using and expression.sql(using) or quote.ident(given.column_name) .. "::" .. change.type
  return change
end

-- Column, function and trigger in one transaction: no write falls between them.
local function prepare_statements(change, given)
  local values = { table = quote.literal(change.table), column = quote.literal(change.column),
    new = quote.literal(change.new), trigger = quote.literal(change.trigger), ["function"] = quote.literal(change.fn),
    type = change.type:gsub("'", "''"):gsub("%%", "%%%%"), dependents = sql.dependents }
  local fn = quote.qualified(given.schema, change.fn) .. "()"
  local body = block.fill(sql.sync_function, { new = quote.ident(change.new), using = change.using,
    alias = quote.ident(change.table_name) })
  return {
    "LOCK TABLE " .. change.table .. " IN ACCESS EXCLUSIVE MODE",
    block.statement(sql.prepare, values),
    ("ALTER TABLE %s ADD COLUMN %s %s"):format(change.table, quote.ident(change.new), change.type),
    "CREATE OR REPLACE FUNCTION " .. fn .. " RETURNS trigger LANGUAGE plpgsql AS " .. quote.dollar(body),
    ("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s"):format(
      quote.ident(change.trigger), change.table, fn),
  }
end

-- Proof that the copy is whole; and a CHECK that is valid spares SET NOT NULL the scan.
local function check_statements(change, plan)
  local name = quote.ident(quote.cut("dmlua_whole_" .. change.column))
  local new = quote.ident(change.new)
  local condition = plan.not_null and new .. " IS NOT NULL"
    or ("(%s IS NULL) = ((%s) IS NULL)"):format(new, change.using)
  local statements = {
    blocks.gently(("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s) NOT VALID"):format(change.table, name, condition)),
    ("ALTER TABLE %s VALIDATE CONSTRAINT %s"):format(change.table, name),
  }
  if plan.not_null then
    statements[3] = blocks.gently(("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL"):format(change.table, new))
  end
  statements[#statements + 1] = blocks.gently(("ALTER TABLE %s DROP CONSTRAINT %s"):format(change.table, name))
  return statements
end

local function temporary(change, kind, place)
  return quote.cut(("dmlua_%s_%d_%s"):format(kind, place, change.table_name))
end

local function index_statements(change, plan)
  local statements = {}
  for i, index in ipairs(plan.indexes) do
    statements[i] = ("CREATE %sINDEX CONCURRENTLY %s ON %s%s"):format(index.unique and "UNIQUE " or "",
      quote.ident(temporary(change, "index", i)), change.table, index.definition)
  end
  return statements
end

local function constraint_statements(change, plan)
  local statements = {}
  for i, constraint in ipairs(plan.constraints) do
    local name = quote.ident(temporary(change, "constraint", i))
    statements[#statements + 1] = blocks.gently(("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID"):format(change.table,
      name, constraint.definition))
    if constraint.valid then
      statements[#statements + 1] = ("ALTER TABLE %s VALIDATE CONSTRAINT %s"):format(change.table, name)
    end
  end
  return statements
end

-- Foreign keys of other tables, or of this one, to the column: new ones beside them.
local function incoming_statements(change, plan)
  local statements = {}
  for i, key in ipairs(given_value(plan.incoming) or {}) do
    local child, name = quote.qualified(key.schema, key.table), quote.ident(temporary(change, "incoming", i))
    statements[#statements + 1] = blocks.gently(("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID"):format(child, name,
      key.definition))
    if key.valid then
      statements[#statements + 1] = ("ALTER TABLE %s VALIDATE CONSTRAINT %s"):format(child, name)
    end
  end
  return statements
end

-- A list of statements with the table's names at hand.
local function new_list(change, given)
  local list = { table = change.table, column = quote.ident(change.column) }
  function list.add(format, ...) list[#list + 1] = format:format(...) end
  function list.comment(what, text)
    if given_value(text) then list[#list + 1] = "COMMENT ON " .. what .. " IS " .. quote.literal(text) end
  end
  function list.beside(name) return quote.qualified(given.schema, name) end
  return list
end

local function swap_index(list, index, made)
  local name, constraint = quote.ident(index.name), given_value(index.constraint)
  list.add("ALTER INDEX %s RENAME TO %s", list.beside(made), name)
  if constraint then
    list.add("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s", list.table, quote.ident(constraint),
      index.type == "p" and "PRIMARY KEY" or "UNIQUE", name,
      index.deferrable and (index.deferred and " DEFERRABLE INITIALLY DEFERRED" or " DEFERRABLE") or "")
    list.comment("CONSTRAINT " .. quote.ident(constraint) .. " ON " .. list.table, index.constraint_comment)
  end
  list.comment("INDEX " .. list.beside(index.name), index.comment)
  if index.clustered then list.add("ALTER TABLE %s CLUSTER ON %s", list.table, name) end
end

local function grant_all(list, grants, what)
  for _, grant in ipairs(given_value(grants) or {}) do
    list.add("GRANT %s TO %s%s", what(grant.privilege), grant.grantee, grant.grantable and " WITH GRANT OPTION" or "")
  end
end

-- The sequence of an identity goes with its column: where it stands is remembered for the new one.
local function keep_identity(list, identity)
  if not identity then return end
  list.add("SELECT set_config('dmlua.identity', last_value || ' ' || is_called, true) FROM %s", identity.sequence)
end

local function swap_identity(list, identity)
  if not identity then return end
  list.add("ALTER TABLE %s ALTER COLUMN %s ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)", list.table, list.column,
    identity.generated, identity.sequence, identity.options)
  list.add("SELECT setval(%s, split_part(current_setting('dmlua.identity'), ' ', 1)::bigint,"
    .. " split_part(current_setting('dmlua.identity'), ' ', 2)::boolean)", quote.literal(identity.sequence))
  grant_all(list, identity.grants, function(privilege) return privilege .. " ON SEQUENCE " .. identity.sequence end)
  list.comment("SEQUENCE " .. identity.sequence, identity.comment)
end

local integers = { INTEGER = "integer", SMALLINT = "smallint", BIGINT = "bigint" }

local function swap_column(list, change, plan)
  local alter = ("ALTER TABLE %s ALTER COLUMN %s "):format(list.table, list.column)
  if given_value(plan.default) then list.add("%sSET DEFAULT %s", alter, plan.default) end
  local type = integers[change.type:upper()]
  for _, sequence in ipairs(given_value(plan.sequences) or {}) do
    list.add("ALTER SEQUENCE %s%s OWNED BY %s.%s", sequence, type and " AS " .. type or "", list.table, list.column)
  end
  if given_value(plan.statistics) then list.add("%sSET STATISTICS %d", alter, plan.statistics) end
  if given_value(plan.options) then list.add("%sSET (%s)", alter, plan.options) end
  swap_identity(list, given_value(plan.identity))
  grant_all(list, plan.grants, function(privilege)
    return privilege .. " (" .. list.column .. ") ON " .. list.table
  end)
  list.comment("COLUMN " .. list.table .. "." .. list.column, plan.comment)
end

-- The old column's place, name and all that hung on it, for the new one. One transaction, no scan.
local function swap_statements(change, plan, given)
  local list = new_list(change, given)
  list.add("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", list.table)
  list.add("%s", block.statement(sql.unchanged, { table = quote.literal(list.table),
    column = quote.literal(change.column), known = quote.value(plan.dependents), dependents = sql.dependents }))
  list.add("DROP TRIGGER %s ON %s", quote.ident(change.trigger), list.table)
  list.add("DROP FUNCTION %s()", list.beside(change.fn))
  for _, sequence in ipairs(given_value(plan.sequences) or {}) do
    list.add("ALTER SEQUENCE %s OWNED BY NONE", sequence)
  end
  keep_identity(list, given_value(plan.identity))
  for _, key in ipairs(given_value(plan.incoming) or {}) do
    list.add("ALTER TABLE %s DROP CONSTRAINT %s", quote.qualified(key.schema, key.table), quote.ident(key.name))
  end
  list.add("ALTER TABLE %s DROP COLUMN %s", list.table, list.column)
  list.add("ALTER TABLE %s RENAME COLUMN %s TO %s", list.table, quote.ident(change.new), list.column)
  for i, index in ipairs(plan.indexes) do swap_index(list, index, temporary(change, "index", i)) end
  for i, constraint in ipairs(plan.constraints) do
    local name = quote.ident(constraint.name)
    list.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", list.table,
      quote.ident(temporary(change, "constraint", i)), name)
    list.comment("CONSTRAINT " .. name .. " ON " .. list.table, constraint.comment)
  end
  for i, key in ipairs(given_value(plan.incoming) or {}) do
    local child, name = quote.qualified(key.schema, key.table), quote.ident(key.name)
    list.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", child, quote.ident(temporary(change, "incoming", i)), name)
    list.comment("CONSTRAINT " .. name .. " ON " .. child, key.comment)
  end
  swap_column(list, change, plan)
  return list
end

-- Many statements as one: one part.
local function together(statements)
  local lines = { "\nBEGIN" }
  for _, text in ipairs(statements) do lines[#lines + 1] = "  EXECUTE " .. quote.literal(text) .. ";" end
  lines[#lines + 1] = "END\n"
  return quote.block(table.concat(lines, "\n"))
end

--- Carries the change out through `parts` (see dmlua.online).
return function(given, parts, full, batch_size)
  local change = new_change(given)
  parts.send(blocks.sees_all({ change.table }, "op.alter_column"))
  local key = parts.key(change.table, full)
  parts.send(blocks.gently(together(prepare_statements(change, given))))
  local plan = json.decode(parts.query("SELECT current_setting('dmlua.change_type') AS plan")[1].plan)
  parts.cut()
  parts.batches(batches.statement { table_name = given.table_name, schema = given.schema, key = key,
    size = given.batch_size or batch_size, set = { { change.new, change.using } },
    where = quote.ident(given.table_name) .. "." .. quote.ident(change.new) .. " IS NULL" })
  parts.alone(check_statements(change, plan))
  parts.alone(index_statements(change, plan))
  parts.alone(constraint_statements(change, plan))
  parts.alone(incoming_statements(change, plan))
  parts.alone { blocks.gently(together(swap_statements(change, plan, given))) }
end
