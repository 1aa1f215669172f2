local catalogue = require "spec.support.catalogue"
local helper = require "spec.helper"
local record = require "dmlua.record"
local step = require "spec.step"

-- As an author writes it, the SQL that SQLAlchemy makes of it, and what the server then says.
local cases = {
  { 'sa.String', "VARCHAR", "character varying" },
  { 'sa.String(50)', "VARCHAR(50)", "character varying(50)" },
  { 'sa.String { length = 50, collation = "C" }', 'VARCHAR(50) COLLATE "C"', "character varying(50)" },
  { 'sa.Unicode(9)', "VARCHAR(9)", "character varying(9)" },
  { 'sa.VARCHAR(9)', "VARCHAR(9)", "character varying(9)" },
  { 'sa.CHAR(3)', "CHAR(3)", "character(3)" },
  { 'sa.Text', "TEXT", "text" },
  { 'sa.TEXT', "TEXT", "text" },
  { 'sa.UnicodeText', "TEXT", "text" },
  { 'sa.Integer', "INTEGER", "integer" },
  { 'sa.INTEGER', "INTEGER", "integer" },
  { 'sa.INT', "INTEGER", "integer" },
  { 'sa.SmallInteger', "SMALLINT", "smallint" },
  { 'sa.SMALLINT', "SMALLINT", "smallint" },
  { 'sa.BigInteger', "BIGINT", "bigint" },
  { 'sa.BIGINT', "BIGINT", "bigint" },
  { 'sa.Boolean', "BOOLEAN", "boolean" },
  { 'sa.BOOLEAN { create_constraint = true, name = "ck" }', "BOOLEAN", "boolean" },
  { 'sa.Numeric', "NUMERIC", "numeric" },
  { 'sa.Numeric(10, 2)', "NUMERIC(10, 2)", "numeric(10,2)" },
  { 'sa.Numeric { precision = 5, asdecimal = false }', "NUMERIC(5)", "numeric(5,0)" },
  { 'sa.NUMERIC(4, 0)', "NUMERIC(4, 0)", "numeric(4,0)" },
  { 'sa.Decimal(10, 2)', "NUMERIC(10, 2)", "numeric(10,2)" },
  { 'sa.DECIMAL(5, 1)', "DECIMAL(5, 1)", "numeric(5,1)" },
  { 'sa.Float', "FLOAT", "double precision" },
  { 'sa.Float(24)', "FLOAT(24)", "real" },
  { 'sa.FLOAT(53)', "FLOAT(53)", "double precision" },
  { 'sa.REAL', "REAL", "real" },
  { 'sa.Double', "DOUBLE PRECISION", "double precision" },
  { 'sa.DOUBLE', "DOUBLE PRECISION", "double precision" },
  { 'sa.DOUBLE_PRECISION', "DOUBLE PRECISION", "double precision" },
  { 'sa.DateTime', "TIMESTAMP WITHOUT TIME ZONE", "timestamp without time zone" },
  { 'sa.DateTime { timezone = true }', "TIMESTAMP WITH TIME ZONE", "timestamp with time zone" },
  { 'sa.DateTime(true)', "TIMESTAMP WITH TIME ZONE", "timestamp with time zone" },
  { 'sa.TIMESTAMP { timezone = true }', "TIMESTAMP WITH TIME ZONE", "timestamp with time zone" },
  { 'postgresql.TIMESTAMP { timezone = true, precision = 3 }', "TIMESTAMP(3) WITH TIME ZONE",
    "timestamp(3) with time zone" },
  { 'sa.Time', "TIME WITHOUT TIME ZONE", "time without time zone" },
  { 'sa.TIME { timezone = true }', "TIME WITH TIME ZONE", "time with time zone" },
  { 'postgresql.TIME { precision = 2 }', "TIME(2) WITHOUT TIME ZONE", "time(2) without time zone" },
  { 'sa.Date', "DATE", "date" },
  { 'sa.DATE', "DATE", "date" },
  { 'sa.Interval', "INTERVAL", "interval" },
  { 'sa.Interval { second_precision = 3, native = true }', "INTERVAL (3)", "interval(3)" },
  { 'postgresql.INTERVAL { fields = "YEAR TO MONTH" }', "INTERVAL YEAR TO MONTH", "interval year to month" },
  { 'postgresql.INTERVAL { fields = "day to second", precision = 2 }', "INTERVAL DAY TO SECOND (2)",
    "interval day to second(2)" },
  { 'sa.JSON', "JSON", "json" },
  { 'postgresql.JSON { astext_type = sa.Text() }', "JSON", "json" },
  { 'postgresql.JSONB { none_as_null = true }', "JSONB", "jsonb" },
  { 'sa.LargeBinary', "BYTEA", "bytea" },
  { 'postgresql.BYTEA', "BYTEA", "bytea" },
  { 'sa.UUID', "UUID", "uuid" },
  { 'sa.UUID { as_uuid = true }', "UUID", "uuid" },
  { 'sa.Uuid', "UUID", "uuid" },
  { 'postgresql.UUID { as_uuid = true }', "UUID", "uuid" },
  { 'postgresql.UUID(true)', "UUID", "uuid" },
  { 'sa.ARRAY(sa.String(5))', "VARCHAR(5)[]", "character varying(5)[]" },
  { 'postgresql.ARRAY(sa.Integer, { dimensions = 2 })', "INTEGER[][]", "integer[]" },
  { 'postgresql.ARRAY(postgresql.UUID { as_uuid = true })', "UUID[]", "uuid[]" },
  { 'sa.Enum("a", { name = "one" })', "one", "one" },
  { 'postgresql.ENUM("a", "b", { name = "Two", schema = "public" })', 'public."Two"', '"Two"' },
  { 'sa.Enum("a", "long", { native_enum = false })', "VARCHAR(4)", "character varying(4)" },
  { 'postgresql.INET', "INET", "inet" },
  { 'postgresql.CIDR', "CIDR", "cidr" },
  { 'postgresql.MACADDR', "MACADDR", "macaddr" },
  { 'postgresql.MACADDR8', "MACADDR8", "macaddr8" },
  { 'postgresql.MONEY', "MONEY", "money" },
  { 'postgresql.OID', "OID", "oid" },
  { 'postgresql.REGCLASS', "REGCLASS", "regclass" },
  { 'postgresql.REGCONFIG', "REGCONFIG", "regconfig" },
  { 'postgresql.BIT', "BIT(1)", "bit(1)" },
  { 'postgresql.BIT(4)', "BIT(4)", "bit(4)" },
  { 'postgresql.BIT { varying = true }', "BIT VARYING", "bit varying" },
  { 'postgresql.BIT(5, { varying = true })', "BIT VARYING(5)", "bit varying(5)" },
  { 'postgresql.TSVECTOR', "TSVECTOR", "tsvector" },
  { 'postgresql.TSQUERY', "TSQUERY", "tsquery" },
  { 'postgresql.HSTORE', "HSTORE", "hstore" },
  { 'postgresql.CITEXT', "CITEXT", "citext" },
  { 'sa.type("point")', "point", "point" },
  { 'sa.Text():with_variant(postgresql.JSONB, "postgresql")', "JSONB", "jsonb" },
}
for _, name in ipairs { "INT4RANGE", "INT8RANGE", "NUMRANGE", "DATERANGE", "TSRANGE", "TSTZRANGE", "INT4MULTIRANGE",
  "INT8MULTIRANGE", "NUMMULTIRANGE", "DATEMULTIRANGE", "TSMULTIRANGE", "TSTZMULTIRANGE" } do
  cases[#cases + 1] = { "postgresql." .. name, name, name:lower() }
end
-- SQLAlchemy's dialect names the standard's types once more.
for _, name in ipairs { "CHAR", "VARCHAR", "TEXT", "INTEGER", "SMALLINT", "BIGINT", "BOOLEAN", "NUMERIC", "FLOAT",
  "REAL", "DOUBLE_PRECISION", "DATE" } do
  for _, case in ipairs(cases) do
    if case[1]:match("^sa%.(%w+_?%w*)") == name then
      cases[#cases + 1] = { "postgresql" .. case[1]:sub(3), case[2], case[3] }
      break
    end
  end
end

describe("a type", function()
  it("of those that scripts find has a case here", function()
    local found = {}
    for _, case in ipairs(cases) do found[case[1]:match("^(%w+%.[%w_]+)")] = true end
    for prefix, names in pairs { sa = require "dmlua.sa", postgresql = require "dmlua.postgresql" } do
      for name, value in pairs(names) do
        local callable = name == "ARRAY" or name == "Enum" or name == "ENUM" or name == "type"
        if record.kind(value) == "type" or callable then assert.is_true(found[prefix .. "." .. name], name) end
      end
    end
  end)

  it("stands in doc/vocabulary.md, with every parameter that has an effect", function()
    local types = require "dmlua.types"
    local words = {}
    for word in helper.read(helper.root .. "/doc/vocabulary.md"):gmatch "[%w_]+" do words[word] = true end
    for _, place in ipairs { "sa", "postgresql" } do
      for name, signature in pairs(types.signatures[place]) do
        assert.is_true(words[name] ~= nil, name)
        for _, parameter in ipairs(signature) do
          local known = words[parameter[1]] or parameter[2] == "any" or parameter[2] == "type"
          assert.is_true(known, name .. ": " .. parameter[1])
        end
      end
    end
  end)

  it("is written as SQLAlchemy writes it", function()
    for _, case in ipairs(cases) do
      local column = ('op.add_column("t", sa.Column("a", %s))'):format(case[1])
      assert.same({ "ALTER TABLE t ADD COLUMN a " .. case[2] }, step.statements(column), case[1])
    end
  end)

  it("may be written with or without ()", function()
    for _, case in ipairs(cases) do
      if case[1]:find("^%w+%.[%w_]+$") then
        local column = ('op.add_column("t", sa.Column("a", %s()))'):format(case[1])
        assert.same({ "ALTER TABLE t ADD COLUMN a " .. case[2] }, step.statements(column), case[1])
      end
    end
  end)

  it("is what the server has then, in a new table, an added and a changed column; dropped, nothing is left", function()
    local database = helper.database()
    helper.execute(database, "CREATE EXTENSION hstore; CREATE EXTENSION citext")
    local connection = helper.connect(database.owner)
    local columns, added, changed = {}, {}, {}
    for i, case in ipairs(cases) do
      columns[i] = ('sa.Column("c%d", %s)'):format(i, case[1])
      added[i] = ('op.add_column("u", sa.Column("c%d", %s))'):format(i, case[1])
      changed[i] = ('op.add_column("v", sa.Column("c%d", sa.Text)) op.alter_column("v", "c%d",'
        .. ' { type_ = %s, postgresql_using = "NULL", existing_type = sa.Text() })'):format(i, i, case[1])
    end
    local before = catalogue(connection)
    step.run(step.runner(connection), ([[
      op.create_table("t", %s)
      op.create_table("u") %s
      op.create_table("v") %s]]):format(table.concat(columns, ",\n"), table.concat(added, "\n"),
      table.concat(changed, "\n")))
    for _, name in ipairs { "t", "u", "v" } do
      local types = {}
      for _, row in ipairs(connection:exec("SELECT attname AS name, format_type(atttypid, atttypmod) AS type"
        .. " FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0", { name }).rows) do
        types[row.name] = row.type
      end
      for i, case in ipairs(cases) do
        assert.equal(case[3], types["c" .. i], name .. ": " .. case[1])
      end
    end
    step.run(step.runner(connection), [[
      op.drop_table("t") op.drop_table("u") op.drop_table("v")
      sa.Enum({ name = "one" }):drop(op.get_bind())
      postgresql.ENUM({ name = "Two" }):drop(op.get_bind())]])
    assert.equal(before, catalogue(connection))
  end)

  it("names what is wrong with its parameters", function()
    for _, mistake in ipairs {
      { 'sa.String("x")', "sa.String: length must be a whole number, got a string" },
      { 'sa.Numeric { scale = "2" }', "sa.Numeric: scale must be a whole number, got a string" },
      { 'sa.DateTime { timezon = true }', "sa.DateTime: has no option 'timezon' (did you mean 'timezone'?)" },
      { 'sa.DateTime { timezone = 1 }', "sa.DateTime: timezone must be a boolean, got a number" },
      { 'postgresql.UUID { as_uid = true }', "postgresql.UUID: has no option 'as_uid' (did you mean 'as_uuid'?)" },
      { 'postgresql.ARRAY()', "postgresql.ARRAY: item_type is missing (a type such as sa.Integer())" },
      { 'postgresql.ARRAY("text")', "postgresql.ARRAY: item_type must be a type such as sa.Integer(), got a string" },
      { 'sa.Strin()', "sa.Strin does not exist (did you mean 'String'?)" },
      { 'postgresql.TSVECTR', "postgresql.TSVECTR does not exist (did you mean 'TSVECTOR'?)" },
      { 'sa.type()', "sa.type: type is missing (a name)" },
      { 'sa.Text():with_variant("x")', "with_variant: type must be a type such as sa.Integer(), got a string" },
    } do
      local message = step.error_of(step.recorder(), "\nlocal t = " .. mistake[1])
      assert.same({ mistake[2], "script.lua", 2 }, { message.message, message.file, message.line })
    end
  end)
end)
