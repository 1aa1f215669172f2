-- The calls of the guide's own helpers, and what becomes of those that are called otherwise here.

local helper = require "spec.helper"
local step = require "spec.step"

describe("the guards", function()
  local database = helper.database()
  local owner, bind

  before_each(function()
    owner = helper.connect(database.owner)
    bind = step.runner(owner, { app_role = "app" })
    owner:exec "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"
  end)

  local function run(script)
    owner:exec "BEGIN"
    local ok, message = pcall(step.run, bind, script)
    owner:exec(ok and "COMMIT" or "ROLLBACK")
    if not ok then error(message, 0) end
  end

  local function refusal(script)
    local ok, message = pcall(run, script)
    assert.is_false(ok, "nothing was refused")
    return message
  end

  it("takes the arguments of the guide's helpers, too", function()
    run [[guards.create_tenant_aware_table("lines", { sa.Column("id", sa.Integer, { primary_key = true }),
        sa.Column("code", sa.Text) }, { comment = "said" })
      guards.add_tenant_aware_column("lines", "amount", sa.Numeric(10, 2), { nullable = false, unique = true,
        schema = "public" })
      guards.add_tenant_aware_column("lines", "note", sa.Text)
      guards.ensure_tenant_column("lines", "tenant_id")
      guards.ensure_tenant_column("lines", "organization", { type = sa.BigInteger })
      guards.assert_tenant_indexes("lines", {}, { unique = { "amount" } })]]
    assert.equal("id tenant_id code amount note organization said", helper.value(database, [[
      SELECT string_agg(attname, ' ' ORDER BY attnum) || ' ' || obj_description('lines'::regclass) FROM pg_attribute
      WHERE attrelid = 'lines'::regclass AND attnum > 0]]))
  end)

  it("say what a guard of Python's helpers is here", function()
    for name, now in pairs { enable_rls_policies = "guards.ensure_tenant_isolation",
      validate_unique_constraints = "guards.ensure_tenant_indexes, with the option unique",
      migration_safety_check = "guards.setup_tenant_isolation" } do
      local message = refusal(("guards.%s('t')"):format(name))
      assert.equal(("guards.%s does not exist"):format(name), message.message)
      assert.equal("here it is " .. now, message.hint)
    end
    assert.equal("guards.nonsense does not exist", refusal("guards.nonsense('t')").message)
  end)
end)
