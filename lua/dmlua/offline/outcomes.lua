-- What a callback of tenants.each comes to, for a tenant that is known on the server only. It is called with each of
-- its columns absent, true, false and something else; what then differs is a branch. Something else must stay unknown:
-- a callback that comes to anything else for one of the values that its script could compare with is refused.

local column = require "dmlua.offline.column"
local constants = require "dmlua.offline.constants"
local errors = require "dmlua.errors"
local params = require "dmlua.params"
local reach = require "dmlua.offline.reach"

local M = {}

-- A callback that reads many columns comes to many cases.
local MOST_CALLS = 20000

-- What a column may be, but for something else: how a script sees it, and as a parameter.
local known = { { "null", nil, false }, { "true", true, "true" }, { "false", false, "false" } }

-- Is the value the same; or is a column of the second in the first what `known_as(name)` says?
local function same_value(a, b, known_as)
  local one, other = column.facts(a), column.facts(b)
  if one and other then return one.name == other.name end
  if other then return a ~= nil and known_as ~= nil and a == known_as(other.name) end
  return a == b
end

local function same_statement(a, b, known_as)
  if a.sql ~= b.sql or #a.params ~= #b.params then return false end
  for i = 1, #a.params do
    if not same_value(a.params[i], b.params[i], known_as) then return false end
  end
  return true
end

local function same_leaf(a, b, known_as)
  if a.failure or b.failure then return a.failure and b.failure and tostring(a.failure) == tostring(b.failure) end
  if #a.statements ~= #b.statements then return false end
  for i, statement in ipairs(a.statements) do
    if not same_statement(statement, b.statements[i], known_as) then return false end
  end
  return true
end

-- Do two trees say the same, by `known_as`?
local function same_tree(a, b, known_as)
  if a.column ~= b.column then return false end
  if not a.column then return same_leaf(a, b, known_as) end
  for _, case in ipairs(known) do
    if not same_tree(a[case[1]], b[case[1]], known_as) then return false end
  end
  return same_tree(a.other, b.other, known_as)
end

-- A tenant whose columns are those that are `given` (name → {value}), and else unknown; they are added to the
-- outcome's `reads`.
local function new_tenant(given, outcome)
  local function note(failure) outcome.refused = outcome.refused or failure end
  return setmetatable({}, {
    __index = function(_, name)
      if name == 1 then name = "id" end
      if given[name] then return given[name][1] end
      local made = column.new(name, note)
      outcome.reads[#outcome.reads + 1] = column.facts(made)
      if type(name) ~= "string" then return made .. "" end
      return made
    end,
    __pairs = function() return column.new("…", note) .. "" end,
  })
end

-- What one call comes to: {statements, reads, failure}; `begin(again)` answers the empty one.
local function new_caller(fn, begin)
  local calls = 0
  return function(given)
    local outcome = begin(calls > 0)
    outcome.reads = {}
    calls = calls + 1
    if calls > MOST_CALLS then column.refuse("…", ": the callback asks for too many columns") end
    local ok, failure = pcall(fn, new_tenant(given, outcome))
    if not ok then outcome.failure = failure end
    local refused = outcome.refused or errors.is(failure) and failure.kind == "usage" and failure
    if refused then error(refused, 0) end
    return outcome
  end
end

local function with(given, name, value)
  return setmetatable({ [name] = { value } }, { __index = given })
end

local function first_unasked(outcome, asked)
  for _, fact in ipairs(outcome.reads) do
    if fact.name ~= "id" and not asked[fact.name] then return fact.name end
  end
end

-- The tree: a leaf {statements, failure, given}, or {column, null, true, false, other}; what says the same is one.
local function explore(call, given, asked, outcome)
  local name = first_unasked(outcome, asked)
  if not name then return { statements = outcome.statements, failure = outcome.failure, given = given,
    reads = outcome.reads } end
  local node = { column = name, other = explore(call, given, with(asked, name, true), outcome) }
  local differs = false
  for _, case in ipairs(known) do
    local known_given = with(given, name, case[2])
    local branch = explore(call, known_given, asked, call(known_given))
    local same = same_tree(branch, node.other, function(of) if of == name then return case[3] end end)
    node[case[1]] = same and node.other or branch
    differs = differs or not same
  end
  return differs and node or node.other
end

local function leaves(tree, visit)
  if not tree.column then return visit(tree) end
  for _, case in ipairs(known) do
    if tree[case[1]] ~= tree.other then leaves(tree[case[1]], visit) end
  end
  leaves(tree.other, visit)
end

local function with_all(given, facts, value)
  for name in pairs(facts) do given = with(given, name, value) end
  return given
end

-- Is it the same leaf where each of these columns is `value`?
local function holds(call, leaf, facts, value)
  local outcome = call(with_all(leaf.given, facts, value))
  local encoded = params.encode(value)
  local function known_as(name) return facts[name] and encoded or nil end
  return same_leaf(outcome, leaf, known_as)
end

-- A leaf's columns stand for any value: for each that the script could know, the same must come about.
local function check_leaf(call, leaf, values)
  local texts, all = {}, {}
  for _, fact in ipairs(leaf.reads) do all[fact.name] = fact end
  for name, fact in pairs(all) do texts[name] = fact end
  all.id = nil -- which is a text
  for value in pairs(values) do
    local facts = type(value) == "string" and texts or all
    if next(facts) and not holds(call, leaf, facts, value) then
      local culprit = select(2, next(facts))
      for name, fact in pairs(facts) do
        if not holds(call, leaf, { [name] = fact }, value) then culprit = fact end
      end
      column.refuse(culprit.name, ": what the callback does depends on it", culprit.file, culprit.line)
    end
  end
end

local function values_of(files, more)
  local values = { [""] = true, ["another"] = true, [0] = true, [1] = true, [-1] = true, [1.5] = true }
  for file in pairs(files) do
    local handle = io.open(file, "rb")
    if handle then
      constants.add(handle:read "a", values)
      handle:close()
    end
  end
  for _, text in ipairs(more) do values[text], values[text:match "=(.*)" or text] = true, true end
  return values
end

-- It is called once here, and for every tenant there: what it leaves behind must not depend on how often. Answers the
-- files that it comes from.
local function check_repeatable(call, fn, given, outcome)
  local before = reach.of(fn)
  local same = same_leaf(outcome, call(given))
  local changed = reach.difference(before, reach.of(fn))
  if same and not changed then return before.files end
  errors.raise { kind = "usage", message = "tenants.each: the callback does another thing each time it is called"
    .. (changed and (" (it changes '%s')"):format(changed) or "") .. ", and --sql writes it once for all tenants",
    hint = "give tenants.each a list, or ask context.is_offline_mode() first" }
end

-- A mistake of the author's is one now; where the script itself complains, a tenant may be the reason.
local function check_failures(tree)
  local succeeds, failure = false, nil
  leaves(tree, function(leaf)
    if not leaf.failure then
      succeeds = true
    else
      failure = failure or leaf.failure
    end
  end)
  if failure and not succeeds then error(failure, 0) end
end

local function check_values(call, tree, values, reads)
  leaves(tree, function(leaf)
    check_leaf(call, leaf, values)
    for _, fact in ipairs(leaf.reads) do reads[#reads + 1] = fact.name end
  end)
end

--- The tree of what `fn` does; `begin(again)` answers the outcome, {statements = {}}, to which a call adds its
--- statements {sql, params}, and `refused`, what --sql cannot do. `options`: id (of a tenant whose id is known), texts
--- (of -x, which a script may compare with), reads (a list to which the names of the columns that matter are added).
function M.of(fn, begin, options)
  local call, given = new_caller(fn, begin), options.id and with({}, "id", options.id) or {}
  local outcome = call(given)
  local as_running = options.id and #outcome.reads == 0 -- nothing about the tenant is unknown
  if outcome.failure and (as_running or errors.is(outcome.failure)) then error(outcome.failure, 0) end
  if as_running then return outcome end
  local files = check_repeatable(call, fn, given, outcome)
  local tree = explore(call, given, {}, outcome)
  check_failures(tree)
  check_values(call, tree, values_of(files, options.texts), options.reads)
  call(given) -- what the script keeps of the last tenant is no value that was tried
  return tree
end

return M
