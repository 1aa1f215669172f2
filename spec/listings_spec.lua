-- The verbs that list revisions beside the real Alembic, on one tree of its files. What Alembic keeps in sets it prints
-- in any order: names in one line, and entries.

local helper = require "spec.helper"

-- id, parents, label, dependency, message
local revisions = {
  { "aaaa1", "None", "None", "None", "First" }, { "bbbb1", "'aaaa1'", "'web'", "None", "Second\n\nWith more text." },
  { "cccc1", "'aaaa1'", "'shop'", "None", "Third" }, { "dddd1", "('bbbb1', 'cccc1')", "None", "None", "Merge" },
  { "eeee1", "'cccc1'", "None", "'bbbb1'", "Needs web" }, { "ffff1", "'dddd1'", "None", "None", "Sixth" },
  { "gggg1", "'dddd1'", "None", "None", "Seventh" }, { "hhhh1", "None", "'other'", "None", "Another root" },
  { "iiii1", "'hhhh1'", "None", "'eeee1'", "Needs eeee1" },
}

local function project()
  local folder = helper.folder()
  helper.write(folder .. "/alembic.ini", "[alembic]\nscript_location = tree\n")
  helper.write(folder .. "/tree/env.py", "")
  for _, it in ipairs(revisions) do
    helper.write(("%s/tree/versions/%s.py"):format(folder, it[1]), ([[
"""%s

Revision ID: %s
Create Date: 2024-01-15 10:00:00

"""
revision = '%s'
down_revision = %s
branch_labels = %s
depends_on = %s
]]):format(it[5], it[1], it[1], it[2], it[3], it[4]))
  end
  return folder
end

local function sorted_names(head, list, tail)
  local names = {}
  for name in list:gmatch "[^,%s]+" do names[#names + 1] = name end
  table.sort(names)
  return head .. table.concat(names, ", ") .. (tail or "")
end

-- The entries, sorted, with sorted names; an entry of blocks begins with "Rev:", the others are lines.
local function entries(text, folder)
  local list = {}
  for line in text:gmatch "[^\n]*" do
    line = line:gsub(folder:gsub("%p", "%%%0") .. "/", ""):gsub("^(Branch%a* %a+: )(.*)$", sorted_names)
      :gsub("(%()([%w, ]+)(%))", sorted_names):gsub("^%s+$", "")
    local goes_on = #list > 0 and (list[#list]:find "^Rev:" and not line:find "^Rev:" or line:find "^ ")
    if goes_on then
      list[#list] = list[#list] .. "\n" .. line
    elseif line ~= "" then
      list[#list + 1] = line
    end
  end
  for i, entry in ipairs(list) do list[i] = entry:gsub("\n+$", "") end
  table.sort(list)
  return list
end

-- The lines of children below a branch point are in any order, too.
local function with_sorted_children(list)
  for i, entry in ipairs(list) do
    local children = {}
    local head = entry:gsub("\n( +%-> [^\n]*)", function(child)
      children[#children + 1] = child
      return ""
    end)
    table.sort(children)
    list[i] = head .. "\n" .. table.concat(children, "\n")
  end
  return list
end

describe("as Alembic does", function()
  local folder
  setup(function() folder = project() end)

  for _, words in ipairs {
    "branches", "branches -v", "heads -v", "heads --resolve-dependencies -v", "history", "history -v",
    "history -r aaaa:eeee", "show dddd",
  } do
    it("prints " .. words, function()
      local expected = helper.run("/usr/bin/alembic", words, { cwd = folder })
      assert.equal(0, expected.code, expected.err .. expected.out)
      local result = helper.dmlua(words, { cwd = folder })
      assert.equal(0, result.code, result.err)
      assert.same(with_sorted_children(entries(expected.out, folder)),
        with_sorted_children(entries(result.out, folder)))
    end)
  end

  it("lists branch points newest first", function()
    local points = {}
    local out = "\n" .. helper.dmlua("branches", { cwd = folder }).out
    for point in out:gmatch "\n(%w+)" do points[#points + 1] = point end
    assert.same({ "dddd1", "cccc1", "aaaa1" }, points)
  end)
end)
