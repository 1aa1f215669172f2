-- A share of what Alembic answered for random graphs, asked of the program, which reads no database for it.

local helper = require "spec.helper"
local json = require "cjson"
local lfs = require "lfs"

local share = 16 -- one case in so many; graph_vectors_spec.lua asks all of them of the graph

local function plain(value)
  if value == json.null then return nil end
  return value
end

local function written(value)
  value = plain(value)
  if type(value) ~= "table" then return value and ("%q"):format(value) or "nil" end
  local words = {}
  for i, word in ipairs(value) do words[i] = ("%q"):format(word) end
  return "{ " .. table.concat(words, ", ") .. " }"
end

local function write_tree(folder, case)
  for name in lfs.dir(folder .. "/versions") do os.remove(folder .. "/versions/" .. name) end
  for _, it in ipairs(case.revisions) do
    helper.write(("%s/versions/%s.lua"):format(folder, it.revision),
      ("-- m %s\n\nrevision = %s\ndown_revision = %s\nbranch_labels = %s\ndepends_on = %s\n\n"
        .. "function upgrade() end\n\nfunction downgrade() end\n"):format(it.revision, written(it.revision),
        written(it.down_revision), written(it.branch_labels), written(it.depends_on)))
  end
end

local function ask(folder, case)
  local words = { "plan", "--json", "--from", #case.current > 0 and table.concat(case.current, ",") or "base" }
  if case.sql then table.insert(words, "--sql") end
  if case.purge then table.insert(words, "--purge") end
  table.insert(words, case.command)
  local targets = type(case.target) == "table" and case.target or { case.target }
  local result = helper.dmlua(table.move(targets, 1, #targets, #words + 1, words), { cwd = folder })
  return result.code, json.decode(result.out)
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("dmlua plan --from", function()
  it("answers without a database what Alembic answers, and refuses what it refuses", function()
    local folder = helper.project { database = "postgresql://nobody@127.0.0.1:1/none" }
    local number = 0
    for line in io.lines(helper.root .. "/spec/fixtures/vectors/plans.jsonl") do
      number = number + 1
      local case = json.decode(line)
      if number % share == 0 and not case.warning and not case.rows_not_maximal then
        write_tree(folder, case)
        local code, answer = ask(folder, case)
        if plain(case.error) then
          assert.are.equal(2, code, case.id)
          assert.are.equal("usage", answer.error.kind, case.id)
        else
          local steps = {}
          for i, step in ipairs(answer.steps) do steps[i] = step.revision end
          assert.are.same(sorted(case.steps), sorted(steps), case.id)
          assert.are.same(sorted(case.result_heads), answer.heads, case.id)
        end
      end
    end
  end)
end)
