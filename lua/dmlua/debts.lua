-- Tenants that a resumable loop left out owe its revision; this is how that is told, until it is paid.

local engine = require "dmlua.engine"
local output = require "dmlua.output"
local retyped = require "dmlua.retyped"
local text_width = require "dmlua.text_width"

local M = {}

local SHOWN = 20 -- debts that are told one by one
local WIDTH = 100 -- columns of an id or a reason in them

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

local LONGEST = 300 -- bytes of an id that a command is told with

-- On one line, and not for ever.
local function plain(text)
  return text_width.cut((text:gsub("%c", function(char) return ("\\x%02x"):format(char:byte()) end)), WIDTH)
end

local function payment(options, debt)
  local tenant = #debt.tenant <= LONGEST and retyped.option("--only-tenant", debt.tenant) or "--only-tenant ID"
  return retyped.command(options, debt.direction, retyped.word(debt.revision), tenant)
end

-- The debts that one payment settles, as one: with the parts' numbers in `parts`.
local function gathered(list)
  local gathering, of = {}, {}
  for _, debt in ipairs(list) do
    local what = table.concat({ debt.revision, debt.direction, debt.tenant }, "\0")
    local it = of[what]
    if not it then
      it = setmetatable({ parts = {} }, { __index = debt })
      of[what], gathering[#gathering + 1] = it, it
    end
    it.parts[#it.parts + 1] = debt.part
  end
  return gathering
end

local function line(options, debt)
  return ("tenant %s owes the %s of %s: left out of part%s %s by %s at %s (%s); pay it with: %s"):format(
    plain(debt.tenant), debt.direction, debt.revision, #debt.parts == 1 and "" or "s", table.concat(debt.parts, ", "),
    debt.who or "?", debt.since or "?", debt.reason and plain(debt.reason) or "no reason is known",
    payment(options, debt))
end

--- Warns of each debt, with what pays it.
function M.warn(options, list)
  list = gathered(list)
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
  for _, debt in ipairs(gathered(list)) do
    local what = (debt.direction == "downgrade" and "downgrade of " or "") .. debt.revision
    local note = of[what]
    if not note then
      note = { what = what, names = {}, count = 0 }
      of[what], notes[#notes + 1] = note, note
    end
    note.count = note.count + 1
    if note.count <= NAMED then note.names[note.count] = plain(debt.tenant) end
  end
  for i, note in ipairs(notes) do
    local more = note.count > NAMED and (" and %d more"):format(note.count - NAMED) or ""
    notes[i] = ("%s owed by %s%s"):format(note.what, table.concat(note.names, ", "), more)
  end
  return notes
end

return M
