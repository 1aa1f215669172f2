-- lua5.4 generate.lua FOLDER STEPS URL: the same chain three times, as dmlua's tree (FOLDER/dmlua), as Alembic's
-- (FOLDER/alembic) and as one SQL file (FOLDER/chain.sql), each a transaction a step with the version row in it.

local folder, steps, url = arg[1], tonumber(arg[2]), arg[3]

local function write(path, text)
  local file = assert(io.open(folder .. "/" .. path, "w"))
  file:write(text)
  file:close()
end

local function fill(template, values)
  return (template:gsub("<(%w+)>", values))
end

local lua_step = [[
-- Add the table items_<id>
--
-- Revision ID: <id>
-- Revises: <down>

revision = "<id>"
down_revision = <luadown>
branch_labels = nil
depends_on = nil

function upgrade()
  op.create_table("items_<id>",
    sa.Column("id", sa.UUID(), { nullable = false }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("name", sa.String(255), { nullable = false }),
    sa.Column("created_at", sa.DateTime(), { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"))
  op.create_index("ix_items_<id>_tenant", "items_<id>", { "tenant_id", "created_at" })
  op.add_column("items_<id>", sa.Column("note", sa.Text()))
end

function downgrade()
  op.drop_table("items_<id>")
end
]]

local python_step = [[
"""Add the table items_<id>

Revision ID: <id>
Revises: <down>

"""
from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "<id>"
down_revision = <pydown>
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "items_<id>",
        sa.Column("id", postgresql.UUID(), nullable=False),
        sa.Column("tenant_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_items_<id>_tenant", "items_<id>", ["tenant_id", "created_at"])
    op.add_column("items_<id>", sa.Column("note", sa.Text()))


def downgrade():
    op.drop_table("items_<id>")
]]

local sql_start = [[
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
]]

local sql_step = [[
BEGIN;
CREATE TABLE items_<id> (
	id UUID NOT NULL,
	tenant_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	created_at TIMESTAMP WITHOUT TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX ix_items_<id>_tenant ON items_<id> (tenant_id, created_at);
ALTER TABLE items_<id> ADD COLUMN note TEXT;
<record>
COMMIT;
]]

local function record(id, down)
  if not down then return ("INSERT INTO alembic_version (version_num) VALUES ('%s');"):format(id) end
  return ("UPDATE alembic_version SET version_num = '%s' WHERE version_num = '%s';"):format(id, down)
end

local ini = [[
[<section>]
script_location = %(here)s
<key> = <url>
]]

local env = [[
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
]]

os.execute(("mkdir -p '%s/dmlua/versions' '%s/alembic/versions'"):format(folder, folder))
write("dmlua/dmlua.ini", fill(ini, {
  section = "dmlua", key = "isolation = none\nenvironment = development\nurl", url = url }))
write("alembic/alembic.ini", fill(ini, { section = "alembic", key = "sqlalchemy.url", url = url }))
write("alembic/env.py", env)

local sql, down = { sql_start }, nil
for step = 1, steps do
  local id = ("%06d"):format(step)
  local quoted = down and '"' .. down .. '"'
  local values = { id = id, down = down or "", luadown = quoted or "nil", pydown = quoted or "None",
    record = record(id, down) }
  write("dmlua/versions/" .. id .. ".lua", fill(lua_step, values))
  write("alembic/versions/" .. id .. ".py", fill(python_step, values))
  sql[#sql + 1] = fill(sql_step, values)
  down = id
end
write("chain.sql", table.concat(sql))
