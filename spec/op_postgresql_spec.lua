-- The directives that Alembic lacks: the SQL that each makes, with each of its options, and what is said of wrong
-- arguments. What a server makes of them is op_postgresql_server_spec's.

local signatures = require "dmlua.signatures_postgresql"
local step = require "spec.step"

-- { call, its statements… }. A statement that begins with "DO" is shown by what it must hold.
local calls = {
  { [[op.create_schema("s", { if_not_exists = true, authorization = "Boss" })]],
    'CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION "Boss"' },
  { [[op.drop_schema("s", { if_exists = true, cascade = true })]], "DROP SCHEMA IF EXISTS s CASCADE" },
  { [[op.create_extension("citext", { if_not_exists = true, schema = "s", version = "1.6", cascade = true })]],
    "CREATE EXTENSION IF NOT EXISTS citext SCHEMA s VERSION '1.6' CASCADE" },
  { [[op.drop_extension("uuid-ossp", { if_exists = true, cascade = true })]],
    'DROP EXTENSION IF EXISTS "uuid-ossp" CASCADE' },
  { [[op.create_sequence("q", { schema = "s", if_not_exists = true, type_ = sa.Integer, start = 5, increment = -1,
      minvalue = -10, maxvalue = 10, cycle = true, cache = 3, owned_by = "t.id" })]],
    "CREATE SEQUENCE IF NOT EXISTS s.q AS INTEGER INCREMENT BY -1 MINVALUE -10 MAXVALUE 10 START WITH 5 CACHE 3 CYCLE"
      .. " OWNED BY s.t.id" },
  { [[op.create_sequence("q", { nominvalue = true, nomaxvalue = true, cycle = false, owned_by = null })]],
    "CREATE SEQUENCE q NO MINVALUE NO MAXVALUE NO CYCLE OWNED BY NONE" },
  { [[op.alter_sequence("q", { schema = "s", if_exists = true, type_ = sa.BigInteger, restart = 7, start = 1,
      increment = 2, minvalue = 1, maxvalue = 9, cycle = false, cache = 1, owned_by = "t.id" })]],
    "ALTER SEQUENCE IF EXISTS s.q AS BIGINT INCREMENT BY 2 MINVALUE 1 MAXVALUE 9 START WITH 1 RESTART WITH 7 CACHE 1"
      .. " NO CYCLE OWNED BY s.t.id" },
  { [[op.alter_sequence("q", { restart = true, nominvalue = true, nomaxvalue = true })]],
    "ALTER SEQUENCE q RESTART NO MINVALUE NO MAXVALUE" },
  { [[op.drop_sequence("q", { schema = "s", if_exists = true, cascade = true })]],
    "DROP SEQUENCE IF EXISTS s.q CASCADE" },

  { [[op.create_view("v", "SELECT 1; ", { schema = "s", replace = true, columns = { "a" }, security_invoker = false,
      security_barrier = true, check_option = "local" })]],
    "CREATE OR REPLACE VIEW s.v (a) WITH (security_barrier = true, security_invoker = false) AS SELECT 1"
      .. " WITH LOCAL CHECK OPTION" },
  { [[op.create_view("v", sa.text("SELECT 1 -- one"))]], "CREATE VIEW v AS SELECT 1 -- one",
    "DO security_invoker = true" },
  { [[op.drop_view("v", { schema = "s", if_exists = true, cascade = true })]], "DROP VIEW IF EXISTS s.v CASCADE" },
  { [[op.create_materialized_view("m", "SELECT 1", { schema = "s", if_not_exists = true, columns = { "a" },
      with_data = false, postgresql_with = { fillfactor = 70 }, postgresql_tablespace = "fast" })]],
    "CREATE MATERIALIZED VIEW IF NOT EXISTS s.m (a) WITH (fillfactor = 70) TABLESPACE fast AS SELECT 1 WITH NO DATA",
    "DO RAISE WARNING" },
  { [[op.refresh_materialized_view("m", { schema = "s", concurrently = true, with_data = true })]],
    "REFRESH MATERIALIZED VIEW CONCURRENTLY s.m WITH DATA" },
  { [[op.drop_materialized_view("m", { schema = "s", if_exists = true, cascade = true })]],
    "DROP MATERIALIZED VIEW IF EXISTS s.m CASCADE" },

  { [[op.create_function("f", "SELECT a", { schema = "s", replace = true, arguments = { "a integer", "b text" },
      returns = "integer", language = "sql", volatility = "stable", strict = true, leakproof = true,
      parallel = "safe", cost = 5, rows = 2, security_definer = true,
      set = { search_path = 'pg_catalog, "Odd One"', work_mem = "1MB", ["app.x"] = "it's" } })]],
    "CREATE OR REPLACE FUNCTION s.f(a integer, b text) RETURNS integer LANGUAGE sql STABLE STRICT LEAKPROOF"
      .. " PARALLEL SAFE COST 5 ROWS 2 SECURITY DEFINER SET app.x TO 'it''s'"
      .. " SET search_path TO 'pg_catalog', 'Odd One' SET work_mem TO '1MB' AS $dmlua$SELECT a$dmlua$" },
  { [[op.drop_function("f", { schema = "s", arguments = "integer", if_exists = true, cascade = true })]],
    "DROP FUNCTION IF EXISTS s.f(integer) CASCADE" },
  { [[op.create_procedure("p", "BEGIN END", { schema = "s", replace = true, arguments = "a integer",
      language = "plpgsql", security_definer = true, set = { search_path = "" } })]],
    "CREATE OR REPLACE PROCEDURE s.p(a integer) LANGUAGE plpgsql SECURITY DEFINER SET search_path TO ''"
      .. " AS $dmlua$BEGIN END$dmlua$" },
  { [[op.drop_procedure("p", { schema = "s", arguments = "", if_exists = true, cascade = true })]],
    "DROP PROCEDURE IF EXISTS s.p() CASCADE" },
  { [[op.create_trigger("g", "t", "before", { "insert", "update" }, "f", { schema = "s", function_schema = "u",
      for_each = "row", update_of = { "a" }, when = "NEW.a > 0", arguments = { "it's" }, replace = true })]],
    "DROP TRIGGER IF EXISTS g ON s.t",
    "CREATE TRIGGER g BEFORE INSERT OR UPDATE OF a ON s.t FOR EACH ROW WHEN (NEW.a > 0)"
      .. " EXECUTE FUNCTION u.f('it''s')" },
  { [[op.create_trigger("g", "t", "after", "delete", "f", { for_each = "statement", old_table = "gone",
      new_table = "came" })]],
    "CREATE TRIGGER g AFTER DELETE ON t REFERENCING OLD TABLE AS gone NEW TABLE AS came FOR EACH STATEMENT"
      .. " EXECUTE FUNCTION f()" },
  { [[op.create_trigger("g", "t", "after", "insert", "f", { constraint = true, deferrable = true,
      initially = "deferred" })]],
    "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()" },
  { [[op.create_trigger("g", "t", "after", "insert", "f", { if_not_exists = true })]],
    "DO CREATE TRIGGER dmlua_probe AFTER INSERT" },
  { [[op.drop_trigger("g", "t", { schema = "s", if_exists = true, cascade = true })]],
    "DROP TRIGGER IF EXISTS g ON s.t CASCADE" },

  { [[op.create_enum("e", { "a", "it's" }, { schema = "s" })]], "CREATE TYPE s.e AS ENUM ('a', 'it''s')" },
  { [[op.create_enum("e", { "a" }, { if_not_exists = true })]], "DO CREATE TYPE e AS ENUM" },
  { [[op.drop_enum("e", { schema = "s", if_exists = true, cascade = true })]], "DROP TYPE IF EXISTS s.e CASCADE" },
  { [[op.add_enum_value("e", "c", { schema = "s", before = "b", if_not_exists = true })]],
    "ALTER TYPE s.e ADD VALUE IF NOT EXISTS 'c' BEFORE 'b'" },
  { [[op.add_enum_value("e", "c", { after = "b" })]], "ALTER TYPE e ADD VALUE 'c' AFTER 'b'" },
  { [[op.rename_enum_value("e", "a", "b", { schema = "s" })]], "ALTER TYPE s.e RENAME VALUE 'a' TO 'b'" },
  { [[op.rename_enum_value("e", "a", "b", { if_exists = true })]], "DO ALTER TYPE e RENAME VALUE" },

  { [[op.create_policy("p", "t", { schema = "s", command = "update", roles = { "app", "public" }, using = "a = 1",
      with_check = sa.text("a = 2"), restrictive = true, replace = true })]],
    "DROP POLICY IF EXISTS p ON s.t",
    "CREATE POLICY p ON s.t AS RESTRICTIVE FOR UPDATE TO app, PUBLIC USING (a = 1) WITH CHECK (a = 2)" },
  { [[op.create_policy("p", "t", { roles = "CURRENT_USER", using = "true", if_not_exists = true })]],
    "DO CREATE POLICY dmlua_probe ON t TO CURRENT_USER" },
  { [[op.drop_policy("p", "t", { schema = "s", if_exists = true })]], "DROP POLICY IF EXISTS p ON s.t" },
  { [[op.enable_rls("t", { schema = "s", force = true })]],
    "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY" },
  { [[op.force_rls("t", { schema = "s" })]], "ALTER TABLE s.t FORCE ROW LEVEL SECURITY" },
  { [[op.unforce_rls("t", { schema = "s" })]], "ALTER TABLE s.t NO FORCE ROW LEVEL SECURITY" },
  { [[op.disable_rls("t", { schema = "s" })]], "ALTER TABLE s.t DISABLE ROW LEVEL SECURITY" },

  { [[op.grant({ "select", "UPDATE" }, { "t", "u" }, { "app", "Other" }, { on = "table", schema = "s",
      columns = { "a", "b" }, with_grant_option = true })]],
    'GRANT SELECT (a, b), UPDATE (a, b) ON TABLE s.t, s.u TO app, "Other" WITH GRANT OPTION' },
  { [[op.grant("execute", "f", "app", { on = "function", arguments = "integer" })]],
    "GRANT EXECUTE ON FUNCTION f(integer) TO app" },
  { [[op.grant("usage", "s", "app", { on = "schema" })]], "GRANT USAGE ON SCHEMA s TO app" },
  { [[op.grant("all", "s", "app", { on = "all tables in schema" })]], "GRANT ALL ON ALL TABLES IN SCHEMA s TO app" },
  { [[op.revoke("select", "t", "app", { schema = "s", columns = { "a" }, grant_option_for = true, cascade = true })]],
    "REVOKE GRANT OPTION FOR SELECT (a) ON TABLE s.t FROM app CASCADE" },
  { [[op.revoke("execute", "f", "public", { on = "function", arguments = "" })]],
    "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC" },
  { [[op.default_privileges({ "select" }, "tables", "app", { schema = "s", for_role = "owner",
      with_grant_option = true })]],
    "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA s GRANT SELECT ON TABLES TO app WITH GRANT OPTION" },
  { [[op.default_privileges("execute", "functions", "public", { revoke = true, cascade = true })]],
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC CASCADE" },

  { [[op.create_partition("t1", "t", { from = { 1, "a" }, to = { sa.text("MAXVALUE"), "b" } }, { schema = "s",
      parent_schema = "u", if_not_exists = true, postgresql_partition_by = "HASH (a)",
      postgresql_tablespace = "fast" })]],
    "CREATE TABLE IF NOT EXISTS s.t1 PARTITION OF u.t FOR VALUES FROM (1, 'a') TO (MAXVALUE, 'b')"
      .. " PARTITION BY HASH (a) TABLESPACE fast" },
  { [[op.create_partition("t1", "t", { values = { "a", null } })]],
    "CREATE TABLE t1 PARTITION OF t FOR VALUES IN ('a', NULL)" },
  { [[op.create_partition("t1", "t", { modulus = 4, remainder = 0 })]],
    "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 4, REMAINDER 0)" },
  { [[op.create_partition("t1", "t", { default = true })]], "CREATE TABLE t1 PARTITION OF t DEFAULT" },
  { [[op.attach_partition("t", "t1", { from = 1, to = 2 }, { schema = "s", partition_schema = "u" })]],
    "ALTER TABLE s.t ATTACH PARTITION u.t1 FOR VALUES FROM (1) TO (2)" },
  { [[op.detach_partition("t", "t1", { schema = "s", partition_schema = "u", finalize = true })]],
    "ALTER TABLE s.t DETACH PARTITION u.t1 FINALIZE" },
  { [[op.get_context():autocommit_block(function() op.detach_partition("t", "t1", { concurrently = true }) end)]],
    "ALTER TABLE t DETACH PARTITION t1 CONCURRENTLY" },

  { [[op.validate_constraint("c", "t", { schema = "s" })]], "DO across_tenants",
    "ALTER TABLE s.t VALIDATE CONSTRAINT c", "DO across_tenants" },
  { [[op.create_unique_constraint_using_index("c", "t", "i", { schema = "s", deferrable = true,
      initially = "deferred" })]],
    "ALTER TABLE s.t ADD CONSTRAINT c UNIQUE USING INDEX i DEFERRABLE INITIALLY DEFERRED" },
  { [[op.create_primary_key_using_index("c", "t", "i", { schema = "s", deferrable = false,
      initially = "immediate" })]],
    "ALTER TABLE s.t ADD CONSTRAINT c PRIMARY KEY USING INDEX i NOT DEFERRABLE INITIALLY IMMEDIATE" },
  { [[op.rename_index("i", "j", { schema = "s", if_exists = true })]], "ALTER INDEX IF EXISTS s.i RENAME TO j" },
  { [[op.rename_constraint("c", "d", "t", { schema = "s" })]], "ALTER TABLE s.t RENAME CONSTRAINT c TO d" },
  { [[op.rename_constraint("c", "d", "t", { if_exists = true })]], "DO RENAME CONSTRAINT c TO d" },
  { [[op.comment_on("column", "a", "it's", { table_name = "t", schema = "s" })]],
    "COMMENT ON COLUMN s.t.a IS 'it''s'" },
  { [[op.comment_on("function", "f", null, { arguments = { "integer", "text" } })]],
    "COMMENT ON FUNCTION f(integer, text) IS NULL" },
  { [[op.comment_on("constraint", "c", "x", { table_name = "t" })]], "COMMENT ON CONSTRAINT c ON t IS 'x'" },
  { [[op.comment_on("materialized view", "m", "x", { schema = "s" })]], "COMMENT ON MATERIALIZED VIEW s.m IS 'x'" },
  { [[op.comment_on("schema", "s", "x")]], "COMMENT ON SCHEMA s IS 'x'" },

  { [[op.drop_table("t", { cascade = true })]], "DROP TABLE t CASCADE" },
  { [[op.drop_column("t", "a", { cascade = true })]], "ALTER TABLE t DROP COLUMN a CASCADE" },
  { [[op.drop_constraint("c", "t", { cascade = true })]], "ALTER TABLE t DROP CONSTRAINT c CASCADE" },
  { [[op.drop_index("i", { cascade = true })]], "DROP INDEX i CASCADE" },
}

local function failure(script)
  return tostring(step.error_of(step.recorder(), script))
end

describe("the directives that Alembic lacks", function()
  for _, row in ipairs(calls) do
    it("make the SQL of " .. row[1]:gsub("%s+", " "), function()
      local made = step.statements(row[1])
      assert.equal(#row - 1, #made, table.concat(made, "; "))
      for i, text in ipairs(made) do
        local within = row[i + 1]:match("^DO (.*)")
        if within then
          assert.truthy(text:find("^DO ") and text:find(within, 1, true), text)
        else
          assert.equal(row[i + 1], text)
        end
      end
    end)
  end

  it("are each shown above, with every option", function()
    local missing = {}
    for name, signature in pairs(signatures) do
      local texts = {}
      for _, row in ipairs(calls) do
        if row[1]:find("op." .. name .. "(", 1, true) then texts[#texts + 1] = row[1] end
      end
      local all = table.concat(texts, "\n")
      if all == "" then missing[#missing + 1] = name end
      for option in pairs(signature.options) do
        if not all:find(option .. " =", 1, true) then missing[#missing + 1] = name .. "." .. option end
      end
    end
    assert.same({}, missing)
  end)
end)

-- A value of a kind's own type, and one that no kind takes.
local good = { name = '"x"', texts = '{ "x" }', timing = '"after"', events = '"insert"', privileges = '"select"',
  one_or_more_names = '"x"', default_kind = '"tables"', bounds = "{ default = true }", comment_object = '"table"',
  query = '"SELECT 1"', string = '"x"', string_or_null = "null" }
local wrong = "function() end"

local function call(name, signature, options, replaced)
  local values = {}
  for i, parameter in ipairs(signature) do
    values[i] = i == replaced and wrong or assert(good[parameter[2]], parameter[2])
  end
  values[#values + 1] = options
  return ("\n\nop.%s(%s)"):format(name, table.concat(values, ", "))
end

for name, signature in pairs(signatures) do
  describe("op." .. name, function()
    it("takes nothing but its arguments", function()
      assert.is_nil(step.error_of(step.recorder(), call(name, signature)))
    end)

    it("names a misspelt option, the nearest right one and the line", function()
      for option in pairs(signature.options) do
        local message = failure(call(name, signature, ("{ %sx = 1 }"):format(option)))
        local expected = ("script.lua:3: op.%s: has no option '%sx' (did you mean"):format(name, option)
        assert.truthy(message:find(expected, 1, true), message)
      end
    end)

    it("names an argument of the wrong type", function()
      for i, parameter in ipairs(signature) do
        local message = failure(call(name, signature, nil, i))
        local expected = ("script.lua:3: op.%s: %s must be "):format(name, parameter[1])
        assert.truthy(message:find(expected, 1, true), message)
      end
      for option in pairs(signature.options) do
        local message = failure(call(name, signature, ("{ %s = %s }"):format(option, wrong)))
        assert.truthy(message:find(("script.lua:3: op.%s: %s must be "):format(name, option), 1, true), message)
      end
    end)

    it("names an argument that is missing", function()
      local message = failure(("\n\nop.%s()"):format(name))
      local expected = ("script.lua:3: op.%s: %s is missing"):format(name, signature[1][1])
      assert.truthy(message:find(expected, 1, true), message)
    end)
  end)
end

describe("the directives that Alembic lacks refuse", function()
  local refused = {
    { [[op.create_policy("p", "t", { replace = true, if_not_exists = true })]], "exclude each other" },
    { [[op.create_trigger("g", "t", "after", "insert", "f", { update_of = { "a" } })]], "not among the events" },
    { [[op.create_trigger("g", "t", "after", "isnert", "f")]], "did you mean 'INSERT'" },
    { [[op.create_function("f", "x", { security_definer = true })]], "needs a search_path" },
    { [[op.add_enum_value("e", "a", { before = "b", after = "c" })]], "exclude each other" },
    { [[op.comment_on("column", "a", "x")]], "needs table_name" },
    { [[op.comment_on("colunm", "a", "x")]], "did you mean 'COLUMN'" },
    { [[op.grant("selct", "t", "app")]], "did you mean 'SELECT'" },
    { [[op.create_partition("a", "b", { from = 1 })]], "must be bounds" },
    { [[op.create_partition("a", "b", { from = 1, to = 2, default = true })]], "must be bounds" },
    { [[op.create_partition("a", "b", { values = { {} } })]], "cannot be the bound" },
    { [[op.detach_partition("a", "b", { concurrently = true })]], "cannot run inside a transaction" },
    { [[op.get_context():autocommit_block(function() op.create_view("v", "SELECT 1") end)]], "say security_invoker" },
    { [[op.create_polcy("p", "t")]], "did you mean 'create_policy'" },
  }
  for _, row in ipairs(refused) do
    it(row[1], function()
      assert.truthy(failure(row[1]):find(row[2], 1, true), failure(row[1]))
    end)
  end

  it("to go back over op.irreversible, with its reason", function()
    local bind = step.recorder()
    bind.direction = "downgrade"
    local raised = step.error_of(bind, [[op.irreversible("the old passwords are gone")]])
    assert.equal("refused", raised.kind)
    assert.equal("downgrade of abc is irreversible: the old passwords are gone", raised.message)
  end)
end)

describe("create_view", function()
  it("leaves a view alone where tenants are not kept apart by row security", function()
    assert.same({ "CREATE VIEW v AS SELECT 1" },
      step.statements([[op.create_view("v", "SELECT 1")]], { isolation = "none" }))
  end)
end)
