-- Online composites whose session is ended at each point of their work, and run again.

local helper = require "spec.helper"
local killer_of = require "spec.support.killer"

local database, killer, connection, superuser

setup(function()
  database = helper.database()
  local folder = helper.project { database = database, versions = { { revision = "abcd" } } }
  assert.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
  connection, superuser = helper.connect(database.owner), helper.connect(database.postgres)
  killer = killer_of.new(database)
end)

local function dump()
  local result = helper.run(helper.programs .. "/pg_dump",
    { "-s", "-N", "killer", "-T", "dmlua_*", "-T", "alembic_version", database.postgres })
  assert.equal(0, result.code, result.err)
  return (result.out:gsub("\\u?n?restrict %S+", ""))
end

local function left_over()
  return superuser:exec([[SELECT coalesce(string_agg(name, ', '), 'nothing') AS names FROM (
    SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid
    UNION ALL SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attname LIKE 'dmlua%'
    UNION ALL SELECT conname FROM pg_constraint WHERE conname LIKE 'dmlua%' AND conrelid = 't'::regclass
    UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '%dmlua%'
    UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'dmlua%'
    UNION ALL SELECT relname FROM pg_class WHERE relname ~ '^dmlua_(index|probe|clone)'
    UNION ALL SELECT what FROM dmlua_progress) AS l(name)]]).rows[1].names
end

local function begin(tables)
  connection:exec "DELETE FROM alembic_version"
  connection:exec "DELETE FROM dmlua_progress"
  for _, sql in ipairs(tables) do connection:exec(sql) end
  if tables.spoil then superuser:exec(tables.spoil) end
end

local function rows()
  return connection:exec("SELECT json_agg(x ORDER BY id)::text AS r FROM t AS x").rows[1].r
end

-- Runs the call on the tables, undisturbed; then anew, killed at each of its points and run again. Answers the number
-- of points.
local function survive(call, tables)
  local folder = helper.project { database = database, versions = { { revision = "abcd", upgrade = call } } }
  begin(tables)
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.equal("", result.code == 0 and "" or result.err)
  assert.equal("nothing", left_over())
  local expected, expected_rows = dump(), rows()
  begin(tables)
  killer.wake()
  for _ = 1, 200 do
    result = helper.dmlua("upgrade head", { cwd = folder })
    if result.code ~= 5 then break end -- the connection was lost
  end
  killer.sleep()
  assert.equal("", result.code == 0 and "" or result.err)
  assert.equal(expected, dump())
  assert.equal(expected_rows, rows())
  assert.equal("nothing", left_over())
  return killer.struck()
end

local plain = {
  "DROP TABLE IF EXISTS t, parents",
  "CREATE TABLE parents (id int PRIMARY KEY)",
  "INSERT INTO parents SELECT generate_series(1, 5)",
  "CREATE TABLE t (id int PRIMARY KEY, a int, parent int)",
  "INSERT INTO t SELECT i, nullif(i, 3), i FROM generate_series(1, 5) AS i",
}

describe("killed at any point and run again, the same comes about as undisturbed:", function()
  it("add_check_online", function()
    assert.truthy(survive([[op.add_check_online("positive", "t", "id > 0")]], plain) >= 5)
  end)

  it("add_foreign_key_online", function()
    assert.truthy(survive([[op.add_foreign_key_online("fk", "t", "parents", { "parent" }, { "id" })]], plain) >= 6)
  end)

  it("add_not_null_online, which fills in rows", function()
    assert.truthy(survive([[op.add_not_null_online("t", "a", { backfill = "id * 10", batch_size = 3 })]], plain) >= 15)
  end)

  it("create_index_online, over an invalid index", function()
    local tables = table.move(plain, 1, #plain, 1, {})
    tables[#tables + 1] = "CREATE UNIQUE INDEX t_a ON t (a)"
    tables.spoil = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_a'::regclass"
    assert.truthy(survive([[op.create_index_online("t_a", "t", { "a" }, { unique = true })]], tables) >= 6)
  end)

  it("change_type_online, of a key with a sequence, indexes and constraints", function()
    assert.truthy(survive([[op.change_type_online("t", "id", sa.BigInteger, { batch_size = 3 })]], {
      "DROP TABLE IF EXISTS t, parents",
      "CREATE TABLE parents (id int PRIMARY KEY)",
      "INSERT INTO parents SELECT generate_series(1, 5)",
      "CREATE TABLE t (id serial PRIMARY KEY REFERENCES parents CONSTRAINT positive CHECK (id > 0), a int)",
      "CREATE INDEX t_a ON t (a, id) WHERE id > 2",
      "INSERT INTO t (a) SELECT generate_series(1, 5)",
      "COMMENT ON COLUMN t.id IS 'the key'",
    }) >= 40)
  end)
end)
