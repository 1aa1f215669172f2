-- Called by spec/kill/run, which says by DMLUA_KILL* what is wanted.

local kill_loop = require "spec.support.kill_loop"

local function setting(name)
  return tonumber((assert(os.getenv("DMLUA_KILL" .. name), name)))
end

local ways = { "client", "session", "interrupt", "cancel", "sleep", "backend", "server" }

local function told(counts)
  local parts, sum = {}, 0
  for i, way in ipairs(ways) do
    parts[i] = ("%s %d"):format(way, counts[way] or 0)
    sum = sum + (counts[way] or 0)
  end
  return ("%d kills (%s)"):format(sum, table.concat(parts, ", ")), sum
end

it("resumable loops that are killed visit every tenant exactly once", function()
  local options = { seed = math.tointeger(setting "_SEED"), tenants = math.tointeger(setting "_TENANTS"), ways = ways,
    longest = setting "_LONGEST", kills = math.huge }
  local wanted, struck, round, all = setting "S", 0, 0, {}
  math.randomseed(options.seed)
  print(("seed %d"):format(options.seed))
  while struck < wanted do
    local loop = kill_loop.loops[round % #kill_loop.loops + 1]
    local counts = kill_loop.run(loop, options)
    local text, sum = told(counts)
    round, struck = round + 1, struck + sum
    for way, count in pairs(counts) do all[way] = (all[way] or 0) + count end
    print(("loop %d, %s: %s"):format(round, loop.name, text))
    io.stdout:flush()
  end
  print(("%d loops of %d rows, each visited once: %s"):format(round, options.tenants, (told(all))))
end)
