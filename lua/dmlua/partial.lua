-- What to type when some tenants have failed: the commands to see it, to retry, to go on; and what goes on when a run
-- was interrupted.

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

-- A target that counts from where the database is (+2, -1, LABEL@+1) leads elsewhere once a step of the run is
-- committed: the step that was stopped is named instead.
local function named(words, failure)
  local counts = words[2]:find "^[+-]%d+$" or words[2]:find "@[+-]%d+$"
  if not counts or not failure.revision then return words end
  local copy = table.move(words, 1, #words, 1, {})
  copy[2] = retyped.word(failure.revision .. (words[1] == "downgrade" and "-1" or ""))
  return copy
end

local function hint_of(failure, options, ways)
  local failures = failure.failures
  local function command(words) return "  " .. retyped.command(options, table.unpack(named(words, failure))) end
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

local function explained(fn, explain)
  local ok, result = xpcall(fn, function(failure)
    if not errors.is(failure) then return debug.traceback(failure) end
    explain(failure)
    return failure
  end)
  if not ok then error(result, 0) end
  return result
end

local function explain_interrupt(failure, options, words)
  if failure.kind ~= "interrupted" then return end
  failure.hint = "to go on:\n  " .. retyped.command(options, table.unpack(named(words, failure)))
end

--- Calls fn; when it is interrupted, the words of the command that goes on are told.
function M.resumable(options, words, fn)
  return explained(fn, function(failure) explain_interrupt(failure, options, words) end)
end

--- The same, and a failure of tenants in it gets the commands that lead on.
function M.guarded(options, ways, fn)
  return explained(fn, function(failure)
    if failure.kind == "partial" and failure.failures then failure.hint = hint_of(failure, options, ways) end
    explain_interrupt(failure, options, ways.retry)
  end)
end

return M
