-- What the specs of guards share: a schema that is emptied, a migrator who is a plain owner, the application's role.

local assert = require "luassert"
local helper = require "spec.helper"
local step = require "spec.step"

local M = {}

--- The fields: database, owner and app (connections), settings and bind of the spec that runs.
function M.new()
  local world = {}

  function world.open()
    world.database = helper.database()
    world.owner = helper.connect(world.database.owner)
    world.app = helper.connect(world.database.app)
    return world.owner, world.app, world.database
  end

  function world.reset()
    local owner = world.owner
    world.settings = { app_role = "app" }
    world.bind = step.runner(owner, world.settings)
    owner:exec "RESET search_path"
    owner:exec "DROP SCHEMA IF EXISTS evil, public CASCADE"
    owner:exec "CREATE SCHEMA public"
    owner:exec "GRANT USAGE ON SCHEMA public TO PUBLIC"
    owner:exec "SET row_security = off"
    owner:notices()
  end

  function world.run(script)
    step.run(world.bind, script)
  end

  --- What the guards said they changed.
  function world.changes()
    local texts = {}
    for i, notice in ipairs(world.owner:notices()) do texts[i] = notice.message end
    return texts
  end

  function world.refusal(script)
    local ok, message = pcall(step.run, world.bind, script)
    assert.is_false(ok, "nothing was refused")
    return message
  end

  --- The table t, isolated, with a tenant column of this type.
  function world.isolated(type_name)
    world.owner:exec(("CREATE TABLE t (id serial PRIMARY KEY, tenant_id %s NOT NULL, email text)"):format(type_name))
    world.run [[guards.ensure_tenant_isolation("t")]]
  end

  function world.policy()
    return world.owner:exec([[SELECT polname, polpermissive, polcmd, polroles::text AS roles,
      pg_get_expr(polqual, polrelid) AS seen, pg_get_expr(polwithcheck, polrelid) AS written
      FROM pg_policy WHERE polrelid = 't'::regclass]]).rows
  end

  function world.as_tenant(id)
    world.app:exec("SELECT set_config('app.current_tenant_id', $1, false)", { id })
  end

  return world
end

return M
