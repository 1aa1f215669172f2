-- Writing a new migration file: its identifier, its name, its text. Used by `revision` and `merge`.

local engine = require "dmlua.engine"
local errors = require "dmlua.errors"
local file_name = require "dmlua.file_name"
local graph = require "dmlua.engine.graph"
local header = require "dmlua.header"
local hooks = require "dmlua.hooks"
local lfs = require "lfs"
local output = require "dmlua.output"
local template = require "dmlua.template"
local new_file = require "dmlua.written"

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
  header.check_name("revision", id)
  if tree:find(id) then refuse(id, "there is such a revision already, " .. tree:find(id).path) end
  if #id > 32 then
    engine.log("warn", "dmlua", ("revision identifier '%s' is longer than the 32 characters of Alembic's version "
      .. "table; `dmlua ensure_version --widen` lets it hold 255"):format(id))
  end
  return id
end

local function check_labels(labels)
  for _, label in ipairs(labels or {}) do
    header.check_name("branch_labels", label)
    if symbols[label] then errors.usage("branch label '%s': this word has a meaning of its own", label) end
  end
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
local function place(context, new, name)
  local config, tree = context.config(), context.tree()
  local locations = tree:locations()
  local folder = new.version_path and chosen_location(config, locations, new.version_path)
    or parents_location(tree, locations, new.down_revision)
  if name:find("/", 1, true) and not config:flag "recursive_version_locations" then
    errors.usage("file_template: the name %s has a folder in it, which nothing reads without "
      .. "recursive_version_locations = true", name)
  end
  if name:find "^%.[^./]" or name:find "/%.[^./]" or name:match("[^/]*$"):find "^#" then
    errors.usage("the name %s would be hidden: no file that begins with '.' or '#' is read", name)
  end
  local path = folder .. "/" .. name
  if not lies_in(normal(path), folder) then
    errors.usage("file_template: %s does not lie in %s", name, shown(folder))
  end
  return path
end

-- A file that would break the tree is not written: a label that is used already, one that is another's identifier.
local function check_tree(tree, new, path)
  local revisions = new.replaces and {} or tree:revisions() -- a baseline replaces them all
  revisions[#revisions + 1] = {
    revision = new.revision, down_revision = new.down_revision, branch_labels = new.branch_labels,
    depends_on = new.depends_on, message = new.message, path = shown(path),
  }
  graph.new(revisions)
end

-- The time in the zone of `timezone`, in which the file is dated; Alembic's words.
local function clock(config, now)
  local zone = config:get "timezone"
  local fields = engine.clock(now, zone) or errors.raise {
    kind = "usage",
    message = ("Can't locate timezone: %s"):format(zone),
    hint = "timezone is a name of the tz database, as Europe/Berlin or UTC; without it, the machine's own counts",
  }
  local date = ("%04d-%02d-%02d %02d:%02d:%02d"):format(fields.year, fields.month, fields.day, fields.hour,
    fields.minute, fields.second)
  if zone then
    local offset = math.abs(fields.offset) // 60
    date = ("%s%s%02d:%02d"):format(date, fields.offset < 0 and "-" or "+", offset // 60, offset % 60)
  end
  return fields, date
end

--- Raises, in Alembic's words, where there are several heads and "head" was asked for. `way`: the way out.
function M.check_single(tree, way)
  local heads = tree:graph():heads()
  if #heads < 2 then return end
  errors.raise {
    kind = "usage",
    message = "Multiple heads are present; please specify the head revision on which the new revision should be "
      .. "based, or perform a merge.",
    hint = ("the heads are %s; %s"):format(table.concat(heads, ", "), way),
  }
end

--- The ids, when each is a head or `splice` is set; else Alembic's error.
function M.check_heads(tree, ids, splice)
  local is_head = {}
  for _, id in ipairs(tree:graph():heads()) do is_head[id] = true end
  for _, id in ipairs(ids) do
    if not is_head[id] and not splice then
      errors.usage("Revision %s is not a head revision; please specify --splice to create a new branch from this "
        .. "revision", id)
    end
  end
  return ids
end

--- Adds the options of a verb that writes a file.
function M.arguments(parser)
  parser:flag "--no-hooks":description "run no post-write hooks"
end

-- The text of `new`; and the template's path, where it is not dmlua's own.
local function text_of(config, new)
  if new.text then return new.text(new) end
  local source, path = read_template(script_location(config))
  return template.render(source, shown(path), new), source ~= template.builtin and shown(path) or nil
end

--- Writes the file, says so and runs the post-write hooks. `new`: message, rev_id (nil: chosen), version_path (nil: as
--- its parent), the lists down_revision, branch_labels, depends_on; of a baseline replaces, and text, a function that
--- makes the file's text of `new` with its revision and create_date. Returns the exit code.
function M.write(context, new)
  local config, now = context.config(), os.time()
  local hooks_read = context.options.no_hooks and {} or hooks.read(config)
  local fields
  new.revision = new.rev_id and check_id(new.rev_id, context.tree()) or random_id()
  check_labels(new.branch_labels)
  fields, new.create_date = clock(config, now)
  fields.rev, fields.epoch = new.revision, now
  fields.slug = file_name.slug(new.message or "", config:number "truncate_slug_length")
  new.message = new.message or "empty message"
  local path = place(context, new, file_name.fill(config:get "file_template" or "%(rev)s_%(slug)s", fields) .. ".lua")
  check_tree(context.tree(), new, path)
  local text, own_template = text_of(config, new)
  make_folder(path:match "^(.+)/")
  write_file(path, text)
  new_file.check(config, new, shown(path), own_template or "the template")
  if not context.options.json then output.line(("Generating %s ...  done"):format(shown(path))) end
  hooks.run(hooks_read, path)
  if context.options.json then
    output.json(output.object("revision", new.revision, "path", shown(path), "down_revision", new.down_revision))
  end
  return 0
end

return M
