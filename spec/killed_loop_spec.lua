-- A short round of spec/kill/run, without what ends the server, which is everybody's.

local kill_loop = require "spec.support.kill_loop"

describe("a resumable loop that is killed at random moments", function()
  for _, loop in ipairs(kill_loop.loops) do
    it("visits every tenant exactly once, " .. loop.name, function()
      local seed = os.time()
      math.randomseed(seed)
      kill_loop.run(loop, { seed = seed, tenants = 400, kills = 5, longest = 0.15,
        ways = { "client", "session", "interrupt", "cancel", "sleep" } })
    end)
  end
end)
