local helper = require "spec.helper"
local step = require "spec.step"

-- What a call copies: its statement and its data.
local function copied(script, file)
  local bind, seen = step.recorder(), {}
  bind.file = file
  function bind.copy(_, sql, _, _, _, _, data) seen.sql, seen.data = sql, data end
  step.run(bind, script)
  return seen
end

local function failure(script, file)
  local bind = step.recorder()
  bind.file = file
  return tostring(step.error_of(bind, script))
end

describe("op.copy_from", function()
  it("writes rows by place as CSV, where nothing is NULL", function()
    local seen = copied [[op.copy_from("t", { { 1, "a\"b,c\n", true, null }, { -2.5, "", false, "x" } },
      { schema = "s" })]]
    assert.equal("COPY s.t FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8')", seen.sql)
    assert.equal('"1","a""b,c\n","true",\n"-2.5","","false","x"\n', seen.data)
  end)

  it("writes rows by name in the order of the names, or of columns", function()
    local rows = [[{ { b = json { x = 1 }, a = { 1, 2 } }, { a = null, b = "y" } }]]
    local seen = copied("op.copy_from('t', " .. rows .. ")")
    assert.equal("COPY t (a, b) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8')", seen.sql)
    assert.equal('"{1,2}","{""x"":1}"\n,"y"\n', seen.data)
    seen = copied("op.copy_from('t', " .. rows .. ", { columns = { 'b', 'a' } })")
    assert.equal('"{""x"":1}","{1,2}"\n"y",\n', seen.data)
  end)

  it("reads a file beside the script, whose first line names the columns", function()
    local folder = helper.folder()
    helper.write(folder .. "/data/t.csv", '\u{FEFF}id;"odd name"\r\n1;x\r\n')
    local file = folder .. "/a.lua"
    local seen = copied([[op.copy_from("t", "data/t.csv", { delimiter = ";", null = "-", encoding = "LATIN1" })]], file)
    assert.equal('COPY t (id, "odd name") FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER \';\', NULL \'-\','
      .. " ENCODING 'LATIN1')", seen.sql)
    assert.equal('id;"odd name"\r\n1;x\r\n', seen.data)
    assert.equal("COPY t FROM STDIN WITH (FORMAT csv)",
      copied([[op.copy_from("t", "data/t.csv", { header = false })]], file).sql)
  end)

  it("reads quotes in the names of the first line", function()
    local folder = helper.folder()
    helper.write(folder .. "/t.csv", '"a ""b""",c,"d,\ne"\n1,2,3\n')
    assert.equal('COPY t ("a ""b""", c, "d,\ne") FROM STDIN WITH (FORMAT csv, HEADER)',
      copied([[op.copy_from("t", "t.csv")]], folder .. "/a.lua").sql)
    helper.write(folder .. "/t.csv", '"a"b,c\n1,2\n')
    assert.truthy(failure([[op.copy_from("t", "t.csv")]], folder .. "/a.lua"):find("must name the columns", 1, true))
  end)

  it("refuses a file that holds the line at which COPY would stop, unless it stands in quotes", function()
    local folder = helper.folder()
    for _, text in ipairs { "a\n1\n\\.\n2\n", 'a\r\n"x\n"\r\n\\.\r\n2\r\n', "a\n\n\\." } do
      helper.write(folder .. "/t.csv", text)
      local line = select(2, text:match("^(.-)\\"):gsub("\n", "")) + 1
      assert.truthy(failure([[op.copy_from("t", "t.csv")]], folder .. "/a.lua")
        :find(("line %d of t.csv is \\., which would end the rows there"):format(line), 1, true))
    end
    for _, text in ipairs { 'a\n"\\."\n', 'a\n"x\n\\.\ny"\n', "a\n\\.x\n", 'a\n"x""\n\\.\n"\n' } do
      helper.write(folder .. "/t.csv", text)
      assert.equal(text, copied([[op.copy_from("t", "t.csv")]], folder .. "/a.lua").data)
    end
  end)

  it("copies no rows when there are none", function()
    assert.same({}, copied [[op.copy_from("t", {})]])
  end)

  local refused = {
    { [[op.copy_from("t")]], "source is missing" },
    { [[op.copy_from("t", { { 1, 2 }, { 1 } })]], "row 2 has no value for column 2" },
    { [[op.copy_from("t", { { 1 }, { 1, 2 } })]], "row 2 has 2 values for 1 columns" },
    { [[op.copy_from("t", { { a = 1 }, { b = 1 } })]], "row 2 has no value for column a" },
    { [[op.copy_from("t", { { function() end } })]], "row 1, column 1: a function cannot be a parameter" },
    { [[op.copy_from("t", { { 1 } }, { header = true })]], "header is an option of a file" },
    { [[op.copy_from("t", { { 1 } }, { colums = { "a" } })]], "did you mean 'columns'" },
    { [[op.copy_from("t", "../secret.csv")]], "is not beside the script" },
    { [[op.copy_from("t", "/etc/passwd")]], "is not beside the script" },
    { [[op.copy_from("t", "missing.csv")]], "missing.csv cannot be read" },
    { [[op.copy_from("t", "a.csv", { delimiter = "ab" })]], "delimiter must be one character" },
    { [[op.copy_from()]], "table_name is missing" },
  }
  for _, row in ipairs(refused) do
    it("refuses " .. row[1], function()
      assert.truthy(failure(row[1], "versions/a.lua"):find(row[2], 1, true), failure(row[1], "versions/a.lua"))
    end)
  end

  it("waits for no pipe beside the script", function()
    local folder = helper.folder()
    assert(os.execute(("mkfifo '%s/rows.csv'"):format(folder)))
    assert.truthy(failure([[op.copy_from("t", "rows.csv")]], folder .. "/a.lua"):find("rows.csv is no file", 1, true))
  end)
end)

describe("op.copy_from on a server", function()
  local database

  before_each(function()
    database = helper.database()
    helper.execute(database, "SET ROLE owner;"
      .. " CREATE TABLE t (id int PRIMARY KEY, name text, at timestamptz, tags text[])")
  end)

  local function upgrade(body, files, settings)
    local folder = helper.project { database = database, files = files, settings = settings,
      versions = { { revision = "abcd", upgrade = body } } }
    return helper.dmlua("upgrade head", { cwd = folder }), folder
  end

  local function succeeds(...)
    local result = upgrade(...)
    assert.equal("", result.code == 0 and "" or result.err)
  end

  it("keeps its place among the statements of the step, and every value", function()
    succeeds([[
      op.execute("CREATE TABLE seen (n int)")
      op.copy_from("t", { { id = 1, name = 'it\'s "\\. ü', at = null, tags = { "a,b", 'c"' } },
        { id = 2, name = "", at = "2024-01-02 03:04:05+00", tags = {} } })
      op.execute("INSERT INTO seen SELECT count(*) FROM t")
      op.copy_from("t", "more.csv")]], { ["versions/more.csv"] = "name,id\n\"x\ny\",3\n,4\n" })
    assert.same({ { id = "1", name = 'it\'s "\\. ü', tags = '{"a,b","c\\""}' },
      { id = "2", name = "", at = "2024-01-02 03:04:05+00", tags = "{}" }, { id = "3", name = "x\ny" }, { id = "4" } },
      helper.sql(database, "SELECT * FROM t ORDER BY id"))
    assert.equal("2", helper.value(database, "SELECT n FROM seen"))
  end)

  it("sends more rows than the socket takes at once", function()
    succeeds [[
      local rows = {}
      for i = 1, 20000 do rows[i] = { i, ("x"):rep(100), null, null } end
      op.copy_from("t", rows)]]
    assert.equal("20000 2000000", helper.value(database, "SELECT count(*) || ' ' || sum(length(name)) FROM t"))
  end)

  it("names the line of the script when a row is refused, and nothing of the step is kept", function()
    local result = upgrade [[
      op.execute("CREATE TABLE gone (n int)")
      op.copy_from("t", { { 1, "a", null, null }, { 1, "b", null, null } })
      op.execute("SELECT 1")]]
    assert.equal(1, result.code)
    assert.truthy(result.err:find("23505", 1, true), result.err)
    assert.truthy(result.err:find("versions/abcd.lua:12", 1, true), result.err)
    assert.is_nil(helper.value(database, "SELECT to_regclass('gone')"))
  end)

  it("names a table that is not there, and a statement that failed before it", function()
    local result = upgrade [[op.copy_from("missing", { { 1 } })]]
    assert.truthy(result.err:find("42P01", 1, true), result.err)
    result = upgrade [[
      op.execute("SELECT 1/0")
      op.copy_from("t", { { 1, "a", null, null } })]]
    assert.truthy(result.err:find("22012", 1, true), result.err)
  end)

  it("is not sent again by a rerun, which compares its rows", function()
    local body = [[
      op.copy_from("t", { { 1, "a", null, null } })
      op.get_context():autocommit_block(function() op.execute("VACUUM t") end)
      op.execute("SELECT 1/0")]]
    local result, folder = upgrade(body)
    assert.equal(1, result.code)
    local function rewrite(text)
      helper.write(folder .. "/versions/abcd.lua", helper.revision { revision = "abcd", upgrade = text })
      return helper.dmlua("upgrade head", { cwd = folder })
    end
    assert.equal(3, rewrite((body:gsub('"a"', '"b"'))).code)
    result = rewrite((body:gsub("SELECT 1/0", "SELECT 1")))
    assert.equal("", result.code == 0 and "" or result.err)
    assert.equal("1", helper.value(database, "SELECT count(*) FROM t"))
  end)

  it("needs the one door under forced row security, and is refused inside a tenant loop", function()
    helper.execute(database, "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    local result = upgrade [[op.copy_from("t", { { 1, "a", null, null } })]]
    assert.truthy(result.err:find("42501", 1, true), result.err)
    result = upgrade [[tenants.with("acme", function() op.copy_from("t", { { 1, "a", null, null } }) end)]]
    assert.truthy(result.err:find("op.bulk_insert", 1, true), result.err)
    succeeds [[op.across_tenants({ "t" }, function() op.copy_from("t", { { 1, "a", null, null } }) end)]]
    assert.equal("1", helper.value(database, "SELECT count(*) FROM t"))
  end)

  it("stands in written-out SQL as psql reads it", function()
    local folder = helper.project { database = database, versions = { { revision = "abcd", upgrade = [[
        op.copy_from("t", { { 1, "\\.", null, null }, { 2, "b\nc", null, null } })
        op.execute("UPDATE t SET name = name || '!'")]] } } }
    local written = helper.dmlua("upgrade head --sql", { cwd = folder })
    assert.equal(0, written.code, written.err)
    helper.execute(database.owner, written.out)
    assert.same({ { name = "\\.!" }, { name = "b\nc!" } }, helper.sql(database, "SELECT name FROM t ORDER BY id"))
  end)

  it("stands there whatever a file's line ends are, and with lines in it that psql would take for the end", function()
    local folder = helper.project { database = database, versions = { { revision = "abcd", upgrade = [[
      op.copy_from("t", "t.csv")]] } } }
    helper.write(folder .. "/versions/t.csv", '"id",name\r\n1,x\r\n2,"a\n\\.\n\\.\n""b"\r\n3,"\r\n\\.\r\n"\r\n')
    local written = helper.dmlua("upgrade head --sql", { cwd = folder })
    assert.equal(0, written.code, written.err)
    helper.execute(database.owner, written.out)
    local read = "SELECT name FROM t ORDER BY id"
    local found = helper.sql(database, read)
    assert.same({ { name = "x" }, { name = 'a\n\\.\n\\.\n"b' }, { name = "\r\n\\.\r\n" } }, found)
    helper.execute(database.owner, "DELETE FROM t; DROP TABLE alembic_version")
    assert.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
    assert.same(found, helper.sql(database, read))
  end)
end)
