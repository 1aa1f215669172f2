-- history: the migrations, newest first.

local errors = require "dmlua.errors"
local listing = require "dmlua.listing"
local revision_lines = require "dmlua.revision_lines"

local function count(text)
  local value = math.tointeger(tonumber(text))
  if value and value > 0 then return value end
  return nil, ("-n takes a number above 0, not '%s'"):format(text)
end

local function arguments(parser)
  parser:option "-r --rev-range":argname "[A]:[B]"
    :description "from A to B; either may be empty, current, or relative: -3: or :+2"
  parser:flag "-i --indicate-current":description "mark the revisions that the database is at"
  parser:flag "--reverse":description "oldest first"
  parser:option "-n --limit":argname "N":convert(count):description "at most so many"
end

local function reversed(list)
  local other = {}
  for i = #list, 1, -1 do other[#other + 1] = list[i] end
  return other
end

-- Only these ask the database: -N and +N count from the other end of the range.
local function needs_rows(options)
  return options.indicate_current or (options.rev_range or ""):find("current", 1, true)
end

local function run(context)
  local options = context.options
  local range = options.rev_range
  if range and not range:find(":", 1, true) then
    errors.usage "History range requires [start]:[end], [start]:, or :[end]"
  end
  local rows = needs_rows(options) and context.session():current().rows or nil
  local ids = context.tree():graph():history(range, rows)
  if options.reverse then ids = reversed(ids) end
  if options.limit then ids = table.move(ids, 1, options.limit, 1, {}) end
  return listing.write(context, ids, revision_lines.history, "history",
    options.indicate_current and listing.set(rows) or nil)
end

return { name = "history", summary = "list the migrations, newest first", arguments = arguments, run = run }
