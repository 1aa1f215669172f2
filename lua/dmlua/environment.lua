-- A script's environment: the global table of one file. What the file assigns is its own; what it reads and has not
-- assigned is the safe part of Lua's library or the vocabulary; all else is an error that names the nearest name.
-- Metatables that are not the script's own can be neither read nor set, and what reaches out of the script (os, io,
-- debug, package, bytecode, finalizers) is not there.

local errors = require "dmlua.errors"

local M = {}

local vocabulary = { "op", "sa", "postgresql", "guards", "tenants", "context", "null", "json", "log" }

-- What needs a database, and so is there only while a step runs.
local at_run_time = { op = true, guards = true, tenants = true, context = true, log = true }

-- Globals that a header may read although it has not set them.
local header = { revision = true, down_revision = true, branch_labels = true, depends_on = true,
  upgrade = true, downgrade = true, run = true, undo = true }

local function copy(library, names)
  local result = {}
  for name, value in pairs(library) do
    if not names or names[name] then result[name] = value end
  end
  return result
end

-- In each maker: `script` is what a file and the modules it requires share, `env` the file's own environment.
local makers = {}

for _, name in ipairs { "_VERSION", "assert", "error", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen",
  "select", "tonumber", "tostring", "type" } do
  local value = _G[name]
  makers[name] = function() return value end
end

function makers._G(_, env) return env end
function makers.math() return copy(math) end
function makers.table() return copy(table) end
function makers.utf8() return copy(utf8) end
function makers.os() return copy(os, { time = true, date = true, clock = true }) end
function makers.pcall(script) return script.guarded.pcall end
function makers.xpcall(script) return script.guarded.xpcall end

function makers.string()
  local result = copy(string)
  result.dump = nil
  return result
end

function makers.coroutine(script)
  local result = copy(coroutine)
  local resume, close = script.guarded.resume, script.guarded.close
  result.resume, result.close = resume, close
  local function passed(thread, ok, ...)
    if ok then return ... end
    close(thread)
    error((...), 0)
  end
  function result.wrap(fn)
    local thread = coroutine.create(fn)
    return function(...) return passed(thread, resume(thread, ...)) end
  end
  return result
end

function makers.print(script)
  return function(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    script.print(table.concat(texts, "\t"))
  end
end

-- Metatables of strings and of dmlua's values are shared between files: only those that the script has set are its own.
local function foreign(script, value)
  local mt = debug.getmetatable(value)
  return mt ~= nil and not script.metatables[mt]
end

function makers.getmetatable(script)
  return function(value)
    if foreign(script, value) then return nil end
    return getmetatable(value)
  end
end

function makers.setmetatable(script)
  return function(value, mt)
    if type(value) ~= "table" then
      error(("bad argument #1 to 'setmetatable' (table expected, got %s)"):format(type(value)), 2)
    elseif mt ~= nil and type(mt) ~= "table" then
      error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
    elseif foreign(script, value) then
      error("the metatable of a value of dmlua's cannot be changed", 2)
    elseif mt and rawget(mt, "__gc") ~= nil then
      error("a script has no finalizers: __gc is not available (__close is)", 2)
    end
    local own = debug.getmetatable(value)
    if own and rawget(own, "__metatable") ~= nil then error("cannot change a protected metatable", 2) end
    if mt then script.metatables[mt] = true end
    return debug.setmetatable(value, mt)
  end
end

function makers.rawset(script)
  return function(t, key, value)
    if type(t) ~= "table" then
      error(("bad argument #1 to 'rawset' (table expected, got %s)"):format(type(t)), 2)
    elseif foreign(script, t) and not script.environments[t] then
      error("a value of dmlua's cannot be changed", 2)
    end
    return rawset(t, key, value)
  end
end

-- The text that a reader function hands out piece by piece.
local function collect(reader)
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then return table.concat(pieces) end
    if type(piece) ~= "string" then error("reader function must return a string", 3) end
    pieces[#pieces + 1] = piece
  end
end

-- Text only. Its name cannot pass for a file: "@" and "=" at the head have a meaning of their own.
function makers.load(_, env)
  return function(chunk, name, mode, ...)
    if type(chunk) == "function" then
      chunk = collect(chunk)
    elseif type(chunk) ~= "string" then
      error(("bad argument #1 to 'load' (string or function expected, got %s)"):format(type(chunk)), 2)
    end
    if mode ~= nil and not tostring(mode):find("t", 1, true) then
      return nil, "only text can be loaded, no bytecode"
    end
    local own = env
    if select("#", ...) > 0 then own = ... end
    return load(chunk, (tostring(name or chunk):gsub("^[@=]+", "")), "t", own)
  end
end

local function read_file(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  return text and (text:gsub("^\xef\xbb\xbf", "")) -- what some editors put before UTF-8
end

local function compile(path, env)
  local text = read_file(path)
  if not text then return nil end
  local fn, message = load(text, "@" .. path, "t", env)
  if fn then return fn end
  local line, rest = message:match(":(%d+): (.*)$")
  errors.raise { kind = "migration", message = rest or message, file = path, line = tonumber(line) }
end

local function path_of(script, name)
  return ("%s/%s.lua"):format(script.lib, name:gsub("%.", "/"))
end

-- Files under lib/ alone, each once for a script, in an environment of its own.
function makers.require(script)
  return function(name)
    if type(name) ~= "string" or not ("." .. name):find("^[%w_%-.]+$") or ("." .. name .. "."):find("..", 1, true) then
      error(("require takes the name of a file under lib/, dots for folders, not %s"):format(
        type(name) == "string" and ("%q"):format(name) or "a " .. type(name)), 2)
    end
    local loaded = script.loaded[name]
    if loaded == script then
      error(("'%s' is not loaded yet: it requires itself, or it failed before"):format(name), 2)
    end
    if loaded ~= nil then return loaded end
    local path = path_of(script, name)
    local fn = compile(path, script.environment())
    if not fn then
      error(("no file %s: require finds only files under the tree's own lib/"):format(path), 2)
    end
    script.loaded[name] = script
    local result = fn(name)
    if result == nil then result = true end
    script.loaded[name] = result
    return result
  end
end

-- What stands for op and its like while a header is read: it may be kept in a local, not used. A module of lib/ that
-- registers operations may be required at the top all the same: they are registered when the step runs.
local function absent_until_run(name)
  local text = name .. " is there inside upgrade(), downgrade() and run() only: the top level is run whenever the file "
    .. "is read"
  local function fail() error(text, 2) end
  local function index(_, key)
    if name == "op" and (key == "register_operation" or key == "implementation_for") then return function() end end
    error(text, 2)
  end
  return setmetatable({}, { __index = index, __newindex = fail, __call = fail, __name = name, __metatable = false })
end

for _, name in ipairs(vocabulary) do
  makers[name] = function(script)
    if script.reading and at_run_time[name] then return absent_until_run(name) end
    script.words = script.words or script.vocabulary()
    return script.words[name]
  end
end

local function undefined(env, name)
  local candidates = {}
  for candidate in pairs(makers) do candidates[#candidates + 1] = candidate end
  for candidate in next, env do candidates[#candidates + 1] = type(candidate) == "string" and candidate or nil end
  table.sort(candidates)
  error(("'%s' is not defined%s"):format(tostring(name), errors.suggestion(name, candidates)), 3)
end

-- Makes what a file reads, when it first reads it: reading ten thousand headers makes next to nothing.
local function lookup(script, env, declared, name)
  local make = makers[name]
  if make then
    local value = make(script, env)
    rawset(env, name, value)
    return value
  end
  if not declared[name] and not header[name] then undefined(env, name) end
  return nil
end

-- The script of each environment.
local scripts = setmetatable({}, { __mode = "k" })

local function make(script)
  local env, declared = {}, {}
  script.environments[env], scripts[env] = declared, script
  return setmetatable(env, {
    __index = function(_, name) return lookup(script, env, declared, name) end,
    __newindex = function(_, name, value)
      declared[name] = true
      rawset(env, name, value)
    end,
    __metatable = false,
    __name = "environment",
  })
end

--- The files that the script of an environment has required so far; nil where `t` is none.
function M.required(t)
  local script, files = scripts[t], {}
  if not script then return nil end
  for name in pairs(script.loaded) do files[#files + 1] = path_of(script, name) end
  return files
end

local unguarded = { pcall = pcall, xpcall = xpcall, resume = coroutine.resume, close = coroutine.close }

--- A fresh environment, and the set of the names that will have been assigned in it.
-- options: lib (folder of `require`), vocabulary (function that makes the table of its names, called on first use),
-- reading (true: only the header is read, op and its like are not there), print (takes one line),
-- guarded (pcall, xpcall, resume, close as scripts get them).
function M.new(options)
  local script = {
    lib = options.lib, vocabulary = options.vocabulary, reading = options.reading,
    print = options.print, guarded = options.guarded or unguarded,
    loaded = {}, environments = setmetatable({}, { __mode = "k" }), metatables = setmetatable({}, { __mode = "k" }),
  }
  function script.environment() return make(script) end
  local env = make(script)
  return env, script.environments[env]
end

return M
