-- The directives that Alembic lacks, carried out: up, a look into the catalogue, down, and nothing is left.

local helper = require "spec.helper"
local step = require "spec.step"

local database, owner, dump

setup(function()
  database = helper.database()
  owner = helper.connect(database.owner)
  helper.execute(database, "GRANT CREATE ON SCHEMA public TO owner")
  owner:exec "CREATE TABLE customers (id int PRIMARY KEY, tenant_id text, name text)"
  owner:exec "CREATE TABLE plain (id int, amount int)"
  owner:exec "CREATE TABLE parted (id int, region text) PARTITION BY LIST (region)"
  owner:exec "CREATE TABLE ranged (id int) PARTITION BY RANGE (id)"
  owner:exec "CREATE TABLE hashed (id int) PARTITION BY HASH (id)"
  owner:exec "ALTER TABLE customers ENABLE ROW LEVEL SECURITY"
end)

-- Runs a script as a step would; answers the error, or nil.
local function run(script)
  owner:exec "BEGIN"
  owner:exec "SET LOCAL row_security = off"
  local ok, message = pcall(step.run, step.runner(owner), script)
  owner:exec(ok and "COMMIT" or "ROLLBACK")
  return not ok and message or nil
end

local function look(query)
  local row = owner:exec(query).rows[1]
  return row and row[1]
end

local function schema_dump()
  local result = helper.run(helper.programs .. "/pg_dump", { "-s", database.postgres })
  assert.equal(0, result.code, result.err)
  return (result.out:gsub("\\u?n?restrict %S+", ""))
end

local function relation(name)
  return ("SELECT relkind::text FROM pg_class WHERE oid = to_regclass('%s')"):format(name)
end

-- { what, up, query, its answer, down }
local round_trips = {
  { "a schema", [[op.create_schema("billing")]], "SELECT nspname FROM pg_namespace WHERE nspname = 'billing'",
    "billing", [[op.drop_schema("billing", { cascade = true })]] },
  { "a sequence", [[op.create_sequence("numbers", { start = 5, increment = 2, owned_by = "plain.id" })
      op.alter_sequence("numbers", { type_ = sa.SmallInteger, restart = 7 })]],
    "SELECT format('%s %s %s', start_value, increment_by, data_type) FROM pg_sequences WHERE sequencename = 'numbers'",
    "5 2 smallint", [[op.drop_sequence("numbers")]] },
  { "a view over no tenant's table", [[op.create_view("v", "SELECT id FROM plain", { columns = { "n" } })]],
    "SELECT coalesce(reloptions::text, 'none') FROM pg_class WHERE relname = 'v'", "none", [[op.drop_view("v")]] },
  { "a materialized view", [[op.create_materialized_view("m", "SELECT id FROM plain", { with_data = false })
      op.create_index("m_id", "m", { "id" }, { unique = true })
      op.refresh_materialized_view("m")
      op.refresh_materialized_view("m", { concurrently = true })]], relation "m", "m",
    [[op.drop_materialized_view("m")]] },
  { "a function, a procedure and a trigger", [=[
      op.create_function("touch", [[BEGIN NEW.name := upper(NEW.name); RETURN NEW; END]], { returns = "trigger",
        security_definer = true, set = { search_path = "pg_catalog, public" } })
      op.create_function("twice", "SELECT 2 * n", { arguments = "n integer", returns = "integer", language = "sql",
        volatility = "immutable", parallel = "safe", strict = true })
      op.create_procedure("nothing", "BEGIN NULL; END", { arguments = { "IN a integer", "IN b text" } })
      op.create_trigger("shout", "customers", "before", { "insert", "update" }, "touch", { update_of = { "name" },
        when = "NEW.name IS NOT NULL" })]=],
    [[SELECT format('%s %s %s', pg_get_triggerdef(t.oid), p.proconfig, twice(4)) FROM pg_trigger t
      JOIN pg_proc p ON p.oid = tgfoid WHERE tgname = 'shout']],
    "CREATE TRIGGER shout BEFORE INSERT OR UPDATE OF name ON public.customers FOR EACH ROW"
      .. ' WHEN ((new.name IS NOT NULL)) EXECUTE FUNCTION touch() {"search_path=pg_catalog, public"} 8',
    [[op.drop_trigger("shout", "customers")
      op.drop_function("touch")
      op.drop_function("twice", { arguments = "integer" })
      op.drop_procedure("nothing", { arguments = "integer, text" })]] },
  { "an enum", [[op.create_enum("mood", { "sad", "ok" })
      op.create_enum("mood", { "sad", "ok" }, { if_not_exists = true })
      op.add_enum_value("mood", "happy", { after = "ok" })
      op.add_enum_value("mood", "happy", { if_not_exists = true })
      op.rename_enum_value("mood", "sad", "blue's")
      op.rename_enum_value("mood", "sad", "blue", { if_exists = true })]],
    "SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum", "blue's,ok,happy",
    [[op.drop_enum("mood")]] },
  { "row security and policies", [[op.enable_rls("plain", { force = true })
      op.unforce_rls("plain")
      op.create_policy("p", "plain", { command = "select", roles = { "app", "public" }, using = "id > 0" })
      op.create_policy("p", "plain", { command = "select", roles = "app", using = "id > 1", replace = true })
      op.create_policy("p", "plain", { command = "select", roles = "app", using = "id>1", if_not_exists = true })
      op.create_policy("q", "plain", { restrictive = true, with_check = "id < 9", if_not_exists = true })]],
    [[SELECT string_agg(format('%s %s %s %s %s %s', policyname, permissive, cmd, roles, qual, with_check), '; '
      ORDER BY policyname) FROM pg_policies WHERE tablename = 'plain']],
    "p PERMISSIVE SELECT {app} (id > 1) ; q RESTRICTIVE ALL {public}  (id < 9)",
    [[op.drop_policy("p", "plain")
      op.drop_policy("q", "plain")
      op.drop_policy("q", "plain", { if_exists = true })
      op.disable_rls("plain")]] },
  { "grants", [[op.grant({ "select", "insert" }, "plain", { "app", "public" })
      op.grant("update", "plain", "app", { columns = { "id" } })
      op.grant("usage", "public", "app", { on = "schema" })
      op.revoke("insert", "plain", "public")
      op.default_privileges("select", "tables", "app", { schema = "public" })]],
    [[SELECT format('%s %s %s', relacl, (SELECT attacl FROM pg_attribute WHERE attrelid = c.oid AND attname = 'id'),
      (SELECT defaclacl FROM pg_default_acl)) FROM pg_class c WHERE relname = 'plain']],
    "{owner=arwdDxt/owner,app=ar/owner,=r/owner} {app=w/owner} {app=r/owner}",
    [[op.revoke("all", "plain", { "app", "public" })
      op.revoke("update", "plain", "app", { columns = { "id" } })
      op.revoke("usage", "public", "app", { on = "schema" })
      op.default_privileges("select", "tables", "app", { schema = "public", revoke = true })]] },
  { "partitions", [[op.create_partition("parted_eu", "parted", { values = { "de", "fr", null } })
      op.create_partition("parted_rest", "parted", { default = true }, { if_not_exists = true })
      op.create_partition("ranged_low", "ranged", { from = sa.text("MINVALUE"), to = 10 })
      op.create_partition("hashed_0", "hashed", { modulus = 2, remainder = 0 })
      op.create_table("ranged_high", sa.Column("id", sa.Integer))
      op.attach_partition("ranged", "ranged_high", { from = 10, to = 20 })
      op.detach_partition("ranged", "ranged_low")]],
    [[SELECT string_agg(relname || ' ' || pg_get_expr(relpartbound, oid), '; ' ORDER BY relname) FROM pg_class
      WHERE relispartition]],
    "hashed_0 FOR VALUES WITH (modulus 2, remainder 0); parted_eu FOR VALUES IN ('de', 'fr', NULL);"
      .. " parted_rest DEFAULT; ranged_high FOR VALUES FROM (10) TO (20)",
    [[for _, name in ipairs { "parted_eu", "parted_rest", "ranged_low", "ranged_high", "hashed_0" } do
        op.drop_table(name)
      end]] },
  { "constraints over indexes, and new names", [[op.create_index("u", "plain", { "id" }, { unique = true })
      op.create_index("w", "plain", { "amount" }, { unique = true })
      op.create_index("x", "plain", { "amount", "id" })
      op.create_unique_constraint_using_index("plain_amount", "plain", "w", { deferrable = true })
      op.alter_column("plain", "id", { nullable = false })
      op.create_primary_key_using_index("plain_pkey", "plain", "u")
      op.create_check_constraint("c", "plain", "id > 0", { postgresql_not_valid = true })
      op.validate_constraint("c", "plain")
      op.rename_constraint("c", "positive", "plain")
      op.rename_constraint("c", "positive", "plain", { if_exists = true })
      op.rename_index("x", "y")
      op.rename_index("x", "y", { if_exists = true })]],
    [[SELECT string_agg(format('%s %s %s', conname, contype, convalidated), '; ' ORDER BY conname)
      || coalesce('; ' || to_regclass('y')::text, '') FROM pg_constraint WHERE conrelid = 'plain'::regclass]],
    "plain_amount u t; plain_pkey p t; positive c t; y",
    [[op.drop_constraint("plain_amount", "plain")
      op.drop_constraint("plain_pkey", "plain")
      op.drop_constraint("positive", "plain")
      op.drop_index("y")
      op.alter_column("plain", "id", { nullable = true })]] },
  { "comments on anything", [[op.comment_on("table", "plain", "a'b\\")
      op.comment_on("column", "id", "key", { table_name = "plain" })
      op.comment_on("constraint", "customers_pkey", "key", { table_name = "customers" })
      op.comment_on("index", "customers_pkey", "index")]],
    [[SELECT string_agg(description, ' ' ORDER BY description) FROM pg_description d
      WHERE classoid = 'pg_constraint'::regclass OR objoid IN ('plain'::regclass, 'customers_pkey'::regclass)]],
    "a'b\\ index key key",
    [[op.comment_on("table", "plain", null)
      op.comment_on("column", "id", null, { table_name = "plain" })
      op.comment_on("constraint", "customers_pkey", null, { table_name = "customers" })
      op.comment_on("index", "customers_pkey", null)]] },
  { "what others depend on, dropped by cascade", [[op.create_table("base", sa.Column("a", sa.Integer,
        { primary_key = true }), sa.Column("b", sa.Integer))
      op.create_view("over_b", "SELECT b FROM base", { security_invoker = false })
      op.drop_column("base", "b", { cascade = true })
      op.create_view("over_a", "SELECT a FROM base", { security_invoker = false })]],
    "SELECT string_agg(viewname, ',') FROM pg_views WHERE viewname LIKE 'over%'", "over_a",
    [[op.drop_table("base", { cascade = true })]] },
}

describe("on a server", function()
  for _, row in ipairs(round_trips) do
    it(row[1] .. " can be made and taken back without a trace", function()
      dump = dump or schema_dump()
      local what, up, query, answer, down = table.unpack(row)
      assert.is_nil(run(up), what)
      assert.equal(answer, look(query))
      assert.is_nil(run(down), what)
      assert.equal(dump, schema_dump())
    end)
  end

  it("an extension can be made and dropped", function()
    local superuser = helper.connect(database.postgres)
    superuser:exec "BEGIN"
    step.run(step.runner(superuser), [[op.create_extension("plpgsql", { if_not_exists = true })
      op.drop_extension("plpgsql", { cascade = true })]])
    local left = superuser:exec("SELECT count(*) AS n FROM pg_extension WHERE extname = 'plpgsql'").rows[1].n
    superuser:exec "ROLLBACK"
    assert.equal(0, left)
  end)
end)

describe("if_not_exists", function()
  local function error_of(script)
    return assert(run(script), "nothing was raised")
  end

  it("refuses an enum that is there with other values", function()
    local raised = error_of [[op.create_enum("shade", { "a", "b" })
      op.create_enum("shade", { "b", "a" }, { if_not_exists = true })]]
    assert.equal("42710", raised.sqlstate)
    assert.truthy(raised.detail:find("there: a, b; wanted: b, a", 1, true))
  end)

  it("refuses a policy that is there with another condition", function()
    local raised = error_of [[op.create_policy("p", "plain", { using = "id = 1" })
      op.create_policy("p", "plain", { using = "id = 2", if_not_exists = true })]]
    assert.equal("42710", raised.sqlstate)
    assert.truthy(raised.message:find("policy p on plain is there already", 1, true))
  end)

  it("leaves a trigger that is the same alone, and refuses another one", function()
    local same = [[op.create_function("keep", "BEGIN RETURN NEW; END", { returns = "trigger" })
      op.create_trigger("g", "plain", "before", "insert", "keep", { when = "NEW.id > 1" })
      op.comment_on("trigger", "g", "mine", { table_name = "plain" })
      op.create_trigger("g", "plain", "before", "insert", "keep", { when = "NEW.id>1", if_not_exists = true })]]
    assert.is_nil(run(same))
    assert.equal("mine", look "SELECT obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE tgname = 'g'")
    local raised = error_of [[op.create_trigger("g", "plain", "after", "insert", "keep", { if_not_exists = true })]]
    assert.equal("42710", raised.sqlstate)
    run [[op.drop_function("keep", { cascade = true })]]
  end)
end)

describe("a view over a table of tenants", function()
  local function options(name)
    return look(("SELECT coalesce(reloptions::text, '') FROM pg_class WHERE relname = '%s'"):format(name))
  end

  after_each(function() run [[op.drop_view("v", { if_exists = true, cascade = true })]] end)

  it("is read with the eyes of whoever reads it", function()
    assert.is_nil(run [[op.create_view("v", "SELECT * FROM customers")]])
    assert.equal("{security_invoker=true}", options "v")
  end)

  it("is so through another view, and after CREATE OR REPLACE", function()
    assert.is_nil(run [[op.create_view("v", "SELECT id FROM customers")
      op.create_view("w", "SELECT id FROM v")
      op.create_view("w", "SELECT id FROM v WHERE id > 0", { replace = true })]])
    assert.equal("{security_invoker=true}", options "w")
  end)

  it("is read with its owner's where the script says so", function()
    assert.is_nil(run [[op.create_view("v", "SELECT id FROM customers", { security_invoker = false })]])
    assert.equal("{security_invoker=false}", options "v")
  end)

  it("lets the application see its tenant's rows only", function()
    assert.is_nil(run [[op.create_view("v", "SELECT name FROM customers")
      op.create_policy("mine", "customers", { using = "tenant_id = current_setting('app.tenant', true)" })
      op.execute("INSERT INTO customers VALUES (1, 'a', 'Ann'), (2, 'b', 'Bob')")
      op.grant("select", { "v", "customers" }, "app")]])
    local app = helper.connect(database.app)
    app:exec "SET app.tenant = 'b'"
    assert.same({ "Bob", 1 }, { app:exec("SELECT name FROM v").rows[1].name, app:exec("TABLE v").rowcount })
    run [[op.drop_policy("mine", "customers")
      op.execute("DELETE FROM customers")
      op.revoke("select", "customers", "app")]]
  end)

  it("that keeps its rows is warned about", function()
    local warnings = helper.connect(database.owner)
    warnings:exec "BEGIN"
    local bind = step.recorder()
    step.run(bind, [[op.create_materialized_view("m", "SELECT id FROM customers")]])
    warnings:exec "SET LOCAL client_min_messages = error"
    warnings:exec(bind.sent[1].sql)
    local block = bind.sent[2].sql:gsub( -- a warning made an error, to be seen
      "RAISE WARNING USING", "RAISE EXCEPTION USING")
    local ok, raised = pcall(warnings.exec, warnings, block)
    warnings:exec "ROLLBACK"
    assert.is_false(ok)
    assert.truthy(raised.message:find("materialized view m keeps rows of every tenant of customers", 1, true))
  end)
end)

describe("validate_constraint", function()
  it("sees every tenant's rows of both tables of a foreign key", function()
    assert.is_nil(run [[
      op.execute("INSERT INTO customers VALUES (1, 'a', 'Ann')")
      op.create_table("orders", sa.Column("customer_id", sa.Integer))
      op.execute("INSERT INTO orders VALUES (1)")
      op.enable_rls("orders", { force = true })
      op.force_rls("customers")
      op.create_foreign_key("fk", "orders", "customers", { "customer_id" }, { "id" }, { postgresql_not_valid = true })
      op.validate_constraint("fk", "orders")]])
    assert.is_true(look "SELECT convalidated FROM pg_constraint WHERE conname = 'fk'")
    assert.equal(2, look "SELECT count(*) FROM pg_class WHERE relforcerowsecurity")
    assert.is_nil(run [[op.drop_table("orders")
      op.unforce_rls("customers")
      op.execute("DELETE FROM customers")]])
  end)
end)

describe("detach_partition", function()
  it("detaches concurrently, outside the transaction", function()
    local own = helper.database()
    helper.execute(own, [[SET ROLE owner; CREATE TABLE parted (id int) PARTITION BY LIST (id);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1)]])
    local folder = helper.project { database = own, versions = { { revision = "abcd", upgrade = [[
      op.get_context():autocommit_block(function()
        op.detach_partition("parted", "parted_1", { concurrently = true })
      end)]] } } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal("", result.code == 0 and "" or result.err)
    assert.equal("0", helper.value(own, "SELECT count(*) FROM pg_inherits"))
  end)
end)

describe("the lock that a directive takes, as doc/postgresql.md says:", function()
  local strengths = { "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock" }

  setup(function()
    assert.is_nil(run [[
      op.create_table("held", sa.Column("a", sa.Integer, { nullable = false }), sa.Column("b", sa.Integer))
      op.create_index("held_a", "held", { "a" }, { unique = true })
      op.create_index("held_b", "held", { "b" })
      op.create_check_constraint("c", "held", "a > 0", { postgresql_not_valid = true })
      op.create_function("held_fn", "BEGIN RETURN NEW; END", { returns = "trigger" })
      op.create_trigger("old", "held", "before", "insert", "held_fn")
      op.create_policy("old", "held", { using = "true" })
      op.create_sequence("held_seq")
      op.create_view("held_view", "SELECT a FROM held")
      op.create_materialized_view("held_m", "SELECT a FROM held")
      op.create_index("held_m_a", "held_m", { "a" }, { unique = true })
      op.create_table("held_p", sa.Column("a", sa.Integer), { postgresql_partition_by = "LIST (a)" })
      op.create_partition("held_p1", "held_p", { values = { 1 } })
      op.create_table("held_p2", sa.Column("a", sa.Integer))]])
  end)

  teardown(function()
    run [[for _, name in ipairs { "held", "held_p", "held_p2" } do op.drop_table(name, { cascade = true }) end
      op.drop_function("held_fn")
      op.drop_sequence("held_seq")]]
  end)

  -- { call, relation, its strongest lock }
  local rows = {
    { [[op.create_trigger("g", "held", "after", "insert", "held_fn")]], "held", "ShareRowExclusiveLock" },
    { [[op.create_trigger("old", "held", "after", "insert", "held_fn", { replace = true })]], "held",
      "AccessExclusiveLock" },
    { [[op.drop_trigger("old", "held")]], "held", "AccessExclusiveLock" },
    { [[op.create_policy("p", "held", { using = "true" })]], "held", "AccessExclusiveLock" },
    { [[op.drop_policy("old", "held")]], "held", "AccessExclusiveLock" },
    { [[op.enable_rls("held")]], "held", "AccessExclusiveLock" },
    { [[op.force_rls("held")]], "held", "AccessExclusiveLock" },
    { [[op.grant("select", "held", "app")]], "held" },
    { [[op.validate_constraint("c", "held")]], "held", "ShareUpdateExclusiveLock" },
    { [[op.create_unique_constraint_using_index("u", "held", "held_a")]], "held", "AccessExclusiveLock" },
    { [[op.create_primary_key_using_index("u", "held", "held_a")]], "held", "AccessExclusiveLock" },
    { [[op.rename_index("held_b", "other")]], "held_b", "ShareUpdateExclusiveLock" },
    { [[op.rename_constraint("c", "d", "held")]], "held", "AccessExclusiveLock" },
    { [[op.comment_on("table", "held", "x")]], "held", "ShareUpdateExclusiveLock" },
    { [[op.alter_sequence("held_seq", { restart = 5 })]], "held_seq", "ShareRowExclusiveLock" },
    { [[op.create_view("held_view", "SELECT a FROM held", { replace = true })]], "held_view", "AccessExclusiveLock" },
    { [[op.refresh_materialized_view("held_m")]], "held_m", "AccessExclusiveLock" },
    { [[op.refresh_materialized_view("held_m", { concurrently = true })]], "held_m", "ExclusiveLock" },
    { [[op.create_partition("held_p3", "held_p", { values = { 3 } })]], "held_p", "AccessExclusiveLock" },
    { [[op.attach_partition("held_p", "held_p2", { values = { 2 } })]], "held_p", "ShareUpdateExclusiveLock" },
    { [[op.attach_partition("held_p", "held_p2", { values = { 2 } })]], "held_p2", "AccessExclusiveLock" },
    { [[op.detach_partition("held_p", "held_p1")]], "held_p", "AccessExclusiveLock" },
  }

  for _, row in ipairs(rows) do
    it(row[1] .. " on " .. row[2], function()
      owner:exec "BEGIN"
      owner:exec "SET LOCAL row_security = off"
      local oid = owner:exec("SELECT $1::regclass::oid::text AS id", { row[2] }).rows[1].id
      step.run(step.runner(owner), row[1])
      local held = owner:exec("SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = $1::oid",
        { oid }).rows
      owner:exec "ROLLBACK"
      local strongest = 0
      for _, lock in ipairs(held) do
        for strength, name in ipairs(strengths) do
          if lock.mode == name then strongest = math.max(strongest, strength) end
        end
      end
      assert.equal(row[3], strengths[strongest])
    end)
  end
end)
