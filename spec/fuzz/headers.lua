-- Random headers, in Lua and in Python, through the built program, for so many seconds: it may read them or refuse them
-- with a message that names the file, and nothing else: no crash, no hang, no error of its own. No part of the suite.
--
--   spec/fuzz/run-headers [seconds] [seed]

local lfs = require "lfs"

local program, seconds, seed = arg[1], tonumber(arg[2]) or 60, tonumber(arg[3]) or os.time()
math.randomseed(seed)

local function pick(list) return list[math.random(#list)] end

local names = { "revision", "down_revision", "branch_labels", "depends_on", "replaces", "upgrade", "revison", "x" }
local lua_values = { '"a"', '"a-b"', "nil", "{}", '{ "b", "c" }', '{ heads = { "h" }, "i" }', "{ 1 }", "3", "{ { } }",
  "function() end", '("x"):rep(300)', '"\\0"', '"\\u{20ac}"', "setmetatable({}, { __index = error })", "_G", "op.x",
  "error()", "coroutine.wrap(error)()", '{ heads = 1 }', '{ [2] = "a" }', "[[\n]]", "{ ... }", "require 'x'" }
local python_values = { '"a"', "'b'", "None", "()", '("b", "c")', '["b",]', "f'a'", "b'a'", "name()", '("a" "b")',
  '"""a"""', "'\\x41'", "'\\N{DASH}'", "(", "'", '"""', "{'a'}", "'a' if x else 'b'", "\\\n'a'", "('a', None)",
  "R'a\\'" }
local lines = {
  lua = { "-- %s = %s", "%s = %s", "local %s = %s", "function %s() return %s end", "do %s = %s end" },
  python = { "# %s = %s", "%s = %s", "%s: str = %s", "if x:\n    %s = %s", "def %s(): return %s", "import %s #%s",
    "%s += %s" },
}

local function noise(text)
  local at = math.random(#text + 1)
  local byte = string.char(math.random(0, 255))
  return text:sub(1, at - 1) .. byte .. text:sub(at + math.random(0, 3))
end

local function header(kind)
  local values, list = kind == "lua" and lua_values or python_values, {}
  if math.random(3) > 1 then list[1] = 'revision = "a"\ndown_revision = ' .. (kind == "lua" and "nil" or "None") end
  for _ = 1, math.random(6) do list[#list + 1] = pick(lines[kind]):format(pick(names), pick(values)) end
  local text = table.concat(list, "\n") .. "\n"
  for _ = 1, math.random(0, 2) do text = noise(text) end
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- What is wrong with the way the program ended, or nil.
local function fault(code, text)
  if code == 0 then return nil end
  if code ~= 1 and code ~= 2 then return "exit code " .. tostring(code) end
  if not text:find("versions/a.", 1, true) then return "the file is not named" end
  if text:find("dmlua/", 1, true) and text:find("attempt to", 1, true) then return "an error of dmlua's own" end
end

local folder = os.tmpname()
os.remove(folder)
assert(lfs.mkdir(folder) and lfs.mkdir(folder .. "/versions"))
write(folder .. "/dmlua.ini", "[dmlua]\nscript_location = .\n")

local function try(kind)
  local path = ("%s/versions/a.%s"):format(folder, kind == "lua" and "lua" or "py")
  write(path, header(kind))
  local _, _, code = os.execute(("cd %s && timeout 20 %s --json history >out 2>err"):format(folder, program))
  local found = fault(code, read(folder .. "/err"))
  if found then error(("%s (seed %d): %s\n%s\n%s"):format(found, seed, path, read(path), read(folder .. "/err")), 0) end
  os.remove(path)
end

local count, until_ = 0, os.time() + seconds
while os.time() < until_ do
  try(pick { "lua", "python" })
  count = count + 1
end
os.execute("rm -r " .. folder)
print(("%d headers, seed %d: nothing found"):format(count, seed))
