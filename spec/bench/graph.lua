-- How the graph's time grows: lua5.4 spec/bench/graph.lua [most], with LUA_PATH and LUA_CPATH as scripts/test sets them
-- (a release build: build/release/module). No part of the suite: it asserts nothing.
--
-- Each line: the shape, the number of revisions, seconds to make the graph (from Lua tables), to plan from base to
-- heads in C and hand the steps to Lua, to plan back to base, and to list the history.

local graph = require "dmlua.engine.graph"

local most = tonumber(arg[1]) or 1000000

local function id(i)
  return ("%012x"):format(i * 2654435761 % (1 << 48))
end

local shapes = {}

function shapes.chain(n)
  local list = {}
  for i = 1, n do list[i] = { revision = id(i), down_revision = i > 1 and id(i - 1) or nil } end
  return list
end

-- A fork of three and its merge every five revisions.
shapes["merge every five"] = function(n)
  local list, tip = {}, nil
  while #list < n do
    local at = #list
    list[at + 1] = { revision = id(at + 1), down_revision = tip }
    for k = 2, 4 do list[at + k] = { revision = id(at + k), down_revision = id(at + 1) } end
    list[at + 5] = { revision = id(at + 5), down_revision = { id(at + 2), id(at + 3), id(at + 4) } }
    tip = id(at + 5)
  end
  return list
end

-- Fifty branches from one base, each of which depends on its neighbour now and then.
shapes["fifty branches"] = function(n)
  local list = { { revision = id(1), branch_labels = "root" } }
  for i = 2, n do
    list[i] = {
      revision = id(i),
      down_revision = id(math.max(1, i - 50)),
      depends_on = i % 7 == 0 and id(i - 1) or nil,
      branch_labels = i <= 51 and "branch" .. i or nil,
    }
  end
  return list
end

local function seconds(fn)
  collectgarbage()
  local start = os.clock()
  local result = fn()
  return os.clock() - start, result
end

local function measure(name, n)
  local list = shapes[name](n)
  local make, tree = seconds(function() return graph.new(list) end)
  local up, plan = seconds(function() return tree:plan("upgrade", "heads", {}) end)
  local down = seconds(function() return tree:plan("downgrade", "base", plan.heads) end)
  local history = seconds(function() return tree:history() end)
  print(("%-18s %8d   make %7.3f   upgrade %7.3f   downgrade %7.3f   history %7.3f"):format(name, n, make, up, down,
    history))
end

for _, name in ipairs { "chain", "merge every five", "fifty branches" } do
  local n = 1000
  while n <= most do
    measure(name, n)
    n = n * 10
  end
end
