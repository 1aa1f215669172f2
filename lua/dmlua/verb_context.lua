-- What a verb works with: its options, and the configuration, tree and session that are made when it first asks.

local engine = require "dmlua.engine"

local M = {}

local function once(make)
  local value
  return function()
    if value == nil then value = make() end
    return value
  end
end

local function load_config(options)
  return require("dmlua.engine.config").load {
    file = options.config,
    service = options.service,
    environment = options.env,
    url = options.url,
  }
end

--- The context of one run of `verb` (dmlua.verbs): `options` as parsed; `config()`, `tree()`, `session()`; `announce()`
-- says on stderr what is about to be changed; `close()` ends the session if there is one.
function M.new(options, verb)
  local context = { options = options }
  local session

  context.config = once(function() return load_config(options) end)

  context.tree = once(function()
    local config = context.config()
    if not config:get "script_location" then config:require_service() end
    return require("dmlua.engine.script").load(config, verb.headers_only)
  end)

  function context.session()
    if not session then
      local config = context.config()
      config:require_service()
      config:check_rails "database"
      session = engine.connect(config)
    end
    return session
  end

  function context.announce()
    local config = context.config()
    local place = context.session():describe()
    local service = config:service()
    engine.log("info", "dmlua", ("%s%s, %s"):format(service and service .. ", " or "", config:environment(), place))
  end

  function context.close()
    if session then session:close() end
    session = nil
  end

  return context
end

return M
