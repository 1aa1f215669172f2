-- Adversaries: what the application role can do with tables that the guards have isolated, with a tenant set, with ''
-- and with nothing set. B's rows are never shown and never touched.

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

for type_name, pair in pairs(ids) do
  describe("tenants of type " .. type_name, function()
    local database, app, root
    local a, b = pair[1], pair[2]

    setup(function()
      database = helper.database()
      local owner = helper.connect(database.owner)
      local bind = step.runner(owner, { app_role = "app", tenant_type = type_name:gsub("%(.*", "") })
      owner:exec "BEGIN"
      step.run(bind, schema, type_name)
      owner:exec "COMMIT"
      app, root = helper.connect(database.app), helper.connect(database.postgres)
      for n, id in ipairs(pair) do
        app:exec("SELECT set_config('app.current_tenant_id', $1, false)", { id })
        app:exec("INSERT INTO customers (id, tenant_id, email) VALUES ($1, $2, $3)", { tostring(n), id, "mail " .. n })
        app:exec("INSERT INTO orders (id, tenant_id, customer_id) VALUES ($1, $2, $1)", { tostring(n), id })
        app:exec("INSERT INTO visits VALUES ($1, $2)", { tostring(n), id })
      end
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
    before_each(function() app = helper.connect(database.app) end)

    local reads = {
      "SELECT * FROM customers WHERE id = 2", "SELECT * FROM customers WHERE email = 'mail 2' OR true",
      "SELECT * FROM orders o FULL JOIN customers c ON o.customer_id = c.id AND o.tenant_id = c.tenant_id",
      "SELECT * FROM visits", "SELECT * FROM visits_1", "SELECT * FROM everybody", "SELECT all_emails()",
      "SELECT * FROM customers_audit", "TABLE customers", "SELECT * FROM customers FOR KEY SHARE",
      "WITH x AS (UPDATE customers SET id = id RETURNING *) SELECT * FROM x",
      "SELECT max(email) FROM customers", "SELECT string_agg(c::text, ',') FROM customers c",
      "SELECT query_to_xml('SELECT * FROM customers', true, false, '')",
      "DELETE FROM orders WHERE id = 99 RETURNING (SELECT string_agg(email, ',') FROM customers)",
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
    }

    -- In a transaction that is rolled back: nothing that the adversary did to its own rows is left.
    local function attempt(sql, check)
      app:exec "BEGIN"
      local count, values = sql:find("$2", 1, true) and 2 or sql:find("$1", 1, true) and 1 or 0, {}
      for i = 1, count do values[i] = pair[i] end
      if sql:find("$2", 1, true) and not sql:find("$1", 1, true) then sql, values = sql:gsub("%$2", "$1"), { b } end
      local ok, result = pcall(app.exec, app, sql, values)
      local committed = pcall(app.exec, app, "SAVEPOINT s")
      check(ok, result, committed)
      app:exec(ok and "COMMIT" or "ROLLBACK")
    end

    for context, set in pairs(contexts) do
      it("show nothing of B " .. context, function()
        set()
        for _, sql in ipairs(reads) do
          attempt(sql, function(ok, result)
            if not ok then return assert.truthy(({ ["42501"] = true, ["22P02"] = true })[result.sqlstate], sql) end
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
        for _, name in ipairs { "customers", "visits_1", "everybody", "(SELECT * FROM customers)" } do
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
          assert.same(before, theirs(), sql)
        end
      end)
    end

    it("load nothing into B by COPY", function()
      local before = theirs()
      local ok = pcall(helper.execute, database.app, ("SET app.current_tenant_id = $$%s$$;"):format(a)
        .. " COPY visits (id, tenant_id) FROM STDIN WITH (DELIMITER '|');\n2|" .. b:gsub("\\", "\\\\") .. "\n\\.\n")
      assert.is_false(ok)
      assert.same(before, theirs())
    end)
  end)
end
