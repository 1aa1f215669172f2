-- What a guard's refusal says to do is true: the SQL of its detail, and the call in its hint, bring about what was
-- missing.

local helper = require "spec.helper"
local json = require "dmlua.json"
local step = require "spec.step"

local sound = [[
  CREATE TABLE t (id serial PRIMARY KEY, tenant_id text NOT NULL, email text, created_at date);
  CREATE INDEX ON t (tenant_id); CREATE INDEX ON t (tenant_id, created_at);
  GRANT SELECT, INSERT, UPDATE, DELETE ON t TO helped; GRANT USAGE ON SEQUENCE t_id_seq TO helped;
  ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY t_tenant_isolation ON t
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')))
    WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));]]

local isolation = [[guards.assert_tenant_isolation("t")]]
local column = [[guards.assert_tenant_column("t")]]
local indexes = [[guards.assert_tenant_indexes("t", { "email", { "id", "email" } }, { unique = { "email" } })]]

-- By the name of the check that fails: how the table comes to fail it, who fails, and whether a call is named, too.
local faults = {
  tenant_column_missing = { "DROP TABLE t; CREATE TABLE t (id int)", column, called = true },
  tenant_column_type = { "DROP TABLE t; CREATE TABLE t (tenant_id text NOT NULL)",
    [[guards.assert_tenant_column("t", { type = sa.UUID() })]] },
  tenant_column_nullable = { "ALTER TABLE t ALTER tenant_id DROP NOT NULL", column, called = true },
  tenant_index_missing = { "", indexes, called = true },
  tenant_index_invalid = { "DROP INDEX t_tenant_id_created_at_idx", [[guards.assert_tenant_indexes("t")]],
    root = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_tenant_id_idx'::regclass" },
  row_security_off = { "ALTER TABLE t DISABLE ROW LEVEL SECURITY", isolation, called = true },
  row_security_not_forced = { "ALTER TABLE t NO FORCE ROW LEVEL SECURITY", isolation, called = true },
  policy_missing = { "DROP POLICY t_tenant_isolation ON t", isolation, called = true },
  policy_differs = { "ALTER POLICY t_tenant_isolation ON t USING (true)", isolation, called = true },
  policy_widens = { [[CREATE POLICY "It's {x} %s" ON t USING (true); CREATE POLICY b ON t FOR SELECT USING (id > 0)]],
    isolation },
  app_role_missing = { "", isolation, root = "DROP OWNED BY helped; DROP ROLE helped" },
  app_role_bypasses = { "", isolation, root = "ALTER ROLE helped BYPASSRLS" },
  schema_usage_missing = { "REVOKE USAGE ON SCHEMA public FROM PUBLIC", isolation, called = true },
  privileges_missing = { "REVOKE INSERT ON t FROM helped", isolation, called = true },
  app_role_owns = { "", isolation, root = "ALTER TABLE t OWNER TO helped; GRANT helped TO owner" },
  sequence_usage_missing = { "REVOKE USAGE ON SEQUENCE t_id_seq FROM helped", isolation, called = true },
}

describe("the repair that a guard names", function()
  local database, owner, bind

  setup(function()
    database = helper.database()
    owner = helper.connect(database.owner)
  end)

  teardown(function()
    helper.execute(database, "DROP OWNED BY helped; DROP ROLE IF EXISTS helped")
  end)

  before_each(function()
    helper.execute(database, [[DO $$ BEGIN CREATE ROLE helped; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
      ALTER ROLE helped NOBYPASSRLS; DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION owner;
      GRANT USAGE ON SCHEMA public TO PUBLIC]])
    helper.execute(database.owner, sound)
    bind = step.runner(owner, { app_role = "helped" })
  end)

  local function refusal(script)
    return step.error_of(bind, script)
  end

  local function break_it(fault)
    helper.execute(database.owner, fault[1])
    if fault.root then helper.execute(database, fault.root) end
    return assert(refusal(fault[2]), "nothing was refused")
  end

  for name, fault in pairs(faults) do
    it("mends " .. name, function()
      local message = break_it(fault)
      local detail = json.decode(message.detail)
      assert.equal("t", detail.table)
      assert.truthy(table.concat(detail.checks, " "):find(name, 1, true), message.detail)
      for _ = 1, 3 do -- what a role that is not there lacks besides is seen when it is there
        if not message then break end
        for _, sql in ipairs(json.decode(message.detail).repair) do helper.execute(database, sql) end
        message = refusal(fault[2])
      end
      assert.is_nil(message)
    end)

    if fault.called then
      it("mends " .. name .. " by the call", function()
        local call = break_it(fault).hint:match "guards%.ensure_tenant_%w+%b()"
        step.run(bind, assert(call))
        assert.is_nil(refusal(fault[2]))
      end)
    end
  end

  it("is a call with the names as the author would write them", function()
    owner:exec [[CREATE TABLE "It's \ ""t""" ("Org x" uuid)]]
    local message = refusal [[guards.assert_tenant_column('It\'s \\ "t"', { column = "Org x", schema = "public" })]]
    assert.equal([[guards.ensure_tenant_column("It's \\ \"t\"", { schema = "public", column = "Org x" })]]
      .. " sets it right.", message.hint)
    owner:exec [[INSERT INTO "It's \ ""t""" VALUES (NULL)]]
    message = refusal [[guards.ensure_tenant_column('It\'s \\ "t"', { column = "Org x" })]]
    assert.truthy(message.hint:find([[{ column = "Org x", backfill = "SQL expression" }]], 1, true), message.hint)
  end)
end)
