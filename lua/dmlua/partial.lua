-- What to type when some tenants have failed: the commands to see it, to retry, to go on.

local errors = require "dmlua.errors"
local retyped = require "dmlua.retyped"

local M = {}

local LONGEST = 3000 -- bytes of options that are written out; what is longer stands as its form

local function skip_words(ids)
  local words = {}
  for i, id in ipairs(ids) do words[i] = retyped.option("--skip-tenant", id) end
  local text = table.concat(words, " ")
  return #text <= LONGEST and text or "--skip-tenant ID …"
end

-- The verb and its target, with the tenants that are to be left out.
local function moving(options, verb, target, ids)
  local words = { verb, retyped.word(target) }
  if #ids > 0 then words[3], words[4] = skip_words(ids), retyped.option("--reason", options.reason or "TEXT") end
  return words
end

--- The ways on from a run of upgrade or downgrade, by the tenants that failed in it.
function M.ways(options, verb, target)
  local skipped = options.skip_tenant or {}
  local ways = { retry = moving(options, verb, target, skipped) }
  function ways.skip(failures)
    local ids = table.move(skipped, 1, #skipped, 1, {})
    for _, failure in ipairs(failures) do ids[#ids + 1] = failure.tenant end
    return moving(options, verb, target, ids)
  end
  return ways
end

local function hint_of(failures, options, ways)
  local function command(words) return "  " .. retyped.command(options, table.unpack(words)) end
  local lines = {
    "to see what happened:", command { "log", "-n", tostring(#failures + 1) },
    "to retry once the cause is mended; only the missing tenants are visited:", command(ways.retry),
  }
  if ways.skip then
    lines[#lines + 1] = "to go on without them, which leaves each a debt:"
    lines[#lines + 1] = command(ways.skip(failures))
  end
  return table.concat(lines, "\n")
end

--- Calls fn; a failure of tenants in it gets the commands that lead on.
function M.guarded(options, ways, fn)
  local function explain(failure)
    if not errors.is(failure) then return debug.traceback(failure) end
    if failure.failures then failure.hint = hint_of(failure.failures, options, ways) end
    return failure
  end
  local ok, result = xpcall(fn, explain)
  if not ok then error(result, 0) end
  return result
end

return M
