-- Every block of the guide, by its heading and number, with its twin here or the work that brings it.

local helper = require "spec.helper"

local fixtures = helper.root .. "/spec/fixtures/guide/"
local versions = "spec/fixtures/guide/versions/"

-- heading, language, then `twin` (a file of the repository) or `later` (what brings it). The order is the guide's.
local blocks = {
  { "2. Migration Commands", "bash", twin = "spec/fixtures/guide/migration_commands.sh" },
  { "3. Production Deployment Order", "bash", twin = "spec/fixtures/guide/before_deployment.sh" },
  { "3. Production Deployment Order", "bash", twin = "spec/fixtures/guide/upgrade_management.sh" },
  { "3. Production Deployment Order", "bash", twin = "spec/fixtures/guide/upgrade_isp.sh" },
  { "3. Production Deployment Order", "bash", later = "validate" },
  { "Row Level Security (RLS) - Recommended for Production", "python", twin = versions .. "04_row_level_security.lua" },
  { "Schema-per-Tenant - For High Isolation Requirements", "python", later = "schema isolation" },
  { "Tenant Column Guards", "python", twin = "migrations/isp/versions/abc123_add_customer_profiles_table.lua" },
  { "Index Creation Guards", "python", twin = versions .. "02_index_creation_guards.lua" },
  { "Development Environment", "ini", later = "rails" },
  { "Staging Environment", "ini", later = "rails" },
  { "Production Environment", "ini", later = "rails" },
  { "1. Tenant-Safe Migrations", "python", twin = versions .. "05_tenant_safe_migrations.lua" },
  { "2. Index Strategy", "python", twin = versions .. "03_index_strategy.lua" },
  { "3. Data Migration with Tenant Context", "python", twin = versions .. "06_data_migration.lua" },
  { "4. Rollback Safety", "python", twin = versions .. "07_rollback_safety.lua" },
  { "Migration Health Checks", "bash", later = "validate" },
  { "Performance Monitoring", "python", twin = versions .. "08_performance_monitoring.lua" },
  { "Common Issues", "", twin = versions .. "10_cross_tenant_access.lua" },
  { "Common Issues", "", later = "validate" },
  { "Common Issues", "", later = "validate" },
  { "Recovery Procedures", "bash", twin = "spec/fixtures/guide/recovery.sh" },
  { "Recovery Procedures", "bash", later = "repair" },
  { "1. Migration User Privileges", "sql", later = "doctor" },
  { "2. Tenant Data Protection", "python", twin = versions .. "09_tenant_data_protection.lua" },
}

-- The fenced blocks of a Markdown text: heading and language.
local function blocks_of(text)
  local found, heading, inside = {}, nil, false
  for line in text:gmatch "[^\n]*" do
    local language = line:match "^%s*```(%w*)"
    if language then
      if not inside then found[#found + 1] = { heading, language } end
      inside = not inside
    elseif not inside then
      heading = line:match "^#+ (.*)" or heading
    end
  end
  return found
end

local guide = helper.read(helper.root .. "/../shared/guide.md")

local database = helper.database()

-- A project over the twins' tree, with two tenants, and an empty database.
local function project()
  helper.execute(database, "DROP OWNED BY owner")
  return helper.project {
    database = database,
    settings = {
      script_location = fixtures:sub(1, -2),
      app_role = "app",
      tenants_query = "VALUES ('tenant-a'), ('tenant-b')",
    },
  }
end

local function dmlua(folder, words, code)
  local result = helper.dmlua(words, { cwd = folder })
  assert(result.code == (code or 0), result.out .. result.err)
  return result
end

describe("the guide", function()
  if guide then -- it is not part of this repository
    it("has exactly the blocks that are listed here", function()
      local listed = {}
      for i, block in ipairs(blocks) do listed[i] = { block[1], block[2] } end
      assert.same(listed, blocks_of(guide))
    end)
  end

  it("has for every block a twin that is there, or the work that brings it", function()
    for i, block in ipairs(blocks) do
      local name = ("block %d, %s"):format(i, block[1])
      assert((block.twin == nil) ~= (block.later == nil), name)
      if block.twin then assert(helper.read(helper.root .. "/" .. block.twin), name .. ": no " .. block.twin) end
    end
  end)

  it("has twins that run up, down and up", function()
    local folder = project()
    dmlua(folder, "upgrade data_protection")
    dmlua(folder, "downgrade base")
    dmlua(folder, "upgrade data_protection")
    assert.equal("data_protection\n", dmlua(folder, "current").out)
  end)

  it("measures a migration: 0.3 seconds of sleep are logged as at least 0.30", function()
    local folder = project()
    local err = dmlua(folder, "upgrade performance").err
    local seconds = tonumber(err:match "Migration completed in (%d+%.%d%d) seconds")
    assert(seconds and seconds >= 0.30, err)
  end)

  it("moves each tenant's rows in its own context", function()
    local folder = project()
    dmlua(folder, "upgrade tenant_safe")
    helper.execute(database, [[
      INSERT INTO old_customers SELECT gen_random_uuid(), 'tenant-' || t, 'n', n || '@' || t
      FROM unnest('{a,b,c}'::text[]) t, generate_series(1, 3) n]])
    dmlua(folder, "upgrade data_migration")
    assert.same({ { tenant_id = "tenant-a", n = "3" }, { tenant_id = "tenant-b", n = "3" } },
      helper.sql(database, "SELECT tenant_id, count(*) AS n FROM new_customers GROUP BY 1 ORDER BY 1"))
  end)

  it("protects tenants: its good example changes the tenants' rows, its bad one is refused and changes none", function()
    local folder = project()
    dmlua(folder, "upgrade performance")
    local statuses = "SELECT string_agg(tenant_id || ' ' || status, ', ' ORDER BY tenant_id) FROM customers"
    helper.execute(database, [[
      INSERT INTO customers SELECT gen_random_uuid(), 'tenant-' || t, 'new' FROM unnest('{a,b,c}'::text[]) t]])
    dmlua(folder, "upgrade data_protection")
    assert.equal("tenant-a active, tenant-b active, tenant-c new", helper.value(database, statuses))
    local refused = helper.dmlua("upgrade cross_tenant", { cwd = folder })
    assert.not_equal(0, refused.code)
    assert.matches("TenantIsolationError: No tenant context set", refused.err)
    assert.matches("10_cross_tenant_access%.lua:14", refused.err)
    assert.equal("tenant-a active, tenant-b active, tenant-c new", helper.value(database, statuses))
  end)

  it("keeps the backup of a tenant's table as isolated as the table", function()
    local folder = project()
    dmlua(folder, "upgrade data_migration")
    helper.execute(database, [[
      INSERT INTO customer_profiles (id, tenant_id, name, email)
      SELECT gen_random_uuid(), 'tenant-' || t, 'n', 'e' FROM unnest('{a,b}'::text[]) t]])
    dmlua(folder, "upgrade rollback_safety")
    assert.equal("2", helper.value(database, "SELECT count(*) FROM backup_customer_profiles"))
    assert.equal("1\n", helper.execute(database.app,
      "SET app.current_tenant_id = 'tenant-a'; SELECT count(*) FROM backup_customer_profiles"))
  end)

  it("restores a tenant's table from its backup on the way down", function()
    local folder = project()
    dmlua(folder, "upgrade data_migration")
    local emails = "SELECT string_agg(email, ', ' ORDER BY email) FROM customer_profiles"
    helper.execute(database, [[
      INSERT INTO customer_profiles (id, tenant_id, name, email)
      SELECT gen_random_uuid(), 'tenant-' || t, 'n', t FROM unnest('{a,b}'::text[]) t]])
    dmlua(folder, "upgrade rollback_safety")
    helper.execute(database, "UPDATE customer_profiles SET email = 'lost'")
    dmlua(folder, "downgrade -1")
    assert.equal("a, b", helper.value(database, emails))
    assert.is_nil(helper.value(database, "SELECT to_regclass('backup_customer_profiles')"))
  end)
end)

describe("the guide's commands", function()
  local databases = { management = database, isp = helper.database() }
  before_each(function()
    for _, one in pairs(databases) do helper.execute(one, "DROP OWNED BY owner") end
  end)

  -- Runs a twin of a shell block from the folder of the sample services.
  local function shell(name)
    local result = helper.run("/bin/sh", { "-eux", fixtures .. name }, {
      cwd = helper.root .. "/migrations",
      env = {
        PATH = helper.build .. ":" .. os.getenv "PATH",
        MANAGEMENT_URL = databases.management.owner,
        ISP_URL = databases.isp.owner,
        DMLUA_URL_MANAGEMENT = databases.management.owner,
        DMLUA_URL_ISP = databases.isp.owner,
      },
    })
    assert(result.code == 0, result.err)
    return result
  end

  it("bring management and then isp to their heads", function()
    shell("migration_commands.sh")
    assert.equal("d1732c8e4fb5", helper.value(databases.management, "SELECT version_num FROM alembic_version"))
    assert.equal("b8d61e2f97c0", helper.value(databases.isp, "SELECT version_num FROM alembic_version"))
  end)

  it("deploy: show what is there, upgrade management, upgrade isp, and recover", function()
    assert.matches("Rev: b8d61e2f97c0 %(head%)", shell("before_deployment.sh").out)
    shell("upgrade_management.sh")
    shell("upgrade_isp.sh")
    assert.matches("b8d61e2f97c0 %(head%)", shell("recovery.sh").out)
    assert.equal("b8d61e2f97c0", helper.value(databases.isp, "SELECT version_num FROM alembic_version"))
  end)
end)
