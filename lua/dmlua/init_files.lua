-- The texts that `dmlua init` writes. @NAME@ is filled in: @MANAGEMENT@ and @ISP@, the two trees as the ini names them.

local M = {}

M.ini = [==[
# Settings of dmlua. doc/configuration.md has every key; `dmlua config` shows the settings in force and where each
# comes from. Later ones win:
#   [dmlua], the environment's section, the service's section, [service:environment], environment variables
#   (DATABASE_URL, DMLUA_URL_MANAGEMENT, DMLUA_URL_ISP, SERVICE_TYPE, DMLUA_ENV), the command line.
# Keys marked (later) ask for what this version of dmlua does not do: where one is set, dmlua refuses to run rather than
# pass over it.
# A comment is a line of its own. A percent sign is written %%; %(here)s is the folder of this file. A line that is
# indented goes on with the value above it.

[dmlua]
# The services, in the order in which they are deployed. Each is one database with one tree of migrations and has a
# section below. `--service NAME` or SERVICE_TYPE chooses one.
services = management isp

# How strict the rails are: development, staging or production. `--env NAME` or DMLUA_ENV says otherwise; where nothing
# does, it is production.
environment = development

# The database: a libpq URI (postgresql://USER@HOST:PORT/DATABASE), a conninfo, or local: for a private PostgreSQL that
# dmlua starts itself. Passwords are better kept in ~/.pgpass or PGPASSWORD. See [development] and the services.
# url = postgresql://migrator@localhost:5432/management

# (later) For a database behind a pooler: an address that leads to the server itself.
# direct_url = postgresql://migrator@localhost:5432/management

# -- Scripts

# The folder of a service's scripts, with versions/, fixes/ and lib/ in it; from the folder of this file.
# script_location = migrations

# The folders of revisions, in place of versions/, and what divides them (os, space, newline, : or ;); also the folders
# below them.
# version_locations = %(here)s/migrations/versions:%(here)s/migrations/shared
# path_separator = os
# version_path_separator = os
# recursive_version_locations = false

# The name of a new file: rev, slug, epoch, year, month, day, hour, minute, second; and the most characters of a slug.
# file_template = %%(year)d_%%(month).2d_%%(day).2d-%%(rev)s_%%(slug)s
# truncate_slug_length = 40

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

# The tenants that a loop visits: a query whose first column is the id, on the database of tenants_service.
# tenants_query = SELECT id FROM tenants ORDER BY id
# tenants_service = management

# (later) Tables without a tenant, for everybody.
# global_tables = countries, currencies

# -- Rails, here or in an environment's section

# Guards set up row security. skip_rls_setup leaves it out; both at once is an error.
# enable_rls = true
# skip_rls_setup = false

# Findings of the linter are warnings, not errors.
# allow_unsafe_migrations = false

# (later) Validation inside each step, a backup before the first, triggers that keep a trail, plans that this many
# people have signed.
# require_migration_validation = true
# require_backup_before_migration = true
# enable_audit_triggers = true
# require_approval = 2

# Every statement in the log; connections to one database, and how many more for a moment.
# sqlalchemy.echo = false
# sqlalchemy.pool_size = 5
# sqlalchemy.max_overflow = 10

# -- Environments

[development]
# A private PostgreSQL in .dmlua/ beside this file, started on first use: `dmlua server status`. Each service has a
# database of its own name there.
url = local:

[staging]
enable_rls = true

[production]
enable_rls = true

# -- Services

# Tenants and what they own.
[management]
script_location = @MANAGEMENT@

# What is kept for each tenant. Its tenants are the rows of management's table.
[isp]
script_location = @ISP@
tenants_service = management
tenants_query = SELECT id FROM tenants ORDER BY id

# (later) This service runs only while these are at their heads.
# requires = management

# A service in one environment has the last word of this file.
# [management:production]
# url = postgresql://migrator@db.example.com/dotmac_management
# [isp:production]
# url = postgresql://migrator@isp.example.com/dotmac_isp

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
  "runtime.path": ["?.lua", "@MANAGEMENT@/lib/?.lua", "@ISP@/lib/?.lua"],
  "runtime.builtin": { "debug": "disable", "io": "disable", "package": "disable" },
  "diagnostics.globals": [
    "op", "sa", "postgresql", "guards", "tenants", "context", "null", "json", "log",
    "revision", "down_revision", "branch_labels", "depends_on", "upgrade", "downgrade", "run"
  ],
  "diagnostics.disable": ["lowercase-global"]
}
]==]

return M
