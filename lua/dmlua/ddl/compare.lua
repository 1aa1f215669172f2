-- "If not exists" for what PostgreSQL has none for: the server looks, and what is there must be what is wanted. The
-- wanted one is made under a probe's name in a subtransaction, its definition read as the server prints it, and undone.
-- Pure.

local block = require "dmlua.block"
local quote = require "dmlua.quote"

local M = {}

--- The name under which the wanted object is made for a moment.
M.PROBE = "dmlua_probe"

local template = [[

DECLARE
  target regclass := {table}::regclass;
  existing text := {definition};
  wanted text;
BEGIN
  IF existing IS NULL THEN
    EXECUTE {create};
    RETURN;
  END IF;
  BEGIN
    EXECUTE {probe};
    wanted := {probe_definition};
    RAISE EXCEPTION USING ERRCODE = 'ZD999';
  EXCEPTION WHEN SQLSTATE 'ZD999' THEN
    NULL;
  END;
  IF wanted IS DISTINCT FROM existing THEN
    RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
      MESSAGE = format('%s %s on %s is there already, and is another one', {what}, {name}, target),
      DETAIL = format('there: %s; wanted: %s', existing, wanted),
      HINT = 'Drop it first, or say { replace = true }.';
  END IF;
END
]]

--- The DO block. `what` is a word for people; `definition(name)` an SQL expression over the variable `target`, NULL
--- where there is none of that name (a literal); `create(name)` the statement that makes it.
function M.statement(what, table_name, name, definition, create)
  return block.statement(template, {
    what = quote.literal(what), table = quote.literal(table_name), name = quote.literal(name),
    definition = definition(quote.literal(name)), probe_definition = definition(quote.literal(M.PROBE)),
    create = quote.literal(create(name)), probe = quote.literal(create(M.PROBE)),
  })
end

return M
