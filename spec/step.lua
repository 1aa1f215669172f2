-- Steps for the specs of the vocabulary: binds that write down or carry out what a script says.

local vocabulary = require "dmlua.vocabulary"

local M = {}

local defaults = {
  service = "isp", environment = "production", isolation = "rls", rls = true, tenant_column = "tenant_id",
  tenant_setting = "app.current_tenant_id", schema = "public",
}

local function new_bind(settings)
  local bind = {
    settings = setmetatable(settings or {}, { __index = defaults }), revision = "abc", direction = "upgrade",
    sent = {}, logged = {}, marks = {},
  }
  function bind:log(level, text) self.logged[#self.logged + 1] = { level = level, text = text } end
  function bind:mark(name, text) self.marks[name] = text end
  function bind.autocommit(_, fn) fn() end
  function bind.elapsed() return 0.5 end
  function bind:send(sql, params, file, line)
    self.sent[#self.sent + 1] = { sql = sql, params = params, file = file, line = line }
  end
  return bind
end

--- Runs `script` (Lua text) over a bind; returns what it returned. Its lines are those of a file named "script.lua".
function M.run(bind, script, ...)
  local names = vocabulary(bind)
  local environment = setmetatable({}, { __index = function(_, name)
    local value = names[name]
    if value == nil then value = _G[name] end
    return value
  end })
  return assert(load(script, "@script.lua", "t", environment))(...)
end

--- What `script` raises, or nil.
function M.error_of(bind, script, ...)
  local ok, message = pcall(M.run, bind, script, ...)
  return not ok and message or nil
end

--- A bind that only writes down.
function M.recorder(settings)
  return new_bind(settings)
end

--- The statements that a script sends, without line breaks inside.
function M.statements(script, settings)
  local bind, texts = new_bind(settings), {}
  M.run(bind, script)
  for i, statement in ipairs(bind.sent) do texts[i] = statement.sql:gsub("%s+", " ") end
  return texts
end

--- A bind that carries out each statement at once, on a connection of dmlua.pq.
function M.runner(connection, settings)
  local bind = new_bind(settings)
  function bind:query(sql, params) -- luacheck: ignore self
    local values = params and {}
    for i, value in ipairs(params or {}) do values[i] = value end
    return connection:exec(sql, values)
  end
  function bind:send(sql, params, file, line)
    self.sent[#self.sent + 1] = { sql = sql, params = params, file = file, line = line }
    self:query(sql, params)
  end
  return bind
end

return M
