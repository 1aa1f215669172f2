-- lua5.4 spec/bench/revisions.lua PROGRAM FOLDER [ROUNDS]: heads, history and plan of 5,000 and 10,000 revisions, in
-- one line and with a fork and a merge every five, beside Alembic's; medians and ratios of one run, and dmlua's peak
-- memory. Alembic has no plan: `upgrade head --sql` is what it plans with, and that takes minutes where there are
-- merges, so it is asked only for the line. spec/bench/run-revisions calls this.

local system = require "system"

local program, folder, rounds = arg[1], arg[2], tonumber(arg[3] or 3)

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function id(i) return ("r%06d"):format(i) end

-- The parents of revision i: of every five the third and fourth stand beside one another on the second, and the fifth
-- merges them.
local function parents(i, merges)
  if i == 1 then return {} end
  local place = (i - 1) % 5
  if not merges or place < 3 then return { id(i - 1) } end
  if place == 3 then return { id(i - 2) } end
  return { id(i - 2), id(i - 1) }
end

local function quoted(list, open, close)
  if #list == 0 then return nil end
  if #list == 1 then return ("%q"):format(list[1]) end
  local texts = {}
  for i, it in ipairs(list) do texts[i] = ("%q"):format(it) end
  return open .. table.concat(texts, ", ") .. close
end

local function generate(where, count, merges)
  os.execute("mkdir -p " .. where .. "/versions " .. where .. "/python/versions")
  write(where .. "/dmlua.ini", "[dmlua]\nscript_location = %(here)s\n")
  write(where .. "/alembic.ini", "[alembic]\nscript_location = python\nsqlalchemy.url = postgresql://\n")
  write(where .. "/python/env.py", "from alembic import context\n"
    .. "context.configure(dialect_name='postgresql', literal_binds=True)\n"
    .. "with context.begin_transaction():\n    context.run_migrations()\n")
  for i = 1, count do
    local down = parents(i, merges)
    write(("%s/versions/%s.lua"):format(where, id(i)), ("-- Revision %d\n\nrevision = %q\ndown_revision = %s\n\n"
      .. "function upgrade()\n  op.execute(\"SELECT %d\")\nend\n\nfunction downgrade()\nend\n"):format(i, id(i),
      quoted(down, "{ ", " }") or "nil", i))
    write(("%s/python/versions/%s.py"):format(where, id(i)), ("\"\"\"Revision %d\n\n\"\"\"\nfrom alembic import op\n\n"
      .. "revision = %q\ndown_revision = %s\n\n\ndef upgrade():\n    op.execute(\"SELECT %d\")\n\n\n"
      .. "def downgrade():\n    pass\n"):format(i, id(i), quoted(down, "(", ")") or "None", i))
  end
end

-- Seconds and peak memory (MB) of one command, by GNU time.
local function measure(where, command)
  local out = folder .. "/time"
  local before = system.monotime() -- time's own clock has hundredths only
  os.execute(("cd %s && /usr/bin/time -o %s -f %%M timeout 600 %s >/dev/null 2>&1"):format(where, out, command))
  local seconds = system.monotime() - before
  local file = assert(io.open(out))
  local kilobytes = file:read("a"):match "(%d+)%s*$"
  file:close()
  return seconds, tonumber(kilobytes) / 1024
end

local function median(where, command, times)
  local values, most = {}, 0
  for i = 1, times do
    local seconds, memory = measure(where, command)
    values[i], most = seconds, math.max(most, memory)
  end
  table.sort(values)
  return values[(#values + 1) // 2], most
end

local verbs = {
  { "heads", "heads", "heads" },
  { "history", "history", "history" },
  { "plan upgrade head --from base", "plan", "upgrade head --sql" },
}

local function compare(count, merges)
  local where = ("%s/%d%s"):format(folder, count, merges and "m" or "")
  local shape = ("%6d %s"):format(count, merges and "merges" or "a line")
  generate(where, count, merges)
  measure(where, "/usr/bin/alembic heads") -- writes the .pyc files
  for _, verb in ipairs(verbs) do
    local ours, memory = median(where, program .. " " .. verb[1], rounds)
    local asked = not (merges and (verb[2] == "plan" or verb[2] == "history")) or count <= 1000
    local theirs = asked and median(where, "/usr/bin/alembic " .. verb[3], rounds)
    print(("%-14s %-8s dmlua %6.3f s %5.0f MB   alembic %s"):format(shape, verb[2], ours, memory,
      theirs and ("%6.2f s   %5.1f x"):format(theirs, theirs / ours) or "not asked"))
  end
  os.execute("rm -rf " .. where)
end

for _, count in ipairs { 5000, 10000 } do
  compare(count, false)
  compare(count, true)
end
