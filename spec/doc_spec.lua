-- The examples of doc/verbs.md are what the program prints.

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
