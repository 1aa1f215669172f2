-- What the server is doing with a spec's database: waiting for it without guessing times.

local helper = require "spec.helper"

local M = {}

local function count(database, condition)
  return tonumber(helper.value(database, "SELECT count(*) FROM pg_stat_activity"
    .. " WHERE datname = current_database() AND pid <> pg_backend_pid() AND " .. condition))
end

--- Waits until a statement like `pattern` (of LIKE) runs.
function M.runs(database, pattern)
  helper.eventually(function()
    return count(database, ("state = 'active' AND query LIKE '%s'"):format(pattern)) == 1
  end)
end

--- Waits until somebody waits for an advisory lock.
function M.waits_for_advisory_lock(database)
  helper.eventually(function() return count(database, "wait_event = 'advisory'") == 1 end)
end

--- Waits until nobody is connected as `role`: the server has noticed a client that was killed.
function M.is_gone(database, role)
  helper.eventually(function() return count(database, ("usename = '%s'"):format(role)) == 0 end)
end

return M
