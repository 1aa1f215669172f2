-- The guards of the tenant column and of the indexes that it leads.

local helper = require "spec.helper"
local guarded = require "spec.support.guarded"

describe("guards of columns", function()
  local world = guarded.new()
  local run, changes, refusal = world.run, world.changes, world.refusal
  local owner, database, _

  setup(function() owner, _, database = world.open() end)

  before_each(world.reset)

  describe("ensure_tenant_column", function()
    it("adds the column, NOT NULL, to an empty table, of the configured type or the guide's", function()
      owner:exec "CREATE TABLE t (id int)"
      run [[guards.ensure_tenant_column("t")]]
      assert.same({ "dmlua: t: column tenant_id character varying(255) added" }, changes())
      world.settings.tenant_type = "uuid"
      owner:exec "CREATE TABLE u (id int)"
      run [[guards.ensure_tenant_column("u")
            guards.assert_tenant_column("u")
            guards.ensure_tenant_column("u")]]
      assert.same({ "dmlua: u: column tenant_id uuid added" }, changes())
    end)

    it("refuses rows without a tenant, with their number, also where forced row security hides them", function()
      for _, forced in ipairs { false, true } do
        owner:exec "CREATE TABLE t (id int, tenant_id text)"
        owner:exec "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, NULL)"
        if forced then owner:exec "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY" end
        local message = refusal [[guards.ensure_tenant_column("t")]]
        assert.equal("ZD002", message.sqlstate)
        assert.truthy(message.message:find("TenantIsolationError: 2 rows of t have no tenant_id", 1, true))
        assert.truthy(message.hint:find("backfill", 1, true))
        owner:exec "DROP TABLE t"
      end
      owner:exec "CREATE TABLE t (id int)"
      owner:exec "INSERT INTO t SELECT generate_series(1, 2000)"
      assert.truthy(refusal([[guards.ensure_tenant_column("t")]]).message:find("more than 1000 rows of t", 1, true))
    end)

    it("fills rows in by an expression, also where forced row security hides them", function()
      owner:exec "CREATE TABLE t (id int, owner_name text)"
      owner:exec "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
      owner:exec "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
      owner:exec "BEGIN"
      run [[guards.ensure_tenant_column("t", { backfill = "owner_name || '{x} %s'" })]]
      owner:exec "COMMIT"
      assert.same({
        "dmlua: t: column tenant_id character varying(255) added", "dmlua: t: tenant_id filled in for 2 rows",
        "dmlua: t: tenant_id made NOT NULL",
      }, changes())
      assert.is_true(owner:exec("SELECT relforcerowsecurity AS f FROM pg_class WHERE oid = 't'::regclass").rows[1].f)
      assert.same({ across_tenants = "t" }, world.bind.marks)
      owner:exec "ALTER TABLE t NO FORCE ROW LEVEL SECURITY"
      assert.equal("a{x} %s", owner:exec("SELECT tenant_id FROM t WHERE id = 1").rows[1].tenant_id)
    end)

    it("refuses a backfill that leaves rows without a tenant", function()
      owner:exec "CREATE TABLE t (id int)"
      owner:exec "INSERT INTO t VALUES (1), (2)"
      owner:exec "BEGIN"
      local message = refusal [[guards.ensure_tenant_column("t", { backfill = "CASE id WHEN 1 THEN 'a' END" })]]
      owner:exec "ROLLBACK"
      assert.truthy(message.message:find("1 row of t has no tenant_id", 1, true))
    end)

    it("lets the column refer to the table of tenants, once", function()
      owner:exec "CREATE TABLE tenants (id text PRIMARY KEY)"
      owner:exec "CREATE TABLE t (id int, tenant_id text NOT NULL)"
      for _, name in ipairs { "tenants", "t" } do
        owner:exec(("ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"):format(name))
      end
      for _ = 1, 2 do
        owner:exec "BEGIN"
        run [[guards.ensure_tenant_column("t", { references = "public.tenants.id" })]]
        owner:exec "COMMIT"
      end
      assert.same({ "dmlua: t: foreign key to public.tenants added" }, changes())
      assert.equal(1, #owner:exec("SELECT FROM pg_constraint WHERE contype = 'f' AND convalidated").rows)
      assert.truthy(refusal([[guards.ensure_tenant_column("t", { references = "tenants" })]]).message
        :find('must be "table.column"', 1, true))
    end)

    it("refuses a column that is too short for the type, and takes a longer one", function()
      owner:exec "CREATE TABLE t (tenant_id varchar(50) NOT NULL)"
      local message = refusal [[guards.ensure_tenant_column("t", { type = sa.String(255) })]]
      assert.equal("ZD002", message.sqlstate)
      assert.matches("t%.tenant_id is character varying%(50%), not VARCHAR%(255%)", message.message)
      run [[guards.ensure_tenant_column("t", { type = sa.String(20) })
        guards.ensure_tenant_column("t", { type = sa.String })
        guards.ensure_tenant_column("t")]]
    end)

    it("refuses a column of another type, and a type that is none", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL)"
      local message = refusal [[guards.ensure_tenant_column("t", { type = sa.UUID() })]]
      assert.truthy(message.message:find("t.tenant_id is text, not UUID", 1, true))
      run [[guards.ensure_tenant_column("t", { type = sa.Text })]]
      world.settings.tenant_type = "uid"
      assert.truthy(refusal([[guards.assert_tenant_column("t")]]).detail:find("tenant_type_unknown", 1, true))
    end)
  end)

  describe("ensure_tenant_indexes", function()
    local function indexes()
      local found = {}
      for i, row in ipairs(owner:exec("SELECT indexdef FROM pg_indexes WHERE tablename = 't' ORDER BY 1").rows) do
        found[i] = row.indexdef:gsub("^CREATE ", ""):gsub(" USING btree", ""):gsub("public%.", "")
      end
      return found
    end

    it("makes the guide's indexes, once", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL, name text, email text, created_at date)"
      run [[guards.ensure_tenant_indexes("t", { "name", "email" }, { unique = { "email" } })]]
      assert.same({ "INDEX idx_t_tenant_created ON t (tenant_id, created_at)", "INDEX idx_t_tenant_id ON t (tenant_id)",
        "INDEX idx_t_tenant_name ON t (tenant_id, name)", "UNIQUE INDEX idx_t_tenant_email ON t (tenant_id, email)",
      }, indexes())
      assert.equal(1, #changes())
      run [[guards.ensure_tenant_indexes("t", { "name", "email" }, { unique = { "email" } })
            guards.assert_tenant_indexes("t", { "name" })]]
      assert.same({}, changes())
    end)

    it("makes all of them unique where the option says true", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL, name text, email text)"
      run [[guards.ensure_tenant_indexes("t", { "email", { "name", "email" } }, { unique = true })
        guards.assert_tenant_indexes("t", { "email" }, { unique = false })]]
      assert.same({ "INDEX idx_t_tenant_id ON t (tenant_id)", "UNIQUE INDEX idx_t_tenant_email ON t (tenant_id, email)",
        "UNIQUE INDEX idx_t_tenant_name_email ON t (tenant_id, name, email)" }, indexes())
      assert.truthy(refusal([[guards.ensure_tenant_indexes("t", {}, { unique = "email" })]]).message
        :find("or true for all", 1, true))
    end)

    it("takes an index for what it is, whatever its name", function()
      owner:exec "CREATE TABLE t (id int, tenant_id text NOT NULL, email text, PRIMARY KEY (tenant_id, id))"
      owner:exec "CREATE INDEX whatever ON t (tenant_id, email, id)"
      owner:exec "CREATE INDEX idx_t_tenant_id ON t (email)"
      run [[guards.ensure_tenant_indexes("t", { "email", { "id" } })]]
      assert.same({}, changes())
    end)

    it("does not take a partial, a reversed, a hash or a merely similar unique index", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL, email text)"
      owner:exec "CREATE INDEX idx_t_tenant_id ON t (tenant_id) WHERE email > ''"
      owner:exec "CREATE INDEX b ON t USING hash (tenant_id)"
      owner:exec "CREATE UNIQUE INDEX idx_t_tenant_email ON t (email, tenant_id)"
      run [[guards.ensure_tenant_indexes("t", {}, { unique = { "email" } })]]
      local found = table.concat(indexes(), "; ")
      assert.truthy(found:find("INDEX t_tenant_id_idx ON t (tenant_id)", 1, true), found)
      assert.truthy(found:find("UNIQUE INDEX t_tenant_id_email_idx ON t (tenant_id, email)", 1, true), found)
    end)

    it("takes one in descending order, with other columns included or for patterns, but no other collation", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL, email varchar(9), created_at date)"
      owner:exec "CREATE INDEX ON t (tenant_id text_pattern_ops DESC, created_at DESC NULLS LAST) INCLUDE (email)"
      owner:exec "CREATE UNIQUE INDEX ON t (tenant_id, email varchar_pattern_ops) INCLUDE (created_at)"
      run [[guards.ensure_tenant_indexes("t", { "email" }, { unique = { "email" } })]]
      assert.same({}, changes())
      owner:exec "DROP TABLE t"
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL, email text)"
      owner:exec 'CREATE UNIQUE INDEX a ON t (tenant_id COLLATE "C", email)'
      owner:exec "CREATE UNIQUE INDEX b ON t (tenant_id, lower(email))"
      owner:exec "CREATE UNIQUE INDEX c ON t (tenant_id, email) WHERE email > ''"
      run [[guards.ensure_tenant_indexes("t", {}, { unique = { "email" } })]]
      assert.same({ "dmlua: t: unique index on (tenant_id, email) created" }, changes())
    end)

    it("takes a constraint's index, and a partitioned table's, but none that was made ON ONLY the parent", function()
      owner:exec "CREATE TABLE t (tenant_id text, email text, UNIQUE (tenant_id, email)) PARTITION BY LIST (tenant_id)"
      owner:exec "CREATE TABLE part PARTITION OF t DEFAULT"
      run [[guards.ensure_tenant_indexes("t", {}, { unique = { "email" } })]]
      assert.same({}, changes())
      owner:exec "ALTER TABLE t DROP CONSTRAINT t_tenant_id_email_key"
      owner:exec "CREATE INDEX only_here ON ONLY t (tenant_id)"
      local message = refusal [[guards.ensure_tenant_indexes("t")]]
      assert.truthy(message.hint:find("attach an index of every partition to it, or DROP INDEX only_here", 1, true))
      owner:exec "DROP INDEX only_here"
      run [[guards.ensure_tenant_indexes("t")]]
      assert.equal(2, #owner:exec(
        "SELECT FROM pg_index WHERE indisvalid AND indrelid IN ('t'::regclass, 'part'::regclass)").rows)
    end)

    it("makes an index whose name is taken under another", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL, created text, created_at date)"
      run [[guards.ensure_tenant_indexes("t", { "created" })]]
      assert.equal(3, #indexes())
    end)

    it("names an invalid index instead of trusting it", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL)"
      owner:exec "CREATE INDEX broken ON t (tenant_id)"
      helper.execute(database.postgres, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass")
      local message = refusal [[guards.ensure_tenant_indexes("t")]]
      assert.equal("ZD003", message.sqlstate)
      assert.truthy(message.message:find("the index broken of t is not valid", 1, true))
      assert.truthy(message.hint:find("DROP INDEX broken", 1, true))
    end)

    it("refuses columns that the table has not", function()
      owner:exec "CREATE TABLE t (tenant_id text NOT NULL)"
      local message = refusal [[guards.ensure_tenant_indexes("t", { "emial" })]]
      assert.truthy(message.message:find("t has no column emial", 1, true))
      owner:exec "CREATE TABLE u (id int)"
      assert.truthy(refusal([[guards.ensure_tenant_indexes("u")]]).message:find("u has no column tenant_id", 1, true))
    end)
  end)
end)
