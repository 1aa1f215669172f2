local guard = require "dmlua.guard"
local guarded = require "spec.support.guarded"
local step = require "spec.step"

describe("guards", function()
  local world = guarded.new()
  local run, changes, refusal = world.run, world.changes, world.refusal
  local isolated, policy, as_tenant = world.isolated, world.policy, world.as_tenant
  local owner, app

  setup(function() owner, app = world.open() end)

  before_each(world.reset)

  describe("ensure_tenant_isolation", function()
    it("turns row security on, forces it, makes one policy for all and grants DML to the application role", function()
      isolated "varchar(255)"
      local row = owner:exec("SELECT relrowsecurity AS on, relforcerowsecurity AS forced FROM pg_class"
        .. " WHERE oid = 't'::regclass").rows[1]
      assert.is_true(row.on and row.forced)
      local policies = policy()
      assert.equal(1, #policies)
      assert.equal("t_tenant_isolation", policies[1].polname)
      assert.is_true(policies[1].polpermissive)
      assert.same({ "*", "{0}" }, { policies[1].polcmd, policies[1].roles })
      assert.equal(policies[1].seen, policies[1].written)
      for _, privilege in ipairs { "SELECT", "INSERT", "UPDATE", "DELETE" } do
        assert.is_true(owner:exec("SELECT has_table_privilege('app', 't', $1) AS may", { privilege }).rows[1].may)
      end
    end)

    it("says in one line what it has done", function()
      isolated "text"
      assert.same({ "dmlua: t: row security turned on; row security forced; policy t_tenant_isolation created; SELECT,"
        .. " INSERT, UPDATE, DELETE granted to app; USAGE on sequence t_id_seq granted to app" }, changes())
      run [[guards.ensure_tenant_indexes("t", {}, { unique = { "email" } })]]
      assert.same({ "dmlua: t: index on (tenant_id) created; unique index on (tenant_id, email) created" }, changes())
    end)

    it("lets the application role see and write only the rows of the tenant that is set", function()
      isolated "varchar(255)"
      as_tenant "a"
      app:exec "INSERT INTO t (tenant_id, email) VALUES ('a', 'x'), ('a', 'y')"
      assert.has_error(function() app:exec "INSERT INTO t (tenant_id) VALUES ('b')" end)
      as_tenant "b"
      assert.equal(0, #app:exec("SELECT * FROM t").rows)
      assert.equal(0, app:exec("UPDATE t SET email = 'z'").rowcount)
      as_tenant ""
      assert.equal(0, #app:exec("SELECT * FROM t").rows)
      as_tenant "a"
      assert.equal(2, #app:exec("SELECT * FROM t").rows)
    end)

    -- What the application role tries, and what comes of it: rows touched or returned, or the error's SQLSTATE.
    local attempts = {
      { "SELECT * FROM t", 1 }, { "SELECT * FROM t WHERE tenant_id = '%s'", 0 }, { "UPDATE t SET email = 'z'", 1 },
      { "UPDATE t SET email = 'z' WHERE tenant_id = '%s'", 0 }, { "UPDATE t SET tenant_id = '%s'", "42501" },
      { "DELETE FROM t", 1 }, { "DELETE FROM t WHERE tenant_id = '%s'", 0 },
      { "INSERT INTO t (tenant_id) VALUES ('%s')", "42501" }, { "TRUNCATE t", "42501" },
      { "INSERT INTO t (id, tenant_id) VALUES (2, current_setting('app.current_tenant_id')::%s)"
        .. " ON CONFLICT (id) DO UPDATE SET email = 'z'", "42501", of_type = true },
      { "SELECT 1 FROM t HAVING count(*) > 1", 0 }, { "WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d", 1 },
      { "ALTER TABLE t DISABLE ROW LEVEL SECURITY", "42501" },
      { "SET LOCAL row_security = off; SELECT * FROM t", "42501" },
    }

    local function outcome(sql)
      local ok, answer = pcall(function()
        local last
        for statement in (sql .. ";"):gmatch("([^;]+);") do last = app:exec(statement) end
        return last
      end)
      if not ok then return answer.sqlstate end
      return #answer.columns > 0 and #answer.rows or answer.rowcount
    end

    for type_name, ids in pairs {
      ["varchar(5)"] = { "acme1", "acme2" }, bigint = { "1", "2" },
      uuid = { "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002" },
    } do
      it("keeps tenants apart whatever the application role tries, with " .. type_name, function()
        isolated(type_name)
        owner:exec "ALTER TABLE t NO FORCE ROW LEVEL SECURITY"
        owner:exec(("INSERT INTO t VALUES (1, '%s'), (2, '%s')"):format(ids[1], ids[2]))
        owner:exec "ALTER TABLE t FORCE ROW LEVEL SECURITY"
        as_tenant(ids[1])
        for _, attempt in ipairs(attempts) do
          app:exec "BEGIN"
          local sql = attempt[1]:format(attempt.of_type and type_name or ids[2])
          assert.equal(attempt[2], outcome(sql), sql)
          app:exec "ROLLBACK"
        end
      end)
    end

    it("changes nothing and says nothing the second time", function()
      for _, type_name in ipairs { "varchar(255)", "text", "uuid", "bigint", "integer", "char(8)", "name" } do
        isolated(type_name)
        assert.equal(1, #changes(), type_name)
        local before = owner:exec("SELECT oid::int8 AS id FROM pg_policy").rows[1].id
        run [[guards.validate_tenant_isolation("t")
              guards.assert_tenant_isolation("t")]]
        assert.same({}, changes(), type_name)
        assert.equal(before, owner:exec("SELECT oid::int8 AS id FROM pg_policy").rows[1].id)
        owner:exec "DROP TABLE t"
      end
    end)

    it("casts the setting to the column's type without its length, which would match other tenants", function()
      owner:exec "CREATE DOMAIN short AS varchar(5)"
      for type_name, id in pairs { ["varchar(5)"] = "acme1", ["char(5)"] = "acme1", short = "acme1",
        name = ("x"):rep(63) } do
        isolated(type_name)
        as_tenant(id)
        app:exec("INSERT INTO t (tenant_id) VALUES ($1)", { id })
        assert.equal(1, #app:exec("SELECT * FROM t").rows, type_name)
        as_tenant(id .. "-evil")
        assert.equal(0, #app:exec("SELECT * FROM t").rows, type_name)
        owner:exec "DROP TABLE t"
      end
    end)

    it("does not depend on settings of the session", function()
      owner:exec "SET standard_conforming_strings = off"
      owner:exec "SET search_path = ''"
      owner:exec "CREATE TABLE public.t (tenant_id text NOT NULL)"
      run [[guards.ensure_tenant_isolation("t", { schema = "public" })]]
      changes()
      run [[guards.ensure_tenant_isolation("t", { schema = "public" })]]
      assert.same({}, changes())
      owner:exec "RESET search_path"
      owner:exec "RESET standard_conforming_strings"
      assert.equal(1, #policy())
    end)

    -- A condition of the index on the tenant column, for the application role, and its tenant alone.
    for type_name, id in pairs {
      text = "g::text", ["varchar(20)"] = "g::text", ["char(9)"] = "g::text", bigint = "g", integer = "g",
      uuid = "('00000000-0000-0000-0000-' || lpad(g::text, 12, '0'))::uuid", name = "g::text::name", short = "g::text",
      ['text COLLATE "C"'] = "g::text", ["numeric(9)"] = "g",
    } do
      it("writes the shape that uses the tenant's index, for " .. type_name, function()
        owner:exec "CREATE DOMAIN short AS varchar(20)"
        isolated(type_name)
        run [[guards.ensure_tenant_indexes("t", { "email" })]]
        owner:exec "ALTER TABLE t NO FORCE ROW LEVEL SECURITY"
        owner:exec(("INSERT INTO t (tenant_id) SELECT %s FROM generate_series(1, 400) g, generate_series(1, 20)")
          :format(id))
        owner:exec "ALTER TABLE t FORCE ROW LEVEL SECURITY"
        owner:exec "ANALYZE t"
        as_tenant(owner:exec(("SELECT (%s)::text AS id FROM (VALUES (7)) v(g)"):format(id)).rows[1].id)
        assert.equal(20, #app:exec("SELECT * FROM t").rows)
        for _, sql in ipairs { "SELECT * FROM t", "UPDATE t SET email = ''", "DELETE FROM t",
          "SELECT * FROM t WHERE email = 'x'" } do
          local plan = {}
          for i, row in ipairs(app:exec("EXPLAIN " .. sql).rows) do plan[i] = row["QUERY PLAN"] end
          plan = table.concat(plan, "\n")
          assert.truthy(plan:find("Index Cond: [^\n]*tenant_id"), sql .. "\n" .. plan)
          assert.falsy(plan:find("Seq Scan", 1, true), plan)
        end
      end)
    end

    it("replaces a policy of its name with another definition", function()
      local ours = "(tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::varchar))"
      local both = ("USING %s WITH CHECK %s"):format(ours, ours)
      for _, wrong in ipairs {
        "USING (true)", "USING " .. ours, "TO app " .. both, "FOR UPDATE " .. both, "AS RESTRICTIVE " .. both,
        "USING (tenant_id = current_setting('app.current_tenant_id', true))",
        (both:gsub("varchar", "varchar(5)")), (both:gsub("current_tenant_id'", "other'")),
        (both:gsub("varchar%)%)", "varchar) OR true)")),
      } do
        owner:exec "CREATE TABLE t (tenant_id varchar(255) NOT NULL)"
        owner:exec("CREATE POLICY t_tenant_isolation ON t " .. wrong)
        local message = refusal [[guards.assert_tenant_isolation("t")]]
        assert.truthy(message.detail:find("policy_differs", 1, true), wrong)
        run [[guards.ensure_tenant_isolation("t")
              guards.assert_tenant_isolation("t")]]
        assert.equal(1, #policy())
        owner:exec "DROP TABLE t"
      end
    end)

    it("refuses a table on which another permissive policy opens rows, and names it", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL)"
      owner:exec 'CREATE POLICY "all of it" ON t FOR SELECT USING (true)'
      owner:exec "CREATE POLICY narrow ON t AS RESTRICTIVE USING (tenant_id <> 'x')"
      local message = refusal [[guards.ensure_tenant_isolation("t")]]
      assert.equal("ZD004", message.sqlstate)
      local expected = 'TenantIsolationError: t has permissive policies beside the tenant\'s: "all of it"'
      assert.truthy(message.message:find(expected, 1, true), message.message)
      assert.same({ table = "t", checks = { "policy_widens" }, repair = { 'DROP POLICY "all of it" ON t' } },
        require("dmlua.json").decode(message.detail))
      assert.truthy(message.hint:find("RESTRICTIVE", 1, true))
    end)

    it("refuses a table without tenant column, or with one that may be NULL", function()
      owner:exec "CREATE TABLE t (id int)"
      assert.truthy(refusal([[guards.ensure_tenant_isolation("t")]]).detail:find("tenant_column_missing", 1, true))
      owner:exec "ALTER TABLE t ADD COLUMN tenant_id text"
      local message = refusal [[guards.ensure_tenant_isolation("t")]]
      assert.equal("ZD002", message.sqlstate)
      assert.truthy(message.detail:find("tenant_column_nullable", 1, true))
      assert.truthy(message.hint:find("guards.ensure_tenant_column", 1, true))
    end)

    it("refuses what is no table", function()
      owner:exec "CREATE VIEW v AS SELECT 1 AS tenant_id"
      for _, name in ipairs { "nothing", "v" } do
        assert.equal("ZD001", refusal(("guards.ensure_tenant_isolation(%q)"):format(name)).sqlstate)
      end
    end)

    it("refuses an application role that is missing or passes every policy", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL)"
      world.settings.app_role = "nobody here"
      local message = refusal [[guards.ensure_tenant_isolation("t")]]
      assert.equal("ZD005", message.sqlstate)
      assert.truthy(message.message:find('the application role "nobody here" does not exist', 1, true))
      world.settings.app_role = "bypass"
      assert.truthy(refusal([[guards.ensure_tenant_isolation("t")]]).detail:find("app_role_bypasses", 1, true))
    end)

    it("is refused, with the GRANT, to a role that does not own a table where something has to change", function()
      isolated "text"
      world.bind = step.runner(app, world.settings)
      run [[guards.ensure_tenant_isolation("t")]]
      owner:exec "ALTER TABLE t NO FORCE ROW LEVEL SECURITY"
      owner:exec "CREATE TABLE u (id int)"
      for _, script in ipairs { [[guards.ensure_tenant_isolation("t")]], [[guards.ensure_tenant_column("u")]],
        [[guards.ensure_tenant_indexes("t", { "email" })]], [[guards.drop_tenant_isolation("t")]] } do
        local message = refusal(script)
        assert.equal("ZD005", message.sqlstate)
        assert.truthy(message.message:find("TenantIsolationError: role app has to own", 1, true), message.message)
        assert.truthy(message.hint:find("GRANT owner TO app", 1, true), message.hint)
      end
    end)

    it("grants the use of the schema and of serial sequences", function()
      owner:exec "CREATE SCHEMA billing"
      owner:exec "CREATE TABLE billing.t (id serial, tenant_id text NOT NULL)"
      run [[guards.ensure_tenant_isolation("t", { schema = "billing" })]]
      as_tenant "a"
      app:exec "INSERT INTO billing.t (tenant_id) VALUES ('a')"
      owner:exec "DROP SCHEMA billing CASCADE"
    end)

    it("works for names with capitals, blanks, quotes and reserved words", function()
      for _, name in ipairs { "Order", "two words", 'a"b', "it's", "user", "größe", "{table}", "%s" } do
        world.bind.settings.tenant_column = "Tenant " .. name
        step.run(world.bind, [[op.create_table(..., sa.Column((...), sa.Integer), sa.Column("Tenant " .. ..., sa.Text,
          { nullable = false }))
          guards.ensure_tenant_column(...)
          guards.ensure_tenant_indexes(..., { ... })
          guards.ensure_tenant_isolation(...)]], name)
        owner:notices()
        step.run(world.bind, [[guards.ensure_tenant_indexes(..., { ... })
          guards.ensure_tenant_isolation(...)]], name)
        assert.same({}, changes(), name)
      end
    end)

    it("isolates the partitions of a table too", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL, at date NOT NULL) PARTITION BY RANGE (at)"
      owner:exec "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"
      run [[guards.ensure_tenant_isolation("t")]]
      changes()
      owner:exec "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
      assert.truthy(refusal([[guards.assert_tenant_isolation("t")]]).message:find("row security of t2 is off", 1, true))
      run [[guards.ensure_tenant_isolation("t")]]
      assert.equal(3, #owner:exec("SELECT 1 FROM pg_policy").rows)
      changes()
      run [[guards.ensure_tenant_isolation("t")]]
      assert.same({}, changes())
    end)

    it("calls the policy without the table where its name would be cut", function()
      for _, size in ipairs { 46, 47, 63 } do
        local name = ("x"):rep(size)
        owner:exec(("CREATE TABLE %s (tenant_id text NOT NULL)"):format(name))
        for _ = 1, 2 do run(("guards.ensure_tenant_isolation(%q)"):format(name)) end
        assert.equal(1, #changes())
        assert.equal(size == 46 and name .. "_tenant_isolation" or "tenant_isolation", owner:exec(
          "SELECT polname FROM pg_policy WHERE polrelid = $1::regclass", { name }).rows[1].polname)
        run(("guards.drop_tenant_isolation(%q)"):format(name))
        assert.same({}, owner:exec("SELECT FROM pg_policy").rows)
        owner:exec("DROP TABLE " .. name)
        changes()
      end
    end)

    it("knows the policy by what it is, whatever its name", function()
      isolated "uuid"
      owner:exec "ALTER POLICY t_tenant_isolation ON t RENAME TO mine"
      changes()
      run [[guards.assert_tenant_isolation("t")
        guards.ensure_tenant_isolation("t")]]
      assert.same({}, changes())
    end)

    it("does not take functions and operators of another schema for PostgreSQL's, however the policy prints", function()
      owner:exec "CREATE SCHEMA evil"
      owner:exec [[CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text STABLE LANGUAGE sql
        AS $$ SELECT 'b' $$]]
      owner:exec [[CREATE FUNCTION evil.always(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true']]
      owner:exec "CREATE OPERATOR evil.= (leftarg = uuid, rightarg = uuid, function = evil.always)"
      local ours = "USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::%s))"
        .. " WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::%s))"
      for _, type_name in ipairs { "text", "uuid" } do
        owner:exec(("CREATE TABLE t (tenant_id %s NOT NULL)"):format(type_name))
        owner:exec "SET search_path = evil, pg_catalog, public"
        if type_name == "uuid" then owner:exec "DROP FUNCTION evil.current_setting" end
        owner:exec("CREATE POLICY p ON t " .. ours:format(type_name, type_name))
        owner:exec "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        local message = refusal [[guards.assert_tenant_isolation("t")]]
        assert.truthy(message.detail:find("policy_widens", 1, true), message.detail)
        owner:exec "RESET search_path"
        owner:exec "DROP TABLE t"
      end
      owner:exec "DROP SCHEMA evil CASCADE"
    end)

    it("isolates what inherits from a table, and partitions of partitions", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL)"
      owner:exec "CREATE TABLE child (x int) INHERITS (t)"
      owner:exec "CREATE TABLE parted (tenant_id text NOT NULL, a int, b int) PARTITION BY LIST (a)"
      owner:exec "CREATE TABLE part PARTITION OF parted FOR VALUES IN (1) PARTITION BY LIST (b)"
      owner:exec "CREATE TABLE leaf PARTITION OF part DEFAULT"
      run [[guards.ensure_tenant_isolation("t")
        guards.ensure_tenant_isolation("parted")
        guards.assert_tenant_isolation("leaf")]]
      assert.equal(5, #owner:exec("SELECT FROM pg_policy").rows)
      run [[guards.drop_tenant_isolation("parted")
        guards.drop_tenant_isolation("t")]]
      assert.same({}, owner:exec("SELECT FROM pg_policy").rows)
    end)

    it("makes no policy where the environment has none, and says so", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL)"
      world.settings.rls = false
      run [[guards.ensure_tenant_isolation("t")]]
      assert.same({ "dmlua: t: no row security is set up here (skip_rls_setup)" }, changes())
      assert.same({}, policy())
      world.settings.isolation = "none"
      owner:exec "CREATE TABLE plain (id int)"
      run [[guards.ensure_tenant_isolation("plain")]]
      assert.same({ "dmlua: plain: no row security is set up here (isolation = none)" }, changes())
    end)

    it("follows the configured tenant column and setting", function()
      world.settings.tenant_column, world.settings.tenant_setting = "organization_id", "app.org"
      owner:exec "CREATE TABLE t (organization_id uuid NOT NULL)"
      run [[guards.ensure_tenant_isolation("t")]]
      assert.truthy(policy()[1].seen:find("organization_id = .*app.org.*::uuid"))
    end)

    it("is undone by drop_tenant_isolation", function()
      isolated "text"
      changes()
      run [[guards.drop_tenant_isolation("t")]]
      assert.same({ "dmlua: t: policy t_tenant_isolation dropped; row security of t turned off" }, changes())
      assert.same({}, policy())
    end)
  end)

  it("that assert work in a transaction that only reads, and change nothing there", function()
    owner:exec "CREATE TABLE t (id serial, tenant_id text NOT NULL)"
    run [[guards.enable_tenant_isolation_on("t")]]
    local check = [[guards.assert_tenant_column("t")
      guards.assert_tenant_indexes("t", {}, %s)
      guards.assert_tenant_isolation("t")]]
    owner:exec "BEGIN READ ONLY"
    run(check:format "{}")
    assert.equal("ZD003", refusal(check:format '{ unique = { "id" } }').sqlstate)
    owner:exec "ROLLBACK"
  end)

  it("set everything up in one call, as the guide's enable_tenant_isolation_on does", function()
    owner:exec "CREATE TABLE t (id int)"
    run [[guards.setup_tenant_isolation({ strategy = "rls" })
          guards.enable_tenant_isolation_on("t", { strategy = "rls" })]]
    assert.equal(1, #policy())
    local message = step.error_of(world.bind, [[guards.enable_tenant_isolation_on("t", { strategy = "rows" })]])
    assert.truthy(message.message:find("Unknown isolation strategy: rows", 1, true))
  end)

  it("can be probed over a connection, in a transaction that only reads", function()
    owner:exec "CREATE TABLE t (tenant_id text)"
    owner:exec "BEGIN READ ONLY"
    local findings = guard.probe(owner, "tenant_column", "t", "tenant_id", false).rows
    assert.equal("tenant_column_nullable", findings[1].failed)
    assert.equal("text", guard.probe(owner, "cast_type", "t", "tenant_id").rows[1][1])
    findings = guard.probe(owner, "tenant_isolation", "t", "tenant_id", "app.current_tenant_id", "text").rows
    assert.equal("row_security_off", findings[1].failed)
    findings = guard.probe(owner, "tenant_indexes", "t", '[{"columns":["tenant_id"]}]').rows
    assert.equal("tenant_index_missing", findings[1].failed)
    assert.equal("privileges_missing", guard.probe(owner, "app_privileges", "t", "app").rows[1].failed)
    assert.same({}, guard.probe(owner, "app_role", "app", false).rows)
    assert.same({}, guard.probe(owner, "door", "{t}").rows)
    owner:exec "ROLLBACK"
    assert.has_error(function() guard.probe(owner, "nothing") end)
  end)
end)
