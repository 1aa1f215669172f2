-- The examples of doc/verbs.md are what the program prints; the shapes of doc/json.md are those that it prints.

local cjson = require "cjson"
local helper = require "spec.helper"

local text = helper.read(helper.root .. "/doc/verbs.md")

-- The commands of all blocks in order: { command, expected output }.
local function examples()
  local list = {}
  for block in text:gmatch "\n```\n(.-)```" do
    for line in block:gmatch "[^\n]*\n" do
      local command = line:match "^%$ dmlua (.*)\n"
      if command then
        list[#list + 1] = { command = command, expected = "" }
      else
        list[#list].expected = list[#list].expected .. line
      end
    end
  end
  return list
end

-- "…" stands for anything on its line.
local function pattern_of(expected)
  local escaped = expected:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("…", "[^\n]*")
  return "^" .. escaped .. "$"
end

describe("doc/verbs.md", function()
  it("shows what the program prints", function()
    local folder = helper.folder()
    helper.run("/bin/cp", { "-r", helper.root .. "/migrations/.", folder })
    local env = { SERVICE_TYPE = "isp", DMLUA_URL_ISP = helper.database().owner,
      PATH = helper.build .. ":" .. os.getenv "PATH" }
    local list = examples()
    assert(#list >= 10)
    for _, example in ipairs(list) do
      local line = "dmlua " .. example.command .. " 2>&1"
      local result = helper.run("/bin/sh", { "-c", line }, { cwd = folder, env = env })
      assert(result.out:find(pattern_of(example.expected)), ("dmlua %s prints\n%s\nand not\n%s")
        :format(example.command, result.out, example.expected))
    end
  end)

  it("names every verb and every option that a verb has", function()
    for _, row in ipairs(require("dmlua.verbs").list) do
      assert(text:find("`" .. row[1], 1, true), row[1])
      local options = helper.dmlua({ row[1], "--help" }).out:match "\nOptions:\n(.-)\nGlobal options:" or ""
      for option in options:gmatch "%f[-]%-%-[%l-]+" do
        assert(text:find(option, 1, true), row[1] .. " " .. option)
      end
    end
  end)
end)

describe("doc/json.md", function()
  local json = helper.read(helper.root .. "/doc/json.md")

  local function keys_in(shape)
    local keys = {}
    for key in shape:gsub(':%[?"[^"]*"', ":"):gmatch '"([%l_%d]+)"' do keys[#keys + 1] = key end
    table.sort(keys)
    return keys
  end

  -- The outer keys of each shape of a verb's row: those of nested lists are left out.
  local function shapes(verb)
    local list = {}
    for line in json:gmatch "[^\n]+" do
      local verbs, rest = line:match "^| (`[^|]*) | (.*)$"
      if verbs and verbs:find("`" .. verb .. "`", 1, true) then
        for shape in rest:gmatch "`({.-})`" do list[#list + 1] = keys_in((shape:gsub("%b[]", ""))) end
      end
    end
    return list
  end

  local function keys_of(document)
    local keys = {}
    for key in pairs(document) do keys[#keys + 1] = key end
    table.sort(keys)
    return keys
  end

  it("names exactly the keys that each verb prints", function()
    local folder = helper.project {
      database = helper.database(),
      versions = { { revision = "a1", upgrade = '  op.execute("CREATE TABLE a (n int)")' } },
    }
    for _, words in ipairs { "upgrade a1", "heads", "history", "branches", "show a1", "plan upgrade head", "current",
      "log", "config", "completion bash", "revision --rev-id b1", "downgrade base", "stamp a1" } do
      local printed = {}
      for line in helper.dmlua("--json " .. words, { cwd = folder }).out:gmatch "[^\n]+" do
        printed[#printed + 1] = keys_of(cjson.decode(line))
      end
      assert.same(shapes(words:match "^%S+"), printed, words)
    end
  end)

  it("names exactly the keys of a revision, of a ledger row and of an error", function()
    local folder = helper.project {
      database = helper.database(),
      versions = { { revision = "a1", upgrade = '  op.execute("SELECT 1/0")' } },
    }
    local function document(words) return cjson.decode(helper.dmlua(words .. " --json", { cwd = folder }).out) end
    local function shown(start) return keys_in(json:match("\n(" .. start .. ".-)\n")) end
    local failure = keys_of(document("upgrade head").error)
    failure[#failure + 1] = "error"
    table.sort(failure)
    assert.same(shown '{"error":', failure)
    assert.same(shown '{"revision":', keys_of(document("heads").heads[1]))
    assert.same(keys_in(json:match '{"log":%[({.-})'), keys_of(document("log").log[1]))
  end)
end)
