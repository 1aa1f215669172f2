-- What the specs share: databases, folders, the program as a subprocess. Made for scripts/test, which starts the
-- server and says by DMLUA_SPEC_* where everything is.
--
-- What a spec makes here is removed for it: after the `it` that made it, else at the end of its file.

local busted = require "busted"
local lfs = require "lfs"

local M = {}

local function setting(name)
  name = "DMLUA_SPEC_" .. name
  return os.getenv(name) or error(("run the specs with scripts/test (%s is unset)"):format(name))
end

M.root = setting "ROOT" -- the source tree
M.build = setting "BUILD" -- the build folder
M.program = M.build .. "/dmlua"
M.host = setting "HOST" -- the socket folder of the specs' server
M.programs = setting "PROGRAMS" -- PostgreSQL's own programs: psql, initdb, pg_dump, …
local run_folder = setting "FOLDER"

local deferred, test_mark = {}, nil

local function unwind(mark)
  while #deferred > mark do
    local ok, message = pcall(table.remove(deferred))
    if not ok then io.write("clean-up failed: ", tostring(message), "\n") end
  end
end

--- Calls `fn` after the present `it`, or outside of one at the end of the file; the last one first.
function M.defer(fn)
  deferred[#deferred + 1] = fn
end

busted.subscribe({ "test", "start" }, function() test_mark = #deferred return nil, true end)
busted.subscribe({ "test", "end" }, function() unwind(test_mark or 0) return nil, true end)
busted.subscribe({ "file", "end" }, function() unwind(0) return nil, true end)

--- The whole text of a file, or nil and why.
function M.read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local text = file:read("a")
  file:close()
  return text
end

--- Writes a file, and the folders that it needs.
function M.write(path, text)
  local at = 1
  while true do
    at = path:find("/", at + 1, true)
    if not at then break end
    lfs.mkdir(path:sub(1, at - 1))
  end
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- One name for this process and this call.
local serial = 0
local process = tostring(setting "COUNTS"):gsub("^.*/", ""):gsub("_spec%.lua%.counts$", ""):gsub("%W+", "_"):sub(-30)
local function unique()
  serial = serial + 1
  return ("%s_%d"):format(process, serial)
end

--- `text` as one word for the shell.
function M.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

-- The sanitizer's library is for this process, not for the shell and what it starts.
local function shell(command)
  local _, how, code = os.execute("LD_PRELOAD= " .. command)
  return how == "exit" and code or 128 + code
end

--- A fresh folder, removed afterwards.
function M.folder()
  local path = run_folder .. "/" .. unique()
  assert(lfs.mkdir(path))
  M.defer(function() shell("rm -rf " .. M.quote(path)) end)
  return path
end

local environment_kept = { "PATH", "LC_ALL", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS" }

-- `env -i NAME=value …`: nothing of the caller's, neither PG* nor DMLUA_* nor a home with a .pgpass. What a shell
-- starts in the background ignores Ctrl-C; that is put back.
local function environment(given)
  local words = { "env -i --default-signal=INT,QUIT", "HOME=" .. M.quote(run_folder) }
  for _, name in ipairs(environment_kept) do
    local value = os.getenv(name)
    if value and not (given and given[name]) then words[#words + 1] = name .. "=" .. M.quote(value) end
  end
  for name, value in pairs(given or {}) do words[#words + 1] = name .. "=" .. M.quote(value) end
  return table.concat(words, " ")
end

local function words(program, arguments)
  local list = { M.quote(program) }
  if type(arguments) == "string" then
    for word in arguments:gmatch("%S+") do list[#list + 1] = M.quote(word) end
  else
    for _, word in ipairs(arguments or {}) do list[#list + 1] = M.quote(word) end
  end
  return table.concat(list, " ")
end

-- The shell's text that runs the program in its folder, environment and files.
local function command_line(program, arguments, options, files)
  return ("cd %s && exec %s %s %s <%s >%s 2>%s"):format(M.quote(options.cwd or run_folder), environment(options.env),
    options.before or "", words(program, arguments), M.quote(files.input), M.quote(files.out), M.quote(files.err))
end

local function make_files(input)
  local base = run_folder .. "/" .. unique()
  local files = { out = base .. ".out", err = base .. ".err", pid = base .. ".pid", code = base .. ".code" }
  files.input = input and base .. ".in" or "/dev/null"
  if input then M.write(files.input, input) end
  return files
end

local function collect(files, code, what)
  local result = { code = code, out = M.read(files.out), err = M.read(files.err) }
  for _, path in pairs(files) do
    if path ~= "/dev/null" then os.remove(path) end
  end
  if code == 99 then error("the sanitizer stopped " .. what .. ":\n" .. result.err, 0) end
  return result
end

--- Runs a program and waits. `arguments`: a list, or a text that is cut at blanks. `options`: env (added to a clean
--- environment), cwd, input (text for standard input), timeout (seconds, 60). Returns { code, out, err }; a program
--- that a signal ended has the shell's code, 128 + signal. Raises when the time is over or a sanitizer reported.
function M.run(program, arguments, options)
  options = options or {}
  local limit = options.timeout or 60
  local files = make_files(options.input)
  options = setmetatable({ before = ("timeout -k 5 %d"):format(limit) }, { __index = options })
  local code = shell("sh -c " .. M.quote(command_line(program, arguments, options, files)))
  local result = collect(files, code, words(program, arguments))
  if code == 124 or code == 137 then
    error(("%s did not end within %d s\n%s%s"):format(words(program, arguments), limit, result.out, result.err), 0)
  end
  return result
end

--- dmlua itself: see `run`.
function M.dmlua(arguments, options)
  return M.run(M.program, arguments, options)
end

local function wait_for(limit, condition)
  for _ = 1, limit * 50 do
    local value = condition()
    if value then return value end
    busted.sleep(0.02)
  end
end

--- Waits until `condition()` is true and returns its value; raises after `seconds` (30).
function M.eventually(condition, seconds)
  return wait_for(seconds or 30, condition) or error("still not so after " .. (seconds or 30) .. " s", 2)
end

-- Is the process no longer the shell that started it? It may also be gone already.
local function has_become(pid, program)
  local arguments = M.read(("/proc/%d/cmdline"):format(pid))
  return not arguments or arguments == "" or arguments:sub(1, #program + 1) == program .. "\0"
end

--- Starts dmlua (or options.program) and does not wait. The handle has pid; kill(signal) ("TERM" when none is named);
--- out() and err(), what it has written so far; wait(seconds), which returns as `run` does. It is killed afterwards in
--- any case.
function M.start(arguments, options)
  options = options or {}
  local files = make_files(options.input)
  local program = options.program or M.program
  local line = command_line(program, arguments, options, files)
  shell(("sh -c %s </dev/null >/dev/null 2>&1 &"):format(M.quote(
    ("sh -c %s; echo $? >%s.new; mv %s.new %s"):format(M.quote(("echo $$ >%s; "):format(files.pid) .. line),
      files.code, files.code, files.code))))
  local process_handle = {}
  process_handle.pid = M.eventually(function() return tonumber(M.read(files.pid) or nil) end)
  M.eventually(function() return has_become(process_handle.pid, program) end)
  local ended
  function process_handle.kill(signal)
    return shell(("kill -%s %d 2>/dev/null"):format(signal or "TERM", process_handle.pid)) == 0
  end
  function process_handle.out() return M.read(files.out) or "" end
  function process_handle.err() return M.read(files.err) or "" end
  function process_handle.wait(seconds)
    if ended then return ended end
    local limit = seconds or 60
    local code = wait_for(limit, function() return tonumber(M.read(files.code) or nil) end)
    if not code then error(("%s did not end within %d s"):format(words(program, arguments), limit), 2) end
    ended = collect(files, code, words(program, arguments))
    return ended
  end
  M.defer(function()
    if not ended and not M.read(files.code) then
      process_handle.kill("KILL")
      process_handle.wait(10)
    end
  end)
  return process_handle
end

--- The URL of a database of the specs' server for one of its roles: owner, app, bypass, postgres.
function M.url(database, role)
  return ("postgresql://%s@/%s?host=%s"):format(role or "owner", database, M.host)
end

-- The fields of one CSV record that begins at `at`, where the next one does, and their number. A field without quotes
-- that is empty is NULL; an empty string has quotes.
local function csv_record(text, at)
  local fields, count = {}, 0
  repeat
    local value, separator
    count = count + 1
    if text:sub(at, at) == '"' then
      local finish = at
      repeat
        finish = text:find('"', finish + 1, true)
        local doubled = text:sub(finish + 1, finish + 1) == '"'
        if doubled then finish = finish + 1 end
      until not doubled
      value = text:sub(at + 1, finish - 1):gsub('""', '"')
      at = finish + 1
    else
      value = text:match("^[^,\n]*", at)
      at = at + #value
      if value == "" then value = nil end
    end
    fields[count] = value
    separator = text:sub(at, at)
    at = at + 1
  until separator ~= ","
  return fields, at, count
end

-- psql prints NULL and '' alike; COPY does not, so a query's rows come as COPY's CSV with a header.
local function csv_rows(text)
  local rows = {}
  if text == "" then return rows end
  local names, at, count = csv_record(text, 1)
  while at <= #text do
    local fields
    fields, at = csv_record(text, at)
    local row = {}
    for i = 1, count do row[names[i]] = fields[i] end
    rows[#rows + 1] = row
  end
  return rows
end

local function psql(url, text, timeout)
  local result = M.run(M.programs .. "/psql", { "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url }, {
    input = text, timeout = timeout })
  if result.code ~= 0 then error(result.err:gsub("%s+$", ""), 3) end
  return result.out
end

-- A database of helper.database() stands for its superuser's URL.
local function url_of(database)
  return type(database) == "table" and database.postgres or database
end

--- Any SQL text, by psql, as superuser (or whoever the URL names); its output as psql -At
--- prints it. Raises psql's error.
function M.execute(database, text, timeout)
  return psql(url_of(database), text, timeout)
end

local has_rows = { SELECT = true, WITH = true, VALUES = true, TABLE = true }

--- The rows of one query (or of INSERT, UPDATE, DELETE … RETURNING), as tables by column name; every value is text
--- as PostgreSQL prints it, NULL is nil. `database`: a table of helper.database() (superuser), or a URL. Any other
--- text, of any number of statements, is carried out and has no rows; for SHOW and EXPLAIN see `execute`.
function M.sql(database, text, timeout)
  local query = text:gsub("[%s;]+$", "")
  local upper = query:upper()
  if has_rows[upper:match("^%s*(%a+)")] or upper:find("%f[%w]RETURNING%f[%W]") then
    return csv_rows(psql(url_of(database), "COPY (" .. query .. "\n) TO STDOUT (FORMAT csv, HEADER)", timeout))
  end
  psql(url_of(database), text, timeout)
  return {}
end

--- The first column of the first row of a query, as text or nil.
function M.value(database, text)
  local out = psql(url_of(database), "COPY (" .. text:gsub("[%s;]+$", "") .. "\n) TO STDOUT (FORMAT csv)")
  return out ~= "" and csv_record(out, 1)[1] or nil
end

local function drop(name)
  psql(M.url("postgres", "postgres"), ("DROP DATABASE IF EXISTS %s WITH (FORCE)"):format(name))
end

--- A fresh database, dropped afterwards: { name, url (the owner's), owner, app, bypass, postgres (the superuser's) }.
function M.database()
  local name = "spec_" .. unique():lower()
  psql(M.url("postgres", "postgres"), ("CREATE DATABASE %s OWNER owner TEMPLATE dmlua_template"):format(name))
  M.defer(function() drop(name) end)
  local database = { name = name }
  for _, role in ipairs { "owner", "app", "bypass", "postgres" } do database[role] = M.url(name, role) end
  database.superuser = database.postgres
  database.url = database.owner
  return database
end

--- A connection of dmlua.pq, closed afterwards.
function M.connect(url)
  local connection = assert(require("dmlua.pq").connect(url_of(url)))
  M.defer(function() connection:close() end)
  return connection
end

--- The text of a migration. `fields`: revision, down (text, list or nil), labels, depends, message, and the bodies
--- upgrade and downgrade (Lua text).
function M.revision(fields)
  local function literal(value)
    if type(value) ~= "table" then return value and ("%q"):format(value) or "nil" end
    local list = {}
    for i, id in ipairs(value) do list[i] = ("%q"):format(id) end
    return "{ " .. table.concat(list, ", ") .. " }"
  end
  return ([[
-- %s
--
-- Revision ID: %s

revision = %s
down_revision = %s
branch_labels = %s
depends_on = %s

function upgrade()
%s
end

function downgrade()
%s
end
]]):format(fields.message or fields.revision, fields.revision, literal(fields.revision), literal(fields.down),
    literal(fields.labels), literal(fields.depends), fields.upgrade or "", fields.downgrade or "")
end

--- A folder with a dmlua.ini and a tree of migrations, removed afterwards; returns its path. `project`: database (of
--- helper.database(), or a URL); settings (more keys of [dmlua]); ini (its text after [dmlua]'s own keys); versions
--- (a list of `revision`'s fields, or texts by file name); files (texts by path).
function M.project(project)
  local folder = M.folder()
  local settings = { script_location = ".", environment = "development" }
  local database = project.database
  settings.url = type(database) == "table" and database.url or database
  for key, value in pairs(project.settings or {}) do settings[key] = value end
  local lines = {}
  for key, value in pairs(settings) do lines[#lines + 1] = ("%s = %s\n"):format(key, value) end
  table.sort(lines)
  M.write(folder .. "/dmlua.ini", "[dmlua]\n" .. table.concat(lines) .. (project.ini or ""))
  lfs.mkdir(folder .. "/versions")
  for name, version in pairs(project.versions or {}) do
    if type(version) == "table" then
      name, version = version.revision .. ".lua", M.revision(version)
    end
    M.write(folder .. "/versions/" .. name, version)
  end
  for path, text in pairs(project.files or {}) do M.write(folder .. "/" .. path, text) end
  return folder
end

return M
