local cjson = require "cjson"
local helper = require "spec.helper"

-- What a step that fails leaves is nothing, so one database serves them all.
local database

local function prepare()
  database = helper.database()
  helper.execute(database.owner, [[
    CREATE TABLE parted (a int) PARTITION BY LIST (a); CREATE INDEX ON parted (a);
    CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE moods (m mood);
    CREATE TABLE customers (id int PRIMARY KEY, tenant_id text, status text);
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY; ALTER TABLE customers FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON customers USING (tenant_id = current_setting('app.current_tenant_id', true));
    CREATE TABLE orders (customer int)]])
end

-- What dmlua says when `script` is the whole of a step's upgrade, and its exit code.
local function failure(script)
  local folder = helper.project { database = database, versions = { { revision = "aaaa", upgrade = script } } }
  local result = helper.dmlua("upgrade head --json", { cwd = folder })
  return cjson.decode(result.out:match("[^\n]*\n$")).error, result.code
end

local function raising(sqlstate)
  return ('op.execute("DO $$ BEGIN RAISE EXCEPTION \'no\' USING ERRCODE = \'%s\'; END $$")'):format(sqlstate)
end

describe("a failed statement is answered with the way out", function()
  setup(prepare)

  local cases = {
    { "when the server cannot know a parameter's type", 'op.execute("SELECT :a IS NULL", { a = 1 })', "42P18",
      "write a cast" },
    { "when DDL was given a parameter that it has no place for",
      'op.execute("CREATE TABLE t (a int DEFAULT :d)", { d = 1 })', "08P01", "take no parameters" },
    { "when a parameter stands where the grammar has no value", 'op.execute("CREATE ROLE r PASSWORD :p", { p = "x" })',
      "42601", "only where a value may" },
    { "when only the server knew that a statement refuses a transaction", 'op.execute("REINDEX TABLE parted")', "25001",
      "autocommit_block" },
    { "when a DO block commits", 'op.execute("DO $$ BEGIN COMMIT; END $$")', "2D000", "transaction is dmlua's" },
    { "when an enum's value is used too early",
      [[op.execute("ALTER TYPE mood ADD VALUE 'sad'; INSERT INTO moods VALUES ('sad')")]], "55P04",
      "once it is committed" },
    { "when a lock was not had in time", raising "55P03", "55P03", "run the same command again" },
    { "when it was chosen to end a deadlock", raising "40P01", "40P01", "run the same command again" },
    { "when the rows were changed by another", raising "40001", "40001", "run the same command again" },
  }
  for _, case in ipairs(cases) do
    local name, script, sqlstate, hint = table.unpack(case)
    it(name, function()
      local raised, code = failure(script)
      assert.same({ sqlstate, sqlstate == "55P03" and 4 or 1 }, { raised.sqlstate, code })
      assert.matches(hint, raised.hint, 1, true)
    end)
  end

  it("when a privilege is missing: role, privilege and GRANT are named", function()
    helper.execute(database, [[CREATE TABLE "Theirs" (id int PRIMARY KEY, "Theirs" int); CREATE SCHEMA hidden]])
    local denied = {
      { 'op.execute(\'INSERT INTO "Theirs" VALUES (1)\')', 'GRANT INSERT ON "Theirs" TO owner' },
      { 'op.execute(\'UPDATE "Theirs" SET id = 1\')', 'GRANT SELECT, UPDATE ON "Theirs" TO owner' },
      { 'op.execute(\'INSERT INTO orders (customer) SELECT id FROM public."Theirs"\')',
        'GRANT SELECT ON public."Theirs" TO owner' },
      { 'op.execute(\'DELETE FROM ONLY "public"."Theirs"\')', 'GRANT SELECT, DELETE ON "public"."Theirs" TO owner' },
      { 'op.execute(\'UPDATE ORDERS SET customer = t.id FROM "Theirs" t\')', 'GRANT SELECT ON "Theirs" TO owner' },
      { 'op.execute(\'SELECT t."Theirs" FROM orders, public."Theirs" t\')',
        'GRANT SELECT ON public."Theirs" TO owner' },
      { 'op.execute(\'SELECT t."Theirs" FROM "Theirs" t\')', 'GRANT SELECT ON "Theirs" TO owner' },
      { 'op.execute(\'CREATE TABLE n (id int REFERENCES public."Theirs")\')',
        'GRANT REFERENCES ON public."Theirs" TO owner' },
      { [[op.execute('CREATE TRIGGER t AFTER INSERT ON "Theirs" EXECUTE FUNCTION tsvector_update_trigger()')]],
        'GRANT TRIGGER ON "Theirs" TO owner' },
      { 'op.execute(\'CREATE TABLE n AS SELECT * FROM "Theirs"\')', 'GRANT SELECT ON "Theirs" TO owner' },
      { 'op.execute("CREATE TABLE hidden.t (id int)")', "GRANT CREATE ON SCHEMA hidden TO owner" },
      { 'op.execute("SELECT * FROM hidden.t")', "GRANT USAGE ON SCHEMA hidden TO owner" },
    }
    for _, case in ipairs(denied) do
      local raised = failure(case[1])
      assert.equal("42501", raised.sqlstate)
      assert.matches("^role owner has not the privilege", raised.hint)
      assert.matches(case[2], raised.hint, 1, true)
    end
  end)

  it("but not in place of a hint that the script itself raised, and not where there is none", function()
    local raised = failure [[
      op.execute("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '25001', HINT = 'mine'; END $$")]]
    assert.equal("mine", raised.hint)
    assert.equal(cjson.null, failure('op.execute("SELECT 1/0")').hint)
  end)
end)

describe("row security that stops a statement outside the tenants' loop", function()
  setup(prepare)

  it("is named for what it is, and the way is the loop, not less security", function()
    local raised, code = failure([[op.execute("-- all of them\nUPDATE customers SET status = 'active'")]])
    assert.same({ "42501", 1 }, { raised.sqlstate, code })
    assert.equal("TenantIsolationError: No tenant context set: UPDATE customers outside tenants.each", raised.message)
    assert.matches("tenants.each(fn)", raised.hint, 1, true)
    assert.not_matches("NO FORCE", raised.hint, 1, true)
  end)

  it("names the table whose rows DDL would read", function()
    local raised = failure [[op.execute("ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers")]]
    assert.equal("TenantIsolationError: No tenant context set: ALTER reads customers outside op.across_tenants",
      raised.message)
  end)

  it("is not every missing privilege", function()
    local raised = failure([[op.execute("SELECT * FROM pg_authid")]])
    assert.same({ "42501", "permission denied for table pg_authid" }, { raised.sqlstate, raised.message })
  end)
end)
