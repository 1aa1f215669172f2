-- A proxy between a client and the specs' server, which counts what passes: the proof of how many round trips something
-- costs, without a clock. It can also delay answers and cut a connection at a statement.

local helper = require "spec.helper"
local lfs = require "lfs"

local M = {}

-- Messages by the protocol's letters.
local client_letters = { parse = "P", bind = "B", execute = "E", flush = "H", sync = "S", query = "Q" }
local server_letters = { ready = "Z", failed = "E" }

local function count_letters(counts, letters, line)
  for name, letter in pairs(letters) do
    counts[name] = counts[name] + select(2, line:gsub(letter, ""))
  end
end

--- Starts a proxy, which ends after the present `it`. Options: delay (milliseconds before each burst of answers);
--- cut_before or cut_after (text of the statement at whose execution the connection is cut: before the server has it,
--- or when the server has carried it out and its answer is on the way); at (which of these executions, 1).
---
--- The proxy has url(database, role); trace(), the messages by their letters; counts(), of all connections since the
--- last reset(): parse, bind, execute, flush, sync, query (messages of the client), ready, failed (ReadyForQuery and
--- ErrorResponse of the server), cut, and waits (sync, flush and query together: the server keeps its answers until one
--- of these, so there cannot be more round trips).
function M.start(options)
  options = options or {}
  local folder = helper.folder()
  local trace, seen = folder .. "/trace", 0
  local arguments = { folder .. "/.s.PGSQL.5432", helper.host .. "/.s.PGSQL.5432", trace }
  for name, option in pairs { delay = "delay", cut_before = "cut-before", cut_after = "cut-after", at = "at" } do
    if options[name] then arguments[#arguments + 1] = ("%s=%s"):format(option, options[name]) end
  end
  local process = helper.start(arguments, { program = helper.build .. "/proxy" })
  helper.eventually(function() return lfs.attributes(arguments[1]) end)

  local proxy = { kill = process.kill } -- kill(signal): to the proxy itself

  function proxy.url(database, role)
    return ("postgresql://%s@/%s?host=%s"):format(role or "owner", database.name or database, folder)
  end

  function proxy.trace()
    return helper.read(trace):sub(seen + 1)
  end

  function proxy.reset()
    seen = #helper.read(trace)
  end

  function proxy.counts()
    local counts = { cut = 0, parse = 0, bind = 0, execute = 0, flush = 0, sync = 0, query = 0, ready = 0,
      failed = 0 }
    for side, line in ("0 " .. proxy.trace()):gmatch("([<>!])([^\n]*)") do
      if side == "!" then counts.cut = counts.cut + 1 end
      count_letters(counts, side == ">" and client_letters or server_letters, line)
    end
    counts.waits = counts.sync + counts.flush + counts.query
    return counts
  end

  return proxy
end

return M
