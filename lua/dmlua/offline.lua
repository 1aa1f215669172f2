-- Text instead of execution (--sql): the statements of a plan as a script for psql. Nothing is connected to. What must
-- read the database is refused at its line, unless the script asks context.is_offline_mode() first.

local csv = require "dmlua.csv"
local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local offline_loop = require "dmlua.offline_loop"
local quote = require "dmlua.quote"
local sql_text = require "dmlua.sql"
local sqltree = require "dmlua.sqltree"

local M = {}

local function refusal(what, hint)
  local file, line = errors.where()
  return errors.new { kind = "usage", message = what .. " needs the database, which --sql does not have",
    hint = hint or "ask context.is_offline_mode() and take another way, or run the step with `dmlua upgrade`",
    file = file, line = line }
end

local function refuse(what, hint) error(refusal(what, hint), 0) end

-- A parameter's text where its `$n` stood. The server reads an untyped literal as it reads an untyped parameter.
local function inlined(sql, params)
  if not params or #params == 0 then return sql end
  local pieces, from = {}, 1
  for _, place in ipairs(sqltree.parameters(sql)) do
    local value = params[place.index]
    if offline_loop.is_column(value) then refuse("a tenant's column outside its loop") end
    pieces[#pieces + 1] = sql:sub(from, place.start - 1)
    pieces[#pieces + 1] = value and quote.literal(value) or "NULL"
    from = place.finish + 1
  end
  pieces[#pieces + 1] = sql:sub(from)
  return table.concat(pieces)
end

-- With its semicolon, which a comment at the end must not swallow.
local function terminated(sql)
  local last = sql:match("^.*\n(.*)$") or sql -- tried once: a line may be very long
  return sql .. (last:find("--", 1, true) and "\n;\n" or ";\n")
end

-- May it change a setting? A function's own SET clause changes none, but putting settings back does no harm.
local function may_set(sql)
  local text = sql:lower()
  if text:find("set_config", 1, true) or text:find("search_path", 1, true) then return true end
  local statement = text:find("set", 1, true) and (sql_text.split(sql) or {})[1]
  local words = statement and statement.words or {}
  return (words[1] == "SET" or words[1] == "RESET") and words[2] ~= "LOCAL"
end

-- The version table is found by the path of the session, not by that of the step.
local keep_path = "\nBEGIN\n  PERFORM pg_catalog.set_config('dmlua.search_path',"
  .. " pg_catalog.current_setting('search_path'), true);\nEND\n"
local put_path_back = "\nBEGIN\n  PERFORM pg_catalog.set_config('search_path',"
  .. " pg_catalog.current_setting('dmlua.search_path'), true);\nEND\n"

local check_rows = [[

BEGIN
  IF (SELECT coalesce(string_agg(version_num, ', ' ORDER BY version_num COLLATE "C"), '') FROM {table}) <> {rows} THEN
    RAISE EXCEPTION USING MESSAGE = 'the database is not where this script begins', HINT = 'it begins at ' || {at};
  END IF;
END
]]

-- What is written, and whether a transaction is open in it.
local function new_writer(settings)
  local writer, pieces = { rows = {} }, {}

  function writer.write(text) pieces[#pieces + 1] = text end

  function writer.statement(sql) writer.write(terminated(sql)) end

  function writer.text() return table.concat(pieces) end

  -- A transaction begins where the first statement needs it, with the version table locked and compared.
  function writer.open()
    if writer.is_open then return end
    writer.is_open = true
    writer.write "BEGIN;\n"
    if writer.has_set then
      writer.statement(quote.block(keep_path))
      writer.write "SET LOCAL search_path TO DEFAULT;\n"
    end
    if writer.create_table then
      writer.statement(writer.create_table)
      writer.create_table = nil
    end
    table.sort(writer.rows)
    local rows = table.concat(writer.rows, ", ")
    writer.statement(("LOCK TABLE %s IN EXCLUSIVE MODE"):format(settings.version_table))
    writer.statement(require("dmlua.block").statement(check_rows, { table = settings.version_table,
      rows = quote.literal(rows), at = quote.literal(rows == "" and "base" or rows) }))
    writer.write "SET LOCAL row_security = off;\n"
    if writer.has_set then writer.statement(quote.block(put_path_back)) end
    writer.write "\n"
  end

  function writer.close()
    if writer.is_open then writer.write "COMMIT;\n\n" end
    writer.is_open = false
  end

  return writer
end

-- The table through which a script's vocabulary reaches this text (host/api/bind.c is its counterpart).
local function new_bind(writer, settings, step, file)
  local bind = { offline = true, revision = step.revision, direction = step.direction, file = file,
    settings = settings }
  local in_autocommit = false

  function bind:send(sql, params)
    if not self.loop and not in_autocommit then writer.open() end
    writer.has_set = writer.has_set or may_set(sql)
    if self.loop then return self.loop:send(sql, params) end
    writer.statement(inlined(sql, params))
  end

  -- What a script in a loop catches is refused all the same.
  local function refuse_here(what)
    local failure = refusal(what)
    if bind.loop then bind.loop.refused(failure) end
    error(failure, 0)
  end

  -- Each row is a statement that psql carries out by itself, outside of a transaction.
  function bind:run_rows(sql, params) -- luacheck: ignore self
    writer.close()
    writer.write(inlined(sql, params) .. "\n\\gexec\n\n")
  end

  function bind:copy(sql, _, _, _, _, data)
    if self.loop then refuse_here "op.copy_from inside tenants.each" end
    if not in_autocommit then writer.open() end
    local rows = csv.for_psql(data)
    writer.write(sql .. ";\n" .. rows .. (rows:find("\n$") and "" or "\n") .. "\\.\n")
  end

  function bind.query() refuse_here "reading rows" end

  --- What the directive of this name must read is not there.
  function bind.refuse(name) refuse_here(name) end

  function bind.tenants(_, options) refuse_here(options.needed_by) end

  function bind.elapsed() refuse_here "context.elapsed" end

  function bind:autocommit(fn)
    if self.loop then refuse_here "autocommit_block inside tenants.each" end
    writer.close()
    in_autocommit = true
    fn()
    in_autocommit = false
  end

  function bind:each(fn, options)
    if options.mode == "resumable" then refuse "a resumable tenants.each" end
    local loop = offline_loop.new(settings, options, refuse)
    self.loop = loop
    local text = loop.statement(fn)
    self.loop = nil
    writer.open()
    writer.statement(text)
  end

  function bind:log(level, text)
    if self.loop and self.loop.again then return end -- its callback is called again and again
    engine.log(level, "dmlua.script", text)
  end

  function bind.mark() end

  return bind
end

local function write_rows(writer, settings, step)
  local name, set = settings.version_table, {}
  for _, id in ipairs(writer.rows) do set[id] = true end
  local pairs_count = math.min(#step.deletes, #step.inserts)
  for i = 1, pairs_count do
    writer.statement(("UPDATE %s SET version_num = %s WHERE version_num = %s"):format(name,
      quote.literal(step.inserts[i]), quote.literal(step.deletes[i])))
  end
  for i = pairs_count + 1, #step.deletes do
    writer.statement(("DELETE FROM %s WHERE version_num = %s"):format(name, quote.literal(step.deletes[i])))
  end
  for i = pairs_count + 1, #step.inserts do
    writer.statement(("INSERT INTO %s (version_num) VALUES (%s)"):format(name, quote.literal(step.inserts[i])))
  end
  for _, id in ipairs(step.deletes) do set[id] = nil end
  for _, id in ipairs(step.inserts) do set[id] = true end
  writer.rows = {}
  for id in pairs(set) do writer.rows[#writer.rows + 1] = id end
end

local function write_step(writer, settings, tree, method, step)
  local script = tree:find(step.revision)
  local message = script and script.message ~= "" and ", " .. script.message or ""
  writer.write(("-- Running %s %s -> %s%s\n\n"):format(method == "stamp" and "stamp_revision" or method, step.from,
    step.to, message))
  if method ~= "stamp" then
    tree:run(step.revision, method, new_bind(writer, settings, step, script.path))
  end
  writer.open()
  if writer.has_set then writer.statement "RESET ALL" end -- as behind every step that runs
  writer.has_set = false
  write_rows(writer, settings, step)
  writer.close()
end

local function settings_of(config, x)
  local settings = { service = config:service(), environment = config:environment(), rls = config:rls(),
    isolation = config:get "isolation", x = x, schema = config:get "version_table_schema" }
  for _, key in ipairs { "tenant_column", "tenant_setting", "tenant_type", "app_role", "tenant_role", "tenants_query",
    "tenants_service", "naming_convention.ix", "naming_convention.uq", "naming_convention.ck", "naming_convention.fk",
    "naming_convention.pk" } do
    settings[key] = config:get(key)
  end
  settings.version_table = quote.qualified(settings.schema, config:get "version_table")
  return settings
end

-- Alembic's own table (reference: its runtime/migration.py).
local function create_version_table(config, settings)
  return ("CREATE TABLE %s (\n\tversion_num VARCHAR(32) NOT NULL,\n\tCONSTRAINT %s PRIMARY KEY (version_num)\n)")
    :format(settings.version_table, quote.ident(config:get "version_table" .. "_pkc"))
end

--- The script that makes the version table, or widens it.
function M.version_table(config, widen)
  local settings = settings_of(config)
  if widen then
    return ("ALTER TABLE %s ALTER COLUMN version_num TYPE VARCHAR(255);\n"):format(settings.version_table)
  end
  return create_version_table(config, settings) .. ";\n"
end

-- The rows that the script begins with: what stands before the colon.
local function starting_rows(graph, target)
  local start = target:match "^([^:]*):"
  if not start or start == "" or start == "base" then return {} end
  return graph:resolve(start)
end

--- The script for `method` ("upgrade", "downgrade", "stamp") to the targets, the last of which may be START:END. `x`:
--- what -x gave.
function M.text(config, tree, method, targets, x)
  local graph, settings = tree:graph(), settings_of(config, x)
  local plan = graph:plan(method, targets, {}, { sql = true })
  local writer = new_writer(settings)
  writer.rows = starting_rows(graph, targets[#targets])
  settings.begins = #writer.rows == 0
  if settings.begins and method ~= "downgrade" then writer.create_table = create_version_table(config, settings) end
  for _, step in ipairs(plan.steps) do
    if method ~= "stamp" then tree:check(step.revision, method) end
  end
  for _, step in ipairs(plan.steps) do write_step(writer, settings, tree, method, step) end
  return writer.text()
end

return M
