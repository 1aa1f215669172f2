-- Online composites killed at random moments, the program or its sessions, until one run comes through: the same must
-- have come about as undisturbed. spec/kill/run-online starts it; DMLUA_KILL_ROUNDS of each.

local composites = require "spec.support.composites"
local helper = require "spec.helper"

local rounds = tonumber(os.getenv "DMLUA_KILL_ROUNDS" or 30)
local seed = tonumber(os.getenv "DMLUA_KILL_SEED") or os.time()

local database, work, superuser

setup(function()
  math.randomseed(seed)
  database = helper.database()
  local folder = helper.project { database = database, versions = { { revision = "abcd" } } }
  assert.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
  work, superuser = composites.new(database), helper.connect(database.postgres)
end)

local function sleep(seconds)
  superuser:exec(("SELECT pg_sleep(%.4f)"):format(seconds))
end

-- Of the runs, and not of this spec.
local sessions = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'victim'"

local blows = {
  function(running) running.kill "KILL" end,
  function(running) running.kill "TERM" end,
  function(running) running.kill "INT" end,
  function() superuser:exec("SELECT pg_terminate_backend(pid) " .. sessions) end,
  function() superuser:exec("SELECT pg_cancel_backend(pid) " .. sessions) end,
}

-- A run that a killed client began goes on in the server until it notices.
local function wait_for_the_dead()
  helper.eventually(function() return superuser:exec("SELECT count(*) AS n " .. sessions).rows[1].n == 0 end)
end

-- Up to four blows at moments of the time that the whole takes, then a run in peace.
local function round(case, folder, seconds)
  work.begin(case)
  local struck = {}
  for _ = 1, math.random(4) do
    local running = helper.start("upgrade head", { cwd = folder, env = { PGAPPNAME = "victim" } })
    local delay, blow = math.random() * seconds, math.random(#blows)
    sleep(delay)
    blows[blow](running)
    struck[#struck + 1] = ("%d at %.0f ms"):format(blow, delay * 1000)
    running.wait()
    wait_for_the_dead()
  end
  local result = helper.dmlua("upgrade head", { cwd = folder })
  return table.concat(struck, ", "), result
end

describe(("killed at random (seed %d), then run in peace, the same comes about:"):format(seed), function()
  for _, case in ipairs(composites.cases) do
    it(case.name, function()
      local folder = helper.project { database = database, versions = { { revision = "abcd", upgrade = case.call } } }
      work.begin(case)
      local from = superuser:exec("SELECT extract(epoch FROM clock_timestamp())::float8 AS t").rows[1].t
      assert.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
      local seconds = superuser:exec("SELECT extract(epoch FROM clock_timestamp())::float8 AS t").rows[1].t - from
      local expected = work.state()
      assert.equal("nothing", expected.left)
      for number = 1, rounds do
        local how, result = round(case, folder, seconds * 1.1)
        local where = ("round %d (blows: %s)"):format(number, how)
        assert.equal("", result.code == 0 and "" or result.err, where)
        assert.same(expected, work.state(), where)
      end
    end)
  end
end)
