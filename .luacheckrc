std = "lua54"
max_line_length = 120
codes = true

files["spec"] = { std = "+busted" }

-- Migrations: the script vocabulary is given, the header and the entry points are globals of the file's own.
local script = {
  read_globals = { "op", "sa", "postgresql", "guards", "tenants", "context", "null", "json", "log" },
  globals = {
    "revision", "down_revision", "branch_labels", "depends_on", "upgrade", "downgrade", "run", "undo",
  },
}
files["migrations"] = script
files["spec/fixtures"] = script
