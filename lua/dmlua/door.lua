-- The one door to every tenant's rows (op.across_tenants). Which way it opens is decided on the server, in the step's
-- own transaction: a superuser or BYPASSRLS role needs nothing; for the owner FORCE is taken off and put back,
-- asserted; anyone else is refused. It costs no round trip.

local arguments = require "dmlua.arguments"
local block = require "dmlua.block"
local errors = require "dmlua.errors"
local guard = require "dmlua.guard"
local quote = require "dmlua.quote"
local record = require "dmlua.record"

local M = {}

-- Pending events of deferred constraints would make ALTER TABLE impossible (55006), so they are checked first.
local opening = [[

DECLARE
  found record;
  unforced oid[] := '{}';
BEGIN
  FOR found IN EXECUTE {probe} USING {tables} LOOP
    IF NOT found.owned THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD006',
        MESSAGE = format('TenantIsolationError: role %s may not see all rows of %s', current_user, found.name),
        DETAIL = json_build_object('table', found.name, 'checks', ARRAY['across_tenants'])::text,
        HINT = format('Run migrations as the owner of %s (GRANT %I TO %I) or with a role that has BYPASSRLS.',
          found.name, found.owner, current_user);
    END IF;
    IF found.forced THEN
      SET CONSTRAINTS ALL IMMEDIATE;
      EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', found.id::regclass);
      unforced := unforced || found.id;
    END IF;
  END LOOP;
  PERFORM set_config({setting}, unforced::text, true);
  -- how many are open: the engine commits nothing while one is, however the script left it
  PERFORM set_config('dmlua.doors',
    (coalesce(nullif(current_setting('dmlua.doors', true), ''), '0')::int + 1)::text, true);
END
]]

local closing = [[

DECLARE
  remembered text := current_setting({setting}, true);
  id oid;
BEGIN
  IF coalesce(remembered, '') = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'ZD007',
      MESSAGE = 'TenantIsolationError: what op.across_tenants had to put back was forgotten',
      DETAIL = json_build_object('table', {names}, 'checks', ARRAY['across_tenants'])::text,
      HINT = 'Do not RESET or DISCARD settings inside op.across_tenants.';
  END IF;
  FOREACH id IN ARRAY remembered::oid[] LOOP
    CONTINUE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = id);
    SET CONSTRAINTS ALL IMMEDIATE;
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', id::regclass);
    IF NOT (SELECT relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = id) THEN
      RAISE EXCEPTION USING ERRCODE = 'ZD007',
        MESSAGE = format('TenantIsolationError: row security of %s is not forced again', id::regclass),
        DETAIL = json_build_object('table', id::regclass::text, 'checks', ARRAY['across_tenants'])::text,
        HINT = format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', id::regclass);
    END IF;
  END LOOP;
  PERFORM set_config({setting}, '', true);
  PERFORM set_config('dmlua.doors', (current_setting('dmlua.doors')::int - 1)::text, true);
END
]]

local function table_texts(tables)
  local texts = {}
  for i, entry in ipairs(tables) do texts[i] = quote.qualified(entry.schema, entry[1]) end
  return texts
end

-- A name, or { name, schema = … }.
local function read_table(entry)
  if type(entry) == "string" then return { entry } end
  if not record.plain(entry) then return nil end
  local options = {}
  for key, value in pairs(entry) do
    if key ~= 1 then options[key] = value end
  end
  local given = arguments.read("op.across_tenants", { { "table", "name" }, options = { schema = "name" } }, entry[1],
    options)
  return { given.table, schema = given.schema }
end

arguments.kind("tables", function(value)
  local expected = "a list of tables, each a name or { name, schema = … }"
  if not record.plain(value) or #value == 0 then return nil, expected end
  local tables = {}
  for key, entry in pairs(value) do
    tables[key] = math.type(key) == "integer" and read_table(entry) or nil
    if not tables[key] then return nil, expected end
  end
  return tables
end)

--- The doors of one step: always the same object, which counts them and knows their tables.
function M.of(step)
  if step.doors then return step.doors end
  local bind, doors, seen, count = step.bind, {}, {}, 0
  step.doors = doors

  local function mark(texts)
    for _, text in ipairs(texts) do
      if not seen[text] then
        seen[text], seen[#seen + 1] = true, text
      end
    end
    bind:mark("across_tenants", table.concat(seen, ", "))
  end

  --- Runs `fn` between two statements, the first of which shows the migrator the rows of all tenants of these tables.
  --- When `fn` raises, the transaction is lost, and the door with it. `found`: SQL for their names, an array of text,
  --- where only the server knows them all.
  function doors.open(tables, fn, found)
    if step.in_autocommit then
      arguments.fail("op.across_tenants", "needs a transaction: it cannot stand inside an autocommit_block")
    end
    if step.tenant or step.bind.fix then
      arguments.fail("op.across_tenants",
        "cannot stand inside tenants.each or run(tenant), where only one tenant's rows are seen")
    end
    local file, line = errors.where()
    local texts = table_texts(tables)
    count = count + 1
    local setting = quote.literal("dmlua.door_" .. count)
    local values = { probe = quote.dollar(guard.sql.door), tables = found or quote.literals(texts), setting = setting,
      names = quote.literal(table.concat(texts, ", ")) }
    bind:send(block.statement(opening, values), nil, file, line)
    mark(texts)
    step.open_doors = (step.open_doors or 0) + 1
    fn()
    step.open_doors = step.open_doors - 1
    bind:send(block.statement(closing, values), nil, file, line)
  end

  --- SQL: was row security of the table `id` (SQL, an oid) forced before a door that is open took that off?
  function doors.was_forced(id)
    return ("((SELECT relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = %s) OR EXISTS (SELECT"
      .. " FROM generate_series(1, %d) AS d WHERE %s::oid = ANY (coalesce(nullif(current_setting('dmlua.door_' || d,"
      .. " true), ''), '{}')::oid[])))"):format(id, count, id)
  end

  --- across_tenants({tables}, fn)
  function doors.across_tenants(...)
    local given = arguments.read("op.across_tenants", { { "tables", "tables" }, { "fn", "function" } }, ...)
    doors.open(given.tables, given.fn)
  end

  return doors
end

return M
