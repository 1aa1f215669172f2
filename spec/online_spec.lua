-- Online composites: their statements, what they bring about, what they refuse. Killed ones: online_killed_spec.

local helper = require "spec.helper"
local online = require "dmlua.online"
local step = require "spec.step"

-- A bind whose queries are answered by `answers`, in order.
local function answering(...)
  local bind, answers = step.recorder(), { ... }
  function bind:query(sql)
    self.sent[#self.sent + 1] = { sql = sql }
    return { rows = table.remove(answers, 1) }
  end
  function bind:batches(sql) self.sent[#self.sent + 1] = { sql = "BATCHES " .. sql } end
  return bind
end

local function statements(bind, script)
  local texts = {}
  step.run(bind, script)
  for i, statement in ipairs(bind.sent) do texts[i] = statement.sql:gsub("%s+", " ") end
  return texts
end

-- What the texts hold, in order: a piece for each.
local function assert_hold(pieces, texts)
  assert.equal(#pieces, #texts, table.concat(texts, "\n"))
  for i, piece in ipairs(pieces) do assert.truthy(texts[i]:find(piece, 1, true), texts[i] .. "\nlacks " .. piece) end
end

describe("the statements of", function()
  it("add_check_online", function()
    assert_hold({ 'ADD CONSTRAINT c CHECK (a > 0) NOT VALID', "ALTER TABLE s.t VALIDATE CONSTRAINT c" },
      statements(answering(), [[op.add_check_online("c", "t", "a > 0", { schema = "s" })]]))
  end)

  it("add_foreign_key_online", function()
    assert_hold({ "bypassrls", "FOREIGN KEY(a) REFERENCES v.p (id) MATCH FULL ON DELETE CASCADE ON UPDATE RESTRICT"
      .. " DEFERRABLE INITIALLY DEFERRED NOT VALID", "ALTER TABLE s.t VALIDATE CONSTRAINT k" },
      statements(answering(), [[op.add_foreign_key_online("k", "t", "p", { "a" }, { "id" }, { source_schema = "s",
        referent_schema = "v", match = "full", ondelete = "cascade", onupdate = "restrict", deferrable = true,
        initially = "deferred" })]]))
  end)

  it("add_not_null_online, without rows to fill in", function()
    assert_hold({ "ADD CONSTRAINT dmlua_not_null_a CHECK (a IS NOT NULL) NOT VALID",
      "VALIDATE CONSTRAINT dmlua_not_null_a", "ALTER COLUMN a SET NOT NULL", "DROP CONSTRAINT dmlua_not_null_a" },
      statements(answering(), [[op.add_not_null_online("t", "a", { schema = "s" })]]))
  end)

  it("add_not_null_online, with rows to fill in", function()
    local texts = statements(answering({ { name = "id", type = "integer" } }),
      [[op.add_not_null_online("t", "a", { backfill = "b + 1", batch_size = 7 })]])
    assert_hold({ "bypassrls", "indisprimary", "LIMIT 7", "NOT VALID", "LIMIT 7", "VALIDATE", "SET NOT NULL",
      "DROP CONSTRAINT" }, texts)
    assert.equal("BATCHES WITH dmlua_batch AS (SELECT t.id AS dmlua_key_1 FROM t AS t WHERE $1::text[] IS NULL OR"
      .. " ROW(t.id) > ROW(($1::text[])[1]::integer) ORDER BY t.id LIMIT 7), dmlua_changed AS (UPDATE t AS t"
      .. " SET a = b + 1 FROM dmlua_batch WHERE t.id = dmlua_key_1 AND (t.a IS NULL) RETURNING 1) SELECT (SELECT"
      .. " ARRAY[dmlua_key_1::text] FROM dmlua_batch ORDER BY dmlua_key_1 DESC LIMIT 1),"
      .. " (SELECT count(*) FROM dmlua_changed)", texts[3])
  end)

  it("update_in_batches", function()
    local texts = statements(answering({ { name = "a", type = "text" }, { name = "B", type = "uuid" } }),
      [[op.update_in_batches("t", { y = sa.text("y + 1"), x = "it's" },
        { schema = "s", where = "z", batch_size = 5 })]])
    assert_hold({ "bypassrls", "indisprimary", "SET x = 'it''s', y = y + 1" }, texts)
    assert.truthy(texts[3]:find('ROW(t.a, t."B") > ROW(($1::text[])[1]::text, ($1::text[])[2]::uuid)', 1, true))
    assert.truthy(texts[3]:find("AND (z) RETURNING", 1, true))
  end)

  local index = [[op.create_index_online("i", "t", { "a", sa.text("lower(b)") }, { schema = "s", unique = true,
    postgresql_using = "btree", postgresql_include = { "c" }, postgresql_where = "a > 0",
    postgresql_ops = { a = "int4_ops" }, postgresql_with = { fillfactor = 70 }, postgresql_tablespace = "fast",
    postgresql_nulls_not_distinct = true })]]
  local create = "CREATE UNIQUE INDEX CONCURRENTLY i ON s.t USING btree (a int4_ops, lower(b)) INCLUDE (c)"
    .. " NULLS NOT DISTINCT WITH (fillfactor = 70) TABLESPACE fast WHERE a > 0"

  it("create_index_online, where there is none", function()
    assert_hold({ "pg_temp.dmlua_probe", "dmlua.index", create },
      statements(answering({ { state = "missing" } }), index))
  end)

  it("create_index_online, where there is a sound one", function()
    assert_hold({ "pg_temp.dmlua_probe", "dmlua.index" }, statements(answering({ { state = "sound" } }), index))
  end)

  it("create_index_online, where there is an invalid one", function()
    assert_hold({ "pg_temp.dmlua_probe", "dmlua.index", "DROP INDEX CONCURRENTLY s.i", create },
      statements(answering({ { state = "invalid" } }), index))
  end)

  it("change_type_online", function()
    local plan = [[{"schema":"s","not_null":true,"indexes":[{"name":"i","unique":true,"constraint":"k","type":"p",
      "deferrable":false,"definition":" USING btree (dmlua_new_a)","comment":null,"clustered":false}],
      "constraints":[{"name":"c","type":"c","valid":true,"definition":"CHECK ((dmlua_new_a > 0))","comment":null}],
      "incoming":[{"schema":"x","table":"u","name":"f","valid":true,"definition":"FOREIGN KEY (b) REFERENCES t (c)"}],
      "default":"7","comment":"it's","options":null,"statistics":null,"sequences":null,"grants":null,"dependents":"x"}]]
    local texts = statements(answering({ { name = "a", type = "integer" } }, { { plan = plan } }),
      [[op.change_type_online("t", "a", sa.BigInteger, { schema = "s", postgresql_using = "a * 2", batch_size = 9 })]])
    assert_hold({ "bypassrls", "indisprimary", "ADD COLUMN dmlua_new_a BIGINT", "dmlua.change_type",
      "SET dmlua_new_a = a * 2", "CHECK (dmlua_new_a IS NOT NULL) NOT VALID", "VALIDATE CONSTRAINT dmlua_whole_a",
      "SET NOT NULL", "DROP CONSTRAINT dmlua_whole_a",
      "CREATE UNIQUE INDEX CONCURRENTLY dmlua_index_1_t ON s.t USING btree (dmlua_new_a)",
      "ADD CONSTRAINT dmlua_constraint_1_t CHECK ((dmlua_new_a > 0)) NOT VALID",
      "VALIDATE CONSTRAINT dmlua_constraint_1_t",
      "ALTER TABLE x.u ADD CONSTRAINT dmlua_incoming_1_t FOREIGN KEY (b) REFERENCES t (c) NOT VALID",
      "ALTER TABLE x.u VALIDATE CONSTRAINT dmlua_incoming_1_t", "ADD CONSTRAINT k PRIMARY KEY USING INDEX i" }, texts)
    assert.truthy(texts[#texts]:find("ALTER TABLE x.u DROP CONSTRAINT f", 1, true))
    assert.truthy(texts[#texts]:find("RENAME COLUMN dmlua_new_a TO a", 1, true))
  end)
end)

-- Calls that are right, to be made wrong.
local right = {
  add_check_online = { '"c"', '"t"', '"a > 0"' },
  add_foreign_key_online = { '"k"', '"t"', '"p"', '{ "a" }', '{ "id" }' },
  add_not_null_online = { '"t"', '"a"' },
  change_type_online = { '"t"', '"a"', "sa.BigInteger" },
  create_index_online = { '"i"', '"t"', '{ "a" }' },
  update_in_batches = { '"t"', "{ a = 1 }" },
}

local function call(name, last, replaced)
  local values = table.move(right[name], 1, #right[name], 1, {})
  if replaced then values[replaced] = "function() end" end
  values[#values + 1] = last
  return ("\n\nop.%s(%s)"):format(name, table.concat(values, ", "))
end

local function failure(script)
  return tostring(step.error_of(step.recorder(), script))
end

for name, signature in pairs(online.signatures) do
  describe("op." .. name, function()
    local function says(what, script)
      local message = failure(script)
      assert.truthy(message:find(("script.lua:3: op.%s: %s"):format(name, what), 1, true), message)
    end

    it("names a misspelt option, an argument of the wrong type and one that is missing, at its line", function()
      for option in pairs(signature.options) do
        says(("has no option '%sx' (did you mean"):format(option), call(name, ("{ %sx = 1 }"):format(option)))
        says(option .. " must be ", call(name, ("{ %s = function() end }"):format(option)))
      end
      for i, parameter in ipairs(signature) do says(parameter[1] .. " must be ", call(name, nil, i)) end
      says(signature[1][1] .. " is missing", ("\n\nop.%s()"):format(name))
    end)

    it("stands neither in an autocommit_block nor in across_tenants", function()
      local message = failure(("op.get_context():autocommit_block(function() %s end)"):format(call(name)))
      assert.truthy(message:find("cuts the step itself", 1, true), message)
      message = failure(([[op.across_tenants({ "t" }, function() %s end)]]):format(call(name)))
      assert.truthy(message:find("cannot stand inside op.across_tenants", 1, true), message)
    end)
  end)
end

describe("on a server", function()
  local database, folder

  before_each(function()
    database = helper.database()
    helper.execute(database, [[SET ROLE owner;
      CREATE TABLE parents (id int PRIMARY KEY);
      CREATE TABLE t (id int PRIMARY KEY, a int, b text);
      INSERT INTO t SELECT i, i, i::text FROM generate_series(1, 10) AS i]])
  end)

  local function upgrade(body, options)
    folder = folder or helper.project { database = database }
    helper.write(folder .. "/versions/abcd.lua", helper.revision { revision = "abcd", upgrade = body })
    return helper.dmlua("upgrade head", { cwd = folder, env = options and options.env })
  end
  after_each(function() folder = nil end)

  local function succeeds(body, options)
    local result = upgrade(body, options)
    assert.equal("", result.code == 0 and "" or result.err)
    return result
  end

  local function fails(code, what, body)
    local result = upgrade(body)
    assert.equal(code, result.code, result.err)
    assert.truthy(result.err:find(what, 1, true), result.err)
  end

  local function value(query)
    return helper.value(database, query)
  end

  it("update_in_batches changes what it should, along a key of two columns", function()
    helper.execute(database, [[SET ROLE owner;
      CREATE TABLE pairs (x text COLLATE "C", y int, n int, PRIMARY KEY (x, y));
      INSERT INTO pairs SELECT chr(64 + i % 4) || '"{,', i, i FROM generate_series(1, 20) AS i]])
    succeeds [[op.update_in_batches("pairs", { n = sa.text("-n") }, { where = "y % 2 = 0", batch_size = 3 })]]
    assert.equal("10 10", value("SELECT format('%s %s', count(*) FILTER (WHERE n < 0 AND y % 2 = 0),"
      .. " count(*) FILTER (WHERE n > 0)) FROM pairs"))
    assert.equal("batches: 10 rows", value "SELECT note FROM dmlua_ledger WHERE note IS NOT NULL")
  end)

  it("update_in_batches needs a key", function()
    helper.execute(database, "SET ROLE owner; CREATE TABLE keyless (n int)")
    fails(1, "keyless has no primary key", [[op.update_in_batches("keyless", { n = 1 })]])
  end)

  it("add_not_null_online fills in and refuses NULL afterwards", function()
    helper.execute(database, "UPDATE t SET a = NULL WHERE id > 4")
    succeeds [[op.add_not_null_online("t", "a", { backfill = "id * 10", batch_size = 4 })]]
    assert.equal("460 t", value("SELECT format('%s %s', sum(a), (SELECT attnotnull FROM pg_attribute"
      .. " WHERE attrelid = 't'::regclass AND attname = 'a')) FROM t"))
    assert.equal("1", value "SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass")
  end)

  it("add_check_online says which row is wrong, and goes on when it is mended", function()
    local body = [[op.add_check_online("small", "t", "a < 10")]]
    fails(1, "23514", body)
    helper.execute(database, "UPDATE t SET a = 9 WHERE a = 10")
    succeeds(body)
    assert.equal("t", value "SELECT convalidated FROM pg_constraint WHERE conname = 'small'")
  end)

  it("add_check_online refuses a constraint of that name that is another one", function()
    helper.execute(database, "ALTER TABLE t ADD CONSTRAINT small CHECK (a < 1000)")
    fails(1, "constraint small on t is there already, and is another one",
      [[op.add_check_online("small", "t", "a < 99")]])
  end)

  it("create_index_online adopts a sound index, and refuses another one of its name", function()
    helper.execute(database, "SET ROLE owner; CREATE INDEX i ON t (lower(b), a DESC) WHERE (a > 0)")
    local before = value "SELECT 'i'::regclass::oid"
    succeeds [[op.create_index_online("i", "t", { sa.text("lower(b)"), sa.text("a DESC") },
      { postgresql_where = "a>0" })]]
    assert.equal(before, value "SELECT 'i'::regclass::oid")
    helper.execute(database, "DELETE FROM alembic_version")
    for _, other in ipairs { [[{ sa.text("lower(b)"), "a" }, { postgresql_where = "a>0" }]],
      [[{ sa.text("lower(b)"), sa.text("a DESC") }, { postgresql_where = "a>0", unique = true }]] } do
      fails(1, "index i on t is there already, and is another one",
        ([[op.create_index_online("i", "t", %s)]]):format(other))
    end
    fails(1, "t is there already, and is no index of parents", [[op.create_index_online("t", "parents", { "id" })]])
  end)

  describe("create_index_online on a partitioned table", function()
    local tables = [[SET ROLE owner; CREATE SCHEMA "Old"; CREATE TABLE "Events" (at date, "Kind" text, n int)
        PARTITION BY RANGE (at);
      CREATE TABLE e1 PARTITION OF "Events" FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
      CREATE TABLE "Old"."e 2" PARTITION OF "Events" FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')
        PARTITION BY LIST ("Kind");
      CREATE TABLE e2_a_partition_with_a_name_that_is_so_long_that_it_must_be_cut PARTITION OF "Old"."e 2"
        FOR VALUES IN ('a');
      CREATE TABLE e2b PARTITION OF "Old"."e 2" DEFAULT;
      INSERT INTO "Events" SELECT '2023-01-01'::date + i, chr(97 + i % 3), i FROM generate_series(0, 390) AS i]]

    local function dump(of)
      return (helper.run(helper.programs .. "/pg_dump", { "-s", "-t", '"Events"', "-t", "e*", "-t", '"Old".*',
        of.postgres }).out:gsub("\\u?n?restrict %S+", ""))
    end

    for what, arguments in pairs {
      ["of columns"] = [["i", "Events", { "n", "Kind" },
        { postgresql_include = { "at" }, postgresql_with = { fillfactor = 70 } }]],
      ["of expressions, for some rows"] = [["by kind", "Events", { sa.text('lower("Kind") DESC'), sa.text("(n + 1)") },
        { postgresql_where = "n > 3", postgresql_ops = {} }]],
      ["unique"] = [["u", "Events", { "n", "at", "Kind" }, { unique = true }]],
    } do
      it("comes to what op.create_index comes to: " .. what, function()
        local twin = helper.database()
        helper.execute(database, tables)
        helper.execute(twin, tables)
        succeeds("op.create_index_online(" .. arguments .. ")")
        folder = helper.project { database = twin }
        succeeds("op.create_index(" .. arguments .. ")")
        assert.equal(dump(twin), dump(database))
        assert.equal("0", value "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
      end)
    end

    it("takes what is there, makes anew what is invalid, and goes on with what was given up", function()
      helper.execute(database, tables .. [[; CREATE INDEX "i" ON ONLY "Events" (n); CREATE INDEX mine ON e1 (n);
        CREATE INDEX spoilt ON e2b (n); CREATE INDEX "e 2_n_idx" ON "Old"."e 2" ("Kind"); RESET ROLE;
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'spoilt'::regclass]])
      succeeds [[op.create_index_online("i", "Events", { "n" })]]
      assert.equal("0", value "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
      assert.equal("e 2_n_idx1 e2_a_partition_with_a_name_that_is_so_long_that_it_must_b_n_idx mine spoilt",
        value [[SELECT string_agg(c.relname, ' ' ORDER BY c.relname COLLATE "C") FROM pg_partition_tree('i') t
          JOIN pg_class c ON c.oid = t.relid WHERE t.level > 0]])
    end)

    it("indexes a partition that came while it began", function()
      helper.execute(database, tables)
      local connection = helper.connect(database.owner)
      connection:exec "BEGIN"
      connection:exec [[CREATE TABLE late PARTITION OF "Events" FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')]]
      folder = helper.project { database = database, versions = { { revision = "abcd",
        upgrade = [[op.create_index_online("i", "Events", { "n" })]] } } }
      local running = helper.start("upgrade head", { cwd = folder })
      helper.eventually(function() return value "SELECT 1 FROM pg_locks WHERE NOT granted" end)
      connection:exec "COMMIT"
      assert.equal(0, running.wait().code)
      assert.equal("1", value [[SELECT count(*) FROM pg_index WHERE indrelid = 'late'::regclass AND indisvalid]])
      assert.equal("0", value "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    end)

    it("refuses another index of its name, and a unique one that the partitions' key is no part of", function()
      helper.execute(database, tables .. [[; CREATE INDEX i ON "Events" (at)]])
      fails(1, "is there already, and is another one", [[op.create_index_online("i", "Events", { "n" })]])
      fails(1, "0A000", [[op.create_index_online("j", "Events", { "n" }, { unique = true })]])
    end)
  end)

  it("create_index_online killed while it builds is finished by the next run", function()
    local connection = helper.connect(database.postgres)
    folder = helper.project { database = database, versions = { { revision = "abcd",
      upgrade = [[op.create_index_online("i", "t", { "a" }, { unique = true })]] } } }
    connection:exec "BEGIN"
    connection:exec "UPDATE t SET b = 'x' WHERE id = 1" -- which the index has to wait for
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function() return value "SELECT 1 FROM pg_index WHERE NOT indisvalid" end)
    running.kill "KILL"
    running.wait()
    connection:exec "COMMIT"
    helper.eventually(function()
      return not value "SELECT 1 FROM pg_stat_activity WHERE usename = 'owner' AND datname = current_database()"
    end)
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal("", result.code == 0 and "" or result.err)
    assert.equal("1 0", value("SELECT format('%s %s', count(*) FILTER (WHERE indexrelid = 'i'::regclass"
      .. " AND indisvalid), count(*) FILTER (WHERE NOT indisvalid)) FROM pg_index"))
  end)

  it("an ACCESS EXCLUSIVE lock is waited for", function()
    local connection = helper.connect(database.postgres)
    folder = helper.project { database = database, versions = { { revision = "abcd",
      upgrade = [[op.add_not_null_online("t", "a")]] } } }
    connection:exec "BEGIN"
    connection:exec "SELECT * FROM t"
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function()
      return value "SELECT 1 FROM pg_locks WHERE relation = 't'::regclass AND NOT granted"
    end)
    connection:exec "COMMIT"
    assert.equal(0, running.wait().code)
  end)

  describe("under forced row security", function()
    before_each(function()
      helper.execute(database, "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        .. " ALTER TABLE parents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        .. " INSERT INTO parents SELECT id FROM t")
    end)

    it("what has to see every row asks for a role with BYPASSRLS", function()
      for _, body in ipairs { [[op.add_foreign_key_online("k", "t", "parents", { "a" }, { "id" })]],
        [[op.change_type_online("t", "a", sa.BigInteger)]], [[op.update_in_batches("t", { a = 1 })]],
        [[op.add_not_null_online("t", "a", { backfill = "1" })]] } do
        fails(3, "BYPASSRLS", body)
      end
      assert.equal("0", value "SELECT count(*) FROM dmlua_progress")
    end)

    it("change_type_online asks for it where a foreign key leads to such a table", function()
      helper.execute(database, "SET ROLE owner; CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parents)")
      fails(3, "does not see all rows of parents", [[op.change_type_online("child", "p", sa.BigInteger)]])
    end)

    it("what does not, does its work as the owner", function()
      succeeds [[op.add_check_online("c", "t", "a > 0")
        op.add_not_null_online("t", "a")
        op.create_index_online("i", "t", { "a" })]]
    end)

    it("a role with BYPASSRLS does it all", function()
      helper.execute(database, "GRANT owner TO bypass")
      finally(function() helper.execute(database, "REVOKE owner FROM bypass") end)
      folder = helper.project { database = database.bypass }
      helper.execute(database, "GRANT CREATE ON SCHEMA public TO bypass")
      succeeds [[op.add_foreign_key_online("k", "t", "parents", { "a" }, { "id" })
        op.update_in_batches("t", { b = "seen" }, { batch_size = 3 })]]
      assert.equal("10", value "SELECT count(*) FROM t WHERE b = 'seen'")
    end)
  end)

  describe("change_type_online", function()
    local function dump(of)
      local result = helper.run(helper.programs .. "/pg_dump", { "-s", "-T", "dmlua_*", of.postgres })
      return (result.out:gsub("\\u?n?restrict %S+", ""))
    end

    it("comes to what op.alter_column comes to, where the column is the last one", function()
      local twin = helper.database()
      for _, each in ipairs { database, twin } do
        helper.execute(each, [[SET ROLE owner;
          CREATE TABLE "Ord ers" (id int PRIMARY KEY, "per cent%" numeric, "Amount" int NOT NULL DEFAULT 7);
          INSERT INTO "Ord ers" SELECT i, i, i FROM generate_series(1, 10) AS i;
          ALTER TABLE "Ord ers" ADD CONSTRAINT "big ""one""" CHECK ("Amount" > 0 AND "per cent%" < 99),
            ADD CONSTRAINT u UNIQUE ("Amount", id) DEFERRABLE INITIALLY DEFERRED;
          CREATE INDEX "i %s" ON "Ord ers" USING btree (("Amount" + 1), id DESC) INCLUDE ("Amount") WHERE "Amount" <> 3;
          CREATE INDEX plain ON "Ord ers" ("Amount"); ALTER TABLE "Ord ers" CLUSTER ON plain;
          ALTER TABLE "Ord ers" ALTER "Amount" SET STATISTICS 50, ALTER "Amount" SET (n_distinct = 5);
          COMMENT ON COLUMN "Ord ers"."Amount" IS 'it''s 100%'; COMMENT ON INDEX plain IS 'an index';
          COMMENT ON CONSTRAINT u ON "Ord ers" IS 'a constraint';
          GRANT SELECT ("Amount"), UPDATE ("Amount") ON "Ord ers" TO app WITH GRANT OPTION]])
      end
      helper.execute(twin, [[SET ROLE owner; CREATE TABLE parents (id int PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY, a int, b text)]])
      succeeds [[op.change_type_online("Ord ers", "Amount", sa.BigInteger, { batch_size = 3 })]]
      folder = helper.project { database = twin }
      succeeds [[op.alter_column("Ord ers", "Amount", { type_ = sa.BigInteger })]]
      assert.equal(dump(twin), dump(database))
    end)

    it("carries what is written meanwhile, and goes on when a value is mended", function()
      helper.execute(database, "SET ROLE owner; ALTER TABLE t ADD CONSTRAINT u UNIQUE (b);"
        .. " UPDATE t SET b = '1.0' WHERE id = 2")
      local body = [[op.change_type_online("t", "b", sa.Numeric, { batch_size = 3 })]]
      fails(1, "23505", body) -- '1' and '1.0' are one number
      helper.execute(database, "UPDATE t SET b = '22' WHERE id = 2; INSERT INTO t VALUES (0, 0, '0.5'), (11, 11, NULL)")
      succeeds(body)
      assert.equal("0.5,1,22,3,4,5,6,7,8,9,10", value "SELECT string_agg(b::text, ',' ORDER BY id) FROM t")
      assert.equal("numeric u", value("SELECT format('%s %s', pg_typeof(b), (SELECT conname FROM pg_constraint"
        .. " WHERE contype = 'u' AND conrelid = 't'::regclass)) FROM t LIMIT 1"))
    end)

    it("keeps a sequence that counts the column up, and widens it", function()
      helper.execute(database, "SET ROLE owner; CREATE TABLE s (id serial PRIMARY KEY); INSERT INTO s DEFAULT VALUES")
      succeeds [[op.change_type_online("s", "id", sa.BigInteger)]]
      helper.execute(database, "INSERT INTO s DEFAULT VALUES")
      assert.equal("2 bigint public.s_id_seq", value("SELECT format('%s %s %s', max(id), (SELECT data_type FROM"
        .. " pg_sequences WHERE sequencename = 's_id_seq'), pg_get_serial_sequence('s', 'id')) FROM s"))
    end)

    it("keeps an identity: its options, where it stands, its privileges, as op.alter_column does", function()
      local twin = helper.database()
      for _, each in ipairs { database, twin } do
        helper.execute(each, [[SET ROLE owner;
          CREATE TABLE ids (name text, "Id" int GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 3 CACHE 2) PRIMARY KEY);
          INSERT INTO ids (name) VALUES ('a'), ('b');
          GRANT USAGE ON SEQUENCE "ids_Id_seq" TO app; COMMENT ON SEQUENCE "ids_Id_seq" IS 'it''s']])
      end
      helper.execute(twin, [[SET ROLE owner; CREATE TABLE parents (id int PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY, a int, b text)]])
      succeeds [[op.change_type_online("ids", "Id", sa.BigInteger, { batch_size = 1 })]]
      folder = helper.project { database = twin }
      succeeds [[op.alter_column("ids", "Id", { type_ = sa.BigInteger })]]
      assert.equal(dump(twin), dump(database))
      for _, each in ipairs { database, twin } do
        assert.equal("11", helper.value(each, [[INSERT INTO ids (name) VALUES ('c') RETURNING "Id"]]))
      end
    end)

    it("leads foreign keys to the new column, of other tables and of its own, as op.alter_column does", function()
      local twin = helper.database()
      for _, each in ipairs { database, twin } do
        helper.execute(each, [[SET ROLE owner; CREATE SCHEMA "El se";
          CREATE TABLE "Tops" (name text, boss int, "Id" serial PRIMARY KEY);
          INSERT INTO "Tops" SELECT i::text, nullif(i - 1, 0), i FROM generate_series(1, 7) AS i;
          ALTER TABLE "Tops" ADD UNIQUE (name, "Id"), ADD CONSTRAINT to_boss FOREIGN KEY (boss) REFERENCES "Tops";
          CREATE TABLE "El se"."Child ren" (a text, b int, CONSTRAINT "to one" FOREIGN KEY (b) REFERENCES "Tops"
            ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
            FOREIGN KEY (a, b) REFERENCES "Tops" (name, "Id"));
          INSERT INTO "El se"."Child ren" SELECT i::text, i FROM generate_series(1, 7) AS i;
          ALTER TABLE "El se"."Child ren" ADD CONSTRAINT unproven FOREIGN KEY (b) REFERENCES "Tops" NOT VALID;
          COMMENT ON CONSTRAINT "to one" ON "El se"."Child ren" IS 'it''s']])
      end
      helper.execute(twin, [[SET ROLE owner; CREATE TABLE parents (id int PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY, a int, b text)]])
      fails(1, "incompatible types", [[op.change_type_online("Tops", "Id", sa.Text)]])
      succeeds [[op.change_type_online("Tops", "Id", sa.BigInteger, { batch_size = 3 })]]
      folder = helper.project { database = twin }
      succeeds [[op.alter_column("Tops", "Id", { type_ = sa.BigInteger })
        op.execute('ALTER SEQUENCE "Tops_Id_seq" AS bigint')]]
      assert.equal(dump(twin), dump(database))
      assert.equal("0 7", value [[SELECT format('%s %s', count(*) FILTER (WHERE boss NOT IN (SELECT "Id" FROM "Tops")),
        count(*)) FROM "Tops"]])
    end)

    it("refuses by name what it could not carry over, and leaves nothing", function()
      helper.execute(database, [[SET ROLE owner; CREATE VIEW seen AS SELECT a FROM t;
        CREATE TABLE child (t_id int REFERENCES t) PARTITION BY LIST (t_id);
        CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          twice int GENERATED ALWAYS AS (2 * 1) STORED)]])
      local before = dump(database)
      fails(1, "rule _RETURN on view seen", [[op.change_type_online("t", "a", sa.BigInteger)]])
      fails(1, "constraint child_t_id_fkey on table child", [[op.change_type_online("t", "id", sa.BigInteger)]])
      fails(1, "is a generated column", [[op.change_type_online("counted", "twice", sa.BigInteger)]])
      fails(1, "must be smallint, integer or bigint", [[op.change_type_online("counted", "id", sa.Numeric)]])
      fails(1, "has no column x", [[op.change_type_online("t", "x", sa.BigInteger)]])
      fails(1, "with op.add_foreign_key_online", [[op.change_type_online("t", "id", sa.BigInteger)]])
      helper.execute(database, "DROP TABLE alembic_version")
      assert.equal(before, dump(database))
    end)
  end)
end)
