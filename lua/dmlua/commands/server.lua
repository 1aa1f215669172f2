-- server: the private PostgreSQL behind `url = local:`.

local errors = require "dmlua.errors"
local global_options = require "dmlua.global_options"
local output = require "dmlua.output"
local server = require "dmlua.engine.server"

local actions = { "start", "stop", "status", "psql" }

local function arguments(parser)
  parser:argument "action":choices(actions):description
    "start it; stop it; show how it stands; open psql on the service's database"
  parser:option "--role":argname "NAME":description
    "for psql: connect as this role, for instance the application's, not as the migrator"
  parser:argument "arguments":args "*":argname "ARG":description "for psql: passed on as they stand"
end

-- dmlua's options that may stand between `psql` and psql's own arguments: psql has none of their names.
local ours = {
  ["--role"] = true, ["--config"] = true, ["--service"] = true, ["--env"] = true, ["--url"] = true,
}

--- Cuts off what is psql's: everything from the first word behind `psql` that is none of `ours`.
local function cut(words)
  local action, _, at = global_options.split(words)
  if action ~= "psql" then return words, {} end
  at = at + 1
  while words[at] and ours[words[at]:match "^[^=]+"] do
    at = at + (words[at]:find("=", 1, true) and 1 or 2)
  end
  local rest = table.move(words, words[at] == "--" and at + 1 or at, #words, 1, {})
  return table.move(words, 1, at - 1, 1, {}), rest
end

local function escape(text)
  return (text:gsub("[^%w%-._~]", function(char) return ("%%%02X"):format(char:byte()) end))
end

local function url_of(database, status)
  return ("postgresql://migrator@/%s?host=%s&port=%s"):format(escape(database), status.host, status.port)
end

local function as_object(status)
  local databases = {}
  for i, name in ipairs(status.databases) do
    databases[i] = output.object("name", name, "url", url_of(name, status))
  end
  return output.object("running", status.running, "made", status.made, "version", status.version, "pid", status.pid,
    "user", status.user, "folder", status.folder, "data", status.data, "log", status.log, "socket", status.host,
    "port", status.port, "databases", databases)
end

local function headline(status)
  if status.running then
    return ("running, PostgreSQL %s, process %d of user %s"):format(status.version, status.pid, status.user)
  end
  return status.made and "not running; `dmlua server start` starts it" or "not made yet; `dmlua server start` makes it"
end

local function show(context, status)
  if context.options.json then
    output.json(as_object(status))
    return
  end
  local rows = { { "state", headline(status) } }
  if status.made then
    table.move({ { "data", status.data }, { "log", status.log }, { "socket", status.host } }, 1, 3, 2, rows)
  end
  for _, name in ipairs(status.databases) do rows[#rows + 1] = { "database", name .. "  " .. url_of(name, status) } end
  output.columns(rows)
end

-- The configuration of every service that uses the local server; of the one that was named, if one was.
local function local_configs(context)
  local config, options = context.config(), context.options
  local found = {}
  if config:service() or #config:services() == 0 then return { config } end
  for _, name in ipairs(config:services()) do
    local one = require("dmlua.engine.config").load {
      file = options.config, service = name, environment = options.env, url = options.url }
    if server.database(one) then found[#found + 1] = one end
  end
  return #found > 0 and found or { config }
end

local run = {}

function run.start(context)
  for _, config in ipairs(local_configs(context)) do server.start(config) end
  show(context, server.status(context.config()))
  return 0
end

function run.stop(context)
  local stopped = server.stop(context.config())
  if context.options.json then
    output.json(output.object("stopped", stopped))
  else
    output.line(stopped and "stopped" or "not running")
  end
  return 0
end

-- 3 where it does not run, as pg_ctl status has it.
function run.status(context)
  local status = server.status(context.config())
  show(context, status)
  return status.running and 0 or 3
end

function run.psql(context)
  local config = context.config()
  config:require_service()
  server.psql(config, context.options.role, context.rest)
end

return {
  name = "server",
  summary = "start, stop or look at the private PostgreSQL behind local:",
  description = "Starts, stops or shows the private PostgreSQL behind `url = local:`, or opens psql on it. "
    .. "Behind `psql`, dmlua's own --role, --service, --env, --config and --url come first; the rest is psql's.",
  arguments = arguments,
  cut = cut,
  run = function(context)
    local options = context.options
    if options.action ~= "psql" and (options.role or #options.arguments > 0) then
      errors.raise {
        kind = "usage",
        message = ("server %s takes no %s"):format(options.action, options.role and "--role" or "arguments"),
        hint = "`dmlua server --help` shows the options",
      }
    end
    return run[options.action](context)
  end,
}
