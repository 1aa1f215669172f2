-- Every verb and its one line of help, in the order in which `dmlua --help` lists them. A verb's own file,
-- dmlua/commands/NAME.lua, is loaded only when it is used.

local M = {}

M.list = {
  { "init", "make a dmlua.ini, a tree of migrations and its template" },
  { "list_templates", "list what init can make" },
  { "revision", "write a new migration file" },
  { "merge", "write a migration file that joins several heads" },
  { "upgrade", "run migrations up to a revision" },
  { "downgrade", "run migrations back to a revision" },
  { "stamp", "set the version of the database without running anything" },
  { "ensure_version", "make the version table; --widen it for long identifiers" },
  { "plan", "name the steps that a verb would run; change nothing" },
  { "current", "show the revision that the database is at" },
  { "history", "list the migrations, newest first" },
  { "heads", "list the newest revision of each branch" },
  { "branches", "list the points where the history branches" },
  { "show", "show one migration" },
  { "edit", "open a migration in the editor" },
  { "baseline", "write one migration that makes the present schema and replaces the history" },
  { "run", "run an ad-hoc fix for some tenants, or for all" },
  { "undo", "take back what an ad-hoc fix has changed" },
  { "tables", "list which tables are isolated, global or a debt; adopt and declare them" },
  { "log", "list what was run on the database, newest first" },
  { "config", "show the settings in force and where each comes from" },
  { "server", "start, stop or look at the private PostgreSQL behind local:" },
  { "completion", "print a completion script for bash, zsh or fish" },
}

-- Alembic's and dmlua's own that this version has not got, and what there is in their place.
local later = {
  check = "`dmlua current --check-heads` is exit 3 unless all revisions ran; no tables are declared to compare with",
}
for name in ("deploy doctor lint rehearse repair report restore status tenants validate")
  :gmatch "%S+" do
  later[name] = "`dmlua --help` lists the verbs"
end

--- What to do in place of a verb that is to come; nil for other names.
function M.instead_of(name)
  return later[name]
end

--- The names, in the order of the list.
function M.names()
  local names = {}
  for i, verb in ipairs(M.list) do names[i] = verb[1] end
  return names
end

--- Is there a verb of this name?
function M.has(name)
  for _, verb in ipairs(M.list) do
    if verb[1] == name then return true end
  end
  return false
end

--- The verb's table {name, summary, arguments(parser), run(context), headers_only = true where it only looks at
-- revisions}.
function M.load(name)
  return require("dmlua.commands." .. name)
end

return M
