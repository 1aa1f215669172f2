-- Tenants that a resumable loop left out owe its revision; this is how that is told, until it is paid.

local engine = require "dmlua.engine"
local output = require "dmlua.output"
local retyped = require "dmlua.retyped"

local M = {}

local SHOWN = 20 -- debts that are told one by one

local function key(debt)
  return table.concat({ debt.revision, debt.direction, debt.part, debt.tenant }, "\0")
end

--- The debts of `list` that `told` (which may be nil) has not.
function M.new(list, told)
  local known, new = {}, {}
  for _, debt in ipairs(told or {}) do known[key(debt)] = true end
  for _, debt in ipairs(list) do
    if not known[key(debt)] then new[#new + 1] = debt end
  end
  return new
end

local function line(options, debt)
  return ("tenant %s owes the %s of %s: left out of part %d by %s at %s (%s); pay it with: %s"):format(debt.tenant,
    debt.direction, debt.revision, debt.part, debt.who or "?", debt.since or "?", debt.reason or "no reason is known",
    retyped.command(options, debt.direction, retyped.word(debt.revision), retyped.option("--only-tenant", debt.tenant)))
end

--- Warns of each debt, with what pays it.
function M.warn(options, list)
  for i = 1, math.min(#list, SHOWN) do engine.log("warn", "dmlua.tenants", line(options, list[i])) end
  if #list > SHOWN then
    engine.log("warn", "dmlua.tenants", ("… and %d debts more: `%s` lists them all"):format(#list - SHOWN,
      retyped.command(options, "current", "--json")))
  end
end

--- For JSON.
function M.objects(list)
  local objects = {}
  for i, debt in ipairs(list) do
    objects[i] = output.object("revision", debt.revision, "direction", debt.direction, "part", debt.part,
      "tenant", debt.tenant, "reason", debt.reason, "who", debt.who, "since", debt.since)
  end
  return objects
end

local NAMED = 5 -- tenants that a line of `current` names

--- "bbbb owed by t03, t07" for each revision, in the order of the list.
function M.notes(list)
  local notes, of = {}, {}
  for _, debt in ipairs(list) do
    local what = (debt.direction == "downgrade" and "downgrade of " or "") .. debt.revision
    local note = of[what]
    if not note then
      note = { what = what, names = {}, count = 0 }
      of[what], notes[#notes + 1] = note, note
    end
    note.count = note.count + 1
    if note.count <= NAMED then note.names[note.count] = debt.tenant end
  end
  for i, note in ipairs(notes) do
    local more = note.count > NAMED and (" and %d more"):format(note.count - NAMED) or ""
    notes[i] = ("%s owed by %s%s"):format(note.what, table.concat(note.names, ", "), more)
  end
  return notes
end

return M
