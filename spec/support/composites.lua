-- Online composites with the tables they work on, and what must be the same whatever happened to them on their way.

local helper = require "spec.helper"

local M = {}

local plain = {
  "DROP TABLE IF EXISTS t, parents, children",
  "CREATE TABLE parents (id int PRIMARY KEY)",
  "INSERT INTO parents SELECT generate_series(1, 5)",
  "CREATE TABLE t (id int PRIMARY KEY, a int, parent int)",
  "INSERT INTO t SELECT i, nullif(i, 3), i FROM generate_series(1, 5) AS i",
}

local with_an_index = table.move(plain, 1, #plain, 1, {})
with_an_index[#with_an_index + 1] = "CREATE UNIQUE INDEX t_a ON t (a)"

--- Each: name, call, tables (the statements that make what it works on; as owner), spoil (one as superuser, behind
--- them), points (at how many of its points at least a run can be ended).
M.cases = {
  { name = "add_check_online", call = [[op.add_check_online("positive", "t", "id > 0")]], tables = plain, points = 5 },
  { name = "add_foreign_key_online", call = [[op.add_foreign_key_online("fk", "t", "parents", { "parent" }, { "id" })]],
    tables = plain, points = 6 },
  { name = "add_not_null_online, which fills in rows", tables = plain, points = 15,
    call = [[op.add_not_null_online("t", "a", { backfill = "id * 10", batch_size = 3 })]] },
  { name = "update_in_batches", tables = plain, points = 3,
    call = [[op.update_in_batches("t", { a = sa.text("coalesce(t.a, 0) + 100") }, { batch_size = 2 })]] },
  { name = "create_index_online, over an invalid index", tables = with_an_index, points = 6,
    call = [[op.create_index_online("t_a", "t", { "a" }, { unique = true })]],
    spoil = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_a'::regclass" },
  { name = "create_index_online, of a table with partitions", points = 12,
    call = [[op.create_index_online("t_a", "t", { "a" })]],
    tables = {
      "DROP TABLE IF EXISTS t, parents, children",
      "CREATE TABLE t (id int, a int) PARTITION BY RANGE (id)",
      "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (3)",
      "CREATE TABLE t2 PARTITION OF t DEFAULT PARTITION BY LIST (a)",
      "CREATE TABLE t3 PARTITION OF t2 DEFAULT",
      "INSERT INTO t SELECT i, i FROM generate_series(1, 5) AS i",
    } },
  { name = "change_type_online, of a key with a sequence, indexes, constraints and children", points = 45,
    call = [[op.change_type_online("t", "id", sa.BigInteger, { batch_size = 3 })]],
    tables = {
      "DROP TABLE IF EXISTS t, parents, children",
      "CREATE TABLE parents (id int PRIMARY KEY)",
      "INSERT INTO parents SELECT generate_series(1, 5)",
      "CREATE TABLE t (id serial PRIMARY KEY REFERENCES parents CONSTRAINT positive CHECK (id > 0), a int)",
      "CREATE INDEX t_a ON t (a, id) WHERE id > 2",
      "INSERT INTO t (a) SELECT generate_series(1, 5)",
      "COMMENT ON COLUMN t.id IS 'the key'",
      "CREATE TABLE children (t_id int REFERENCES t)",
      "INSERT INTO children VALUES (2)",
    } },
}

local left_over = [[SELECT coalesce(string_agg(name, ', '), 'nothing') AS names FROM (
  SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid
  UNION ALL SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attname LIKE 'dmlua%'
  UNION ALL SELECT conname FROM pg_constraint WHERE conname ~ '^dmlua_(not_null|whole|constraint|incoming)_'
  UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '%dmlua%'
  UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'dmlua%'
  UNION ALL SELECT relname FROM pg_class WHERE relname ~ '^dmlua_(index|probe|clone)'
  UNION ALL SELECT what FROM dmlua_progress) AS l(name)]]

--- The composites in one database that has dmlua's tables: begin(case) makes its tables and forgets the revision,
--- state() answers {schema, rows, left}: pg_dump -s, the rows of t in an order of their own, and which invalid
--- indexes, helpers and rows of progress there are.
function M.new(database)
  local connection, superuser, self = helper.connect(database.owner), helper.connect(database.postgres), {}

  function self.begin(case)
    connection:exec "DELETE FROM alembic_version"
    connection:exec "DELETE FROM dmlua_progress"
    for _, sql in ipairs(case.tables) do connection:exec(sql) end
    if case.spoil then superuser:exec(case.spoil) end
  end

  local function dump()
    local result = helper.run(helper.programs .. "/pg_dump",
      { "-s", "-N", "killer", "-T", "dmlua_*", "-T", "alembic_version", database.postgres })
    assert(result.code == 0, result.err)
    return (result.out:gsub("\\u?n?restrict %S+", ""))
  end

  function self.state()
    return { schema = dump(), left = superuser:exec(left_over).rows[1].names,
      rows = superuser:exec("SELECT json_agg(x ORDER BY x::text)::text AS r FROM t AS x").rows[1].r }
  end

  return self
end

return M
