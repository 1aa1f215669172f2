-- The guide's key enable_audit_triggers: with it a table that is isolated is audited, too.

local helper = require "spec.helper"

local create = [[
  op.create_table("orders", sa.Column("id", sa.Integer(), { primary_key = true }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }), sa.Column("n", sa.Integer()))
  guards.ensure_tenant_indexes("orders")
  guards.validate_tenant_isolation("orders")]]

local function upgraded(ini, settings)
  local db = helper.database()
  settings.app_role = "app"
  local folder = helper.project { database = db, settings = settings, ini = ini,
    versions = { { revision = "a1", upgrade = create, downgrade = 'op.drop_table("orders")' },
      { revision = "a2", down = "a1", upgrade = 'guards.ensure_tenant_isolation("orders")' } } }
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.equal("", result.code == 0 and "" or result.err)
  return db, folder
end

describe("enable_audit_triggers", function()
  it("gives each table that is isolated its audit table, which is isolated like it", function()
    local db = upgraded("[production]\nenable_audit_triggers = true\n", { environment = "production" })
    local app = helper.connect(db.app)
    app:exec("SELECT set_config('app.current_tenant_id', 'acme', false)")
    app:exec("INSERT INTO orders VALUES (1, 'acme', 1)")
    app:exec("UPDATE orders SET n = 2")
    assert.same({ "INSERT", "UPDATE" }, { app:exec("SELECT action FROM orders_audit ORDER BY id").rows[1][1],
      app:exec("SELECT action FROM orders_audit ORDER BY id").rows[2][1] })
    app:exec("SELECT set_config('app.current_tenant_id', 'globex', false)")
    assert.equal(0, #app:exec("SELECT FROM orders_audit").rows)
  end)

  it("does so in the environments that ask for it alone", function()
    local db = upgraded("[production]\nenable_audit_triggers = true\n", { environment = "development" })
    assert.falsy(helper.value(db, "SELECT to_regclass('orders_audit')::text"))
  end)

  it("lets a migration down and up again; the trail stays", function()
    local db, folder = upgraded("", { enable_audit_triggers = "true" })
    helper.execute(db, "INSERT INTO orders VALUES (1, 'acme', 1)")
    for _, words in ipairs { "downgrade base", "upgrade head" } do
      local result = helper.dmlua(words, { cwd = folder })
      assert.equal("", result.code == 0 and "" or result.err)
    end
    assert.equal("1", helper.value(db, "SELECT count(*) FROM orders_audit"))
    helper.execute(db, "INSERT INTO orders VALUES (2, 'acme', 1)")
    assert.equal("2", helper.value(db, "SELECT count(*) FROM orders_audit"))
  end)
end)
