-- init: begins a project: an ini of two services, a tree of scripts for each, their template, settings for editors.
-- Nothing that is there is written over. Words and order are Alembic's.

local annotations = require "dmlua.annotations"
local errors = require "dmlua.errors"
local files = require "dmlua.init_files"
local lfs = require "lfs"
local output = require "dmlua.output"

local function arguments(parser)
  parser:argument "directory":argname "DIRECTORY":args "?"
    :description "the folder for the scripts of all services, else migrations"
  parser:option "-t --template":argname "NAME":default(files.templates[1].name):show_default(false)
    :description(("one of `dmlua list_templates` (default: %s)"):format(files.templates[1].name))
end

local function template_named(name)
  local names = {}
  for i, template in ipairs(files.templates) do
    if template.name == name then return template end
    names[i] = template.name
  end
  errors.raise {
    kind = "usage",
    message = ("No such template '%s'%s"):format(name, errors.suggestion(name, names)), -- Alembic's words
    hint = "`dmlua list_templates` lists them",
  }
end

local function check_directory(directory)
  if directory:find "[%c\"\\]" then
    errors.usage("the folder's name may hold no control character, quote or backslash")
  end
  local mode = lfs.attributes(directory, "mode")
  if mode and mode ~= "directory" then errors.usage("%s exists already and is no folder", directory) end
  if not mode then return end
  for name in lfs.dir(directory) do
    if name ~= "." and name ~= ".." then errors.usage("Directory %s already exists and is not empty", directory) end
  end
end

-- Says each thing that was done once it is done; as JSON, all of them at the end.
local function reporter(json)
  local made, skipped = {}, {}
  local report = {}
  function report.made(verb, path)
    made[#made + 1] = path
    if not json then output.line(("%s %s ...  done"):format(verb, path)) end
  end
  function report.skipped(path)
    skipped[#skipped + 1] = path
    if not json then output.line(("File %s already exists, skipping"):format(path)) end
  end
  function report.finish(ini)
    if json then
      output.json(output.object("config", ini, "made", made, "skipped", skipped))
    else
      output.line(("Please edit configuration/connection/logging settings in %s before proceeding."):format(ini))
    end
  end
  return report
end

local function make_directory(path, report)
  if lfs.attributes(path, "mode") == "directory" then return end
  local parent = path:match "^(.+)/[^/]+$"
  if parent then make_directory(parent, report) end
  local done, why = lfs.mkdir(path)
  if not done then errors.usage("cannot make the folder %s: %s", path, why) end
  report.made("Creating directory", path)
end

local function write(path, text, report)
  if lfs.symlinkattributes(path) then return report.skipped(path) end
  local file, why = io.open(path, "wb")
  if not file then errors.usage("cannot write %s", why) end
  local written = file:write(text)
  if not file:close() or not written then errors.usage("could not write %s completely", path) end
  report.made("Generating", path)
end

local function absolute(path)
  return path:sub(1, 1) == "/" and path or lfs.currentdir() .. "/" .. path
end

-- The ini names a tree from its own folder where the tree lies below that.
local function from_ini(ini, path)
  local folder = absolute(ini):match "^(.*/)"
  local whole = absolute(path)
  return whole:sub(1, #folder) == folder and whole:sub(#folder + 1) or whole
end

-- `escape` makes the path fit where it is put.
local function filled(text, places, escape)
  return (text:gsub("@(%u+)@", function(name) return (places[name]:gsub("%%", escape)) end))
end

-- The folders that `require` looks in, for the editor.
local function libraries(trees)
  local list = {}
  for i, tree in ipairs(trees) do list[i] = ('"%s/lib/?.lua"'):format(tree) end
  return table.concat(list, ", ")
end

local function run(context)
  local variable = os.getenv "DMLUA_CONFIG"
  local ini = context.options.config or (variable ~= "" and variable) or "dmlua.ini"
  local template = template_named(context.options.template)
  local directory = (context.options.directory or "migrations"):gsub("(.)/+$", "%1"):gsub("^%./+(.)", "%1")
  local report = reporter(context.options.json)
  local places, trees = {}, {}
  check_directory(directory)
  for i, named in ipairs(template.trees) do
    local tree = directory .. named[2]
    for _, name in ipairs { "versions", "fixes", "lib" } do make_directory(tree .. "/" .. name, report) end
    write(tree .. "/script.lua.in", files.script, report)
    trees[i] = from_ini(ini, tree)
    places[named[1]] = trees[i]
  end
  places.LIBS = libraries(trees)
  places.META = from_ini(ini, directory .. "/editor")
  make_directory(directory .. "/editor", report)
  write(directory .. "/editor/dmlua.lua", annotations.text(), report)
  write((ini:match "^(.*/)[^/]*$" or "") .. ".luarc.json", filled(files.luarc, places, "%%"), report)
  write(ini, filled(files.of(template, files.ini), places, "%%%%"), report)
  report.finish(ini)
  return 0
end

return {
  name = "init",
  summary = "make a dmlua.ini, a tree of migrations and its template",
  description = "Makes dmlua.ini with two services (management, isp) and three environments, a tree of scripts for " ..
    "each service below DIRECTORY, the template of new revisions, .luarc.json and annotations for editors; " ..
    "with `-t generic`, one tree of one database. Writes over nothing.",
  arguments = arguments,
  run = run,
}
