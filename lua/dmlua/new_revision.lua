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

local function absolute(path)
  return path:sub(1, 1) == "/" and path or lfs.currentdir() .. "/" .. path
end

-- Without "." and "..", doubled slashes and one at the end.
local function normal(path)
  local parts = {}
  for part in absolute(path):gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

local function lies_in(path, folder)
  return path == folder or path:sub(1, #folder + 1) == folder .. "/"
end

local function list_of(locations)
  return "the version locations are " .. table.concat(locations, ", ")
end

-- Where --version-path says; the texts are Alembic's.
local function chosen_location(config, locations, path)
  local wanted = normal(path)
  for _, location in ipairs(locations) do
    local folder = normal(location)
    local within = config:flag "recursive_version_locations" and lies_in(wanted, folder)
    if wanted == folder or within then return wanted end
  end
  errors.raise {
    kind = "usage",
    message = ("Path %s is not represented in current version locations"):format(path),
    hint = list_of(locations),
  }
end

-- The location of the first parent's file, where there are several.
local function parents_location(tree, locations, parents)
  if #locations == 1 then return normal(locations[1]) end
  local found
  local path = parents[1] and normal(tree:find(parents[1]).path)
  for _, location in ipairs(path and locations or {}) do
    local folder = normal(location)
    if lies_in(path, folder) and (not found or #folder > #found) then found = folder end
  end
  return found or errors.raise {
    kind = "usage",
    message = "Multiple version locations present, please specify --version-path",
    hint = list_of(locations),
  }
end

-- Makes a folder and those above it that are not there.
local function make_folder(path)
  if lfs.attributes(path, "mode") == "directory" then return end
  local parent = path:match "^(.+)/[^/]+$"
  if parent then make_folder(parent) end
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

-- Where the file goes: folder and name.
local function place(context, new, slug, now)
  local config, tree = context.config(), context.tree()
  local locations = tree:locations()
  local folder = new.version_path and chosen_location(config, locations, new.version_path)
    or parents_location(tree, locations, new.down_revision)
  local name = file_name(config, new.revision, slug, now)
  if name:find("/", 1, true) and not config:flag "recursive_version_locations" then
    errors.usage("file_template: the name %s has a folder in it, which nothing reads without "
      .. "recursive_version_locations = true", name)
  end
  return folder .. "/" .. name
end

--- Writes the file and says so. `new`: message, rev_id (nil: chosen), version_path (nil: as its parent), and the lists
--- down_revision, branch_labels, depends_on. Returns the exit code.
function M.write(context, new)
  local config, now = context.config(), os.time()
  config:check_rails "revision"
  new.revision = new.rev_id and check_id(new.rev_id, context.tree()) or random_id()
  new.create_date = os.date("%Y-%m-%d %H:%M:%S", now)
  local slug = slug_of(new.message or "", config:number "truncate_slug_length")
  new.message = new.message or "empty message"
  local path = place(context, new, slug, now)
  local source, source_path = read_template(script_location(config))
  local text = template.render(source, shown(source_path), new)
  make_folder(path:match "^(.+)/")
  write_file(path, text)
  if context.options.json then
    output.json(output.object("revision", new.revision, "path", shown(path), "down_revision", new.down_revision))
  else
    output.line(("Generating %s ...  done"):format(shown(path)))
  end
  return 0
end

return M
