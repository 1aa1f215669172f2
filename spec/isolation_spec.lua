-- Adversaries: what the application role can do with tables that the guards have isolated, with a tenant set, with ''
-- and with nothing set. B's rows are never shown and never touched, whoever the migrator was, whatever a tenant's type.

local helper = require "spec.helper"
local step = require "spec.step"

local ids = {
  text = { "acme", "acme1-evil" },
  ["varchar(20)"] = { "it's", 'b"\\;--' },
  uuid = { "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222" },
  bigint = { "1", "10" },
}

local schema = [[
  guards.create_tenant_aware_table("customers", sa.Column("id", sa.Integer, { primary_key = true }),
    sa.Column("email", sa.Text, { unique = true }))
  guards.create_tenant_aware_table("orders", sa.Column("id", sa.Integer, { primary_key = true }),
    sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id", { ondelete = "CASCADE", onupdate = "CASCADE" })))
  op.execute("CREATE TABLE visits (id int NOT NULL, tenant_id " .. ... .. " NOT NULL) PARTITION BY LIST (id)")
  op.execute("CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1, 2)")
  guards.ensure_tenant_isolation("visits")
  guards.ensure_audit_trigger("customers")
  op.create_view("everybody", "SELECT * FROM customers", { security_invoker = true })
  op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON everybody, visits_1 TO app")
  op.execute("CREATE FUNCTION all_emails() RETURNS SETOF text LANGUAGE sql AS 'SELECT email FROM customers'")
  op.execute("CREATE FUNCTION owners_eyes() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public"
    .. " AS 'SELECT count(*) FROM customers'")
  op.execute("CREATE FUNCTION cheap(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001"
    .. " AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END'")
]]

local function adversaries(type_name, pair, role)
  describe("tenants of type " .. type_name .. ", whose tables were made as " .. role .. ",", function()
    local database, app, root
    local a, b = pair[1], pair[2]

    -- The rows of a tenant anew.
    local function fill(n)
      local id = pair[n]
      app:exec("SELECT set_config('app.current_tenant_id', $1, false)", { id })
      for _, name in ipairs { "orders", "customers", "visits" } do app:exec("DELETE FROM " .. name) end
      app:exec("INSERT INTO customers (id, tenant_id, email) VALUES ($1, $2, $3)", { tostring(n), id, "mail " .. n })
      app:exec("INSERT INTO orders (id, tenant_id, customer_id) VALUES ($1, $2, $1)", { tostring(n), id })
      app:exec("INSERT INTO visits VALUES ($1, $2)", { tostring(n), id })
    end

    setup(function()
      database = helper.database()
      helper.execute(database, ("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION %s"):format(role))
      local owner = helper.connect(database[role])
      local bind = step.runner(owner, { app_role = "app", tenant_type = type_name:gsub("%(.*", "") })
      owner:exec "BEGIN"
      step.run(bind, schema, type_name)
      owner:exec "COMMIT"
      helper.execute(database, "GRANT ALL ON SCHEMA public TO owner; ALTER FUNCTION owners_eyes OWNER TO owner;"
        .. " GRANT SELECT ON customers TO owner; ANALYZE")
      owner:close()
      app, root = helper.connect(database.app), helper.connect(database.postgres)
      for n in ipairs(pair) do fill(n) end
    end)

    teardown(function()
      app:close()
      root:close()
    end)

    -- What is B's, by a superuser.
    local function theirs()
      return root:exec([[SELECT (SELECT json_agg(t ORDER BY t::text) FROM customers t WHERE tenant_id::text = $1)::text,
        (SELECT json_agg(t ORDER BY t::text) FROM orders t WHERE tenant_id::text = $1)::text AS orders,
        (SELECT json_agg(t ORDER BY t::text) FROM visits t WHERE tenant_id::text = $1)::text AS visits,
        (SELECT json_agg(t ORDER BY t::text) FROM customers_audit t WHERE tenant_id::text = $1)::text AS audit]],
        { b }).rows[1]
    end

    local contexts = {
      ["with A set"] = function() app:exec("SELECT set_config('app.current_tenant_id', $1, false)", { a }) end,
      ["with '' set"] = function() app:exec "SELECT set_config('app.current_tenant_id', '', false)" end,
      ["with nothing set"] = function() end,
    }
    before_each(function()
      app:close()
      app = helper.connect(database.app)
      fill(1)
      app:close() -- a new one has nothing set
      app = helper.connect(database.app)
    end)

    local reads = {
      "SELECT * FROM customers WHERE id = 2", "SELECT * FROM customers WHERE email = 'mail 2' OR true",
      "SELECT * FROM orders o FULL JOIN customers c ON o.customer_id = c.id AND o.tenant_id = c.tenant_id",
      "SELECT * FROM visits", "SELECT * FROM visits_1", "SELECT * FROM everybody", "SELECT all_emails()",
      "SELECT * FROM customers_audit", "TABLE customers", "SELECT * FROM customers FOR KEY SHARE",
      "WITH x AS (UPDATE customers SET id = id RETURNING *) SELECT * FROM x",
      "SELECT max(email) FROM customers", "SELECT string_agg(c::text, ',') FROM customers c",
      "SELECT query_to_xml('SELECT * FROM customers', true, false, '')",
      "DELETE FROM orders WHERE id = 99 RETURNING (SELECT string_agg(email, ',') FROM customers)",
      "SELECT * FROM customers WHERE ctid = '(0,2)'", "SELECT * FROM customers FOR UPDATE",
      "SELECT customers FROM customers", "EXPLAIN ANALYZE SELECT * FROM visits",
      "SELECT * FROM customers TABLESAMPLE system (100)", "SELECT * FROM ONLY customers",
      "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE schemaname = 'public'",
      "INSERT INTO orders SELECT 50 + id, tenant_id, NULL FROM orders RETURNING *, (SELECT max(email) FROM customers)",
      "SELECT stavalues1::text FROM pg_statistic", "SELECT row_to_json(c) FROM customers c",
      "SELECT * FROM customers WHERE id = 2 OR email ~ '2'", "SELECT * FROM customers a NATURAL FULL JOIN customers b",
      "WITH RECURSIVE r AS (SELECT * FROM customers UNION SELECT c.* FROM customers c JOIN r USING (id)) TABLE r",
      "SELECT * FROM customers WHERE 1 / (id - 2) > -5", "SELECT * FROM customers WHERE email::int = 1",
      "SELECT * FROM visits v, customers c WHERE v.id = 2",
    }

    local writes = {
      "UPDATE customers SET email = 'mine'", "UPDATE customers SET email = 'mine' WHERE id = 2",
      "UPDATE everybody SET email = 'mine' WHERE id = 2", "DELETE FROM customers WHERE id = 2", "DELETE FROM orders",
      "DELETE FROM visits_1", "DELETE FROM visits USING customers", "UPDATE visits SET id = id",
      "UPDATE orders SET customer_id = 2 WHERE id = 1", "INSERT INTO orders VALUES (7, $1, 2)",
      "INSERT INTO customers VALUES (8, $2, 'x')", "INSERT INTO visits_1 VALUES (1, $2)",
      "INSERT INTO customers VALUES (2, $1, 'x') ON CONFLICT (id) DO UPDATE SET email = 'mine', tenant_id = $1",
      "INSERT INTO customers VALUES (2, $1, 'x') ON CONFLICT (id) DO NOTHING",
      "UPDATE customers SET tenant_id = $2", "UPDATE customers SET id = 2 WHERE id = 1", "DELETE FROM customers",
      "TRUNCATE customers CASCADE", "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE",
      "ALTER TABLE customers DISABLE ROW LEVEL SECURITY", "DROP POLICY customers_tenant_isolation ON customers",
      "SET SESSION AUTHORIZATION owner", "SET ROLE owner", "DELETE FROM customers_audit",
      "INSERT INTO customers_audit (tenant_id, action) VALUES ($2, 'x')",
      "MERGE INTO customers c USING (SELECT 2 AS id) s ON c.id = s.id WHEN MATCHED THEN UPDATE SET email = 'mine'",
      "MERGE INTO customers c USING orders o ON true WHEN MATCHED THEN DELETE",
      "MERGE INTO orders o USING (SELECT 2 AS id) s ON o.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (2, $1, 2)",
      "UPDATE customers SET email = 'mine' FROM orders o WHERE o.customer_id = 2",
      "DELETE FROM customers WHERE ctid = '(0,2)'",
      "UPDATE customers SET tenant_id = $2 WHERE id = 1 RETURNING *", "UPDATE visits_1 SET tenant_id = $2",
      "WITH d AS (DELETE FROM customers RETURNING *) INSERT INTO customers SELECT id, $2, email FROM d",
      "DELETE FROM visits_1 WHERE tenant_id = $2", "UPDATE customers SET id = id + 1", "TRUNCATE visits_1",
      "INSERT INTO customers VALUES (2, $2, 'x') ON CONFLICT (tenant_id, email) DO UPDATE SET id = 3",
      "ALTER TABLE customers DISABLE TRIGGER ALL", "SET row_security = off", "SET session_replication_role = replica",
      "CREATE FUNCTION pg_temp.f(text) RETURNS bool LANGUAGE sql LEAKPROOF AS 'SELECT true'",
      "GRANT ALL ON customers TO PUBLIC",
      "SELECT set_config('row_security', 'off', false)", "CREATE RULE r AS ON SELECT TO customers DO INSTEAD SELECT 1",
      "CREATE TRIGGER t AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION cheap()", "DROP TABLE orders",
      "CREATE STATISTICS pg_temp.s ON id, email FROM customers", "SELECT setval('customers_audit_id_seq', 1)",
      "SELECT nextval('customers_audit_id_seq')", "COMMENT ON TABLE customers IS 'x'", "SELECT customers_audit_write()",
    }

    -- In a transaction of its own, committed where the adversary succeeds: deferred checks and triggers are done then.
    local function attempt(sql, check)
      app:exec "BEGIN"
      local count, values = sql:find("$2", 1, true) and 2 or sql:find("$1", 1, true) and 1 or 0, {}
      for i = 1, count do values[i] = pair[i] end
      if sql:find("$2", 1, true) and not sql:find("$1", 1, true) then sql, values = sql:gsub("%$2", "$1"), { b } end
      local ok, result = pcall(app.exec, app, sql, values)
      check(ok, result)
      app:exec(ok and "COMMIT" or "ROLLBACK")
    end

    for context, set in pairs(contexts) do
      it("show nothing of B " .. context, function()
        set()
        for _, sql in ipairs(reads) do
          attempt(sql, function(ok, result)
            if not ok then
              assert.truthy(({ ["42501"] = true, ["22P02"] = true })[result.sqlstate], sql .. result.sqlstate)
              return assert.is_nil((result.message .. (result.detail or "")):find("mail 2", 1, true), sql)
            end
            for _, row in ipairs(result.rows) do
              for name, value in pairs(row) do
                assert.is_nil(tostring(value):find("mail 2", 1, true), sql)
                if name == "tenant_id" then assert.equal(a, tostring(value), sql) end
              end
            end
          end)
        end
        assert.equal(context == "with A set" and 1 or 0, app:exec("SELECT owners_eyes() AS n").rows[1].n)
      end)

      it("show nothing of B to a function that costs less than the policy " .. context, function()
        set()
        app:notices()
        pcall(app.exec, app, "SELECT * FROM customers WHERE cheap(email)")
        for _, notice in ipairs(app:notices()) do assert.is_nil(notice.message:find("mail 2", 1, true)) end
      end)

      it("copy nothing of B out " .. context, function()
        local set_id = context == "with nothing set" and "" or ("SET app.current_tenant_id = $$%s$$;")
          :format(context == "with A set" and a or "")
        for _, name in ipairs { "visits_1", "(SELECT * FROM customers)" } do
          local ok, out = pcall(helper.execute, database.app, ("%s COPY %s TO STDOUT"):format(set_id, name))
          if ok then assert.is_nil(out:find(b .. "\t", 1, true) or out:find("mail 2", 1, true), name) end
        end
      end)
    end

    for context, set in pairs(contexts) do
      it("leave B's rows as they are " .. context, function()
        set()
        local before = theirs()
        for _, sql in ipairs(writes) do
          attempt(sql, function() end)
          if context == "with A set" then assert.same(before, theirs(), sql) end
        end
        assert.same(before, theirs())
      end)
    end

    it("are told apart by statements that were prepared under another tenant", function()
      local function read(id)
        app:exec("SELECT set_config('app.current_tenant_id', $1, false)", { id })
        local found = {}
        for i, row in ipairs(app:exec("EXECUTE mine").rows) do found[i] = row.email end
        return table.concat(found, " ")
      end
      for _, mode in ipairs { "force_generic_plan", "force_custom_plan", "auto" } do
        app:exec("SET plan_cache_mode = " .. mode)
        contexts["with '' set"]()
        app:exec "PREPARE mine AS SELECT email FROM customers ORDER BY id"
        for _ = 1, 7 do assert.equal("mail 2", read(b)) end
        assert.equal("mail 1", read(a))
        assert.equal("", read(""))
        app:exec "RESET app.current_tenant_id"
        assert.equal(0, #app:exec("EXECUTE mine").rows)
        app:exec "DEALLOCATE mine"
      end
    end)

    it("are told apart by a cursor and a function's plan, too", function()
      app:exec "BEGIN"
      app:exec("SELECT set_config('app.current_tenant_id', $1, true)", { a })
      app:exec "DECLARE c CURSOR FOR SELECT email FROM customers"
      app:exec([[CREATE FUNCTION pg_temp.emails() RETURNS SETOF text LANGUAGE plpgsql
        AS 'BEGIN RETURN QUERY SELECT email FROM customers; END']])
      for _ = 1, 6 do
        for n, id in ipairs(pair) do
          app:exec("SELECT set_config('app.current_tenant_id', $1, true)", { id })
          assert.same({ { "mail " .. n } }, { { app:exec("SELECT * FROM pg_temp.emails()").rows[1][1] } })
        end
      end
      app:exec("SELECT set_config('app.current_tenant_id', $1, true)", { a })
      assert.equal("mail 1", app:exec("FETCH ALL FROM c").rows[1].email)
      app:exec "ROLLBACK"
    end)

    it("see nothing, and no error, where no tenant is set, and no more by other settings", function()
      for _, context in ipairs { "with nothing set", "with '' set", "with A set" } do
        contexts[context]()
        for _, name in ipairs { "is_superuser", "bypass_rls", "current_tenant", "tenant_id", "current_user_id" } do
          app:exec(("SET app.%s = 'true'"):format(name))
        end
        for _, name in ipairs { "customers", "orders", "visits", "visits_1", "everybody" } do
          local own = context == "with A set" and 1 or 0
          assert.equal(own, #app:exec("SELECT FROM " .. name).rows, context .. name)
          assert.equal(own, app:exec(("UPDATE %s SET id = id"):format(name)).rowcount)
        end
      end
    end)

    it("lock no row of B's, and read none of its values out of an error", function()
      contexts["with A set"]()
      app:exec "BEGIN"
      assert.equal(1, #app:exec("SELECT * FROM customers FOR UPDATE").rows)
      root:exec "SET lock_timeout = '100ms'"
      root:exec("UPDATE customers SET email = email WHERE tenant_id::text = $1", { b })
      app:exec "ROLLBACK"
      for sqlstate, sql in pairs { ["23505"] = "INSERT INTO customers VALUES (2, $1, 'x')",
        ["23503"] = "INSERT INTO orders VALUES (9, $1, 2)" } do
        local ok, message = pcall(app.exec, app, sql, { a })
        assert.is_false(ok)
        assert.equal(sqlstate, message.sqlstate)
        assert.is_nil((message.detail or ""):find("mail", 1, true))
        assert.is_nil((message.detail or ""):find(b, 1, true))
      end
    end)

    it("load nothing into B by COPY", function()
      local before = theirs()
      local ok = pcall(helper.execute, database.app, ("SET app.current_tenant_id = $$%s$$;"):format(a)
        .. " COPY visits (id, tenant_id) FROM STDIN WITH (DELIMITER '|');\n2|" .. b:gsub("\\", "\\\\") .. "\n\\.\n")
      assert.is_false(ok)
      assert.same(before, theirs())
    end)
  end)
end

for type_name, pair in pairs(ids) do adversaries(type_name, pair, "owner") end
adversaries("text", ids.text, "bypass")
adversaries("bigint", ids.bigint, "postgres")
