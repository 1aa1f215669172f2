-- What a script cannot do. The top level of a file runs whenever its header is read, under the rules of upgrade(), so
-- that `dmlua heads` is enough to try.

local helper = require "spec.helper"

local header = 'revision = "abc"\n'

-- Runs the text as a migration file.
local function run(text, settings, files)
  local folder = helper.project { versions = { ["a.lua"] = header .. text }, settings = settings, files = files }
  return helper.dmlua("heads", { cwd = folder, timeout = 30 })
end

local function passes(text, files)
  local result = run(text, nil, files)
  assert.equal("", result.err)
  assert.equal(0, result.code)
end

local function fails(text, message, settings)
  local result = run(text, settings)
  assert.matches("FAILED: " .. message, result.err)
  assert.equal(1, result.code)
end

describe("a script", function()
  it("has the safe part of Lua's library", function()
    passes [[
      assert(os.time() > 0 and os.date("%Y") and os.clock())
      assert(math.floor(2.5) == 2 and utf8.char(228) == "ä" and table.concat({ "a", "b" }, ",") == "a,b")
      assert(("%d"):format(3) == "3" and ("abc"):upper() == "ABC" and string.rep("a", 3) == "aaa")
      assert(select("#", table.unpack { 1, 2 }) == 2 and tonumber("10", 2) == 2 and rawlen { 1 } == 1)
      local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
      assert(co(1) == 2 and co(5) == 10)
      assert(_G._G == _G and _VERSION == "Lua 5.4")
    ]]
  end)

  it("cannot reach what leads out", function()
    passes [[
      for _, name in ipairs { "io", "debug", "package", "collectgarbage", "dofile", "loadfile", "warn" } do
        assert(rawget(_G, name) == nil)
        assert(not pcall(load("return " .. name)))
      end
      for _, name in ipairs { "exit", "execute", "getenv", "remove", "rename", "tmpname", "setlocale" } do
        assert(os[name] == nil)
      end
      assert(string.dump == nil and ("").dump == nil)
    ]]
  end)

  it("cannot change what other files use", function()
    local folder = helper.project { versions = {
      ["a.lua"] = [[
        revision = "a"
        string.upper, table.concat, math.floor, os.time, coroutine.wrap = nil, nil, nil, nil, nil
        print, ipairs = nil, nil
        math.randomseed(1)
        leaked = true
        assert(not pcall(rawset, sa, "String", 1))
        assert(not pcall(function() sa.String = 1 end))
        local _, contents = pairs(sa)
        if contents then contents.String = nil end
        for _, thing in pairs(sa) do
          if type(thing) == "table" then pcall(function() thing.kind, thing.name, thing.new = "x", "x", "x" end) end
        end
      ]],
      ["b.lua"] = [[
        revision = "b"
        assert(string.upper and ("a"):upper() == "A" and table.concat and math.floor and os.time and coroutine.wrap)
        assert(rawget(_G, "leaked") == nil and print and ipairs)
        for name, thing in pairs(sa) do
          if type(thing) == "table" then assert(rawget(thing, "kind") ~= "x" and thing.new ~= "x", name) end
        end
      ]] } }
    local result = helper.dmlua("heads", { cwd = folder })
    assert.equal("", result.err)
    assert.equal("a (head)\nb (head)\n", result.out)
  end)

  it("cannot see or set metatables that are not its own", function()
    passes [[
      assert(getmetatable("") == nil and getmetatable(sa) == nil and getmetatable(_G) == nil)
      assert(getmetatable(sa.String(3)) == nil)
      assert(not pcall(setmetatable, sa, {}))
      assert(not pcall(setmetatable, _G, {}))
      assert(not pcall(setmetatable, "", {}))
      local ok, e = pcall(function() return sa.NoSuchThing end)
      assert(not ok and getmetatable(e) == nil)
      local mt = { __index = { x = 1 } }
      local t = setmetatable({}, mt)
      assert(t.x == 1 and getmetatable(t) == mt and setmetatable(t, nil) == t and t.x == nil)
      local locked = setmetatable({}, { __metatable = "locked" })
      assert(getmetatable(locked) == "locked" and not pcall(setmetatable, locked, {}))
    ]]
  end)

  it("has no finalizers", function()
    fails("setmetatable({}, { __gc = function() end })", "a script has no finalizers")
    passes [[
      local mt = {}
      do local _ = setmetatable({}, mt) end
      mt.__gc = function() print("a finalizer ran") end
      for _ = 1, 100000 do local _ = {} end
    ]]
  end)

  it("loads text, never bytecode, and always in an environment of its own", function()
    local bytecode = string.dump(function() return 1 end)
    passes(([[
      local bytecode = %q
      assert(load(bytecode) == nil and load(bytecode, "x", "b") == nil and load(bytecode, "x", "bt") == nil)
      assert(load(function() local piece = bytecode; bytecode = nil; return piece end) == nil)
      assert(load("return 1", "x", "b") == nil)
      assert(load("return 40 + 2")() == 42)
      local pieces = { "return ", "7" }
      assert(load(function() return table.remove(pieces, 1) end)() == 7)
      x = 5
      assert(load("return x")() == 5 and load("return y", "n", "t", { y = 6 })() == 6)
      assert(load("return os.exit")() == nil)
      local fn, message = load("return return", "@/etc/passwd")
      assert(fn == nil and message:find("^%%[string"), message)
    ]]):format(bytecode))
  end)

  it("requires files under lib/ alone, each once, each in an environment of its own", function()
    passes([[
      local one = require "one"
      assert(one == require "one" and one.value == 1 and rawget(_G, "inner") == nil)
      assert(require "deep.two" == "two of deep.two")
      assert(require "nothing" == true)
      assert(not pcall(load "return inner"))
    ]], {
      ["lib/one.lua"] = 'inner = 1 return { value = inner, sum = function(a) return a + inner end }',
      ["lib/deep/two.lua"] = 'return "two of " .. ...',
      ["lib/nothing.lua"] = 'assert(require "one".sum(1) == 2)',
    })
    for _, name in ipairs {
      "os", "dmlua.engine", "lfs", "../versions/a", "..versions.a", "/etc/passwd", ".", "", "a\0b",
    } do
      local result = run(("require(%q)"):format(name))
      assert.equal(1, result.code)
      assert.matches("FAILED: [nr]o?e?[q ]", result.err)
    end
  end)

  it("is told of a name that is not defined, with the nearest one that is", function()
    fails("pritn(1)", "'pritn' is not defined %(did you mean 'print'%?%)")
    fails("colums = 1 local x = column", "'column' is not defined %(did you mean 'colums'%?%)")
    passes "x = nil assert(x == nil) assert(branch_labels == nil)"
  end)

  it("prints to stderr, where control characters are shown and not sent", function()
    local result = run 'print("a\\27[2J", 1, nil, true)'
    assert.equal("a\\x1b[2J\t1\tnil\ttrue\n", result.err)
    assert.equal("abc (head)\n", result.out)
  end)

  it("has op and its like only while it runs", function()
    fails('op.execute("SELECT 1")', "op is there inside upgrade%(%), downgrade%(%) and run%(%) only")
    fails("tenants.each(print)", "tenants is there inside")
    passes "local op, log = op, log; columns = { sa.Column('id', sa.UUID()), null, json, postgresql }"
  end)
end)

-- Ways not to come back. Ctrl-C and script_seconds end them by the same means; the first does it at once.
local endless = {
  ["a loop"] = "while true do end",
  ["a loop that catches everything"] = "while true do pcall(function() while true do end end) end",
  ["a loop in a comparison of sort"] = [[
    while true do pcall(table.sort, { 1, 2, 3 }, function() while true do pcall(error) end end) end]],
  ["a loop in a replacement of gsub"] = [[
    while true do pcall(string.gsub, "abc", ".", function() while true do pcall(error) end end) end]],
  ["a loop in coroutines"] = [[
    local function f() while true do coroutine.wrap(function() while true do pcall(error) end end)() end end
    while true do coroutine.resume(coroutine.create(f)) end]],
  ["a loop in a message handler"] = [[
    while true do xpcall(function() while true do end end, function() while true do end end) end]],
  ["a loop in the handler of a handler"] = [[
    while true do
      xpcall(error, function() xpcall(error, function() while true do pcall(error) end end) end)
    end]],
  ["loops in __close, each opening more"] = [[
    local function more()
      local a <close> = setmetatable({}, { __close = more })
      local b <close> = setmetatable({}, { __close = more })
      while true do pcall(error) end
    end
    while true do pcall(more) end]],
  ["a loop in __close of a coroutine"] = [[
    while true do
      local co = coroutine.create(function()
        local a <close> = setmetatable({}, { __close = function() while true do end end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
    end]],
  ["a loop in __tostring of an error"] = [[
    error(setmetatable({}, { __tostring = function() while true do pcall(error) end end }))]],
  ["a loop in a metamethod that C calls"] = [[
    while true do
      pcall(table.concat, setmetatable({}, { __len = function() return 9 end, __index = function()
        while true do pcall(error) end end }))
    end]],
  ["a pattern that takes years"] = [[
    while true do pcall(string.find, ("a"):rep(40), ("a?"):rep(40) .. ("a"):rep(40) .. "b") end]],
  ["a pattern over a long text"] = [[local s = ("a"):rep(3e6) while true do pcall(s.find, s, ".-.-b") end]],
  ["a loop in a loaded text's reader"] = "load(function() while true do pcall(error) end end)",
}

-- Starts the text, and returns when it has begun.
local function start(text, settings)
  local folder = helper.project { versions = { ["a.lua"] = header .. 'print("begun")\n' .. text }, settings = settings }
  local running = helper.start("heads", { cwd = folder })
  helper.eventually(function() return running.err():find "begun" end)
  return running
end

describe("a script that does not come back", function()
  for name, text in pairs(endless) do
    it("because of " .. name .. " is interrupted, with its place, and exits with 130", function()
      local running = start(text)
      running.kill "INT"
      local result = running.wait(30)
      assert.matches("FAILED: interrupted\n  at versions/a.lua:%d+\n", result.err)
      assert.equal(130, result.code)
    end)
  end

  it("is stopped when its time is used up", function()
    local result = run(endless["a loop that catches everything"], { script_seconds = 1 })
    assert.matches("FAILED: out of time\n  at versions/a.lua:2\n", result.err)
    assert.equal(1, result.code)
  end)

  it("is left by the watchdog where nothing else can stop it", function()
    local slow = start("table.move({}, 1, math.maxinteger - 1, 2)", { script_seconds = 1 })
    local result = slow.wait(30)
    assert.matches("used up its time in one call that cannot be stopped", result.err)
    assert.equal(1, result.code)
  end)
end)

describe("a script that takes memory", function()
  local settings = { script_memory_mb = 20 }

  it("is stopped at its limit, with the place", function()
    fails("\nlocal t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
      "out of memory\n  at versions/a.lua:4\n", settings)
    fails("\nlocal s = ('x'):rep(1e9)", "out of memory\n  at versions/a.lua:3\n", settings)
  end)

  it("cannot catch that", function()
    for _, text in ipairs {
      "while true do pcall(function() t = ('x'):rep(1e9) end) end",
      "while true do xpcall(function() t = ('x'):rep(1e9) end, function() end) end",
      "while true do coroutine.resume(coroutine.create(function() t = ('x'):rep(1e9) end)) end",
      "while true do pcall(coroutine.wrap(function() t = ('x'):rep(1e9) end)) end",
      "while true do pcall(function() local t = {} while true do t = { t } end end) end",
      "while true do pcall(string.gsub, 'a', 'a', function() t = ('x'):rep(1e9) end) end",
    } do
      fails(text, "out of memory", settings)
    end
  end)

  it("may use as much as it likes one after the other", function()
    local result = run("for i = 1, 200 do local s = ('x'):rep(1000):rep(2000) .. i end", settings)
    assert.equal("", result.err)
  end)

  it("may recurse until Lua says so, and no further", function()
    fails("local function f() return f() + 1 end f()", "stack overflow")
    fails("local t = {} setmetatable(t, { __index = function(_, k) return t[k] end }) return t.x", "C stack overflow")
    fails(("return " .. ("("):rep(300)), "")
  end)
end)

describe("an error", function()
  it("of any kind is reported with its place, and exits with 1", function()
    for text, message in pairs {
      ['error("text")'] = "text",
      ['error("text", 0)'] = "text",
      ["error()"] = "%(error object is a nil value%)",
      ["error({})"] = "%(error object is a table value%)",
      ['error({ message = "in a table" })'] = "in a table",
      ["error(42)"] = "42",
      ["error(print)"] = "%(error object is a function value%)",
      ['error(setmetatable({}, { __tostring = function() return "told" end }))'] = "told",
      ['error(setmetatable({}, { __tostring = function() error("again") end }))'] = "again",
      ["error(setmetatable({}, { __tostring = function() return {} end }))"] = "'__tostring' must return a string",
      ["xpcall(error, function() error() end) error('after')"] = "after",
      ["local x <close> = setmetatable({}, { __close = function() error('closing') end }) error('first')"] = "",
      ["coroutine.yield()"] = "coroutine.yield was called outside",
      ["coroutine.wrap(error)('inside')"] = "inside",
      ["local a; a.b = 1"] = "attempt to index a nil value",
      ['error(("x"):rep(1e6))'] = "xxx",
    } do
      local result = run(text)
      assert.equal(1, result.code, text)
      assert.matches("^FAILED: " .. message, result.err)
      assert.matches("\n  at versions/a.lua:2\n      2 | ", result.err)
    end
  end)
end)

describe("the watchdog", function()
  it("leaves no statement running on the server", function()
    local database = helper.database()
    local folder = helper.project { database = database, versions = { { revision = "a", upgrade = [[
      op.execute("SELECT pg_sleep(120)")
      for _ = 1, 6 do op.execute("SELECT 1 --" .. ("x"):rep(10000)) end -- enough to send what was said
      print("begun")
      table.move({}, 1, math.maxinteger - 1, 2)]] } } }
    local sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
      .. "AND query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()"
    local running = helper.start("upgrade head", { cwd = folder })
    helper.eventually(function() return running.err():find "begun" end)
    helper.eventually(function() return helper.value(database, sleeping) == "1" end)
    running.kill "TERM"
    assert.equal(130, running.wait(30).code)
    helper.eventually(function() return helper.value(database, sleeping) == "0" end)
  end)
end)

describe("a step whose script is stopped", function()
  local function upgrade(body, settings)
    local folder = helper.project { database = helper.database(), settings = settings,
      versions = { { revision = "a", upgrade = body } } }
    return helper.start("upgrade head", { cwd = folder })
  end

  it("is rolled back, in the middle of its own work or in a callback of dmlua", function()
    for _, body in ipairs {
      'op.execute("CREATE TABLE t (a int)") print("begun") while true do pcall(error) end',
      'context.autocommit_block(function() print("begun") while true do pcall(error) end end)',
      'local bind = op.get_bind() print("begun") while true do pcall(bind.execute, bind, "SELECT pg_sleep(60)") end',
      'local bind = op.get_bind() print("begun") while true do pcall(bind.execute, bind, "SELECT 1") end',
    } do
      local running = upgrade(body)
      helper.eventually(function() return running.err():find "begun" end)
      running.kill "INT"
      local result = running.wait(30)
      assert.equal(130, result.code, body .. result.err)
      assert.matches("FAILED: interrupted", result.err)
      assert.matches("database is at base; nothing of a was kept", result.err)
    end
  end)

  it("may have taken too much memory for rows, and says so", function()
    local result = upgrade('op.get_bind():execute("SELECT repeat(\'x\', 1000) FROM generate_series(1, 100000)")',
      { script_memory_mb = 10 }).wait(60)
    assert.matches("FAILED: out of memory\n  at versions/a.lua:11\n", result.err)
    assert.equal(1, result.code)
  end)
end)
