-- The texts that `dmlua init` writes. @NAME@ is filled in: the trees as the ini names them. A line that begins with @S@
-- is for the template services only, one with @G@ for generic.

local M = {}

--- What init can make; the first is what it makes unless another is named. `trees`: the names that are filled in, and
--- the folder of each below the folder for all.
M.templates = {
  {
    name = "services", mark = "S", summary = "two services, management and isp, each a database with its own tree",
    trees = { { "MANAGEMENT", "/management" }, { "ISP", "/isp" } },
  },
  { name = "generic", mark = "G", summary = "one database with one tree", trees = { { "TREE", "" } } },
}

--- The text without the lines of other templates.
function M.of(template, text)
  return (text:gsub("@([SG])@([^\n]*\n)", function(mark, line) return mark == template.mark and line or "" end))
end

M.ini = [==[
# Settings of dmlua. doc/configuration.md has every key; `dmlua config` shows the settings in force and where each
# comes from. Later ones win:
@S@#   [dmlua], the environment's section, the service's section, [service:environment], environment variables
@S@#   (DATABASE_URL, DMLUA_URL_MANAGEMENT, DMLUA_URL_ISP, SERVICE_TYPE, DMLUA_ENV), the command line.
@G@#   [dmlua], the environment's section, environment variables (DATABASE_URL, DMLUA_ENV), the command line.
# Keys marked (later) ask for what this version of dmlua does not do: where one is set, dmlua refuses to run rather than
# pass over it.
# A comment is a line of its own. A percent sign is written %%; %(here)s is the folder of this file. A line that is
# indented goes on with the value above it.

[dmlua]
@S@# The services, in the order in which they are deployed. Each is one database with one tree of migrations and has a
@S@# section below. `--service NAME` or SERVICE_TYPE chooses one.
@S@services = management isp
# How strict the rails are: development, staging or production. `--env NAME` or DMLUA_ENV says otherwise; where nothing
# does, it is production.
environment = development

# The database: a libpq URI (postgresql://USER@HOST:PORT/DATABASE), a conninfo, or local: for a private PostgreSQL that
@S@# dmlua starts itself. Passwords are better kept in ~/.pgpass or PGPASSWORD. See [development] and the services.
@G@# dmlua starts itself. Passwords are better kept in ~/.pgpass or PGPASSWORD. See [development].
# url = postgresql://migrator@localhost:5432/database

# (later) For a database behind a pooler: an address that leads to the server itself.
# direct_url = postgresql://migrator@localhost:5432/database

# -- Scripts

@S@# The folder of a service's scripts, with versions/, fixes/ and lib/ in it; from the folder of this file.
@S@# script_location = migrations
@G@# The folder of the scripts, with versions/, fixes/ and lib/ in it; from the folder of this file.
@G@script_location = @TREE@

# The folders of revisions, in place of versions/, and what divides them (os, space, newline, : or ;); also the folders
# below them.
# version_locations = %(here)s/migrations/versions:%(here)s/migrations/shared
# path_separator = os
# version_path_separator = os
# recursive_version_locations = false

# The name of a new file: rev, slug, epoch, year, month, day, hour, minute, second; and the most characters of a slug.
# file_template = %%(year)d_%%(month).2d_%%(day).2d-%%(rev)s_%%(slug)s
# truncate_slug_length = 40

# The names of indexes and constraints that scripts give none; SQLAlchemy's tokens.
# naming_convention.ix = ix_%%(column_0_label)s
# naming_convention.uq = uq_%%(table_name)s_%%(column_0_name)s
# naming_convention.ck = ck_%%(table_name)s_%%(constraint_name)s
# naming_convention.fk = fk_%%(table_name)s_%%(column_0_name)s_%%(referred_table_name)s
# naming_convention.pk = pk_%%(table_name)s

# The time zone of the date in a new file; else it is the machine's own.
# timezone = UTC

# What a script may use: memory, and seconds of processor time (waiting for the server is free). 0: no limit.
# script_memory_mb = 512
# script_seconds = 300

# -- The version table

# Alembic's own, so that both tools can take turns on one database.
# version_table = alembic_version
# version_table_schema = public

# Each migration is a transaction of its own; false: a whole run is one.
# transaction_per_migration = true

# -- Tenants

# How tenants are kept apart: rls (row security in shared tables), schema (later: a schema for each), none.
isolation = rls

# The column that says whose a row is, its type where that is not the column's own, and the setting that the policies
# read.
tenant_column = tenant_id
# tenant_type = uuid
tenant_setting = app.current_tenant_id

# The application's role: what guards grant to. The tenant loop runs as tenant_role, which is app_role where unset.
app_role = app
# tenant_role = app

@S@# The tenants that a loop visits: a query whose first column is the id, on the database of tenants_service.
@S@# tenants_query = SELECT id FROM tenants ORDER BY id
@S@# tenants_service = management
@G@# The tenants that a loop visits: a query whose first column is the id.
@G@# tenants_query = SELECT id FROM tenants ORDER BY id

# Tables without a tenant, for everybody; * stands for anything.
# global_tables = countries, currencies, ref_*

# -- Rails, here or in an environment's section

# Guards set up row security. skip_rls_setup leaves it out; both at once is an error.
# enable_rls = true
# skip_rls_setup = false

# Tables that a step leaves neither isolated nor declared global are a warning, as in development.
# allow_unsafe_migrations = false

# Guards keep a trail of who changed what in tenants' tables.
# enable_audit_triggers = true

# (later) Validation inside each step, a backup before the first, plans that this many people have signed.
# require_migration_validation = true
# require_backup_before_migration = true
# require_approval = 2

# Every statement in the log; connections to one database, and how many more for a moment.
# sqlalchemy.echo = false
# sqlalchemy.pool_size = 5
# sqlalchemy.max_overflow = 10

# -- Environments

[development]
@S@# A private PostgreSQL in .dmlua/ beside this file, started on first use: `dmlua server status`. Each service has a
@S@# database of its own name there.
@G@# A private PostgreSQL in .dmlua/ beside this file, started on first use: `dmlua server status`.
url = local:

[staging]
enable_rls = true

[production]
enable_rls = true

@S@# -- Services
@S@
@S@# Tenants and what they own.
@S@[management]
@S@script_location = @MANAGEMENT@
@S@
@S@# What is kept for each tenant. Its tenants are the rows of management's table.
@S@[isp]
@S@script_location = @ISP@
@S@tenants_service = management
@S@tenants_query = SELECT id FROM tenants ORDER BY id
@S@
@S@# (later) This service runs only while these are at their heads.
@S@# requires = management
@S@
@S@# A service in one environment has the last word of this file.
@S@# [management:production]
@S@# url = postgresql://migrator@db.example.com/dotmac_management
@S@# [isp:production]
@S@# url = postgresql://migrator@isp.example.com/dotmac_isp
@S@
# Programs that run on a new revision's file; `dmlua revision --no-hooks` runs none.
# [post_write_hooks]
# hooks = format
# format.type = exec
# format.executable = stylua
# format.options = REVISION_SCRIPT_FILENAME
]==]

M.script = [==[
-- ${message}
--
-- Revision ID: ${revision}
-- Revises: ${revises}
-- Create Date: ${create_date}

revision = ${revision_value}
down_revision = ${down_revision_value}
branch_labels = ${branch_labels_value}
depends_on = ${depends_on_value}

function upgrade()
  -- op.create_table("invoices",
  --   sa.Column("id", sa.UUID(), { nullable = false }),
  --   sa.Column("tenant_id", sa.String(255), { nullable = false }),
  --   sa.Column("number", sa.String(50), { nullable = false }),
  --   sa.Column("created_at", sa.DateTime(), { nullable = false }),
  --   sa.PrimaryKeyConstraint("id"))
  --
  -- Every table of tenants needs its column, its indexes and its policy:
  -- guards.ensure_tenant_column("invoices")
  -- guards.ensure_tenant_indexes("invoices", { "number" })
  -- guards.validate_tenant_isolation("invoices")
end

function downgrade()
  -- op.drop_table("invoices")
end
]==]

M.luarc = [==[
{
  "$schema": "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json",
  "runtime.version": "Lua 5.4",
  "runtime.path": ["?.lua", @LIBS@],
  "workspace.library": ["@META@"],
  "runtime.builtin": { "debug": "disable", "io": "disable", "package": "disable" },
  "diagnostics.globals": [
    "op", "sa", "postgresql", "guards", "tenants", "context", "null", "json", "log",
    "revision", "down_revision", "branch_labels", "depends_on", "upgrade", "downgrade",
    "description", "tables", "max_rows", "check", "run", "verify"
  ],
  "diagnostics.disable": ["lowercase-global"]
}
]==]

return M
