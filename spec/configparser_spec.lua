-- Random inis, read by dmlua and by Python's configparser, which is what Alembic's inis are written for.

local cjson = require "cjson"
local helper = require "spec.helper"

local FILES = 60

local keys = { "app_role", "App_Role", "tenant_role", "tenants_query", "tenant_setting" }
local words = { "x", "a b", "%%", "%(here)s", "%(who)s", "%(WHO)s/y", "a;b", "é", "%(tenant_setting)s" }
local values = { "# no comment", "a = b", "a: b", "", "%", "%(none)s", table.unpack(words) }
local indents = { "", "", "", "", "  ", "    ", "\t" }

local function pick(list)
  return list[math.random(#list)]
end

local function random_line()
  local kind = math.random(20)
  if kind <= 11 then return pick(indents) .. pick(keys) .. pick { "=", " = ", ":", " : ", "\t=" } .. pick(values) end
  if kind <= 15 then return pick { "  ", "    ", "\t" } .. pick(words) end
  if kind <= 17 then return pick { "# a comment", "  ; another", "\t# x = y" } end
  if kind == 18 then return pick { "no value", "  no value either", "= x" } end
  return pick { "", "   ", "\r" }
end

local function random_ini()
  local lines = { "[DEFAULT]", "who = me", "[dmlua]" }
  for _ = 1, math.random(1, 5) do lines[#lines + 1] = random_line() end
  if math.random() < 0.5 then
    lines[#lines + 1] = "[production]"
    for _ = 1, math.random(1, 4) do lines[#lines + 1] = random_line() end
  end
  return table.concat(lines, pick { "\n", "\n", "\n", "\r\n" })
end

-- Python keeps the empty lines in a value; no key of ours tells them from one line end.
local function folded(value)
  value = value and value:gsub("\n+", "\n")
  return value ~= "" and value or nil
end

-- The values in force in production, by Python's account; nil where it refuses.
local function by_python(paths)
  local result = helper.run("/usr/bin/python3", { helper.root .. "/spec/fixtures/config/read.py", table.unpack(paths) })
  assert.equal("", result.err)
  local list = {}
  for line in result.out:gmatch "[^\n]+" do
    local sections = cjson.decode(line)
    local found = false
    if sections ~= cjson.null then
      found = {}
      for _, section in ipairs { "dmlua", "production" } do
        for key, value in pairs(sections[section] or {}) do found[key] = value end
      end
    end
    list[#list + 1] = found
  end
  return list
end

local function by_dmlua(path)
  local result = helper.dmlua({ "config", "--json", "-c", path })
  if result.code ~= 0 then return false end
  local found = {}
  for _, row in ipairs(cjson.decode(result.out).settings) do
    if row.origin:find "%[dmlua%]" or row.origin:find "%[production%]" then found[row.key] = row.value end
  end
  return found
end

describe("an ini", function()
  it("means to dmlua what it means to Python's configparser", function()
    math.randomseed(4711)
    local folder, paths, agreed = helper.folder(), {}, 0
    for i = 1, FILES do
      paths[i] = ("%s/%d.ini"):format(folder, i)
      helper.write(paths[i], random_ini())
    end
    local python = by_python(paths)
    for i, path in ipairs(paths) do
      local ours, theirs = by_dmlua(path), python[i]
      local text = helper.read(path)
      assert.equal(theirs ~= false, ours ~= false, text)
      for _, key in ipairs(ours and keys or {}) do
        local value = ours[key] ~= cjson.null and ours[key] or nil
        assert.equal(folded(theirs[key]), folded(value), key .. " in\n" .. text)
      end
      if ours then agreed = agreed + 1 end
    end
    assert.is_true(agreed > FILES / 10 and agreed < FILES)
  end)
end)
