-- ensure_version: makes the version table, and lets it hold longer identifiers than Alembic's.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local moving = require "dmlua.moving"
local output = require "dmlua.output"

local function arguments(parser)
  parser:flag "--widen":description "let it hold identifiers of 255 characters; Alembic's holds 32"
  moving.lock_arguments(parser)
  moving.sql_arguments(parser)
end

local function describe(table)
  local done = table.made and "made" or table.widened and "widened" or "there already"
  local width = table.width and ("identifiers of at most %d characters"):format(table.width) or "any identifier"
  return ("version table %s: %s, holds %s"):format(table.table, done, width)
end

local function run(context)
  local options = context.options
  if options.sql then
    return moving.write_sql(context, require("dmlua.offline").version_table(context.config(), options.widen))
  end
  if options.lock_wait and options.no_wait then errors.usage "--lock-wait and --no-wait exclude each other" end
  context.announce()
  local table = context.session():ensure_version {
    widen = options.widen, lock_wait = options.lock_wait, no_wait = options.no_wait,
  }
  if options.json then
    output.json(output.object("table", table.table, "made", table.made, "widened", table.widened, "width", table.width))
  else
    engine.log("info", "dmlua", describe(table))
  end
  return 0
end

return {
  name = "ensure_version",
  summary = "make the version table; --widen it for long identifiers",
  arguments = arguments,
  run = run,
}
