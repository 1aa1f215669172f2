-- A tree in the manner of real ones (spec/fixtures/corpus): it goes up and down.

local catalogue = require "spec.support.catalogue"
local helper = require "spec.helper"

local corpus = helper.root .. "/spec/fixtures/corpus"

describe("the corpus", function()
  local database, folder

  setup(function()
    database = helper.database()
    folder = helper.project { database = database, settings = { script_location = corpus } }
  end)

  local function dmlua(arguments)
    local result = helper.dmlua(arguments, { cwd = folder, timeout = 60 })
    assert.equal(0, result.code, result.err)
    return result
  end

  local function count(query)
    return tonumber(helper.value(database, query))
  end

  local function own_catalogue()
    local connection = helper.connect(database.owner)
    local lines = {}
    for line in catalogue(connection):gmatch "[^\n]+" do
      if not line:find "dmlua_" and not line:find "alembic_version" then lines[#lines + 1] = line end
    end
    connection:close()
    return lines
  end

  it("is what its generator writes", function()
    local made = helper.folder()
    assert.equal(0, helper.run("lua5.4", { corpus .. "/generate.lua", made }).code)
    local result = helper.run("diff", { "-r", made, corpus .. "/versions" })
    for line in result.out:gmatch "[^\n]+" do
      assert.matches("^Only in " .. corpus:gsub("%p", "%%%0") .. "/versions: [23]%d_", line)
    end
  end)

  it("makes 100 tables, 40 enumerations and 450 indexes and goes down to nothing again", function()
    local empty = own_catalogue()
    dmlua "upgrade heads"
    assert.is_true(count [[SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind IN ('r', 'p') AND relname !~ '^(dmlua_|alembic_version)']] >= 100)
    assert.is_true(count "SELECT count(*) FROM pg_type WHERE typtype = 'e'" >= 40)
    assert.is_true(count "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'" >= 450)
    assert.equal(0, count "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    dmlua "downgrade base"
    assert.same(empty, own_catalogue())
  end)
end)
