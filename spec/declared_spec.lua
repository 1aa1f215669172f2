local helper = require "spec.helper"
local watched_database = require "spec.support.watched"

describe("what is declared of a table", function()
  local watched = watched_database.new()
  local database = watched.database

  local project, upgrade, refused = watched.project, watched.upgrade, watched.refused

  before_each(watched.empty)

  it("counts no table as global that has a tenant column, unless a reason was given", function()
    local make = [[op.create_table("plans", sa.Column("id", sa.Integer), { tenant = "global" }) ]]
    refused(upgrade(make, nil, [[guards.enable_tenant_isolation_on("plans")
      op.execute("ALTER TABLE plans NO FORCE ROW LEVEL SECURITY")]]),
      "public.plans (row security does not hold for its owner)")
    refused(upgrade(make, nil, 'op.add_column("plans", sa.Column("tenant_id", sa.Text))'),
      "public.plans (tenant_id may be NULL)")
    local result = upgrade(make, nil, [[op.add_column("plans", sa.Column("tenant_id", sa.Text))
      guards.declare_global("plans", { reason = "who made it" })]])
    assert.equal(0, result.code, result.err)
  end)

  it("is global again on the way down from isolation", function()
    local folder = helper.project { database = database, settings = { isolation = "rls", app_role = "app" },
      versions = {
        { revision = "aaaa",
          upgrade = 'op.create_table("plans", sa.Column("id", sa.Integer), { tenant = "global" })' },
        { revision = "bbbb", down = "aaaa", upgrade = 'guards.enable_tenant_isolation_on("plans")',
          downgrade = 'guards.drop_tenant_isolation("plans") op.drop_column("plans", "tenant_id")' } } }
    for _, words in ipairs { "upgrade head", "downgrade aaaa", "upgrade head" } do
      local result = helper.dmlua(words, { cwd = folder })
      assert.equal(0, result.code, result.err)
    end
  end)

  it("takes no table for declared that has but the name of one which was", function()
    local make = [[op.create_table("plans", sa.Column("id", sa.Integer), { tenant = "global" })
      op.backup_table("plans") ]]
    for sql in pairs {
      ["DROP TABLE plans; CREATE TABLE plans (id int)"] = true,
      ["ALTER TABLE plans RENAME TO backup; DROP TABLE backup; CREATE TABLE plans (id int)"] = true,
      ["DO $$ BEGIN DROP TABLE plans; BEGIN CREATE TABLE plans (id int); EXCEPTION WHEN others THEN NULL; END; END $$"]
        = true,
    } do
      refused(upgrade(make, nil, ("op.execute(%q)"):format(sql)), "public.plans (it has no column tenant_id)")
      watched.empty()
    end
    local result = upgrade(make, nil, [[
      op.create_table("plans_new", sa.Column("id", sa.Integer), { tenant = "global" })
      op.drop_table("plans")
      op.rename_table("plans_new", "plans")
      op.drop_table("plans")
      op.create_table("plans", sa.Column("id", sa.Integer), { tenant = "global" })
      op.drop_backup("plans")
      op.backup_table("plans")]])
    assert.equal(0, result.code, result.err)
    assert.equal("public.backup_plans, public.plans", helper.value(database,
      "SELECT string_agg(name, ', ' ORDER BY name) FROM dmlua_tables WHERE declared = 'global'"))
  end)

  it("keeps the declaration of a table that op.rename_table renames, a debt's too", function()
    helper.execute(database.owner, 'CREATE TABLE "Legacy" (id int)')
    local folder = project([[op.create_table("days", sa.Column("id", sa.Integer), { tenant = "global" })]], nil,
      [[op.rename_table("days", "Days") op.rename_table("Legacy", "old")]])
    assert.equal(0, helper.dmlua("tables adopt", { cwd = folder }).code)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(0, result.code, result.err)
    assert.equal('public."Days" global, public.old debt', helper.value(database,
      "SELECT string_agg(name || ' ' || declared, ', ' ORDER BY name) FROM dmlua_tables"))
  end)

  it("forgets the declaration of a table that is gone", function()
    local result = upgrade([[op.create_table("orders", sa.Column("id", sa.Integer), { tenant = "global" })]], nil,
      [[op.drop_table("orders")]])
    assert.equal(0, result.code, result.err)
    assert.equal("0", helper.value(database, "SELECT count(*) FROM dmlua_tables"))
  end)
end)
