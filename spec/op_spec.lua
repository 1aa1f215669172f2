local server = require "spec.helper"
local step = require "spec.step"

local function sql(script)
  return table.concat(step.statements(script), "; ")
end

local function failure(script)
  return tostring(step.error_of(step.recorder(), script))
end

describe("op", function()
  describe("create_table", function()
    it("writes the guide's first migration as SQLAlchemy does", function()
      assert.equal("CREATE TABLE customer_profiles ( id UUID NOT NULL, tenant_id VARCHAR(255) NOT NULL,"
        .. " created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL, PRIMARY KEY (id) )",
        sql [[op.create_table("customer_profiles",
          sa.Column("id", sa.UUID(), { nullable = false }),
          sa.Column("tenant_id", sa.String(255), { nullable = false }),
          sa.Column("created_at", sa.DateTime(), { nullable = false }),
          sa.PrimaryKeyConstraint("id"))]])
    end)

    it("puts the primary key first, then the table's constraints, then the columns', as SQLAlchemy does", function()
      assert.equal("CREATE TABLE billing.orders ( id BIGSERIAL NOT NULL, code TEXT, customer_id INTEGER,"
        .. " PRIMARY KEY (id), CONSTRAINT ck CHECK (id > 0), CONSTRAINT uq UNIQUE (id, code), UNIQUE (code),"
        .. " FOREIGN KEY(customer_id) REFERENCES customers (id) ON DELETE CASCADE )",
        sql [[op.create_table("orders", sa.Column("id", sa.BigInteger, { primary_key = true }),
          sa.Column("code", sa.Text, { unique = true }),
          sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id", { ondelete = "cascade" })),
          sa.CheckConstraint("id > 0", { name = "ck" }), sa.UniqueConstraint("id", "code", { name = "uq" }),
          { schema = "billing" })]])
    end)

    it("makes indexes and then comments after the table", function()
      assert.same({
        "CREATE TABLE t ( a INTEGER, b INTEGER )", "CREATE INDEX ix_t_a ON t (a)",
        "CREATE UNIQUE INDEX ix_t_b ON t (b)", "COMMENT ON TABLE t IS 'it''s'", "COMMENT ON COLUMN t.a IS E'\\\\'",
      }, step.statements [[op.create_table("t", sa.Column("a", sa.Integer, { index = true, comment = "\\" }),
          sa.Column("b", sa.Integer, { index = true, unique = true }), { comment = "it's" })]])
    end)

    it("counts up a lone integer key, but not one that refers, has a default or is told not to", function()
      local function key(options, extra)
        return sql(([[op.create_table("t", sa.Column("id", sa.Integer%s, %s))]]):format(extra or "", options))
      end
      assert.truthy(key("{ primary_key = true }"):find("id SERIAL NOT NULL", 1, true))
      assert.truthy(key("{ primary_key = true, server_default = 7 }"):find("id INTEGER DEFAULT 7 NOT NULL", 1, true))
      assert.truthy(key("{ primary_key = true, autoincrement = false }"):find("id INTEGER NOT NULL", 1, true))
      assert.truthy(key("{ primary_key = true }", [[, sa.ForeignKey("x.id")]]):find("id INTEGER NOT NULL", 1, true))
      assert.truthy(sql [[op.create_table("t", sa.Column("a", sa.Integer), sa.Column("b", sa.Integer),
        sa.PrimaryKeyConstraint("a", "b"))]]:find("a INTEGER NOT NULL, b INTEGER NOT NULL", 1, true))
      assert.truthy(sql [[op.create_table("t", sa.Column("a", sa.Integer, { primary_key = true }),
        sa.Column("b", sa.Integer, { primary_key = true, autoincrement = true }))]]:find("PRIMARY KEY (b, a)", 1, true))
    end)

    it("writes a server default as a literal when it is a string, as it stands when it is sa.text", function()
      assert.equal("CREATE TABLE t ( a TEXT DEFAULT 'now()', b TEXT DEFAULT lower('X'), c BOOLEAN DEFAULT true,"
        .. " d INTEGER DEFAULT 5, e TIMESTAMP WITH TIME ZONE DEFAULT now(), f BOOLEAN DEFAULT false, g INTEGER )",
        sql [[op.create_table("t", sa.Column("a", sa.Text, { server_default = "now()" }),
          sa.Column("b", sa.Text, { server_default = sa.text("lower('X')") }),
          sa.Column("c", sa.Boolean, { server_default = true }), sa.Column("d", sa.Integer, { server_default = 5 }),
          sa.Column("e", sa.DateTime { timezone = true }, { server_default = sa.func.now() }),
          sa.Column("f", sa.Boolean, { server_default = sa.false_() }),
          sa.Column("g", sa.Integer, { server_default = null }))]])
    end)

    it("writes PostgreSQL's own options", function()
      assert.equal("CREATE UNLOGGED TABLE IF NOT EXISTS t ( a DATE ) INHERITS (p) PARTITION BY RANGE (a)"
        .. " TABLESPACE fast",
        sql [[op.create_table("t", sa.Column("a", sa.Date), { if_not_exists = true, prefixes = { "UNLOGGED" },
          postgresql_inherits = "p", postgresql_partition_by = "RANGE (a)", postgresql_tablespace = "fast" })]])
    end)

    it("does not change what it was given", function()
      local script = [[local id = sa.Column("id", sa.Integer, sa.ForeignKey("x.id"))
        local key, options = sa.PrimaryKeyConstraint("id"), { schema = "s" }
        op.create_table("t", id, key, options)
        op.create_table("t", id, key, options)]]
      local statements = step.statements(script)
      assert.equal(statements[1], statements[2])
    end)
  end)

  describe("alter_column", function()
    it("sends one statement a change, in the order type, null, default, comment, name", function()
      assert.same({
        "ALTER TABLE s.t ALTER COLUMN a TYPE TEXT USING a::text", "ALTER TABLE s.t ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE s.t ALTER COLUMN a SET DEFAULT 'x'", "COMMENT ON COLUMN s.t.a IS 'why'",
        "ALTER TABLE s.t RENAME a TO b",
      }, step.statements [[op.alter_column("t", "a", { new_column_name = "b", comment = "why", server_default = "x",
          nullable = false, type_ = sa.Text(), postgresql_using = "a::text", schema = "s" })]])
    end)

    it("drops a default or a comment that is null", function()
      assert.same({ "ALTER TABLE t ALTER COLUMN a DROP DEFAULT", "COMMENT ON COLUMN t.a IS NULL" },
        step.statements [[op.alter_column("t", "a", { server_default = null, comment = null })]])
    end)

    it("adds, sets and drops an identity", function()
      assert.same({ "ALTER TABLE t ALTER COLUMN a ADD GENERATED ALWAYS AS IDENTITY (START WITH 5)",
        "ALTER TABLE t ALTER COLUMN a SET GENERATED BY DEFAULT SET INCREMENT BY -2 SET NO CYCLE",
        "ALTER TABLE t ALTER COLUMN a DROP IDENTITY" }, step.statements [[
          op.alter_column("t", "a", { server_default = sa.Identity(true, { start = 5 }),
            existing_server_default = null })
          op.alter_column("t", "a", { server_default = sa.Identity { increment = -2, cycle = false },
            existing_server_default = sa.Identity(true) })
          op.alter_column("t", "a", { server_default = null, existing_server_default = sa.Identity() })]])
    end)

    it("takes postgresql_using only with a type", function()
      assert.truthy(failure [[op.alter_column("t", "a", { postgresql_using = "a" })]]:find("type_ parameter", 1, true))
    end)
  end)

  it("writes indexes with every clause in the grammar's order", function()
    assert.equal("CREATE UNIQUE INDEX IF NOT EXISTS ix ON s.t USING gin (a gin_trgm_ops, lower(b)) INCLUDE (c)"
      .. " NULLS NOT DISTINCT WITH (fillfactor = 50) TABLESPACE fast WHERE a > 1",
      sql [[op.create_index(op.f("ix"), "t", { "a", sa.text("lower(b)") }, { unique = true, schema = "s",
        if_not_exists = true, postgresql_using = "GIN", postgresql_ops = { a = "gin_trgm_ops" },
        postgresql_include = { "c" }, postgresql_nulls_not_distinct = true, postgresql_with = { fillfactor = 50 },
        postgresql_tablespace = "fast", postgresql_where = sa.text("a > 1") })]])
  end)

  it("writes the other directives as Alembic does", function()
    assert.same({
      "DROP TABLE IF EXISTS s.t", "ALTER TABLE s.t RENAME TO u", "ALTER TABLE t DROP COLUMN a", "DROP INDEX s.ix",
      "DROP INDEX ix", "ALTER TABLE t ADD CONSTRAINT pk PRIMARY KEY (a, b)",
      "ALTER TABLE t ADD CONSTRAINT uq UNIQUE (a) DEFERRABLE INITIALLY DEFERRED", "ALTER TABLE t ADD UNIQUE (a)",
      "ALTER TABLE t ADD CONSTRAINT ck CHECK (a > 0) NOT VALID", "ALTER TABLE t DROP CONSTRAINT ck",
      'ALTER TABLE "Order" ADD COLUMN "user" TEXT', "CREATE INDEX \"ix_Order_user\" ON \"Order\" (\"user\")",
    }, step.statements [[
      op.drop_table("t", { schema = "s", if_exists = true })
      op.rename_table("t", "u", { schema = "s" })
      op.drop_column("t", "a")
      op.drop_index("ix", { table_name = "t", schema = "s" })
      op.drop_index("ix", "t")
      op.create_primary_key("pk", "t", { "a", "b" })
      op.create_unique_constraint("uq", "t", { "a" }, { deferrable = true, initially = "deferred" })
      op.create_unique_constraint(null, "t", { "a" })
      op.create_check_constraint("ck", "t", sa.text("a > 0"), { postgresql_not_valid = true })
      op.drop_constraint("ck", "t", "check")
      op.add_column("Order", sa.Column("user", sa.Text, { index = true }))]])
  end)

  it("adds foreign keys behind the one door, and those that check nothing without it", function()
    local sent = step.statements [[op.create_foreign_key("fk", "orders", "customers", { "tenant_id", "customer_id" },
      { "tenant_id", "id" }, { ondelete = "CASCADE", onupdate = "SET NULL", match = "FULL", deferrable = true,
      initially = "DEFERRED", source_schema = "a", referent_schema = "b" })]]
    assert.equal(3, #sent)
    assert.equal("ALTER TABLE a.orders ADD CONSTRAINT fk FOREIGN KEY(tenant_id, customer_id) REFERENCES b.customers"
      .. " (tenant_id, id) MATCH FULL ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED", sent[2])
    assert.truthy(sent[1]:find("NO FORCE", 1, true))
    assert.truthy(sent[1]:find("ARRAY['b.customers', 'a.orders']", 1, true))
    assert.truthy(sent[3]:find("FORCE ROW LEVEL SECURITY", 1, true))
    assert.equal(1, #step.statements [[op.create_foreign_key("fk", "a", "b", { "x" }, { "y" },
      { postgresql_not_valid = true })]])
    assert.equal(4, #step.statements [[op.add_column("t", sa.Column("x", sa.Integer, sa.ForeignKey("u.id")))]])
  end)

  it("gives each statement the author's file and line", function()
    local bind = step.recorder()
    step.run(bind, "\n\nop.drop_table('t')\nlocal function helper()\n  op.drop_table('u')\nend\nhelper()\n")
    assert.same({ "script.lua", 3 }, { bind.sent[1].file, bind.sent[1].line })
    assert.equal(5, bind.sent[2].line)
  end)

  it("says that Python's own default and onupdate have no effect, loudly once a step", function()
    local bind = step.recorder()
    step.run(bind, [[op.add_column("t", sa.Column("a", sa.Integer, { default = 1 }))
      op.create_table("u", sa.Column("b", sa.Integer, { onupdate = 1 }))]])
    assert.same({ { level = "warn", text = "column t.a: default has no effect in the database;"
      .. " write server_default for a default there" },
      { level = "debug", text = "column u.b: onupdate has no effect in the database; there a trigger would do it" },
    }, bind.logged)
  end)

  it("registers a tree's own operations, also in a module of lib/ that is required at the top", function()
    local helper = require "spec.helper"
    local database = helper.database()
    local folder = helper.project { database = database, versions = { ["a.lua"] = [[
local views = require "views"
revision = "aaaa"
function upgrade()
  op.create_view_of("v", { sql = views.one })
end
]] }, files = { ["lib/views.lua"] = [[
op.register_operation("create_view_of", function(operations, name, options)
  return operations.invoke { kind = "create_view_of", name = name, sql = options.sql }
end)
op.implementation_for("create_view_of", function(operations, operation)
  operations.execute(("CREATE VIEW %s AS %s"):format(operation.name, operation.sql))
end)
return { one = "SELECT 1 AS one" }
]] } }
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(0, result.code, result.err)
    assert.equal("1", helper.value(database, "SELECT one FROM v"))
  end)

  it("refuses to register what is there already, and to invoke what nothing implements", function()
    assert.equal("op.register_operation: op.drop_table is there already",
      step.error_of(step.recorder(), [[op.register_operation("drop_table", print)]]).message)
    assert.equal("op.invoke: no op.implementation_for 'mak' (did you mean 'make'?)", step.error_of(step.recorder(),
      [[op.implementation_for("make", print) op.invoke { kind = "mak" }]]).message)
  end)

  describe("batch_alter_table", function()
    it("warns of what has no effect in PostgreSQL", function()
      local bind = step.recorder()
      step.run(bind, [[op.batch_alter_table("t", { recreate = "always" }, function(batch_op)
          batch_op.add_column(sa.Column("a", sa.Text)) end)
        op.batch_alter_table("t", { partial_reordering = { { "b", "a" } } }, function(batch_op)
          batch_op.alter_column("a", { nullable = true, insert_after = "b" }) end)]])
      assert.same({ "warn", "warn" }, { bind.logged[1].level, bind.logged[2].level })
      assert.truthy(bind.logged[1].text:find('recreate = "always" has no effect', 1, true))
      assert.truthy(bind.logged[2].text:find("batch_op.alter_column: insert_after has no effect", 1, true))
    end)

    it("takes sa.DefaultClause for its default, and sa.FetchedValue for none", function()
      assert.same({ "CREATE TABLE t ( a INTEGER DEFAULT '0', b INTEGER DEFAULT now(), c INTEGER )" },
        step.statements [[op.create_table("t",
          sa.Column("a", sa.Integer, { server_default = sa.DefaultClause("0") }),
          sa.Column("b", sa.Integer, { server_default = sa.DefaultClause(sa.text("now()")) }),
          sa.Column("c", sa.Integer, { server_default = sa.FetchedValue() }))]])
      local alter = [[op.alter_column("t", "a", { server_default = sa.FetchedValue() })]]
      assert.truthy(step.error_of(step.recorder(), alter).message:find("sa.FetchedValue is no default", 1, true))
    end)

    it("warns of foreign keys that say use_alter, which create_table does not make", function()
      local bind = step.recorder()
      step.run(bind, [[op.create_table("a", sa.Column("x", sa.Integer, sa.ForeignKey("b.id", { use_alter = true })),
        sa.Column("y", sa.Integer, sa.ForeignKey("b.id", { use_alter = false })))]])
      assert.equal(1, #bind.logged)
      assert.truthy(bind.logged[1].text:find("the foreign key to b says use_alter and is not made", 1, true))
      assert.equal("CREATE TABLE a (\n    x INTEGER,\n    y INTEGER,\n    FOREIGN KEY(y) REFERENCES b (id)\n)",
        bind.sent[1].sql)
    end)

    it("refuses another order of columns, for which Alembic copies a table or asks to be told to", function()
      for _, case in ipairs {
        { "batch_op.add_column: insert_after",
          [[{}, function(b) b.add_column(sa.Column("a", sa.Text), { insert_after = "b" }) end]] },
        { "batch_op.add_column: insert_before",
          [[{ recreate = "always" }, function(b) b.add_column(sa.Column("a", sa.Text), { insert_before = "b" }) end]] },
        { "batch_op.alter_column: insert_before",
          [[{ recreate = "always" }, function(b) b.alter_column("a", { nullable = true, insert_before = "b" }) end]] },
        { "op.batch_alter_table: partial_reordering",
          [[{ recreate = "always", partial_reordering = { { "b", "a" } } }, function() end]] },
      } do
        local refusal = step.error_of(step.recorder(), ([[op.batch_alter_table("t", %s)]]):format(case[2]))
        assert.equal(case[1] .. " asks for another order of columns, for which the table would have to be copied",
          refusal.message)
      end
    end)

    it("refuses what Alembic would give the copy of a table, and takes it where Alembic makes none", function()
      local call = [[op.batch_alter_table("t", { recreate = "%s", table_args = { sa.UniqueConstraint("a") } },
        function() end)]]
      assert.equal("op.batch_alter_table: table_args would be the copy's, and the table is not copied",
        step.error_of(step.recorder(), call:format "always").message)
      assert.same({}, step.statements(call:format "auto"))
    end)

    it("takes the options of a helper that was given none: { schema = schema }", function()
      assert.same({ "ALTER TABLE t DROP CONSTRAINT c", "DROP INDEX i", "ALTER TABLE t DROP COLUMN a",
        "COMMENT ON TABLE t IS NULL", "ALTER TABLE t ADD COLUMN b TIMESTAMP WITHOUT TIME ZONE" }, step.statements [[
        local schema
        op.drop_constraint("c", "t", { schema = schema })
        op.drop_index("i", { schema = schema })
        op.drop_column("t", "a", { schema = schema })
        op.drop_table_comment("t", { schema = schema })
        op.add_column("t", sa.Column("b", sa.DateTime { timezone = schema }), { schema = schema })]])
    end)

    it("adds the constraints of a column that is there already no second time, with if_not_exists", function()
      local connection = server.connect(server.database().owner)
      connection:exec "BEGIN; CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (a int)"
      local script = [[
        op.add_column("t", sa.Column("b", sa.Integer, sa.ForeignKey("p.id", { name = "Fk", ondelete = "CASCADE" }),
          sa.ForeignKey("p.id"), { unique = true, comment = "c" }), { if_not_exists = true })
        op.add_column("t", sa.Column("c", sa.Integer, { unique = true, index = true }), { if_not_exists = true })]]
      assert.equal("Fk t_b_fkey t_b_key", step.run(step.runner(connection), script .. "\n" .. script .. [[

        return op.get_bind():scalar("SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint"
          .. " WHERE conrelid = 't'::regclass")]]))
      connection:exec "ROLLBACK"
    end)

    it("opens the one door for a foreign key, as the directive does", function()
      assert.equal(3, #step.statements [[op.batch_alter_table("t", {}, function(batch_op)
        batch_op.create_foreign_key("fk", "u", { "a" }, { "id" }) end)]])
    end)

    it("names what is wrong with a call, an operation or an option", function()
      for _, mistake in ipairs {
        { [[op.batch_alter_table("t")]],
          "op.batch_alter_table: fn is missing (a function)" },
        { [[op.batch_alter_table("t", { shema = "s" }, print)]],
          "op.batch_alter_table: has no option 'shema' (did you mean 'schema'?)" },
        { [[op.batch_alter_table("t", { recreate = "no" }, print)]],
          'op.batch_alter_table: recreate must be "auto", "always" or "never", got a string' },
        { [[op.batch_alter_table("t", function(b) b.add_colum() end)]],
          "batch_op.add_colum does not exist (did you mean 'add_column'?)" },
        { [[op.batch_alter_table("t", function(b) b.drop_column("c", { schema = "s" }) end)]],
          "batch_op.drop_column: has no option 'schema'" },
        { [[op.batch_alter_table("t", function(b) b:drop_column("c") end)]],
          "batch_op.drop_column: is called with a dot, not with a colon" },
        { [[local kept op.batch_alter_table("t", function(b) kept = b end) kept.drop_column("c")]],
          "batch_op has ended with its function" },
      } do
        assert.equal(mistake[2], step.error_of(step.recorder(), mistake[1]).message)
      end
    end)
  end)

  describe("with a mistake in it", function()
    local mistakes = {
      { [[op.creat_table("t")]], "op.creat_table does not exist (did you mean 'create_table'?)" },
      { [[sa.Strng()]], "sa.Strng does not exist (did you mean 'String'?)" },
      { [[postgresql.JSNB()]], "postgresql.JSNB does not exist (did you mean 'JSONB'?)" },
      { [[sa.Column("a", sa.Text, { nulable = false })]],
        "sa.Column: has no option 'nulable' (did you mean 'nullable'?)" },
      { [[op.drop_table("t", { shema = "x" })]], "op.drop_table: has no option 'shema' (did you mean 'schema'?)" },
      { [[op.create_table()]], "op.create_table: table_name is missing (a name)" },
      { [[op.create_table(5)]], "op.create_table: table_name must be a name, got a number" },
      { [[op.create_table("t", "a")]],
        "op.create_table: argument 2 must be a sa.Column or a table constraint, got a string" },
      { [[op.create_table("t", nil, sa.Column("a", sa.Text))]], "op.create_table: argument 2 is nil" },
      { [[op.create_index("i", "t", "a")]],
        "op.create_index: columns must be a list of column names and sa.text expressions, got a string" },
      { [[op.create_index("i", "t", {})]], "columns must be a list" },
      { [[op.create_index("i", "t", { "a", unique = true })]], "columns must be a list" },
      { [[op.drop_table("t", "u")]], "op.drop_table: takes 1 argument and a table of options, got a string more" },
      { [[op.drop_table("t", { table_name = "u" })]], "op.drop_table: table_name is given twice" },
      { [[op.create_foreign_key("f", "a", "b", { "x" }, { "y" }, { ondelete = "DROP" })]],
        "ondelete must be one of CASCADE, SET NULL, SET DEFAULT, RESTRICT, NO ACTION, got a string" },
      { [[op.create_foreign_key("f", "a", "b", { "x", "z" }, { "y" })]], "local_cols has 2 columns, remote_cols 1" },
      { [[sa.ForeignKey("customers")]], "must be \"table.column\"" },
      { [[sa.String("x")]], "sa.String: length must be a whole number, got a string" },
      { [[op.create_index("i", "t", { "a" }, { postgresql_concurrently = true })]], "autocommit_block" },
      { [[op.rename_table("t", ("x"):rep(64))]], "has 64 bytes" },
      { [[op.drop_index("i")]] },
      { [[op.x = 1]], "op.x cannot be set" },
      { [[sa.Column("a", sa.Text, { autoincrement = "yes" })]],
        'autoincrement must be true, false, "auto" or "ignore_fk", got a string' },
      { [[op.create_table("t", sa.Column("a", sa.Text, { primary_key = true, autoincrement = true }))]],
        "column a: autoincrement = true needs an integer type, not TEXT" },
      { [[op.create_index("i", "t", { "a" }, { sqlite_where = sa.text("a") })]],
        "op.create_index: sqlite_where is for another database: leave it out" },
      { [[op:drop_table("t")]], "op.drop_table: is called with a dot, not with a colon" },
      { [[op.drop_table("t", nil)]] },
      { [[op.drop_table(nil, nil)]], "op.drop_table: table_name is missing" },
      { [[sa.String = 1]], "sa.String cannot be set" },
    }
    for _, mistake in ipairs(mistakes) do
      local script, expected = mistake[1], mistake[2]
      it((expected and "refuses " or "takes ") .. script, function()
        local message = step.error_of(step.recorder(), "\n" .. script)
        if not expected then return assert.is_nil(message) end
        assert.equal("migration", message.kind)
        assert.equal("script.lua", message.file)
        assert.equal(2, message.line)
        assert.truthy(tostring(message):find(expected, 1, true), tostring(message))
      end)
    end
  end)
end)
