local helper = require "spec.helper"
local lfs = require "lfs"

local readme = helper.read(helper.root .. "/README.md")

-- The n-th block of this language below a heading.
local function block(heading, language, n)
  local section = readme:match("\n## " .. heading .. "\n(.-)\n## ")
  for text in section:gmatch("\n```" .. language .. "\n(.-)```") do
    n = (n or 1) - 1
    if n == 0 then return text end
  end
  error("no such block under " .. heading)
end

-- Runs each line of a block that calls dmlua, in a folder.
local function run_lines(text, folder, environment)
  for line in text:gmatch "[^\n]+" do
    local command = line:match "^dmlua (.*)"
    if command then
      command = helper.program .. " " .. command
      local result = helper.run("/bin/sh", { "-c", command }, { cwd = folder, env = environment })
      assert.equal(0, result.code, line .. "\n" .. result.out .. result.err)
    end
  end
end

local function only_file(folder)
  for name in lfs.dir(folder) do
    if name:match "%.lua$" then return folder .. "/" .. name end
  end
end

describe("README.md", function()
  it("shows a first migration that runs as it stands, and every command before and after it", function()
    local database, folder = helper.database(), helper.folder()
    run_lines(block("A first migration", "sh"), folder)
    local file = only_file(folder .. "/migrations/management/versions")
    helper.write(file, helper.read(file):match("^(.-)function upgrade") .. block("A first migration", "lua"))
    run_lines(block("A first migration", "sh", 2), folder, { DATABASE_URL = database.url, SERVICE_TYPE = "management" })
  end)

  it("shows a whole ini whose services and environments can all be used", function()
    local folder = helper.folder()
    helper.write(folder .. "/dmlua.ini", block("A whole ini", "ini"))
    for _, service in ipairs { "management", "isp" } do
      for _, environment in ipairs { "development", "staging", "production" } do
        local result = helper.dmlua({ "config", "--service", service, "--env", environment }, { cwd = folder })
        assert.equal(0, result.code, result.err)
        assert.matches(folder .. "/" .. service, result.out, 1, true)
      end
    end
  end)

  it("has a room for each file of host/, and names none that is not there", function()
    local rooms, found = {}, {}
    for names in readme:match("| room | holds |\n(.-)\n\n"):gmatch "\n| ([%l%d_, ]+) |" do
      for name in names:gmatch "[%l%d_]+" do rooms[name] = false end
    end
    for name in lfs.dir(helper.root .. "/host") do
      local word = name:match "^(.+)%.c$" or name:match "^[%l_]+$"
      if word then found[#found + 1] = word end
    end
    assert.is_true(#found > 30)
    for _, word in ipairs(found) do
      local room = word
      while room and rooms[room] == nil do room = room:match "^(.+)_[^_]+$" end -- step_send is of step
      assert.is_truthy(room, word)
      rooms[room] = true
    end
    for room, is_there in pairs(rooms) do assert.is_true(is_there, room) end
  end)

  it("names only verbs and files that there are", function()
    for path in readme:gmatch "%]%(([%w_./]+)%)" do
      assert.is_truthy(lfs.attributes(helper.root .. "/" .. path), path)
    end
    local help = helper.dmlua("--help").out
    for verb in readme:gmatch "`dmlua (%l+)" do assert.matches("\n  " .. verb .. " ", help, 1, true) end
  end)
end)
