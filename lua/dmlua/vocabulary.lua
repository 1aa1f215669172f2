-- The names that a script sees, made anew for each step over its `bind` (see the engine). What is about SQL text
-- alone is shared; what sends is a closure over the bind. A name that few scripts need is loaded when it is first
-- used.

local context = require "dmlua.context"
local null = require "dmlua.null"
local op = require "dmlua.op"
local sa = require "dmlua.sa"
local strict = require "dmlua.strict"

-- Loads `module` when the script first asks for one of its names, or calls it.
local function lazily(name, module, ...)
  local arguments, contents = table.pack(...), nil
  local function load()
    if not contents then
      local loaded = require(module)
      contents = loaded.new and loaded.new(table.unpack(arguments)) or loaded
    end
    return contents
  end
  return strict.view(name, setmetatable({}, {
    __index = function(_, key) return load()[key] end,
    __pairs = function() return pairs(load()) end,
  }), function(...) return load()(...) end)
end

--- The vocabulary of one step: {op, sa, postgresql, guards, tenants, context, null, json, log}.
return function(bind)
  local step = { bind = bind }
  local names = context.new(step)
  return {
    op = strict.view("op", op.new(step, names)),
    sa = strict.view("sa", sa),
    postgresql = lazily("postgresql", "dmlua.postgresql"),
    guards = lazily("guards", "dmlua.guards", step),
    tenants = lazily("tenants", "dmlua.tenants", step),
    context = strict.view("context", names),
    log = lazily("log", "dmlua.log", step),
    json = lazily("json", "dmlua.json"),
    null = null,
  }
end
