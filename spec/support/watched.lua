-- What the specs of the watch share: a database that is emptied, and services in it that are watched.

local assert = require "luassert"
local helper = require "spec.helper"

local M = {}

--- Over one database: empty(), project(upgrade, settings, later), upgrade(…) of the same, refused(result, table_name).
function M.new()
  local database = helper.database()
  local watched = { database = database }

  function watched.empty()
    helper.execute(database, [[DROP OWNED BY owner; DROP SCHEMA IF EXISTS s, public CASCADE; CREATE SCHEMA public;
      GRANT ALL ON SCHEMA public TO owner; GRANT USAGE ON SCHEMA public TO PUBLIC; GRANT CREATE ON DATABASE ]]
      .. database.name .. " TO owner; GRANT app TO owner")
  end

  function watched.project(upgrade, settings, later)
    local all = { environment = "production", isolation = "rls", app_role = "app" }
    for key, value in pairs(settings or {}) do all[key] = value end
    return helper.project { database = database, settings = all, versions = {
      { revision = "aaaa", upgrade = upgrade }, later and { revision = "bbbb", down = "aaaa", upgrade = later } } }
  end

  function watched.upgrade(...)
    return helper.dmlua("upgrade head", { cwd = watched.project(...) })
  end

  function watched.refused(result, table_name)
    assert.equal(3, result.code, result.err)
    assert.matches("TenantIsolationError: the step leaves tables neither tenant%-isolated nor declared global",
      result.err)
    assert.matches(table_name, result.err, 1, true)
  end

  return watched
end

return M
