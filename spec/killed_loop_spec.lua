-- A short round of spec/kill/run: only clients and sessions are ended, since the server is everybody's.

local kill_loop = require "spec.support.kill_loop"

describe("a resumable loop that is killed at random moments", function()
  for _, loop in ipairs(kill_loop.loops) do
    it("visits every tenant exactly once, " .. loop.name, function()
      local seed = os.time()
      math.randomseed(seed)
      kill_loop.run(loop, { seed = seed, tenants = 150, kills = 6, longest = 0.15, ways = { "client", "session" } })
    end)
  end
end)
