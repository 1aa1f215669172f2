-- Writing a new migration file: its identifier, its name, its text. Used by `revision` and `merge`.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local lfs = require "lfs"
local output = require "dmlua.output"
local template = require "dmlua.template"

local M = {}

-- Words that mean something else where a revision is named.
local symbols = { head = true, heads = true, base = true, current = true }

local function random_id()
  local file <close> = assert(io.open("/dev/urandom", "rb"))
  return (file:read(6):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function refuse(id, why)
  errors.raise {
    kind = "usage",
    message = ("revision identifier '%s': %s"):format(id, why),
    hint = "letters, digits, '_' and '.' make a good identifier; without --rev-id one is chosen",
  }
end

-- The rules of Alembic for identifiers (its characters for branches and ranges), and what a file name can hold.
local function check_id(id, tree)
  local bad = id:match "[@%-+:]"
  if bad then
    errors.usage("Character(s) '%s' not allowed in revision identifier '%s'", bad, id)
  end
  if id == "" then refuse(id, "it is empty") end
  if id:find "[%s%c/\\\"']" then refuse(id, "blanks, slashes and quotes are not allowed") end
  if symbols[id] then refuse(id, "this word has a meaning of its own") end
  if tree:find(id) then refuse(id, "there is such a revision already, " .. tree:find(id).path) end
  if #id > 32 then
    engine.log("warn", "dmlua", ("revision identifier '%s' is longer than the 32 characters of Alembic's version table")
      :format(id))
  end
  return id
end

-- The words of the message joined by "_", at most `limit` bytes, cut between words as Alembic cuts.
local function slug_of(message, limit)
  local words = {}
  for word in message:gmatch "[%w_\128-\255]+" do words[#words + 1] = word:lower() end
  local slug = table.concat(words, "_")
  if #slug <= limit then return slug end
  local cut = slug:sub(1, limit)
  while not utf8.len(cut) do cut = cut:sub(1, -2) end
  return (cut:match "^(.*)_" or cut) .. "_"
end

local file_tokens = { "rev", "slug", "epoch", "year", "month", "day", "hour", "minute", "second" }

-- Alembic's file_template: Python's % formats, %(rev)s_%(slug)s.
local function file_name(config, id, slug, now)
  local date = os.date("*t", now)
  local values = {
    rev = id, slug = slug, epoch = now, year = date.year, month = date.month, day = date.day, hour = date.hour,
    minute = date.min, second = date.sec,
  }
  local pattern = config:get "file_template" or "%(rev)s_%(slug)s"
  return pattern:gsub("%%%((%w+)%)([%d.]*)([sd])", function(key, width, kind)
    local value = values[key]
    if value == nil then
      errors.usage("file_template: unknown token '%%(%s)%s'%s", key, kind, errors.suggestion(key, file_tokens))
    end
    return ("%" .. width .. kind):format(value)
  end) .. ".lua"
end

local function read_template(folder)
  local path = folder .. "/script.lua.in"
  local file <close> = io.open(path, "rb")
  if not file then return template.builtin, path end
  return file:read "a", path
end

local function script_location(config)
  local location = config:get "script_location"
  if not location then
    errors.usage "no 'script_location' is configured; `dmlua init` makes a configuration and a tree"
  end
  location = location:gsub("^%./+", ""):gsub("(.)/+$", "%1")
  if location == "." then return config:folder() end
  return location:sub(1, 1) == "/" and location or config:folder() .. "/" .. location
end

-- As the user would type it.
local function shown(path)
  local here = lfs.currentdir() .. "/"
  return path:sub(1, #here) == here and path:sub(#here + 1) or path
end

local function make_folder(path)
  if lfs.attributes(path, "mode") == "directory" then return end
  local done, why = lfs.mkdir(path)
  if not done then
    errors.usage("cannot make the folder %s: %s; `dmlua init` makes a tree", shown(path), why)
  end
end

local function write_file(path, text)
  if lfs.symlinkattributes(path) then errors.usage("%s exists already; nothing was written", shown(path)) end
  local file, why = io.open(path, "wb")
  if not file then errors.usage("cannot write: %s", why) end
  local written = file:write(text)
  if not file:close() or not written then errors.usage("could not write %s completely", shown(path)) end
end

--- Writes the file and says so. `new`: message, rev_id (nil: chosen), and the lists down_revision, branch_labels,
--- depends_on. Returns the exit code.
function M.write(context, new)
  local config, now = context.config(), os.time()
  config:check_rails "revision"
  new.revision = new.rev_id and check_id(new.rev_id, context.tree()) or random_id()
  new.create_date = os.date("%Y-%m-%d %H:%M:%S", now)
  local location = script_location(config)
  local slug = slug_of(new.message or "", config:number "truncate_slug_length")
  new.message = new.message or "empty message"
  local path = ("%s/versions/%s"):format(location, file_name(config, new.revision, slug, now))
  local source, source_path = read_template(location)
  local text = template.render(source, shown(source_path), new)
  make_folder(location .. "/versions")
  write_file(path, text)
  if context.options.json then
    output.json(output.object("revision", new.revision, "path", shown(path), "down_revision", new.down_revision))
  else
    output.line(("Generating %s ...  done"):format(shown(path)))
  end
  return 0
end

return M
