local helper = require "spec.helper"
local json = require "dmlua.json"
local null = require "dmlua.null"
local params = require "dmlua.params"

describe("a parameter", function()
  local database, connection

  setup(function() database = helper.database() end)
  before_each(function() connection = helper.connect(database.owner) end)

  -- What the server makes of a value, read as `type`.
  local function server(value, type)
    return connection:exec(("SELECT CAST($1 AS %s) AS v"):format(type), { params.encode(value) }).rows[1].v
  end

  it("arrives as the value it was", function()
    local cases = {
      { true, "bool" }, { false, "bool" }, { 0, "int" }, { math.mininteger, "bigint" }, { math.maxinteger, "bigint" },
      { 0.1, "float8" }, { 1e300, "float8" }, { 5e-324, "float8" }, { 2 ^ 53 + 2, "float8" }, { -1.5, "float8" },
      { math.huge, "float8" }, { -math.huge, "float8" }, { 1 / 3, "float8" },
      { "", "text" }, { "a'b\"c\\d\n\u{20ac}\u{1f600}", "text" }, { "NULL", "text" },
    }
    for _, case in ipairs(cases) do assert.equal(case[1], server(case[1], case[2])) end
    local nan = server(0 / 0, "float8")
    assert.is_true(nan ~= nan)
  end)

  it("is a number as short as it can be, so that 0.1 is 0.1 for numeric too", function()
    assert.same({ "0.1", "1", "-9007199254740993", "0.30000000000000004" },
      { params.encode(0.1), params.encode(1.0), params.encode(-9007199254740993), params.encode(0.1 + 0.2) })
  end)

  it("is NULL where it is null", function()
    assert.is_false(params.encode(null))
    assert.is_nil(server(null, "text"))
  end)

  describe("that is a list", function()
    it("is an array, elements of any text kept apart", function()
      local texts = { "a", "", "NULL", "null", 'q"q', "b\\s", "{1,2}", "x,y", " blank ", "\n\t", "\u{20ac}" }
      local rows = connection:exec("SELECT v FROM unnest($1::text[]) WITH ORDINALITY AS u(v, n) ORDER BY n",
        { params.encode(texts) }).rows
      local back = {}
      for i, row in ipairs(rows) do back[i] = row.v end
      assert.same(texts, back)
    end)

    it("may hold null, numbers, booleans, and lists of one length", function()
      assert.equal("{1,NULL,3}", server({ 1, null, 3 }, "int[]"))
      assert.equal("{t,f}", server({ true, false }, "bool[]"))
      assert.equal("{0.5,Infinity,NaN}", server({ 0.5, math.huge, 0 / 0 }, "float8[]"))
      assert.equal("{{1,2},{3,NULL}}", server({ { 1, 2 }, { 3, null } }, "int[]"))
      assert.equal("{}", server({}, "int[]"))
    end)

    it("may hold JSON", function()
      assert.equal([[{"{\"a\": \"\\\"\"}"}]], server({ json { a = '"' } }, "jsonb[]"))
    end)
  end)

  describe("that is marked json", function()
    it("arrives as that JSON", function()
      local value = { a = 1, b = { true, null, "x\"\\\n\1\127\u{20ac}" }, c = {}, d = json.array {}, e = 0.1,
        f = json { 1 } }
      assert.same({ ok = true }, connection:exec([[SELECT $1::jsonb = jsonb_build_object('a', 1, 'b',
        jsonb_build_array(true, NULL, E'x"\\\n\x01\x7f€'), 'c', '{}'::jsonb, 'd', '[]'::jsonb, 'e', 0.1,
        'f', '[1]'::jsonb) AS ok]], { params.encode(json(value)) }).rows[1])
    end)

    it("is the same text for the same value, whatever the order of its names", function()
      local forward, backward = {}, {}
      for i = 1, 100 do forward["k" .. i] = i end
      for i = 100, 1, -1 do backward["k" .. i] = i end
      assert.equal(params.encode(json(forward)), params.encode(json(backward)))
    end)

    it("is what it was when it was marked", function()
      local value = { 1 }
      local marked = json(value)
      value[1] = 2
      assert.equal("[1]", params.encode(marked))
    end)

    it("may be a string, a number, a boolean or null", function()
      assert.same({ '"a"', "1", "true", "null", "null" }, { params.encode(json "a"), params.encode(json(1)),
        params.encode(json(true)), params.encode(json(null)), params.encode(json(nil)) })
    end)

    it("reads back", function()
      local value = { a = { 1, 2.5, json.array {} }, b = null, c = "\u{1f600}\"\\/\n\127", d = {}, e = { true, false },
        f = math.mininteger, g = 1e300 }
      local back = json.decode(server(json(value), "jsonb"))
      assert.same(value, back)
      assert.equal("integer", math.type(back.a[1]))
      assert.equal(json.encode(value), json.encode(back))
    end)

    it("is refused where JSON has no such value", function()
      local inside = {}
      inside[1] = inside
      local cases = {
        { 0 / 0, "NaN is no number of JSON" },
        { { a = math.huge }, "Infinity is no number of JSON" },
        { { 1, x = 2 }, "a table is a list or has names: it has the key 'x'" },
        { { 1, nil, 3 }, "place 2 of the list is nil %(write null%)" },
        { print, "a function is no value of JSON" },
        { "\xff", "not UTF%-8 at byte 1" },
        { { ["a\0"] = 1 }, "NUL byte" },
        { inside, "a table inside itself" },
      }
      for _, case in ipairs(cases) do assert.error_matches(function() json(case[1]) end, case[2]) end
    end)
  end)

  it("is refused, with the reason, where the server has no such value", function()
    local inside = {}
    inside[1] = inside
    local cases = {
      { nil, "it is nil %(write null for NULL%)" },
      { "a\0b", "NUL byte" },
      { "\xc3\x28", "not UTF%-8 at byte 1 .*decode%(:hex, 'hex'%)" },
      { { "a", "\xff" }, "element 2: it is not UTF%-8" },
      { { x = 1 }, "a table is a list, or marked: json { … }; here it has the key 'x'" },
      { { 1, nil, 3 }, "place 2 of the list is nil %(write null%)" },
      { { [1.5] = 1 }, "it has the key '1.5'" },
      { print, "a function cannot be a parameter" },
      { inside, "an array has at most 6 dimensions" },
    }
    for _, case in ipairs(cases) do
      local text, why = params.encode(case[1])
      assert.is_nil(text)
      assert.matches(case[2], why)
    end
  end)
end)

describe("JSON text", function()
  it("is read as RFC 8259 has it", function()
    for text, value in pairs {
      ["1"] = 1, ["-0"] = 0, [" [ ] "] = {}, ["{\t}\r\n"] = {}, ["1E+2"] = 100.0, ["-1.5e-1"] = -0.15,
      ["[1 ,2]"] = { 1, 2 },
      ["9223372036854775807"] = math.maxinteger, ["9223372036854775808"] = 2.0 ^ 63, ["true"] = true, ["null"] = null,
      ['"\\ud83d\\ude00\\u20AC\\/"'] = "\u{1f600}\u{20ac}/",
      ['{"a":{"a":[{}]},"":0}'] = { a = { a = { {} } }, [""] = 0 },
    } do
      assert.same(value, json.decode(text))
    end
  end)

  it("is refused where it is none, with the place", function()
    for text, message in pairs {
      [""] = "a value expected at byte 1, found the end", ["[1,]"] = "a value expected at byte 4, found ']'",
      ["[1 2]"] = "',' or ']' expected at byte 4", ['{"a" 1}'] = "':' expected at byte 6",
      ["{a:1}"] = "a name in quotes",
      ["01"] = "the end expected at byte 2", ["+1"] = "a value", ["1."] = "the end", [".5"] = "a value",
      ["NaN"] = "a value",
      ["0x10"] = "the end", ["nul"] = "a value", ["tru"] = "a value", ["'a'"] = "a value",
      ['"a'] = "the end of a string",
      ['"\n"'] = "an escape for a control character", ['"\\x"'] = "\\u with four digits",
      ["[1"] = "',' or ']'",
      ['"\\ud83d"'] = "a whole pair of surrogates", ['"\\ude00\\ud83d"'] = "a whole pair", ["1 1"] = "the end",
      [("["):rep(300)] = "no more than 200 lists", ['"a\0"'] = "control character",
    } do
      local ok, raised = pcall(json.decode, text)
      assert.is_false(ok, text)
      assert.matches(message, raised.message, 1, true)
    end
  end)
end)
