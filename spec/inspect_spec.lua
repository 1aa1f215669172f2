local cjson = require "cjson"
local helper = require "spec.helper"
local step = require "spec.step"

describe("sa.inspect", function()
  local connection, database

  setup(function()
    database = helper.database()
    connection = helper.connect(database.owner)
    connection:exec [[
      CREATE SCHEMA other; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE other.hue AS ENUM ('red')]]
    connection:exec [[
      CREATE TABLE parent (a integer, b integer, CONSTRAINT parent_pkey PRIMARY KEY (b, a))]]
    connection:exec [[
      CREATE TABLE "Odd Table" (
        id bigserial PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 2),
        twice integer GENERATED ALWAYS AS (x * 2) STORED, x integer NOT NULL DEFAULT 3,
        t character varying(40) DEFAULT 'a'::character varying, c character(3), price numeric(10,2), any_number numeric,
        at timestamp with time zone, at3 timestamp(3) without time zone, day time without time zone, feeling mood,
        feelings mood[], hues other.hue, tags text[], doc jsonb, f double precision, b bit(4), v bit varying(9),
        i interval day to second(2), o oid,
        CONSTRAINT fk FOREIGN KEY (x, n) REFERENCES parent (b, a) MATCH FULL ON DELETE CASCADE ON UPDATE SET NULL
          DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT uq UNIQUE (x, t), CONSTRAINT ck CHECK (x > 0))]]
    connection:exec [[
      COMMENT ON TABLE "Odd Table" IS 'odd'; COMMENT ON COLUMN "Odd Table".x IS 'an x';
      CREATE INDEX ix ON "Odd Table" USING btree (x, lower(t)) INCLUDE (c) WHERE x > 5;
      CREATE UNIQUE INDEX ix_tags ON "Odd Table" (price) NULLS NOT DISTINCT;
      CREATE INDEX ix_doc ON "Odd Table" USING gin (doc);
      CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
      CREATE POLICY p ON "Odd Table" AS RESTRICTIVE FOR UPDATE USING (x > 1) WITH CHECK (x > 2);
      CREATE TABLE other.child (b integer, a integer, FOREIGN KEY (b, a) REFERENCES parent)]]
  end)

  local function look(expression)
    return step.run(step.runner(connection), ([[
      local inspector = sa.inspect(op.get_bind())
      return %s]]):format(expression))
  end

  local function by_name(list)
    local found = {}
    for _, entry in ipairs(list) do found[entry.name] = entry end
    return found
  end

  it("lists the version table and none of dmlua's own, nor their sequences", function()
    local other = helper.database()
    helper.execute(other, [[CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
      CREATE FOREIGN TABLE far (a int) SERVER s]])
    local result = helper.dmlua("upgrade head", { cwd = helper.project { database = other,
      settings = { isolation = "none" }, versions = { { revision = "abcd", upgrade = [[
        op.execute "CREATE TABLE dmlua_ledgers (a serial)"
        local inspector = sa.inspect(op.get_bind())
        print(table.concat(inspector:get_table_names(), " "), table.concat(inspector:get_sequence_names(), " "))
        print(table.concat(inspector:get_foreign_table_names(), " "))]] } } } })
    assert.truthy(result.err:find("alembic_version dmlua_ledgers\tdmlua_ledgers_a_seq\nfar\n", 1, true), result.err)
  end)

  it("lists tables, views, sequences and schemas", function()
    assert.same({ "Odd Table", "parent" }, look "inspector:get_table_names()")
    assert.same({ "child" }, look "inspector:get_table_names({ schema = 'other' })")
    assert.same({ "Odd Table", "parent" }, look "inspector:get_table_names({ schema = nil })")
    assert.is_true(look "inspector:has_table('parent', { schema = nil })")
    assert.equal(0, #look "inspector:get_foreign_keys('parent', { schema = nil })")
    assert.same({ "v" }, look "inspector:get_view_names()")
    assert.same({ "m" }, look "inspector:get_materialized_view_names()")
    assert.same({ "Odd Table_id_seq", "Odd Table_n_seq" }, look "inspector:get_sequence_names()")
    assert.same({ "information_schema", "other", "public" }, look "inspector:get_schema_names()")
    assert.equal(" SELECT 1 AS one;", look "inspector:get_view_definition('v')")
  end)

  it("says whether there is a table, a column, an index, a policy, a sequence, a schema", function()
    for expression, expected in pairs {
      ["has_table('Odd Table')"] = true, ["has_table('odd table')"] = false, ["has_table('v')"] = true,
      ["has_table('child')"] = false, ["has_table('child', 'other')"] = true, ["has_column('parent', 'a')"] = true,
      ["has_column('parent', 'z')"] = false, ["has_column('none', 'a')"] = false,
      ["has_index('Odd Table', 'ix')"] = true,
      ["has_index('parent', 'ix')"] = false, ["has_policy('Odd Table', 'p')"] = true, ["has_schema('other')"] = true,
      ["has_schema('others')"] = false, ["has_sequence('Odd Table_id_seq')"] = true, ["has_sequence('parent')"] = false,
    } do
      assert.equal(expected, look("inspector:" .. expression), expression)
    end
  end)

  it("describes columns by SQLAlchemy's names", function()
    local columns = by_name(look "inspector:get_columns('Odd Table')")
    local x = columns.x
    assert.same({ "INTEGER", false, "3", "an x", false },
      { tostring(x.type), x.nullable, x.default, x.comment, x.autoincrement })
    assert.is_true(columns.id.autoincrement)
    assert.equal("nextval('\"Odd Table_id_seq\"'::regclass)", columns.id.default)
    assert.same({ true, 5, 2, false }, { columns.n.identity.always, columns.n.identity.start,
      columns.n.identity.increment, columns.n.identity.cycle })
    assert.is_true(columns.n.autoincrement)
    assert.equal("(x * 2)", columns.twice.computed.sqltext)
    assert.is_nil(columns.twice.default)
    assert.is_nil(columns.c.comment)
  end)

  it("tells types by name, SQL and parameters", function()
    local texts, columns = {}, by_name(look "inspector:get_columns('Odd Table')")
    for name, column in pairs(columns) do texts[name] = tostring(column.type) end
    assert.same({
      id = "BIGINT", n = "INTEGER", twice = "INTEGER", x = "INTEGER", t = "VARCHAR(40)", c = "CHAR(3)",
      price = "NUMERIC(10, 2)", any_number = "NUMERIC", at = "TIMESTAMP WITH TIME ZONE",
      at3 = "TIMESTAMP(3) WITHOUT TIME ZONE", day = "TIME WITHOUT TIME ZONE", feeling = "mood", feelings = "mood[]",
      hues = "other.hue", tags = "TEXT[]", doc = "JSONB", f = "DOUBLE PRECISION", b = "BIT(4)", v = "BIT VARYING(9)",
      i = "INTERVAL DAY TO SECOND (2)", o = "OID",
    }, texts)
    assert.equal(40, columns.t.type.length)
    assert.same({ 10, 2 }, { columns.price.type.precision, columns.price.type.scale })
    assert.is_true(columns.at.type.timezone)
    assert.same({ "ENUM", "mood" }, { columns.feeling.type.name, columns.feeling.type.type_name })
    assert.same({ "sad", "ok" }, columns.feeling.type.enums)
    assert.same({ "ARRAY", "mood" }, { columns.feelings.type.name, columns.feelings.type.item_type.sql })
    assert.same({ "other", "red" }, { columns.hues.type.schema, columns.hues.type.labels[1] })
  end)

  it("hands out types that a column can be made of", function()
    connection:exec "BEGIN"
    local texts = step.run(step.runner(connection), [[
      local columns = {}
      local inspector = sa.inspect(op.get_bind())
      for _, found in ipairs(inspector:get_columns("Odd Table")) do
        columns[#columns + 1] = sa.Column(found.name, found.type)
      end
      op.create_table("copy", table.unpack(columns))
      local texts = {}
      for _, found in ipairs(inspector:get_columns("copy")) do texts[found.name] = tostring(found.type) end
      return texts]])
    connection:exec "ROLLBACK"
    local expected = {}
    for name, column in pairs(by_name(look "inspector:get_columns('Odd Table')")) do
      expected[name] = tostring(column.type)
    end
    assert.same(expected, texts)
  end)

  it("describes foreign keys", function()
    assert.same({ {
      name = "fk", constrained_columns = { "x", "n" }, referred_table = "parent", referred_columns = { "b", "a" },
      options = { ondelete = "CASCADE", onupdate = "SET NULL", deferrable = true, initially = "DEFERRED",
        match = "FULL" },
    } }, look "inspector:get_foreign_keys('Odd Table')")
    local key = look "inspector:get_foreign_keys('child', { schema = 'other' })[1]"
    assert.same({ {}, "child_b_a_fkey" }, { key.options, key.name })
    assert.is_nil(key.referred_schema)
    assert.equal("public", step.run(step.runner(connection), [[
      op.execute("SET search_path = other")
      local key = sa.inspect(op.get_bind()):get_foreign_keys("child")[1]
      op.execute("RESET search_path")
      return key.referred_schema ]]))
  end)

  it("describes indexes; an expression has its place among the columns' names", function()
    local null = require "dmlua.null"
    local indexes = by_name(look "inspector:get_indexes('Odd Table')")
    assert.same({
      name = "ix", unique = false, valid = true, column_names = { "x", null }, expressions = { "x", "lower(t::text)" },
      include_columns = { "c" }, dialect_options = { postgresql_where = "(x > 5)" },
    }, indexes.ix)
    assert.same({ unique = true, duplicates_constraint = "uq" },
      { unique = indexes.uq.unique, duplicates_constraint = indexes.uq.duplicates_constraint })
    assert.is_true(indexes.ix_tags.dialect_options.postgresql_nulls_not_distinct)
    assert.equal("gin", indexes.ix_doc.dialect_options.postgresql_using)
    assert.is_nil(indexes["Odd Table_pkey"])
  end)

  it("describes constraints, comments, enums and policies", function()
    assert.same({ { name = "uq", column_names = { "x", "t" }, valid = true } },
      look "inspector:get_unique_constraints('Odd Table')")
    assert.same({ { name = "ck", column_names = { "x" }, sqltext = "x > 0", valid = true } },
      look "inspector:get_check_constraints('Odd Table')")
    assert.same({ name = "parent_pkey", constrained_columns = { "b", "a" } },
      look "inspector:get_pk_constraint('parent')")
    assert.same({ constrained_columns = {} }, look "inspector:get_pk_constraint('child', 'other')")
    assert.same({ text = "odd" }, look "inspector:get_table_comment('Odd Table')")
    assert.same({}, look "inspector:get_table_comment('parent')")
    assert.same({ { name = "mood", schema = "public", visible = true, labels = { "sad", "ok" } } },
      look "inspector:get_enums()")
    assert.same({ { name = "hue", schema = "other", visible = false, labels = { "red" } } },
      look "inspector:get_enums('other')")
    assert.equal(2, #look "inspector:get_enums('*')")
    assert.same({ { name = "p", permissive = false, command = "UPDATE", roles = { "public" }, using = "(x > 1)",
      with_check = "(x > 2)" } }, look "inspector:get_policies('Odd Table')")
    assert.same({}, look "inspector:get_policies('parent')")
  end)

  it("sees what the step has done a moment before", function()
    connection:exec "BEGIN"
    assert.same({ false, true, true, "b2" }, { step.run(step.runner(connection), [[
      local inspector = sa.inspect(op.get_bind())
      local before = inspector:has_table("fresh")
      op.create_table("fresh", sa.Column("b", sa.Text))
      local after, column = inspector:has_table("fresh"), inspector:has_column("fresh", "b")
      op.alter_column("fresh", "b", { new_column_name = "b2" })
      return before, after, column, inspector:get_columns("fresh")[1].name ]]) })
    connection:exec "ROLLBACK"
  end)

  -- Every leaf by its path.
  local function flat(value, path, into)
    into = into or {}
    if type(value) ~= "table" then
      into[path] = tostring(value)
    else
      for key, entry in pairs(value) do flat(entry, (path or "") .. "/" .. key, into) end
    end
    return into
  end

  it("says what SQLAlchemy's own inspector says", function()
    local python = helper.run("/usr/bin/python3", { helper.root .. "/spec/fixtures/twin/inspector.py", database.owner })
    assert.equal(0, python.code, python.err)
    -- Indexes over expressions it passes over, with a warning.
    local ours = step.run(step.runner(connection), [[
      local inspector = sa.inspect(op.get_bind())
      local function picked(list, ...)
        local result = {}
        for i, entry in ipairs(list) do
          result[i] = {}
          for _, field in ipairs { ... } do
            result[i][field] = entry[field] == nil and null or entry[field]
          end
          if entry.type then result[i].type = tostring(entry.type) end
        end
        return json.array(result)
      end
      local function over_columns(indexes)
        local kept = {}
        for _, index in ipairs(indexes) do kept[#kept + 1] = not index.expressions and index or nil end
        return kept
      end
      local function described(schema)
        local found = { tables = json.array(inspector:get_table_names(schema)),
          views = json.array(inspector:get_view_names(schema)), of = {},
          enums = picked(inspector:get_enums(schema), "name", "schema", "labels", "visible") }
        for _, name in ipairs(found.tables) do
          local pk = inspector:get_pk_constraint(name, schema)
          found.of[name] = {
            columns = picked(inspector:get_columns(name, schema), "name", "nullable", "default", "comment",
              "autoincrement", "type"),
            pk = { name = pk.name or null, constrained_columns = json.array(pk.constrained_columns) },
            foreign_keys = picked(inspector:get_foreign_keys(name, schema), "name", "constrained_columns",
              "referred_schema", "referred_table", "referred_columns", "options"),
            indexes = picked(over_columns(inspector:get_indexes(name, schema)), "name", "unique", "column_names"),
            unique = picked(inspector:get_unique_constraints(name, schema), "name", "column_names"),
            checks = picked(inspector:get_check_constraints(name, schema), "name", "sqltext"),
            comment = inspector:get_table_comment(name, schema).text or null,
          }
        end
        return found
      end
      return json.encode { schemas = inspector:get_schema_names(), default = described(), other = described("other"),
        has = { inspector:has_table("Odd Table"), inspector:has_table("child", "other"),
          inspector:has_table("child") } }]])
    local expected, found = flat(cjson.decode(python.out)), flat(cjson.decode(ours))
    for path, value in pairs(expected) do assert.equal(value, found[path], path) end
    for path in pairs(found) do assert.is_not_nil(expected[path], path) end
  end)

  it("has each of its methods in doc/vocabulary.md", function()
    local text = helper.read(helper.root .. "/doc/vocabulary.md")
    for name in pairs(require("dmlua.inspect").signatures) do
      assert.truthy(text:find("%f[%w_]" .. name .. "%("), name)
    end
  end)

  it("names a table that is not there, a misspelt method and a wrong argument", function()
    local function failure(expression)
      return step.error_of(step.runner(connection), "return sa.inspect(op.get_bind())" .. expression).message
    end
    assert.equal("inspector: there is no table nowhere.t (NoSuchTableError)", failure ":get_columns('t', 'nowhere')")
    assert.equal("inspector has no 'get_column' (did you mean 'get_columns'?)", failure ":get_column('t')")
    assert.equal("inspector:get_columns: table_name is missing (a name)", failure ":get_columns()")
    assert.equal("inspector:get_columns: has no option 'shema' (did you mean 'schema'?)",
      failure ":get_columns('t', { shema = 'x' })")
    assert.truthy(failure ".get_columns('t')":find("is called with a colon", 1, true))
    assert.equal("sa.inspect: bind must be the connection, op.get_bind(), got a string",
      step.error_of(step.recorder(), "sa.inspect('x')").message)
  end)
end)
