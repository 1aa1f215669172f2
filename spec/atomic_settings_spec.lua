-- What callbacks of an atomic loop set: one transaction for all tenants, and each begins with the step's settings.

local helper = require "spec.helper"
local tenant_loop = require "spec.support.tenant_loop"

local look = [[
  local row = op.get_bind():execute("SELECT current_setting('search_path') AS path,"
    .. " current_setting('statement_timeout') AS timeout, current_setting('lock_timeout') AS lock,"
    .. " current_setting('app.step') AS step, current_setting('app.mine', true) AS mine,"
    .. " current_setting('TimeZone') AS zone"):fetchone()
  local found = table.concat({ row.path, row.timeout, row.lock, row.step, row.mine or "", row.zone }, "; ")
  assert(found == '"$user", public; 77s; 55s; step\'s; ; UTC', found)
]]

local prepare = [[
  op.execute("SET statement_timeout = '77s'")
  op.execute("SET LOCAL lock_timeout = '55s'; SET TIME ZONE 'UTC'")
  op.execute("SELECT set_config('app.step', :v, false)", { v = "step's" })
]]

local function upgraded(upgrade, tenants)
  local db, folder = tenant_loop.project { tenants = tenants, upgrade = upgrade }
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.are.equal("", result.code == 0 and "" or result.err)
  return db
end

describe("an atomic loop's callback that sets something", function()
  it("leaves neither the next tenant nor what stands behind the loop anything of it", function()
    local db = upgraded(prepare .. "tenants.each(function(tenant)" .. look .. [[
      op.execute("UPDATE customers SET visits = visits + 1")
      local number = tonumber(tenant.id:match "%d+") % 5
      if number == 0 then op.execute("SET search_path TO pg_catalog; SET statement_timeout = 0") end
      if number == 1 then op.get_bind():execute("SELECT set_config(:n, 'x', true)", { n = "app.mine" }) end
      if number == 2 then op.execute("SET LOCAL \"app\".step = 'lost'; SET TIME ZONE 'Asia/Tokyo'") end
      if number == 3 then op.execute("/* SET LOCAL */ set SESSION lock_timeout TO 1; RESET statement_timeout") end
      if number == 4 then
        op.execute("SELECT pg_catalog.set_config ('app.mine', 'y', false), set_config('app.step', '', true)")
      end
    end)]] .. look, 11)
    assert.are.equal("1:11", tenant_loop.visits(db))
  end)

  it("keeps it to its own end, and to that of tenants.with", function()
    upgraded(prepare .. [[
      tenants.with("t001", function()
        op.execute("SET app.mine = 'a'; SET app.mine = 'b'")
        assert(op.get_bind():execute("SHOW app.mine"):scalar() == "b")
      end)]] .. look, 1)
  end)

  it("is still refused when it leaves the tenant's context or role", function()
    for _, set in ipairs { "SET app.current_tenant_id = 't002'", "SET row_security = off", "RESET ALL" } do
      local _, folder = tenant_loop.project { tenants = 2,
        upgrade = ("tenants.each(function() op.execute(%q) end)"):format(set) }
      local result = helper.dmlua("upgrade head", { cwd = folder })
      assert.are.equal(3, result.code, set .. ": " .. result.err)
      tenant_loop.says(result, "has changed the tenant context or the role")
    end
  end)
end)
