local annotations = require "dmlua.annotations"
local helper = require "spec.helper"
local step = require "spec.step"

describe("the annotations for editors", function()
  local text = annotations.text()

  it("are Lua, marked as annotations, and always the same", function()
    assert.is_truthy(load(text))
    assert.equal("---@meta", text:match "^[^\n]+")
    assert.equal(text, annotations.text())
  end)

  it("have every name of the vocabulary", function()
    -- What is there only to say what to write in its place.
    local refused = {}
    for name in ("select insert update delete case and_ or_ not_ cast exists union distinct MetaData Table")
      :gmatch "%S+" do refused["sa." .. name] = true end
    local names = step.run(step.recorder(), [[
      local found = {}
      for place, contents in pairs { op = op, sa = sa, postgresql = postgresql, guards = guards, tenants = tenants,
        context = context, log = log, json = json } do
        for name in pairs(contents) do found[#found + 1] = place .. "." .. name end
      end
      return found]])
    local missing = {}
    assert.is_true(#names > 150)
    for _, name in ipairs(names) do
      local module = name:match "^json%." and not text:find(name, 1, true) -- json's own inner functions
      local there = text:find(name .. "[ (=,]") or text:find("@field " .. name:match "[^.]+$" .. " ", 1, true)
      if not (there or refused[name] or module) then missing[#missing + 1] = name end
    end
    assert.same({}, missing)
  end)

  it("have every option of a directive as a field of its class", function()
    for directive, signature in pairs(require "dmlua.signatures") do
      local class = text:match("%-%-%-@class op%." .. directive .. "%.options\n(.-)\n\n")
      for option in pairs(signature.options) do
        assert.truthy(class:find("@field " .. option .. "? ", 1, true), directive .. "." .. option)
      end
    end
  end)

  it("are written by init, where the editor's settings find them", function()
    local folder = helper.folder()
    local result = helper.dmlua("init scripts", { cwd = folder })
    assert.equal(0, result.code, result.err)
    assert.equal(text, helper.read(folder .. "/scripts/editor/dmlua.lua"))
    assert.truthy(helper.read(folder .. "/.luarc.json"):find('"workspace.library": ["scripts/editor"]', 1, true))
  end)
end)
