-- What a step costs on the wire, counted from the protocol's messages behind a proxy, never by a clock.

local helper = require "spec.helper"
local proxy = require "spec.support.proxy"

local function repeated(count, line)
  local lines = {}
  for i = 1, count do lines[i] = line:format(i) end
  return table.concat(lines, "\n")
end

-- The counts of `dmlua upgrade head` for a chain of revisions with these bodies, on a fresh database.
local function upgrade(...)
  local database, versions = helper.database(), {}
  local between = proxy.start()
  for i, body in ipairs { ... } do
    versions[i] = { revision = ("r%03d"):format(i), down = i > 1 and ("r%03d"):format(i - 1) or nil, upgrade = body }
  end
  local folder = helper.project { database = between.url(database), versions = versions }
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.equal("0", result.code .. (result.code == 0 and "" or result.err))
  local counts = between.counts()
  assert.equal(counts.sync + counts.query + 1, counts.ready) -- and the one that ends the start-up
  return counts, database
end

describe("a step", function()
  local one = 'op.execute("CREATE TABLE t_1 (id int)")'
  local alone

  setup(function() alone = upgrade(one) end)

  it("costs one round trip, be it of one DDL statement or of ten", function()
    local ten = upgrade(repeated(10, 'op.create_table("t_%d", sa.Column("id", sa.Integer()))'))
    assert.equal(9, ten.execute - alone.execute)
    assert.equal(alone.waits, ten.waits)
    local two = upgrade(one, 'op.execute("CREATE TABLE t_2 (id int)")')
    assert.is_true(two.waits - alone.waits <= 1)
  end)

  it("costs no more for ten statements in one text", function()
    local ten, database = upgrade("op.execute [[" .. repeated(10, "CREATE TABLE t_%d (id int);") .. "]]")
    assert.equal(alone.waits, ten.waits)
    assert.equal("10", helper.value(database, "SELECT count(*) FROM pg_class WHERE relname ~ '^t_'"))
  end)

  it("costs one more for each answer that its script waits for", function()
    local reads = upgrade(one .. '\nop.get_bind():execute("SELECT 1")\nop.get_bind():execute("SELECT 2")')
    assert.equal(2, reads.waits - alone.waits)
  end)
end)
