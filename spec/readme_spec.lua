local helper = require "spec.helper"

local readme = helper.read(helper.root .. "/README.md")

-- The n-th block of this language, from its heading on.
local function block(heading, language)
  local section = readme:match("\n## " .. heading .. "\n(.-)\n## ")
  return section:match("\n```" .. language .. "\n(.-)```") or error("no block under " .. heading)
end

describe("README.md", function()
  it("shows a first migration that runs as it stands, and every command after it", function()
    local database = helper.database()
    local folder = helper.folder()
    helper.write(folder .. "/dmlua.ini", block("A first migration", "ini"))
    helper.write(folder .. "/migrations/versions/abc123.lua", block("A first migration", "lua"))
    for line in block("A first migration", "sh"):gmatch("[^\n]+") do
      local words = line:match("^dmlua ([^#]+)")
      local result = helper.dmlua(words, { cwd = folder, env = { DATABASE_URL = database.url } })
      assert.equal(0, result.code, line .. "\n" .. result.out .. result.err)
    end
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

  it("names only verbs and files that there are", function()
    for path in readme:gmatch "%]%(([%w_./]+)%)" do
      assert.is_truthy(require("lfs").attributes(helper.root .. "/" .. path), path)
    end
    local help = helper.dmlua("--help").out
    for verb in readme:gmatch "`dmlua (%l+)" do assert.matches("\n  " .. verb .. " ", help, 1, true) end
  end)
end)
